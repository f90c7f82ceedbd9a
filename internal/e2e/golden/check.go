// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto"
	"errors"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/golden"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/signing/keyfile"
	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/trust"
)

// check opens every key and verifies every vector in dir.
func check(ctx context.Context, dir string) error {
	set, err := golden.Open(dir)
	if err != nil {
		return err
	}
	roots, err := trust.Load(set.TrustedRoot())
	if err != nil {
		return err
	}
	c := checker{set, roots}
	var failures []error
	for _, k := range set.Keys {
		if err := c.opens(ctx, k); err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", k.File, err))
		}
	}
	for _, v := range set.Vectors {
		if err := c.verifies(ctx, v); err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", v.Name, err))
		}
	}
	fmt.Printf("checked %d keys and %d vectors, %d failed\n", len(set.Keys), len(set.Vectors), len(failures))
	return errors.Join(failures...)
}

// checker checks what is in a directory.
type checker struct {
	*golden.Set
	roots verify.TrustedRoots
}

// opens checks that the private key opens, and belongs to the public one.
func (c checker) opens(ctx context.Context, k golden.Key) error {
	private, err := keyfile.Open(ctx, c.Path(k.File), signing.Passphrase([]byte(k.Passphrase)))
	if err != nil {
		return err
	}
	public, err := verify.LoadPublicKey(c.Path(k.PublicKey))
	if err != nil {
		return err
	}
	if key, ok := private.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !key.Equal(public) {
		return errors.New("the public key is another one")
	}
	return nil
}

// verifies checks that each signed digest of the vector has as many signatures
// as signers, which all pass.
func (c checker) verifies(ctx context.Context, v golden.Vector) error {
	policy, err := c.Policy(v, c.roots)
	if err != nil {
		return err
	}
	verifier, err := verify.New(policy)
	if err != nil {
		return err
	}
	for _, d := range v.Signed {
		signatures, err := c.Signatures(v, d)
		if err != nil {
			return err
		}
		if len(signatures) != v.Signers {
			return fmt.Errorf("%s: %d signatures, want %d", d, len(signatures), v.Signers)
		}
		var candidates []verify.Candidate
		for _, s := range signatures {
			candidates = append(candidates, verify.Candidate{Bundle: s.Bundle, Payload: s.Payload, Annotations: s.Annotations})
		}
		image := verify.Image{Name: v.Repository, Target: ocispec.Descriptor{Digest: d}}
		result, err := verifier.Verify(ctx, image, candidates)
		if err != nil {
			return err
		}
		for _, s := range result.Signatures {
			if s.Err != nil {
				return s.Err
			}
			if isBundle := s.Form == verify.FormBundle; isBundle != (v.Form == golden.Bundle) {
				return fmt.Errorf("%s has a signature of the form %s", d, s.Form)
			}
		}
	}
	return nil
}
