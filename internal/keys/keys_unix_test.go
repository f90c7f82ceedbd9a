// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package keys_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cosignkit/cosignkit/internal/keys"
)

func TestReadNeverWaits(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{pipe, os.DevNull} {
		done := make(chan error, 1)
		go func() {
			_, err := keys.Read(ref)
			done <- err
		}()
		select {
		case err := <-done:
			if err == nil || !strings.Contains(err.Error(), "is not a regular file") {
				t.Errorf("%s: %v", ref, err)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("still reading %s", ref)
		}
	}
}

func TestReadSaysWhyTheSystemRefused(t *testing.T) {
	t.Parallel()
	if _, err := keys.Read(filepath.Join(write(t, []byte("k")), "below")); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("below a file: %v", err)
	}
	if runtime.GOOS != "linux" {
		return
	}
	// Regular files by their mode, the second of which would block.
	for _, ref := range []string{"/proc/self/mem", "/proc/kmsg"} {
		if _, err := keys.Read(ref); err == nil || err.Error() != "is empty" {
			t.Errorf("%s: %v", ref, err)
		}
	}
}
