// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package registry_test

import (
	"syscall"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestLayoutDoesNotBlockOnPipes in the place of files.
func TestLayoutDoesNotBlockOnPipes(t *testing.T) {
	t.Parallel()
	for _, name := range []string{ocispec.ImageLayoutFile, ocispec.ImageIndexFile, "image", "index.json.lock"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOCIDir(t)
			image := o.image("a")
			o.list(image)
			if name == "image" {
				name = layoutBlob(image)
			}
			removeFile(o, name)
			if err := syscall.Mkfifo(o.path(name), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := layoutClient(t, o.dir).Sign(t.Context(), layoutRef, signerOf(t, newKey(t)))
			wantText(t, err, "is not a regular file")
		})
	}
}
