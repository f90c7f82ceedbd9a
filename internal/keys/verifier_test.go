// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keys_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"slices"
	"testing"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/options"

	"github.com/cosignkit/cosignkit/internal/keys"
)

var _ root.TimeConstrainedVerifier = keys.Verifier{}

func newKeys(t *testing.T) map[string]crypto.Signer {
	t.Helper()
	p256, err256 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p384, err384 := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	p521, err521 := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	rsaKey, errRSA := rsa.GenerateKey(rand.Reader, 2048)
	_, ed, errEd := ed25519.GenerateKey(rand.Reader)
	if err := errors.Join(err256, err384, err521, errRSA, errEd); err != nil {
		t.Fatal(err)
	}
	return map[string]crypto.Signer{"P-256": p256, "P-384": p384, "P-521": p521, "RSA": rsaKey, "Ed25519": ed}
}

// TestVerifiersNeverTakeTheEmptyMessageForADigest: callers give an empty message
// along with a digest, and sigstore's verifiers fall back on it.
func TestVerifiersNeverTakeTheEmptyMessageForADigest(t *testing.T) {
	t.Parallel()
	for name, key := range newKeys(t) {
		verifiers, err := keys.Verifiers(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range verifiers {
			sig := signEmpty(t, key, i)
			if err := v.VerifySignature(bytes.NewReader(sig), bytes.NewReader(nil)); err != nil {
				t.Errorf("%s %d: the empty message: %v", name, i, err)
			}
			for _, size := range []int{0, 1, 20, 32, 48, 64, 100} {
				err := v.VerifySignature(bytes.NewReader(sig), bytes.NewReader(nil), options.WithDigest(make([]byte, size)))
				if err == nil {
					t.Errorf("%s %d: a digest of %d zeros", name, i, size)
				}
				if pure := name == "Ed25519" && i == 0; pure != errors.Is(err, keys.ErrNeedsContent) {
					t.Errorf("%s %d: error %v for a digest", name, i, err)
				}
			}
			if err := v.VerifySignature(bytes.NewReader(sig), bytes.NewReader(nil), options.WithDigest(nil)); err == nil {
				t.Errorf("%s %d: no digest at all", name, i)
			}
		}
	}
}

// signEmpty signs the empty message by the algorithm of the i-th verifier.
func signEmpty(t *testing.T, key crypto.Signer, i int) []byte {
	t.Helper()
	signer, err := signature.LoadDefaultSigner(key)
	if _, ok := key.(ed25519.PrivateKey); ok && i > 0 {
		signer, err = signature.LoadSignerWithOpts(key, options.WithED25519ph())
	} else if i > 0 {
		signer, err = signature.LoadSigner(key, crypto.SHA256)
	}
	if err != nil {
		t.Fatal(err)
	}
	sig, err := signer.SignMessage(bytes.NewReader(nil))
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

// TestVerifiersAreOfTheTypesThatWereReviewed: sigstore-go chooses by the concrete
// type, which it cannot see here. Another type needs another look.
func TestVerifiersAreOfTheTypesThatWereReviewed(t *testing.T) {
	t.Parallel()
	for name, key := range newKeys(t) {
		verifiers, err := keys.Verifiers(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, v := range verifiers {
			switch v.Verifier.(type) {
			case *signature.ECDSAVerifier:
				got = append(got, "ECDSA")
			case *signature.RSAPKCS1v15Verifier:
				got = append(got, "PKCS #1")
			case *signature.ED25519Verifier:
				got = append(got, "pure")
			case *signature.ED25519phVerifier:
				got = append(got, "prehashed")
			default:
				got = append(got, "unknown")
			}
		}
		want := map[string][]string{
			"P-256": {"ECDSA"}, "P-384": {"ECDSA", "ECDSA"}, "P-521": {"ECDSA", "ECDSA"},
			"RSA": {"PKCS #1"}, "Ed25519": {"pure", "prehashed"},
		}[name]
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestCheckEncoding(t *testing.T) {
	t.Parallel()
	all := newKeys(t)
	for name, test := range map[string]struct {
		key  string
		sig  []byte
		good bool
	}{
		"P1363":                    {"P-256", make([]byte, 64), true},
		"P1363, P-521":             {"P-521", make([]byte, 132), true},
		"P1363 of another curve":   {"P-256", make([]byte, 96), false},
		"P1363, cut short":         {"P-384", make([]byte, 94), false},
		"DER":                      {"P-256", []byte{0x30, 0x06, 0x02, 0x01, 0x01, 0x02, 0x01, 0x01}, true},
		"DER and a byte":           {"P-256", []byte{0x30, 0x06, 0x02, 0x01, 0x01, 0x02, 0x01, 0x01, 0x00}, false},
		"a length of two bytes":    {"P-256", []byte{0x30, 0x81, 0x06, 0x02, 0x01, 0x01, 0x02, 0x01, 0x01}, false},
		"nothing":                  {"P-256", nil, false},
		"of RSA, any":              {"RSA", make([]byte, 7), true},
		"of Ed25519, by its check": {"Ed25519", make([]byte, 7), true},
	} {
		if err := keys.CheckEncoding(all[test.key].Public(), test.sig); (err == nil) != test.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}
