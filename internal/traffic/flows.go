// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/embedded"
	"github.com/cosignkit/cosignkit/internal/testimage"
	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/registry/hooks"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// Flows are what a tool does with an image: push it signed, verify it, pull it
// verified, and sign it in place. Each has a client of its own, as have commands
// that a user runs one after another.
type Flows struct {
	Config registry.Config
	Ref    string // with a tag
	Form   signing.Form
	Dir    string // where image stores are made
}

// Image is an image and keys for it.
type Image struct {
	Target ocispec.Descriptor
	// Parts are the digests of the target and of what it refers to.
	Parts []digest.Digest
	// Pusher signs what is pushed, and Second what is there.
	Pusher, Second *ecdsa.PrivateKey
}

// Run goes through all flows, in which the image must be the one that was pushed.
func (f Flows) Run(ctx context.Context) (*Image, error) {
	image, err := f.Push(ctx)
	if err != nil {
		return nil, fmt.Errorf("push: %w", err)
	}
	if err := f.Verify(ctx, image, image.Pusher); err != nil {
		return image, fmt.Errorf("verify: %w", err)
	}
	if err := f.Pull(ctx, image); err != nil {
		return image, fmt.Errorf("pull: %w", err)
	}
	if err := f.Sign(ctx, image); err != nil {
		return image, fmt.Errorf("sign in place: %w", err)
	}
	for _, key := range []*ecdsa.PrivateKey{image.Pusher, image.Second} {
		if err := f.Verify(ctx, image, key); err != nil {
			return image, fmt.Errorf("verify what was signed in place: %w", err)
		}
	}
	return image, nil
}

// Make makes an image that no other is like, in an image store that it opens.
func (f Flows) Make(ctx context.Context) (context.Context, *embedded.Client, *Image, error) {
	image := &Image{}
	for _, key := range []**ecdsa.PrivateKey{&image.Pusher, &image.Second} {
		var err error
		if *key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return ctx, nil, nil, err
		}
	}
	ctx, cd, err := f.open(ctx, "push")
	if err != nil {
		return ctx, nil, nil, err
	}
	var archive bytes.Buffer
	if err := testimage.WriteArchive(&archive, testimage.Image{Name: f.Ref, Content: image.Pusher.X.String()}); err != nil {
		return ctx, nil, nil, errors.Join(err, cd.Close())
	}
	loaded, err := cd.Import(ctx, &archive)
	if err == nil && len(loaded) != 1 {
		err = fmt.Errorf("%d images in an archive", len(loaded))
	}
	if err != nil {
		return ctx, nil, nil, errors.Join(err, cd.Close())
	}
	image.Target = loaded[0].Target
	err = images.WalkNotEmpty(ctx, images.HandlerFunc(func(ctx context.Context, desc ocispec.Descriptor) ([]ocispec.Descriptor, error) {
		image.Parts = append(image.Parts, desc.Digest)
		return images.Children(ctx, cd.ContentStore(), desc)
	}), image.Target)
	return ctx, cd, image, err
}

func (f Flows) open(ctx context.Context, name string) (context.Context, *embedded.Client, error) {
	cd, err := embedded.Open(filepath.Join(f.Dir, name))
	return namespaces.WithNamespace(ctx, "test"), cd, err
}

// Push makes an image and pushes it signed.
func (f Flows) Push(ctx context.Context) (*Image, error) {
	ctx, cd, image, err := f.Make(ctx)
	if err != nil {
		return nil, err
	}
	err = f.with(func(c *registry.Client) error {
		signer, err := signing.NewKeySigner(signing.KeySignerConfig{Key: image.Pusher, SkipTransparencyLog: true})
		if err != nil {
			return err
		}
		_, err = hooks.Push(ctx, c, cd.Client, f.Ref, image.Target, signer, nil, registry.WithForm(f.Form))
		return err
	})
	return image, errors.Join(err, cd.Close())
}

// PushUnsigned pushes an image that Make made, as a tool without signatures does.
func (f Flows) PushUnsigned(ctx context.Context, cd *embedded.Client, image *Image) error {
	return f.with(func(c *registry.Client) error {
		return cd.Push(ctx, f.Ref, image.Target, containerd.WithResolver(c.Resolver()))
	})
}

// Verify wants a signature by key in each form that was written.
func (f Flows) Verify(ctx context.Context, image *Image, key *ecdsa.PrivateKey) error {
	return f.with(func(c *registry.Client) error {
		verifier, err := verifierOf(key)
		if err != nil {
			return err
		}
		result, err := c.Verify(ctx, f.Ref, verifier, registry.WithEverySignature())
		if err != nil {
			return err
		}
		if result.Image.Target.Digest != image.Target.Digest {
			return fmt.Errorf("verified %s, want %s", result.Image.Target.Digest, image.Target.Digest)
		}
		return nil
	})
}

// Pull pulls with containerd's client into an empty store.
func (f Flows) Pull(ctx context.Context, image *Image) error {
	verifier, err := verifierOf(image.Pusher)
	if err != nil {
		return err
	}
	ctx, cd, err := f.open(ctx, "pull")
	if err != nil {
		return err
	}
	err = f.with(func(c *registry.Client) error {
		pulled, err := cd.Pull(ctx, f.Ref, containerd.WithResolver(c.VerifyingResolver(verifier)))
		if err != nil {
			return err
		}
		if pulled.Name() != f.Ref || pulled.Target().Digest != image.Target.Digest {
			return fmt.Errorf("pulled %s at %s, want %s at %s", pulled.Name(), pulled.Target().Digest, f.Ref, image.Target.Digest)
		}
		for _, part := range image.Parts {
			if _, err := cd.ContentStore().Info(ctx, part); err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(err, cd.Close())
}

// Sign signs what is in the registry with the second key.
func (f Flows) Sign(ctx context.Context, image *Image) error {
	return f.with(func(c *registry.Client) error {
		signer, err := signing.NewKeySigner(signing.KeySignerConfig{Key: image.Second, SkipTransparencyLog: true})
		if err != nil {
			return err
		}
		_, err = c.Sign(ctx, f.Ref, signer, registry.WithForm(f.Form))
		return err
	})
}

func (f Flows) with(use func(*registry.Client) error) error {
	c, err := registry.New(f.Config)
	if err != nil {
		return err
	}
	defer c.CloseIdleConnections()
	return use(c)
}

func verifierOf(key *ecdsa.PrivateKey) (verify.Verifier, error) {
	return verify.New(verify.Policy{Keys: []crypto.PublicKey{key.Public()}, InsecureIgnoreTransparencyLog: true})
}
