// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"sync"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/options"

	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

const (
	theHex       = "c0658bff4751d9f90117de2816ec4582f00d2aedaa684f137217ba98efb4e766"
	theDigest    = "sha256:" + theHex
	otherHex     = "00000000000000000000000000000000000000000000000000000000000000ff"
	manifest     = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	sigKey       = "dev.cosignproject.cosign/signature"
	intotoType   = "application/vnd.in-toto+json"
	signType     = "https://sigstore.dev/cosign/sign/v1"
	statementURI = "https://in-toto.io/Statement/v1"
	repository   = "registry.example/team/app"
)

func theImage() verify.Image {
	return verify.Image{
		Name:   repository + ":v1",
		Target: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: theDigest, Size: 7},
	}
}

// keys are the kinds of key that a policy may name, one of each, made once.
var keys = map[string]func() crypto.Signer{
	"P-256":    sync.OnceValue(func() crypto.Signer { return newECDSA(elliptic.P256()) }),
	"P-384":    sync.OnceValue(func() crypto.Signer { return newECDSA(elliptic.P384()) }),
	"P-521":    sync.OnceValue(func() crypto.Signer { return newECDSA(elliptic.P521()) }),
	"RSA 2048": sync.OnceValue(func() crypto.Signer { return newRSA(2048) }),
	"Ed25519":  sync.OnceValue(newEd25519),
}

func newECDSA(curve elliptic.Curve) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

func newRSA(bits int) *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return key
}

func newEd25519() crypto.Signer {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

func policyOf(keys ...crypto.Signer) verify.Policy {
	policy := verify.Policy{InsecureIgnoreTransparencyLog: true}
	for _, key := range keys {
		policy.Keys = append(policy.Keys, key.Public())
	}
	return policy
}

func newVerifier(t testing.TB, policy verify.Policy) verify.Verifier {
	t.Helper()
	v, err := verify.New(policy)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// signed is a candidate that package signing made.
func signed(t testing.TB, key crypto.Signer, form signing.Form, edit ...func(*signing.Request)) verify.Candidate {
	t.Helper()
	signer, err := signing.NewKeySigner(signing.KeySignerConfig{Key: key, SkipTransparencyLog: true})
	if err != nil {
		t.Fatal(err)
	}
	request := signing.Request{
		Digest: theDigest, Repository: repository, Annotations: map[string]string{"env": "prod", "run": "7"}, Form: form,
	}
	for _, f := range edit {
		f(&request)
	}
	signatures, err := signer.Sign(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	s := signatures[0]
	origin := verify.Origin{Source: verify.SourceReferrersAPI, Manifest: manifest}
	if form == signing.Legacy {
		origin.Source = verify.SourceSignatureTag
	}
	return verify.Candidate{Origin: origin, Bundle: s.Bundle, Payload: s.Payload, Annotations: s.Annotations}
}

var forms = []signing.Form{signing.Bundle, signing.Legacy}

// signFunc signs a message with an algorithm of its own choice.
type signFunc func(t testing.TB, message []byte) []byte

// with signs as the CLIs do, with the hash that the test chose.
func with(key crypto.Signer, hash crypto.Hash) signFunc {
	return func(t testing.TB, message []byte) []byte {
		t.Helper()
		signer, err := signature.LoadSigner(key, hash)
		return signMessage(t, signer, err, message)
	}
}

func withEd25519ph(key crypto.Signer) signFunc {
	return func(t testing.TB, message []byte) []byte {
		t.Helper()
		signer, err := signature.LoadSignerWithOpts(key, options.WithED25519ph())
		return signMessage(t, signer, err, message)
	}
}

func withPSS(key *rsa.PrivateKey) signFunc {
	return func(t testing.TB, message []byte) []byte {
		t.Helper()
		signer, err := signature.LoadRSAPSSSigner(key, crypto.SHA256, nil)
		return signMessage(t, signer, err, message)
	}
}

func signMessage(t testing.TB, signer signature.Signer, err error, message []byte) []byte {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	sig, err := signer.SignMessage(bytes.NewReader(message))
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

// object is JSON that a test can alter at any place.
type object = map[string]any

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// statement is what a signature of the bundle form says about the image.
func statement() object {
	return object{
		"_type":         statementURI,
		"predicateType": signType,
		"predicate":     object{},
		"subject":       []any{object{"name": repository, "digest": object{"sha256": theHex}, "annotations": object{"env": "prod"}}},
	}
}

// bundleOf is a bundle over payload, which need not be a statement.
func bundleOf(t testing.TB, sign signFunc, payload []byte) object {
	t.Helper()
	return envelopeOf(t, sign, intotoType, payload)
}

func envelopeOf(t testing.TB, sign signFunc, payloadType string, payload []byte) object {
	t.Helper()
	pae := fmt.Sprintf("DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(payload), payload)
	return object{
		"mediaType":            "application/vnd.dev.sigstore.bundle.v0.3+json",
		"verificationMaterial": object{"publicKey": object{"hint": "a hint"}},
		"dsseEnvelope": object{
			"payload":     payload,
			"payloadType": payloadType,
			"signatures":  []any{object{"sig": sign(t, []byte(pae))}},
		},
	}
}

func bundleCandidate(t testing.TB, bundle object) verify.Candidate {
	t.Helper()
	return verify.Candidate{Origin: verify.Origin{Source: verify.SourceReferrersTag, Manifest: manifest}, Bundle: marshal(t, bundle)}
}

// payloadOf is what a signature of the legacy form says about the image.
func payloadOf() object {
	return object{
		"critical": object{
			"identity": object{"docker-reference": repository},
			"image":    object{"docker-manifest-digest": theDigest},
			"type":     "cosign container image signature",
		},
		"optional": object{"env": "prod"},
	}
}

func legacyCandidate(t testing.TB, sign signFunc, payload []byte) verify.Candidate {
	t.Helper()
	return verify.Candidate{
		Origin:      verify.Origin{Source: verify.SourceSignatureTag, Manifest: manifest, Layer: 1},
		Payload:     payload,
		Annotations: map[string]string{sigKey: base64.StdEncoding.EncodeToString(sign(t, payload))},
	}
}

func inPEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
