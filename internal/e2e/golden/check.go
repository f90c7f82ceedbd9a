// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

const (
	bundleType  = "application/vnd.dev.sigstore.bundle.v0.3+json"
	payloadType = "application/vnd.dev.cosign.simplesigning.v1+json"
)

// check opens every key and verifies every vector in dir.
func check(ctx context.Context, dir string) error {
	content, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if err != nil {
		return err
	}
	var all manifest
	if err := json.Unmarshal(content, &all); err != nil {
		return err
	}
	roots, err := verify.LoadTrustedRoot(filepath.Join(dir, trustedRootFile))
	if err != nil {
		return err
	}
	c := checker{dir, roots}
	var failures []error
	for _, k := range all.Keys {
		if err := c.opens(ctx, k); err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", k.File, err))
		}
	}
	for _, v := range all.Vectors {
		if err := c.verifies(ctx, v); err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", v.Name, err))
		}
	}
	fmt.Printf("checked %d keys and %d vectors, %d failed\n", len(all.Keys), len(all.Vectors), len(failures))
	return errors.Join(failures...)
}

// checker checks what is in a directory.
type checker struct {
	dir   string
	roots verify.TrustedRoots
}

// path of what has a path below testdata.
func (c checker) path(below string) string {
	return filepath.Join(c.dir, strings.TrimPrefix(below, "golden/"))
}

// opens checks that the private key opens, and belongs to the public one.
func (c checker) opens(ctx context.Context, k keyFile) error {
	private, err := signing.LoadPrivateKey(ctx, c.path(k.File), signing.Passphrase([]byte(k.Passphrase)))
	if err != nil {
		return err
	}
	public, err := verify.LoadPublicKey(c.path(k.PublicKey))
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
func (c checker) verifies(ctx context.Context, v vector) error {
	policy, err := c.policy(v)
	if err != nil {
		return err
	}
	verifier, err := verify.New(policy)
	if err != nil {
		return err
	}
	for _, d := range v.Signed {
		candidates, err := readCandidates(filepath.Join(c.dir, v.Name), d)
		if err != nil {
			return err
		}
		if len(candidates) != v.Signers {
			return fmt.Errorf("%s: %d candidates, want %d", d, len(candidates), v.Signers)
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
			if s.Form != v.form() {
				return fmt.Errorf("%s has a signature of the form %s", d, s.Form)
			}
		}
	}
	return nil
}

// form is that of the candidates.
func (v vector) form() verify.Form {
	if v.Form == bundle {
		return verify.FormBundle
	}
	return verify.FormLegacy
}

// policy asks for everything that the vector says.
func (c checker) policy(v vector) (verify.Policy, error) {
	policy := verify.Policy{
		Threshold:                     v.Signers,
		TrustedRoots:                  c.roots,
		Annotations:                   v.Annotations,
		InsecureIgnoreTransparencyLog: v.Log == recording{}.log(),
	}
	if v.Timestamp {
		policy.TimestampThreshold = 1
	}
	if i := v.Identity; i != nil {
		who := verify.Identity{Subject: i.Subject, Issuer: i.Issuer}
		if i.GitHub != nil {
			who.GitHub = verify.GitHubWorkflow(*i.GitHub)
		}
		policy.Identities = []verify.Identity{who}
		return policy, nil
	}
	for _, path := range append([]string{v.PublicKey}, v.MorePublicKeys...) {
		key, err := verify.LoadPublicKey(c.path(path))
		if err != nil {
			return policy, err
		}
		policy.Keys = append(policy.Keys, key)
	}
	return policy, nil
}

// readCandidates reads the signatures of d out of an image layout.
func readCandidates(dir string, d digest.Digest) ([]verify.Candidate, error) {
	content, err := os.ReadFile(filepath.Join(dir, ocispec.ImageIndexFile))
	if err != nil {
		return nil, err
	}
	var index ocispec.Index
	if err := json.Unmarshal(content, &index); err != nil {
		return nil, err
	}
	var candidates []verify.Candidate
	for _, descriptor := range index.Manifests {
		var found []ocispec.Descriptor
		switch descriptor.Annotations[ocispec.AnnotationRefName] {
		case signatureTag(d), "":
			found = []ocispec.Descriptor{descriptor}
		case referrersTag(d):
			var referrers ocispec.Index
			if err := readBlob(dir, descriptor, &referrers); err != nil {
				return nil, err
			}
			found = referrers.Manifests
		}
		for _, f := range found {
			tagged := descriptor.Annotations[ocispec.AnnotationRefName] == signatureTag(d)
			if candidates, err = appendCandidates(candidates, dir, f, d, tagged); err != nil {
				return nil, err
			}
		}
	}
	return candidates, nil
}

// appendCandidates appends what a manifest holds, unless it is a referrer of
// another image.
func appendCandidates(candidates []verify.Candidate, dir string, descriptor ocispec.Descriptor, d digest.Digest, tagged bool) ([]verify.Candidate, error) {
	var m ocispec.Manifest
	if err := readBlob(dir, descriptor, &m); err != nil {
		return nil, err
	}
	if !tagged && (m.Subject == nil || m.Subject.Digest != d) {
		return candidates, nil
	}
	for _, layer := range m.Layers {
		content, err := readBytes(dir, layer)
		if err != nil {
			return nil, err
		}
		switch layer.MediaType {
		case bundleType:
			candidates = append(candidates, verify.Candidate{Bundle: content})
		case payloadType:
			candidates = append(candidates, verify.Candidate{Payload: content, Annotations: layer.Annotations})
		default:
			return nil, fmt.Errorf("layer of type %s", layer.MediaType)
		}
	}
	return candidates, nil
}

func readBlob(dir string, descriptor ocispec.Descriptor, v any) error {
	content, err := readBytes(dir, descriptor)
	if err != nil {
		return err
	}
	return json.Unmarshal(content, v)
}

func readBytes(dir string, descriptor ocispec.Descriptor) ([]byte, error) {
	content, err := os.ReadFile(blobPath(dir, descriptor.Digest))
	if err != nil {
		return nil, err
	}
	if digest.FromBytes(content) != descriptor.Digest || int64(len(content)) != descriptor.Size {
		return nil, fmt.Errorf("blob %s is damaged", descriptor.Digest)
	}
	return content, nil
}
