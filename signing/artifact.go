// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package signing

import (
	"context"

	"github.com/opencontainers/go-digest"

	"github.com/cosignkit/cosignkit/internal/bundles"
	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/leash"
)

// ArtifactSigner is what a [Signer] implements that also signs what is no image:
// files, and statements about files and images. [*KeySigner] and keyless.Signer
// do. Implementations are safe for concurrent use.
//
// Each method returns one Sigstore bundle v0.3 in JSON, recorded in transparency
// logs and by timestamp authorities as image signatures are, and checked as they
// are before it is returned. It is written nowhere else. verify.Bundle
// verifies it, and so does every other client of Sigstore, such as cosign
// verify-blob and cosign verify-blob-attestation.
//
// Content and statement must not be modified later, as a key that does not return
// before ctx ends may still read them.
//
// An input that exceeds a limit below, or that the log does not take by such a key, is
// misconfigured. A failure of the key or a service, or the end of ctx, is
// inconclusive.
type ArtifactSigner interface {
	// SignArtifact signs content with a message signature. Empty content is
	// content. The bundle names the SHA-256 of content, or the hash that the
	// key's algorithm uses, and does not hold content.
	//
	// An Ed25519 key can sign content and no log can record that: logs see
	// the digest alone. A verifier needs the content, and not only its digest.
	//
	// Content that is the manifest of an image is a file like any other:
	// verifiers of images take a message signature over it only if their policy
	// says so. Content whose signature would be one of an image or of a statement
	// is misconfigured: a simple signing payload, and what begins with "DSSEv1 ".
	SignArtifact(ctx context.Context, content []byte) (bundle []byte, err error)

	// SignStatement signs an attestation: a DSSE envelope of the type
	// application/vnd.in-toto+json whose payload is statement, byte for byte. It
	// must be an in-toto statement v1 in JSON, of at most 512 KiB, with the
	// fields of the specification and no others, a predicate type, and 1 to
	// 1024 subjects of 1 to 32 digests each. The predicate is
	// neither read nor checked.
	//
	// The predicate type https://sigstore.dev/cosign/sign/v1 is misconfigured.
	// Such a statement is the signature of an image: whoever may have any
	// statement signed could have any image admitted. Only Sign makes those.
	SignStatement(ctx context.Context, statement []byte) (bundle []byte, err error)
}

var _ ArtifactSigner = (*KeySigner)(nil)

// SignArtifact implements [ArtifactSigner].
func (k *KeySigner) SignArtifact(ctx context.Context, content []byte) ([]byte, error) {
	const op = "sign artifact"
	if err := bundles.CheckArtifact(content); err != nil {
		return nil, misconfigured(op, digest.FromBytes(content).String(), err)
	}
	b, err := leash.Call(ctx, func(ctx context.Context) ([]byte, error) { return k.maker().Artifact(ctx, content) })
	if err != nil {
		return nil, fault.New(kindOf(err), op, digest.FromBytes(content).String(), "", err)
	}
	return b, nil
}

// SignStatement implements [ArtifactSigner].
func (k *KeySigner) SignStatement(ctx context.Context, statement []byte) ([]byte, error) {
	const op = "sign statement"
	return leash.Operation(ctx, ErrInconclusive, op, "", func(ctx context.Context) ([]byte, error) {
		err := bundles.CheckStatement(statement)
		if err == nil {
			err = k.canRecord([]Form{Bundle})
		}
		if err != nil {
			return nil, misconfigured(op, "", err)
		}
		b, err := k.maker().Attestation(ctx, statement)
		if err != nil {
			return nil, fault.New(kindOf(err), op, "", "", err)
		}
		return b, nil
	})
}
