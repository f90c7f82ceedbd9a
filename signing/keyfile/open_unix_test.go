// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build unix && !race

package keyfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/signing/keyfile"
)

// openPromptly returns the error of opening ref, and fails the test if it takes
// so long that it must be waiting for something.
func openPromptly(t *testing.T, ref string) error {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		_, err := keyfile.Open(t.Context(), ref, signing.Passphrase(nil))
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-time.After(10 * time.Second):
		t.Fatal("still waiting after 10 s")
		return nil
	}
}

func TestWhatIsNoRegularFileIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "pipe.key")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, ref := range map[string]string{
		"named pipe":         pipe,
		"endless device":     "/dev/zero",
		"standard input":     "/dev/stdin",
		"terminal or nobody": "/dev/tty",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := os.Stat(ref); err != nil {
				ref = pipe // no such device here
			}
			err := openPromptly(t, ref)
			wantFamily(t, err, signing.ErrMisconfigured)
			if !strings.Contains(err.Error(), ref) {
				t.Errorf("error %q does not name %s", err, ref)
			}
		})
	}
}

// TestUnreadableKeyHasTheSystemsCause uses failures that root meets as well.
func TestUnreadableKeyHasTheSystemsCause(t *testing.T) {
	t.Parallel()
	loop := filepath.Join(t.TempDir(), "loop.key")
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		ref  string
		want error
	}{
		"below a file":  {filepath.Join(goldenKey("ecdsa-p256"), "cosign.key"), syscall.ENOTDIR},
		"symlink loop":  {loop, syscall.ELOOP},
		"name too long": {strings.Repeat("k", 5000), syscall.ENAMETOOLONG},
	}
	if os.Geteuid() != 0 {
		closed := writeFile(t, "cosign.key", readFile(t, goldenKey("ecdsa-p256")))
		if err := os.Chmod(closed, 0); err != nil {
			t.Fatal(err)
		}
		cases["mode 000"] = struct {
			ref  string
			want error
		}{closed, syscall.EACCES}
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := keyfile.Open(t.Context(), c.ref, signing.Passphrase(nil))
			wantFamily(t, err, signing.ErrMisconfigured)
			if !errors.Is(err, c.want) {
				t.Errorf("cause of %q is not %q", err, c.want)
			}
			if got := strings.Count(err.Error(), c.ref); got != 1 {
				t.Errorf("error names the file %d times: %q", got, err)
			}
		})
	}
}

// TestUnknownSchemesStartNoProcess puts programs in PATH that cosign's own
// plug-in mechanism would execute.
func TestUnknownSchemesStartNoProcess(t *testing.T) {
	bin := t.TempDir()
	marker := filepath.Join(bin, "started")
	for _, scheme := range []string{"kms", "foo", "awskms"} {
		script := "#!/bin/sh\n: > '" + marker + "'\n"
		if err := os.WriteFile(filepath.Join(bin, "sigstore-kms-"+scheme), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	for _, ref := range []string{"kms://key", "foo://key", "awskms:///key"} {
		_, err := keyfile.Open(t.Context(), ref, signing.Passphrase(nil))
		wantFamily(t, err, signing.ErrMisconfigured)
	}
	if _, err := os.Stat(marker); err == nil {
		t.Error("a key reference started a program")
	}
}
