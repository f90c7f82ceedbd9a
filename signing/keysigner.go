// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package signing

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"

	"github.com/cosignkit/cosignkit/internal/bundles"
	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/keypair"
	"github.com/cosignkit/cosignkit/internal/leash"
	"github.com/cosignkit/cosignkit/internal/limits"
)

// KeySignerConfig configures [NewKeySigner].
type KeySignerConfig struct {
	// Key is the private key, from packages signing/keyfile, signing/kms
	// and signing/pkcs11, or of any other origin. Required. It must be safe for
	// concurrent use, as the standard library's keys are.
	//
	// A crypto.Signer takes no context: one that is elsewhere must bound its own
	// time. If it has the method SignContext(context.Context, io.Reader,
	// []byte, crypto.SignerOpts) ([]byte, error), that is called instead of Sign, with
	// the context of the request.
	Key crypto.Signer

	// CertificateChain goes with each signature, so that it is verified by the
	// identity in the first certificate, which must be for Key. The others, up
	// to the root, are kept in legacy signatures only. Nil for a key that
	// verifiers know.
	CertificateChain []*x509.Certificate

	// Log records each signature before it is returned, such as a
	// keyless.Client does. Required unless SkipTransparencyLog is true: that a
	// signature is published is never the silent default, and neither is that
	// it is not.
	Log Log

	// SkipTransparencyLog makes signatures that are recorded in no
	// transparency log. Verifiers refuse those unless they are told not to
	// look for an entry.
	SkipTransparencyLog bool
}

// Log records signatures where others can see them. Implementations are safe for
// concurrent use.
//
// If a Log has the method CanRecord(Form, crypto.PublicKey) error, that is called
// before anything is signed or uploaded. It returns an error if the log does not take
// signatures of that form and key.
type Log interface {
	// Record adds log entries and timestamps for the signature in bundle, which
	// was made with key, to bundle's verification material, and returns only
	// what it has verified. A bundle of version 0.1 stands for a legacy
	// signature, which has room for one of each and shows an entry by its
	// signed entry timestamp.
	Record(ctx context.Context, bundle *protobundle.Bundle, key crypto.PublicKey) error
}

// KeySigner is a [Signer] with a long-lived private key.
type KeySigner struct {
	keypair keypair.Keypair
	chain   [][]byte
	log     Log
}

var (
	_ Signer      = (*KeySigner)(nil)
	_ Preflighter = (*KeySigner)(nil)
)

// NewKeySigner returns a signer that keeps the key of config. A key of a kind or
// size that this package does not sign with is misconfigured.
func NewKeySigner(config KeySignerConfig) (*KeySigner, error) {
	const op = "new key signer"
	if config.Key == nil {
		return nil, misconfigured(op, "", errors.New("no private key"))
	}
	if (config.Log == nil) != config.SkipTransparencyLog {
		return nil, misconfigured(op, "", errors.New("want either a transparency log or SkipTransparencyLog"))
	}
	k, err := keypair.New(config.Key)
	if err != nil {
		return nil, misconfigured(op, "", err)
	}
	signer := &KeySigner{keypair: k, log: config.Log}
	if len(config.CertificateChain) > limits.Chain {
		return nil, misconfigured(op, "", limits.Exceeded("number of certificates", limits.Chain))
	}
	for i, c := range config.CertificateChain {
		if i == 0 && !sameKey(c.PublicKey, config.Key.Public()) {
			return nil, misconfigured(op, "", errors.New("the certificate is for another key"))
		}
		signer.chain = append(signer.chain, c.Raw)
	}
	return signer, nil
}

func sameKey(a, b crypto.PublicKey) bool {
	key, ok := a.(interface{ Equal(x crypto.PublicKey) bool })
	return ok && key.Equal(b)
}

// PublicKey returns the public half of the key.
func (k *KeySigner) PublicKey() crypto.PublicKey { return k.keypair.GetPublicKey() }

const opSign = "sign"

// Sign implements [Signer].
func (k *KeySigner) Sign(ctx context.Context, request Request) ([]Signature, error) {
	request.Annotations = maps.Clone(request.Annotations) // a key that returns late may still read them
	return leash.Operation(ctx, ErrInconclusive, opSign, request.Digest.String(), func(ctx context.Context) ([]Signature, error) {
		return k.sign(ctx, request)
	})
}

func (k *KeySigner) sign(ctx context.Context, request Request) ([]Signature, error) {
	forms, err := request.validate()
	if err == nil {
		err = validateDigest(request.Digest)
	}
	if err != nil {
		return nil, misconfigured(opSign, request.Digest.String(), err)
	}
	if err := k.canRecord(forms); err != nil {
		return nil, misconfigured(opSign, request.Digest.String(), err)
	}
	maker, subject := k.maker(), bundles.Subject{
		Digest: request.Digest, Repository: request.Repository, Annotations: request.Annotations,
	}
	signatures := make([]Signature, 0, len(forms))
	for _, form := range forms {
		s := Signature{Form: form, PublicKey: k.PublicKey()}
		if form == Legacy {
			s.Payload, s.Annotations, err = maker.Legacy(ctx, subject)
		} else {
			s.Bundle, err = maker.Bundle(ctx, subject)
		}
		if err != nil {
			return nil, fault.New(kindOf(err), opSign, request.Digest.String(), string(form), err)
		}
		signatures = append(signatures, s)
	}
	return signatures, nil
}

// kindOf is what an error without a family is: too much to sign is the caller's
// doing, and anything else that a key or a log could not do may work later.
func kindOf(err error) error {
	if errors.Is(err, limits.ErrExceeded) {
		return ErrMisconfigured
	}
	return ErrInconclusive
}

func (k *KeySigner) maker() bundles.Maker {
	maker := bundles.Maker{Keypair: k.keypair}
	if len(k.chain) > 0 {
		maker.Certificate, maker.Chain = k.chain[0], k.chain[1:]
	}
	if k.log != nil {
		maker.Record = func(ctx context.Context, b *protobundle.Bundle) error {
			return k.log.Record(ctx, b, k.PublicKey())
		}
	}
	return maker
}

// Preflight implements [Preflighter].
func (k *KeySigner) Preflight(ctx context.Context, request Request) error {
	request.Annotations = maps.Clone(request.Annotations)
	_, err := leash.Operation(ctx, ErrInconclusive, opSign, request.Repository, func(context.Context) (forms []Form, err error) {
		if forms, err = request.validate(); err == nil {
			err = k.canRecord(forms)
		}
		if err != nil {
			err = misconfigured(opSign, request.Repository, err)
		}
		return forms, err
	})
	return err
}

func (k *KeySigner) canRecord(forms []Form) error {
	asked, ok := k.log.(interface {
		CanRecord(form Form, key crypto.PublicKey) error
	})
	if !ok {
		return nil
	}
	for _, form := range forms {
		if err := asked.CanRecord(form, k.PublicKey()); err != nil {
			return err
		}
	}
	return nil
}

// validate checks everything but the digest.
func (r Request) validate() ([]Form, error) {
	forms, err := r.Form.forms()
	if err != nil {
		return nil, err
	}
	if len(r.Annotations) > limits.Annotations {
		return nil, limits.Exceeded("number of annotations", limits.Annotations)
	}
	if err := validateText(r); err != nil {
		return nil, err
	}
	if r.Repository == "" && slices.Contains(forms, Legacy) {
		return nil, errors.New("a legacy signature needs a repository to claim")
	}
	return forms, r.validateSize(forms)
}

// validateSize refuses what is too large in any of the forms, before the first of
// them is signed and recorded.
func (r Request) validateSize(forms []Form) error {
	// All digests are of one size.
	subject := bundles.Subject{Digest: digest.FromBytes(nil), Repository: r.Repository, Annotations: r.Annotations}
	for _, form := range forms {
		var err error
		if form == Legacy {
			_, err = bundles.Payload(subject)
		} else {
			_, err = bundles.Statement(subject)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// validateText refuses what JSON cannot carry as it is.
func validateText(r Request) error {
	if !utf8.ValidString(r.Repository) {
		return errors.New("the repository is not valid UTF-8")
	}
	for k, v := range r.Annotations {
		if !utf8.ValidString(k) || !utf8.ValidString(v) {
			return fmt.Errorf("annotation %.128q is not valid UTF-8", k)
		}
	}
	return nil
}

func validateDigest(d digest.Digest) error {
	if err := d.Validate(); err != nil {
		return err
	}
	if d.Algorithm() != digest.SHA256 {
		return fmt.Errorf("digest algorithm %s is not supported, want sha256", d.Algorithm())
	}
	return nil
}
