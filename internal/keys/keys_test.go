// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keys_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cosignkit/cosignkit/internal/keys"
	"github.com/cosignkit/cosignkit/internal/limits"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func write(t *testing.T, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cosign.key")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadFile(t *testing.T) {
	t.Parallel()
	most := bytes.Repeat([]byte("k"), limits.KeyFile)
	for name, want := range map[string][]byte{
		"one byte":           []byte("k"),
		"as it is, no trim":  []byte(" k\r\n"),
		"the largest":        most,
		"every kind of byte": {0, 1, 0x7f, 0x80, 0xff},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := keys.Read(write(t, want))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("read %d bytes, %v", len(got), err)
			}
		})
	}
}

func TestReadFollowsALinkToAFile(t *testing.T) {
	t.Parallel()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(write(t, []byte("k")), link); err != nil {
		t.Skipf("no symbolic links here: %v", err)
	}
	if got, err := keys.Read(link); err != nil || string(got) != "k" {
		t.Errorf("read %q, %v", got, err)
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ref   string
		cause error
		text  string
	}{
		"empty reference":      {ref: "", text: "empty key reference"},
		"missing file":         {ref: filepath.Join(t.TempDir(), "cosign.key"), cause: fs.ErrNotExist},
		"directory":            {ref: t.TempDir(), text: "is a directory"},
		"empty file":           {ref: write(t, nil), text: "is empty"},
		"one byte too many":    {ref: write(t, make([]byte, limits.KeyFile+1)), cause: limits.ErrExceeded},
		"no variable":          {ref: "env://", text: "no variable named"},
		"unset variable":       {ref: "env://COSIGNKIT_TEST_UNSET", text: "is not set"},
		"KMS scheme":           {ref: "awskms:///alias/key", text: `"awskms"`},
		"unknown scheme":       {ref: "foo://bar", text: `"foo"`},
		"scheme in upper case": {ref: "ENV://NAME", text: `"ENV"`},
		"URL":                  {ref: "https://registry.example/cosign.key", text: `"https"`},
		"no scheme":            {ref: "://x", text: "not supported"},
		"NUL":                  {ref: "a\x00b", text: "this is a key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, err := keys.Read(c.ref)
			if err == nil || b != nil {
				t.Fatalf("read %d bytes", len(b))
			}
			if c.cause != nil && !errors.Is(err, c.cause) {
				t.Errorf("cause of %q is not %q", err, c.cause)
			}
			if !strings.Contains(err.Error(), c.text) {
				t.Errorf("error %q does not say %q", err, c.text)
			}
			if len(c.ref) > len("env://") && strings.Contains(err.Error(), c.ref) {
				t.Errorf("error %q repeats the reference, which callers name", err)
			}
		})
	}
}

func TestReadVariable(t *testing.T) {
	const name = "COSIGNKIT_TEST_KEY"
	for what, c := range map[string]struct {
		value string
		text  string
	}{
		"a key":           {value: "-----BEGIN PUBLIC KEY-----\nAAAA\n"},
		"the largest":     {value: strings.Repeat("k", limits.KeyFile)},
		"empty":           {value: "", text: "is empty"},
		"one byte larger": {value: strings.Repeat("k", limits.KeyFile+1), text: "limit exceeded"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Setenv(name, c.value)
			got, err := keys.Read("env://" + name)
			if c.text == "" {
				if err != nil || string(got) != c.value {
					t.Errorf("read %d bytes, %v", len(got), err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.text) {
				t.Errorf("error is %v, want %q", err, c.text)
			}
		})
	}
}

// TestAKeyIsNoReference: what is not named cannot leak into logs.
func TestAKeyIsNoReference(t *testing.T) {
	t.Parallel()
	const secret = "c2VjcmV0IGtleSBtYXRlcmlhbA=="
	for name, ref := range map[string]string{
		"PEM":                 "-----BEGIN PRIVATE KEY-----\n" + secret + "\n-----END PRIVATE KEY-----\n",
		"PEM without newline": "-----BEGIN PRIVATE KEY----- " + secret + " -----END PRIVATE KEY-----",
		"PEM after env://":    "env://-----BEGIN PRIVATE KEY-----" + secret,
		"the body alone":      secret + "\n" + secret + "\n",
		"Windows newlines":    secret + "\r" + secret,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := keys.Read(ref)
			if err == nil || !strings.Contains(err.Error(), "this is a key") || strings.Contains(err.Error(), secret) {
				t.Errorf("error is %v", err)
			}
			if got := keys.Name(ref); strings.Contains(got, secret) {
				t.Errorf("named %q", got)
			}
		})
	}
	for _, ref := range []string{"", "cosign.key", "env://NAME", "kms://key", "dir with space/cosign.key"} {
		if got := keys.Name(ref); got != ref {
			t.Errorf("Name(%q) = %q", ref, got)
		}
	}
}

// TestALargeFileIsNotReadWhole is not parallel: it measures what the process
// allocates.
func TestALargeFileIsNotReadWhole(t *testing.T) {
	path := write(t, []byte("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n"))
	if err := os.Truncate(path, 100<<20); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	_, err := keys.Read(path)
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	if !errors.Is(err, limits.ErrExceeded) {
		t.Errorf("error is %v", err)
	}
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 1<<20 {
		t.Errorf("allocated %d bytes for a file that is too large", allocated)
	}
	if took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}
