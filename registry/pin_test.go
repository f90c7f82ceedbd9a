// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"testing"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/verify"
)

func imageOf(text string) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(text), Size: int64(len(text))}
}

func TestPinRecordsTheFullName(t *testing.T) {
	t.Parallel()
	image := imageOf("app")
	for ref, name := range map[string]string{
		"alpine":                                 "docker.io/library/alpine:latest",
		"registry.example/app:v1":                "registry.example/app:v1",
		"alpine@" + image.Digest.String():        "docker.io/library/alpine@" + image.Digest.String(),
		"alpine:edge@" + image.Digest.String():   "docker.io/library/alpine:edge@" + image.Digest.String(),
		"docker.io/library/alpine:3":             "docker.io/library/alpine:3",
		"registry.example:5000/team/app:release": "registry.example:5000/team/app:release",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cd, ctx := newStore(t)
			if err := registry.Pin(ctx, cd.ImageService(), ref, image); err != nil {
				t.Fatal(err)
			}
			if names := imageNames(ctx, t, cd); len(names) != 1 || names[0] != name {
				t.Errorf("recorded %q", names)
			}
		})
	}
}

func TestPinReplacesTheTargetAndNothingElse(t *testing.T) {
	t.Parallel()
	cd, ctx := newStore(t)
	labels := map[string]string{"nerdctl/x": "y"}
	old, err := cd.ImageService().Create(ctx, images.Image{Name: "registry.example/app:v1", Target: imageOf("old"), Labels: maps.Clone(labels)})
	if err != nil {
		t.Fatal(err)
	}
	if err := registry.Pin(ctx, cd.ImageService(), old.Name, imageOf("new")); err != nil {
		t.Fatal(err)
	}
	got, err := cd.ImageService().Get(ctx, old.Name)
	if err != nil {
		t.Fatal(err)
	}
	if got.Target.Digest != imageOf("new").Digest || !maps.Equal(got.Labels, labels) || !got.CreatedAt.Equal(old.CreatedAt) {
		t.Errorf("record is %+v", got)
	}
}

func TestPinRefusesWhatIsNoImage(t *testing.T) {
	t.Parallel()
	cd, ctx := newStore(t)
	for name, target := range map[string]ocispec.Descriptor{
		"nothing":            {},
		"no digest":          {MediaType: ocispec.MediaTypeImageManifest, Size: 1},
		"a digest of sha512": {MediaType: ocispec.MediaTypeImageManifest, Digest: digest.SHA512.FromString("x"), Size: 1},
		"a negative size":    {MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("x"), Size: -1},
		"a layer":            {MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromString("x"), Size: 1},
	} {
		t.Run(name, func(t *testing.T) {
			wantFamily(t, registry.Pin(ctx, cd.ImageService(), "registry.example/app:v1", target), verify.ErrMisconfigured)
		})
	}
	wantFamily(t, registry.Pin(t.Context(), cd.ImageService(), "registry.example/app:v1", imageOf("x")), verify.ErrMisconfigured)
	for _, name := range []string{"registry.example/app@", "registry.example/app:v1@"} {
		err := registry.Pin(ctx, cd.ImageService(), name+imageOf("y").Digest.String(), imageOf("x"))
		wantFamily(t, err, verify.ErrMisconfigured)
	}
	if names := imageNames(ctx, t, cd); len(names) > 0 {
		t.Errorf("recorded %q", names)
	}
}

// contestedStore is one in which others create and delete the record at the worst
// time.
type contestedStore struct {
	images.Store
	updates, creates int
	stable           int // from this update on
}

func (s *contestedStore) Update(ctx context.Context, image images.Image, fields ...string) (images.Image, error) {
	if s.updates++; s.updates < s.stable {
		return images.Image{}, fmt.Errorf("%w", errdefs.ErrNotFound)
	}
	return s.Store.Update(ctx, image, fields...)
}

func (s *contestedStore) Create(context.Context, images.Image) (images.Image, error) {
	s.creates++
	return images.Image{}, fmt.Errorf("%w", errdefs.ErrAlreadyExists)
}

func TestPinAgainstOthers(t *testing.T) {
	t.Parallel()
	cd, ctx := newStore(t)
	if err := registry.Pin(ctx, cd.ImageService(), "registry.example/app:v1", imageOf("old")); err != nil {
		t.Fatal(err)
	}
	if err := registry.Pin(ctx, &contestedStore{Store: cd.ImageService(), stable: 5}, "registry.example/app:v1", imageOf("new")); err != nil {
		t.Error(err)
	}
	wantFamily(t, registry.Pin(ctx, &contestedStore{Store: cd.ImageService(), stable: 1 << 30}, "registry.example/app:v1", imageOf("new")), verify.ErrInconclusive)

	var group sync.WaitGroup
	for i := range 16 {
		group.Go(func() {
			if err := registry.Pin(ctx, cd.ImageService(), "registry.example/app:v2", imageOf(fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}
