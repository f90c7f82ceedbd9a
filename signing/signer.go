// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package signing

import (
	"context"
	"crypto"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/cosignkit/cosignkit/internal/fault"
)

// The families of error of this package; they are the values of the same name
// in package verify.
var (
	ErrInconclusive  = fault.ErrInconclusive
	ErrMisconfigured = fault.ErrMisconfigured
)

// Signer signs image digests. Implementations are safe for concurrent use.
//
// Package registry reads what a Signer returns as a verifier does, and attaches
// nothing that does not verify for the very request. See [Signature].
type Signer interface {
	// Sign returns one signature, or for the form Both two, over what request
	// describes. It writes nothing to a registry. It returns promptly with the
	// context's error when ctx ends.
	Sign(ctx context.Context, request Request) ([]Signature, error)
}

// Preflighter is what a Signer implements that can tell before anything is
// uploaded that it will not be able to sign: that a token is not usable, or that
// a request is not one that it serves. The request's Digest is not set yet.
type Preflighter interface {
	Preflight(ctx context.Context, request Request) error
}

// Request says what to sign.
type Request struct {
	// Digest of the manifest or index. Required; sha256.
	Digest digest.Digest

	// Repository is the name under which the image is signed, such as
	// registry.example/team/app, without tag or digest. It becomes the
	// docker-reference of a legacy payload and the subject's name in a bundle.
	// Empty means that the signature claims no name, which Legacy refuses.
	Repository string

	// Annotations are signed with the digest. At most 256.
	Annotations map[string]string

	// Form of the signature. Empty leaves it to the signer; those of this module
	// then make a Bundle.
	Form Form
}

// Signature is one signature, ready to be attached.
type Signature struct {
	// Form is Bundle or Legacy, never Both.
	Form Form

	// PublicKey verifies the signature. Required, unless the signature comes with a
	// certificate for it: a bundle names a long-lived key by a hint alone.
	PublicKey crypto.PublicKey

	// Bundle is the Sigstore bundle v0.3 in JSON. Set for the form Bundle.
	Bundle []byte

	// Payload is the simple signing payload, and Annotations are those of its
	// layer: the signature and what comes with it, under cosign's keys. Set for
	// the form Legacy.
	Payload     []byte
	Annotations map[string]string
}

// Form is a form of signature.
type Form string

// The forms that a Request can ask for. A Request without one asks for Bundle.
const (
	// Bundle is a Sigstore bundle, attached as a referrer of the image.
	Bundle Form = "bundle"
	// Legacy is a simple signing payload, attached under the tag
	// sha256-<hex>.sig.
	Legacy Form = "legacy"
	// Both is one signature of each form.
	Both Form = "both"
)

// ParseForm returns the form that a user names. The empty string is Bundle, and
// a string that is no form is misconfigured.
func ParseForm(s string) (Form, error) {
	form := Form(s)
	if form == "" {
		return Bundle, nil
	}
	if _, err := form.forms(); err != nil {
		return "", misconfigured("parse form", "", err)
	}
	return form, nil
}

// forms lists the single forms that f stands for.
func (f Form) forms() ([]Form, error) {
	switch f {
	case "", Bundle:
		return []Form{Bundle}, nil
	case Legacy:
		return []Form{Legacy}, nil
	case Both:
		return []Form{Bundle, Legacy}, nil
	default:
		return nil, fmt.Errorf("unknown signature format %.128q, want bundle, legacy or both", string(f))
	}
}

func misconfigured(op, subject string, err error) error {
	return fault.New(ErrMisconfigured, op, subject, "", err)
}
