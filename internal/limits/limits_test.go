// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package limits_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"go.uber.org/goleak"

	"github.com/cosignkit/cosignkit/internal/limits"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestReadAll(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection reset")
	for name, c := range map[string]struct {
		r     io.Reader
		want  string
		cause error
	}{
		"nothing":             {r: strings.NewReader("")},
		"less than the limit": {r: strings.NewReader("123"), want: "123"},
		"the limit":           {r: strings.NewReader("1234"), want: "1234"},
		"byte by byte":        {r: iotest.OneByteReader(strings.NewReader("1234")), want: "1234"},
		"one byte more":       {r: strings.NewReader("12345"), cause: limits.ErrExceeded},
		"endless":             {r: endless{}, cause: limits.ErrExceeded},
		"a reader that fails": {r: io.MultiReader(strings.NewReader("12"), iotest.ErrReader(broken)), cause: broken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := limits.ReadAll(c.r, 4, "answer")
			if !errors.Is(err, c.cause) {
				t.Fatalf("error is %v, want %v", err, c.cause)
			}
			if string(got) != c.want || err != nil && got != nil {
				t.Errorf("read %q, want %q", got, c.want)
			}
		})
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return copy(p, bytes.Repeat([]byte("x"), len(p))), nil }

func TestReadAllStopsAtTheLimit(t *testing.T) {
	t.Parallel()
	r := strings.NewReader(strings.Repeat("x", 1000))
	if _, err := limits.ReadAll(r, 10, "answer"); err == nil {
		t.Fatal("no error")
	}
	if read := 1000 - r.Len(); read != 11 {
		t.Errorf("read %d bytes to find out, want 11", read)
	}
}

func TestExceededSaysWhatAndHowMuch(t *testing.T) {
	t.Parallel()
	err := limits.Exceeded("bundle in bytes", 1024)
	if !errors.Is(err, limits.ErrExceeded) {
		t.Error("does not match ErrExceeded")
	}
	if want := "limit exceeded: bundle in bytes is larger than 1024"; err.Error() != want {
		t.Errorf("text is %q, want %q", err, want)
	}
}
