// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package registry_test

import (
	"os"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/verify"
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

// TestLayoutDoesNotBlockOnAPipeOfBlobs: where cosign saved the image, signatures are
// looked for among the blobs.
func TestLayoutDoesNotBlockOnAPipeOfBlobs(t *testing.T) {
	t.Parallel()
	o := newOCIDir(t)
	image := o.image("a")
	image.Annotations = map[string]string{"kind": "dev.cosignproject.cosign/image"}
	o.list(image)
	if err := os.RemoveAll(o.path("blobs/sha256")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(o.path("blobs/sha256"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := returns(t, func() error {
		_, err := layoutClient(t, o.dir).VerifyImage(t.Context(), verify.Image{
			Name: layoutRef, Target: ocispec.Descriptor{MediaType: image.MediaType, Digest: digest.FromString("another"), Size: 1},
		}, verifierOf(t, newKey(t)))
		return err
	})
	wantFamily(t, err, verify.ErrInconclusive)
}
