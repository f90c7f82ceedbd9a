// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	intoto "github.com/in-toto/attestation/go/v1"
	"github.com/opencontainers/go-digest"
	sgverify "github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/leash"
)

// Artifact is anything that can be signed, by its digest or its content.
type Artifact struct {
	// Digest is sha256, sha384 or sha512. A message signature by a pure Ed25519
	// key cannot be checked with a digest alone.
	Digest digest.Digest

	// Content replaces Digest. It is read from its beginning, more than once and
	// without a limit, and must not change meanwhile.
	Content io.ReadSeeker
}

// Bundle checks one Sigstore bundle, of versions 0.1 to 0.3 and in JSON,
// for an artifact of any kind, with no registry. The bundle holds a message
// signature over the artifact, or a DSSE envelope with an in-toto statement of
// which the artifact is a subject. The Claims of what is returned have the
// statement: its PredicateType says what was attested, and the caller must look
// at it, while the [Verifier] of images takes signatures of images only. It is
// empty for a message signature.
//
// The policy is that of images: who must have signed, logs, timestamps,
// annotations of the subject. A Threshold of more than one, a Repository and a
// Reference are misconfigured, since one bundle is one signature and an artifact
// has no name.
//
// The error is nil only if the bundle satisfies the policy. The signature is not
// nil when the bundle was checked to the end, even if there is an error, which is then
// its Err with a family. The bundle must not be modified later.
func Bundle(ctx context.Context, policy Policy, artifact Artifact, bundle []byte) (*Signature, error) {
	v, err := policy.validate()
	if err == nil && (v.threshold > 1 || v.repository != nil || v.reference != nil) {
		err = errors.New("a bundle is one signature and has no repository; Threshold, Repository and Reference are for images")
	}
	if err != nil {
		return nil, fault.New(ErrMisconfigured, opBundle, "", "policy", err)
	}
	ctx, cancel := v.withTime(ctx)
	defer cancel()
	return leash.Operation(ctx, ErrRejected, opBundle, "", func(ctx context.Context) (*Signature, error) {
		return v.bundle(ctx, artifact, bundle)
	})
}

const opBundle = "verify bundle"

func (v *validated) bundle(ctx context.Context, artifact Artifact, bundle []byte) (*Signature, error) {
	digests, option, err := artifact.open(ctx)
	subject := artifact.Digest
	if subject == "" {
		subject = digest.NewDigestFromEncoded(digest.SHA256, digests[digest.SHA256.String()])
	}
	if err != nil {
		return nil, fault.New(ErrMisconfigured, opBundle, "", "artifact", err)
	}
	material, err := v.material(ctx)
	if err != nil {
		return nil, fault.New(ErrInconclusive, opBundle, "", "trusted root", err)
	}
	s, found := recovered(Signature{Form: FormBundle, Subject: subject}, func() (finding, Claims, error) {
		found, b, err := v.verifyBundle(ctx, bundle, option, material)
		if err != nil {
			return found, Claims{}, err
		}
		if b == nil {
			return found, Claims{}, v.checkClaims(Image{}, Claims{})
		}
		claims, err := artifactClaims(b, digests)
		if err == nil {
			err = v.checkClaims(Image{}, claims)
		}
		return found, claims, err
	})
	if s.Err == nil && found.wants != nil {
		s.Err = errNoEntry
		lookUps := lookUps{v: v, material: material}
		if err := lookUps.add(found, func(found finding, err error) { s.set(found, s.Claims, err) }); err != nil {
			s.Err = err
		}
		lookUps.run(ctx, func() bool { return true })
	}
	switch {
	case ctx.Err() != nil:
		s.Err = fault.Ended(ctx)
		return &s, fault.New(ErrInconclusive, opBundle, "", "", s.Err)
	case s.Err != nil:
		return &s, fault.New(ErrRejected, opBundle, "", "", fault.Printable(s.Err))
	default:
		return &s, nil
	}
}

// open returns the digests of the artifact by algorithm, and what sigstore-go
// checks.
func (a Artifact) open(ctx context.Context) (map[string]string, artifactOption, error) {
	if (a.Digest == "") == (a.Content == nil) {
		return nil, nil, errors.New("want either a digest or content")
	}
	if a.Content == nil {
		if err := a.Digest.Validate(); err != nil {
			return nil, nil, fmt.Errorf("digest %.128q: %w", a.Digest, err)
		}
		return map[string]string{a.Digest.Algorithm().String(): a.Digest.Encoded()}, digestOption(a.Digest), nil
	}
	content := leashed{ctx, a.Content}
	hashes := map[digest.Algorithm]hash.Hash{
		digest.SHA256: sha256.New(), digest.SHA384: sha512.New384(), digest.SHA512: sha512.New(),
	}
	var all []io.Writer
	for _, h := range hashes {
		all = append(all, h)
	}
	if err := content.rewind(); err != nil {
		return nil, nil, err
	}
	if _, err := io.Copy(io.MultiWriter(all...), content); err != nil {
		return nil, nil, err
	}
	digests := map[string]string{}
	for algorithm, h := range hashes {
		digests[algorithm.String()] = hex.EncodeToString(h.Sum(nil))
	}
	return digests, func() sgverify.ArtifactPolicyOption {
		// What cannot be read again does not match the signature.
		_ = content.rewind()
		return sgverify.WithArtifact(content)
	}, nil
}

// leashed is content of a caller, who may use it again after an abandoned call.
type leashed struct {
	ctx     context.Context //nolint:containedctx // of the one verification that reads it
	content io.ReadSeeker
}

func (l leashed) Read(p []byte) (n int, err error) {
	if !leash.Do(l.ctx, func() { n, err = l.content.Read(p) }) {
		err = fault.Ended(l.ctx)
	}
	return n, err
}

func (l leashed) rewind() (err error) {
	if !leash.Do(l.ctx, func() { _, err = l.content.Seek(0, io.SeekStart) }) {
		err = fault.Ended(l.ctx)
	}
	return err
}

// artifactClaims reads what a verified statement of any kind says about the
// artifact with digests.
func artifactClaims(b []byte, digests map[string]string) (Claims, error) {
	statement, err := parseStatement(b)
	if err != nil {
		return Claims{}, err
	}
	if got := statement.GetType(); got != intoto.StatementTypeUri && got != statementTypeV01 {
		return Claims{}, fmt.Errorf("statement of type %.128q, want %q", got, intoto.StatementTypeUri)
	}
	subject, err := subjectOf(statement, digests, "artifact")
	if err != nil {
		return Claims{}, err
	}
	return claimsOf(statement, subject, b), nil
}

// statementTypeV01 is the type of the statements before in-toto 1.0, which npm
// and older builders still make.
const statementTypeV01 = "https://in-toto.io/Statement/v0.1"
