// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package compose_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/compose"
	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/registry/hooks"
)

// TestAnImageThatContainerdConvertsIsRefused: containerd records a manifest of its
// own for an image with a configuration of an old type, and nobody signed that one.
func TestAnImageThatContainerdConvertsIsRefused(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	put := func(mediaType, text string) ocispec.Descriptor {
		desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromString(text), Size: int64(len(text))}
		if err := content.WriteBlob(s.ctx, s.cd.ContentStore(), desc.Digest.String(), strings.NewReader(text), desc); err != nil {
			t.Fatal(err)
		}
		return desc
	}
	entry := func(d ocispec.Descriptor) string {
		return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, d.MediaType, d.Digest, d.Size)
	}
	layer := put(ocispec.MediaTypeImageLayer, "layer")
	config := put(docker.LegacyConfigMediaType, fmt.Sprintf(
		`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[%q]}}`, layer.Digest))
	old := put(ocispec.MediaTypeImageManifest, fmt.Sprintf(
		`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]}`, ocispec.MediaTypeImageManifest, entry(config), entry(layer)))
	client, err := registry.New(registry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	if _, err := hooks.Push(s.ctx, client, s.cd.Client, s.host+"/a:v1", old, s.signer("good"), nil); err != nil {
		t.Fatal(err)
	}
	var starter starter
	plan := s.plan(s.load("services:\n  a:\n    image: $R/a:v1"+good), compose.Config{})
	cd := s.newStore()
	result, err := plan.Start(s.ctx, compose.PullWith(cd.Client), starter.start)
	if family(err) != "rejected" || !strings.Contains(err.Error(), "verified "+old.Digest.String()) || len(starter.started) > 0 {
		t.Errorf("started %v, %v", starter.started, err)
	}
	if pinned := result.Outcomes[0]; pinned.Err == nil {
		t.Errorf("outcome is %+v", pinned)
	}
	if recorded, err := cd.ImageService().List(s.ctx); err != nil || len(recorded) > 0 {
		t.Errorf("recorded %v, %v", recorded, err)
	}
}

// TestAPullFailsWhereSignaturesCannotBeKept: a tool that starts by them later would
// find none.
func TestAPullFailsWhereSignaturesCannotBeKept(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.push("a:v1", "a", "good")
	plan := s.plan(s.load("services:\n  a:\n    image: $R/a:v1"+good), compose.Config{})
	cd := s.newStore()
	pull := compose.PullWith(cd.Client)
	_, err := plan.Pull(s.ctx, func(ctx context.Context, image compose.Image) (ocispec.Descriptor, error) {
		for i := range image.Verifications[0].Signatures {
			image.Verifications[0].Signatures[i].Subject = digest.FromString("not here")
		}
		return pull(ctx, image)
	})
	if err == nil || !strings.Contains(err.Error(), "keep signatures") {
		t.Errorf("got %v", err)
	}
}
