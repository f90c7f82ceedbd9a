// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keys

import (
	"bufio"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/options"
)

// ErrNeedsContent is the cause where only a digest is known of what a pure Ed25519
// key signed.
var ErrNeedsContent = errors.New("an Ed25519 signature is checked with the content; its digest is not enough")

// Verifier verifies by one key and one algorithm. It is sigstore-go's
// root.TimeConstrainedVerifier, for a key that does not expire.
//
// Code below may look for the concrete type of a verifier and cannot see the one in
// here. So whatever the algorithm needs, Verifier itself insists on.
type Verifier struct {
	signature.Verifier
	contentOnly bool
}

// Verifiers returns a verifier for each algorithm that cosign has ever signed with
// under a key like public, which must have passed [Check]. The first is the one
// that this library signs with.
//
// cosign hashes with SHA-256 or with the curve's own hash depending on its version,
// and signs with Ed25519ph when it may upload to a log and with Ed25519 otherwise.
// Trying both weakens nothing: RFC 8032 separates the two Ed25519 variants by
// domain, and every hash in the list is collision resistant.
func Verifiers(public crypto.PublicKey) ([]Verifier, error) {
	var all []Verifier
	_, edwards := public.(ed25519.PublicKey)
	for _, hash := range Hashes(public) {
		v, err := signature.LoadVerifier(public, hash)
		if err != nil {
			return nil, err
		}
		all = append(all, Verifier{Verifier: v, contentOnly: edwards})
	}
	if edwards {
		v, err := signature.LoadVerifierWithOpts(public, options.WithED25519ph())
		if err != nil {
			return nil, err
		}
		all = append(all, Verifier{Verifier: v})
	}
	return all, nil
}

// Hashes returns the hashes that cosign has signed with under a key like public, that of
// this library first.
func Hashes(public crypto.PublicKey) []crypto.Hash {
	if key, ok := public.(*ecdsa.PublicKey); ok {
		switch key.Curve {
		case elliptic.P384():
			return []crypto.Hash{crypto.SHA384, crypto.SHA256}
		case elliptic.P521():
			return []crypto.Hash{crypto.SHA512, crypto.SHA256}
		}
	}
	return []crypto.Hash{crypto.SHA256}
}

// ValidAtTime reports true: a key is good for as long as the policy names it.
func (Verifier) ValidAtTime(time.Time) bool { return true }

// VerifySignature implements signature.Verifier. A caller with a digest gives an
// empty message along with it, which must not be verified instead of the digest:
// Ed25519 takes no digest, and no algorithm takes an empty one.
func (v Verifier) VerifySignature(sig, message io.Reader, opts ...signature.VerifyOption) error {
	const none = "no digest"
	sum := []byte(none)
	for _, opt := range opts {
		opt.ApplyDigest(&sum)
	}
	switch given := string(sum) != none; {
	case given && v.contentOnly:
		return ErrNeedsContent
	case len(sum) == 0:
		return errors.New("the digest is empty")
	}
	// To hash what sigstore-go wraps, io.Copy would take a buffer of 32 KiB.
	if _, ok := message.(io.WriterTo); !ok {
		message = bufio.NewReader(message)
	}
	return v.Verifier.VerifySignature(sig, message, opts...)
}

// CheckEncoding returns an error for a signature that is not in a form which keys
// like public make. For ECDSA these are DER and, as cosign has it, IEEE P1363: two
// integers of the curve's size each, and of no other.
func CheckEncoding(public crypto.PublicKey, sig []byte) error {
	key, ok := public.(*ecdsa.PublicKey)
	if !ok || isDER(sig) {
		return nil
	}
	if size := (key.Params().N.BitLen() + 7) / 8; len(sig) != 2*size {
		return fmt.Errorf("ECDSA signature of %d bytes, which is neither DER nor two integers of %d bytes", len(sig), size)
	}
	return nil
}

// isDER reports whether sig is a sequence that fills it. The verifier reads the rest.
func isDER(sig []byte) bool {
	var sequence asn1.RawValue
	rest, err := asn1.Unmarshal(sig, &sequence)
	return err == nil && len(rest) == 0 && sequence.Tag == asn1.TagSequence
}
