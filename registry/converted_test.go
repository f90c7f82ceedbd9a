// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"fmt"
	"testing"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/registry/hooks"
	"github.com/cosignkit/cosignkit/verify"
)

// TestAnImageThatContainerdConvertsIsRefused: containerd records a manifest of its
// own for an image with a configuration of an old type, and nobody signed that one.
func TestAnImageThatContainerdConvertsIsRefused(t *testing.T) {
	t.Parallel()
	reg := newTestRegistry(t, true)
	c := newClient(t, registry.Config{})
	source, ctx := newStore(t)
	key := newKey(t)
	layer := putBlob(ctx, t, source, ocispec.MediaTypeImageLayer, []byte("layer"))
	config := putJSON(ctx, t, source, docker.LegacyConfigMediaType, fmt.Sprintf(
		`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[%q]}}`, layer.Digest))
	old := putJSON(ctx, t, source, ocispec.MediaTypeImageManifest, fmt.Sprintf(
		`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]}`, ocispec.MediaTypeImageManifest, descJSON(config), descJSON(layer)))
	if _, err := hooks.Push(ctx, c, source.Client, reg.ref("app:v1"), old, signerOf(t, key), nil); err != nil {
		t.Fatal(err)
	}

	cd, ctx := newStore(t)
	image, result, err := hooks.Pull(ctx, c, cd.Client, reg.ref("app:v1"), verifierOf(t, key), nil)
	wantFamily(t, err, verify.ErrRejected)
	wantText(t, err, "verified "+old.Digest.String())
	if image != nil || result == nil || result.Image.Target.Digest != old.Digest {
		t.Errorf("image %v, result %+v", image, result)
	}
	if names := imageNames(ctx, t, cd); len(names) > 0 {
		t.Errorf("recorded as %q", names)
	}
}
