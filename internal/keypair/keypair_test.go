// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keypair_test

import (
	"crypto"
	"crypto/dsa" //nolint:staticcheck // a key type that must be refused
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"testing"

	"github.com/sigstore/sigstore-go/pkg/sign"

	"github.com/cosignkit/cosignkit/internal/keypair"
)

// TestKeypairDescribesItsKey is about what sigstore-go asks a sign.Keypair for
// when it requests a certificate.
func TestKeypairDescribesItsKey(t *testing.T) {
	t.Parallel()
	ec, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for want, key := range map[string]crypto.Signer{
		"ECDSA PKIX_ECDSA_P384_SHA_384":     ec,
		"RSA PKIX_RSA_PKCS1V15_3072_SHA256": rsaKey,
		"ED25519 PKIX_ED25519":              ed,
	} {
		var k sign.Keypair
		k, err := keypair.New(key)
		if err != nil {
			t.Fatal(err)
		}
		if got := k.GetKeyAlgorithm() + " " + k.GetSigningAlgorithm().String(); got != want {
			t.Errorf("described as %q, want %q", got, want)
		}
		if !key.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(k.GetPublicKey()) {
			t.Errorf("%s: another public key", want)
		}
	}
}

func TestAlgorithmRefusesOtherKeys(t *testing.T) {
	t.Parallel()
	for _, public := range []any{
		nil, "a string", dsa.PublicKey{}, &dsa.PublicKey{}, ecdsa.PublicKey{Curve: elliptic.P256()}, rsa.PublicKey{}, &ecdh.PublicKey{},
		ed25519.PrivateKey{},
	} {
		if details, err := keypair.Algorithm(public); err == nil {
			t.Errorf("%T has the algorithm %v", public, details)
		}
	}
}
