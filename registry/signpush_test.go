// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/embedded"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/registry/hooks"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// publisher is a signer that publishes, in its preflight and when it signs: how
// often is counted.
type publisher struct {
	signing.Signer
	preflights, signatures atomic.Int64
}

func (p *publisher) Preflight(context.Context, signing.Request) error {
	p.preflights.Add(1)
	return nil
}

func (p *publisher) Sign(ctx context.Context, request signing.Request) ([]signing.Signature, error) {
	p.signatures.Add(1)
	return p.Signer.Sign(ctx, request)
}

// ways are those to sign something that is here.
var ways = map[string]func(ctx context.Context, c *registry.Client, cd *embedded.Client, ref string, target ocispec.Descriptor, signer signing.Signer, opts ...registry.SignOption) error{
	"Push": func(ctx context.Context, c *registry.Client, cd *embedded.Client, ref string, target ocispec.Descriptor, signer signing.Signer, opts ...registry.SignOption) error {
		_, err := hooks.Push(ctx, c, cd.Client, ref, target, signer, nil, opts...)
		return err
	},
	"SignPush": func(ctx context.Context, c *registry.Client, cd *embedded.Client, ref string, target ocispec.Descriptor, signer signing.Signer, opts ...registry.SignOption) error {
		return c.SignPush(signer, func(r remotes.Resolver) error { return cd.Push(ctx, ref, target, withResolver(r)) }, opts...)
	},
	"SignImage": func(ctx context.Context, c *registry.Client, _ *embedded.Client, ref string, target ocispec.Descriptor, signer signing.Signer, opts ...registry.SignOption) error {
		_, err := c.SignImage(ctx, verify.Image{Name: ref, Target: target}, signer, opts...)
		return err
	},
	"Sign": func(ctx context.Context, c *registry.Client, _ *embedded.Client, ref string, _ ocispec.Descriptor, signer signing.Signer, opts ...registry.SignOption) error {
		_, err := c.Sign(ctx, ref, signer, opts...)
		return err
	},
}

// TestEveryWayToSignRefusesTheSame: no signer is asked for anything, and nothing is
// signed or tagged.
func TestEveryWayToSignRefusesTheSame(t *testing.T) {
	t.Parallel()
	reg := newTestRegistry(t, true)
	c := newClient(t, registry.Config{})
	cd, ctx := newStore(t)
	image := putImage(ctx, t, cd, "image")
	index := putIndex(ctx, t, cd, image)
	pushUnsigned(ctx, t, c, cd, reg.ref("app:there"), image)
	of := func(change func(*ocispec.Descriptor)) ocispec.Descriptor {
		d := image
		change(&d)
		return d
	}
	all := []string{"Push", "SignPush", "SignImage", "Sign"}
	other := "@" + digest.FromString("another").String()
	for name, test := range map[string]struct {
		ref      string
		target   ocispec.Descriptor
		noSigner bool
		opts     []registry.SignOption
		ways     []string
	}{
		"a name with another digest":          {ref: "app:v1" + other, target: image, ways: []string{"Push", "SignPush", "SignImage"}},
		"a digest of another algorithm":       {ref: "app:v1@" + digest.SHA512.FromString("x").String(), target: image, ways: all},
		"an image of another algorithm":       {ref: "app:v1", target: of(func(d *ocispec.Descriptor) { d.Digest = digest.SHA512.FromString("x") }), ways: all[:3]},
		"a media type of no image":            {ref: "app:v1", target: of(func(d *ocispec.Descriptor) { d.MediaType = ocispec.MediaTypeImageLayer }), ways: []string{"Push", "SignImage"}},
		"the media type of an index":          {ref: "app:v1", target: of(func(d *ocispec.Descriptor) { d.MediaType = ocispec.MediaTypeImageIndex }), ways: all[:1]},
		"an index as a manifest":              {ref: "app:v1", target: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: index.Digest, Size: index.Size}, ways: all[:1]},
		"a negative size":                     {ref: "app:v1", target: of(func(d *ocispec.Descriptor) { d.Size = -1 }), ways: []string{"Push", "SignImage"}},
		"a manifest that nobody would read":   {ref: "app:v1", target: of(func(d *ocispec.Descriptor) { d.Size = limits.Manifest + 1 }), ways: all[:3]},
		"no signer":                           {ref: "app:there", target: image, noSigner: true, ways: all},
		"an unknown form":                     {ref: "app:there", target: image, opts: []registry.SignOption{registry.WithForm("both of them")}, ways: all},
		"no repository for signatures":        {ref: "app:there", target: image, opts: []registry.SignOption{registry.WithSignatureRepository("Not A Repository")}, ways: all},
		"a reference that is longer than any": {ref: strings.Repeat("a/", limits.Reference) + "app:v1", target: image, ways: all},
		"an upper-case name":                  {ref: "App:v1", target: image, ways: all},
	} {
		for _, way := range test.ways {
			t.Run(name+", "+way, func(t *testing.T) {
				asked := &publisher{Signer: signerOf(t, newKey(t))}
				var signer signing.Signer = asked
				if test.noSigner {
					signer = nil
				}
				reg.record()
				err := ways[way](ctx, c, cd, reg.ref(test.ref), test.target, signer, test.opts...)
				wantFamily(t, err, verify.ErrMisconfigured)
				if asked.signatures.Load() > 0 {
					t.Error("signed")
				}
				// SignPush sees no more than a reference before the content comes.
				if way != "SignPush" && asked.preflights.Load() > 0 {
					t.Error("the signer was asked before")
				}
				for _, r := range reg.recorded() {
					if strings.HasPrefix(r, "PUT ") && strings.Contains(r, "/manifests/") && !strings.Contains(r, image.Digest.String()) {
						t.Errorf("written: %s", r)
					}
				}
			})
		}
	}
}

// TestSignPushOfAnotherDigestFails: a pusher cannot tell an image that the reference
// does not name from a part of an index that it does.
func TestSignPushOfAnotherDigestFails(t *testing.T) {
	t.Parallel()
	reg := newTestRegistry(t, true)
	c := newClient(t, registry.Config{})
	cd, ctx := newStore(t)
	one, two := putImage(ctx, t, cd, "one"), putImage(ctx, t, cd, "two")
	index := putIndex(ctx, t, cd, one, two)
	for name, test := range map[string]struct{ named, pushed ocispec.Descriptor }{
		"another image":        {one, two},
		"a part of the index":  {index, one},
		"an index of the name": {one, index},
		"nothing of the kind":  {ocispec.Descriptor{Digest: digest.FromString("nothing")}, one},
	} {
		for _, tag := range []string{":v1", ""} {
			t.Run(name+tag, func(t *testing.T) {
				signer := &publisher{Signer: signerOf(t, newKey(t))}
				repository := strings.ReplaceAll(name, " ", "-")
				err := c.SignPush(signer, func(r remotes.Resolver) error {
					return cd.Push(ctx, reg.ref(repository+tag+"@"+test.named.Digest.String()), test.pushed, withResolver(r))
				})
				if name == "an index of the name" {
					// The index contains the image that the reference names, so it is signed.
					if err != nil || signer.signatures.Load() != 1 {
						t.Errorf("%d signatures, %v", signer.signatures.Load(), err)
					}
					return
				}
				wantFamily(t, err, verify.ErrMisconfigured)
				wantText(t, err, "another digest was pushed than the reference names")
				if signer.signatures.Load() > 0 || reg.digestOf(t, repository, "v1") != "" {
					t.Error("signed or tagged")
				}
			})
		}
	}
	t.Run("nothing at all", func(t *testing.T) {
		err := c.SignPush(signerOf(t, newKey(t)), func(remotes.Resolver) error { return nil })
		wantFamily(t, err, verify.ErrMisconfigured)
		wantText(t, err, "nothing was pushed")
	})
	t.Run("with a resolver of another push", func(t *testing.T) {
		var kept remotes.Resolver
		err := c.SignPush(signerOf(t, newKey(t)), func(r remotes.Resolver) error {
			kept = r
			return cd.Push(ctx, reg.ref("app:v2"), one, withResolver(r))
		})
		if err != nil {
			t.Fatal(err)
		}
		err = cd.Push(ctx, reg.ref("app:v3"), one, withResolver(kept))
		wantFamily(t, err, verify.ErrMisconfigured)
		wantText(t, err, "is over")
	})
	t.Run("in one of two", func(t *testing.T) {
		err := c.SignPush(signerOf(t, newKey(t)), func(r remotes.Resolver) error {
			if err := cd.Push(ctx, reg.ref("app:v4"), one, withResolver(r)); err != nil {
				return err
			}
			return cd.Push(ctx, reg.ref("app:v5@"+one.Digest.String()), two, withResolver(r))
		})
		wantFamily(t, err, verify.ErrMisconfigured)
		wantText(t, err, "app:v5")
	})
}

// TestPushOfWhatIsNotThereAsksNobody: a signer may publish in its preflight.
func TestPushOfWhatIsNotThereAsksNobody(t *testing.T) {
	t.Parallel()
	reg := newTestRegistry(t, true)
	cd, ctx := newStore(t)
	image := putImage(ctx, t, cd, "image")
	signer := &publisher{Signer: signerOf(t, newKey(t))}
	missing := image
	missing.Digest = digest.FromString("missing")
	_, err := hooks.Push(ctx, newClient(t, registry.Config{}), cd.Client, reg.ref("app:v1"), missing, signer, nil)
	wantText(t, err, "not found")
	c := newClient(t, registry.Config{Hosts: func(string) ([]docker.RegistryHost, error) {
		return []docker.RegistryHost{{Host: reg.host, Scheme: "http", Path: "/v2", Capabilities: docker.HostCapabilityPull | docker.HostCapabilityResolve}}, nil
	}})
	_, err = hooks.Push(ctx, c, cd.Client, reg.ref("app:v1"), image, signer, nil)
	wantText(t, err, "no host of the registry is configured")
	if n := signer.preflights.Load(); n > 0 || len(reg.recorded()) > 0 {
		t.Errorf("the signer was asked %d times, and the registry %q", n, reg.recorded())
	}
}

// TestOnceAsksTheSignerOnce: in its preflight as well, which may publish.
func TestOnceAsksTheSignerOnce(t *testing.T) {
	t.Parallel()
	reg := newTestRegistry(t, true)
	c := newClient(t, registry.Config{})
	cd, ctx := newStore(t)
	image := putImage(ctx, t, cd, "image")
	signer, once := &publisher{Signer: signerOf(t, newKey(t))}, &registry.Once{}
	for _, way := range []string{"Push", "SignPush", "SignImage", "Sign"} {
		if err := ways[way](ctx, c, cd, reg.ref("app:v1"), image, signer, once); err != nil {
			t.Fatal(err)
		}
	}
	if err := ways["Push"](ctx, c, cd, reg.ref("app:v2"), image, signer, once); err != nil {
		t.Fatal(err)
	}
	if signer.preflights.Load() != 1 || signer.signatures.Load() != 1 {
		t.Errorf("asked %d times, and for %d signatures", signer.preflights.Load(), signer.signatures.Load())
	}
	if got := reg.digestOf(t, "app", "v2"); got != image.Digest {
		t.Errorf("the second tag is %q", got)
	}
	if err := ways["Push"](ctx, c, cd, reg.ref("else:v1"), image, signer, once); err != nil || signer.signatures.Load() != 2 {
		t.Errorf("another repository: %d signatures, %v", signer.signatures.Load(), err)
	}
}
