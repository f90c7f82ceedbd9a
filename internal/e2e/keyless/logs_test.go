// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"net/url"
	"testing"

	"github.com/cosignkit/cosignkit/keyless"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/trust"
)

// TestSigningTwice: the second time the log has the entry already, if the key
// makes the same signature again.
func TestSigningTwice(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]string{"Rekor v1": stack.SigningConfigV1, "Rekor v2": stack.SigningConfigV2} {
		for kind, key := range map[string]crypto.Signer{
			"RSA": must(rsa.GenerateKey(rand.Reader, 2048)), "ECDSA": must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)),
		} {
			t.Run(name+" "+kind, func(t *testing.T) {
				t.Parallel()
				signer, err := signing.NewKeySigner(signing.KeySignerConfig{Key: key, Log: configure(t, config, nil)})
				if err != nil {
					t.Fatal(err)
				}
				for range 2 {
					signatures, err := signer.Sign(limited(t), request(t.Name(), signing.Bundle))
					if err != nil {
						t.Fatal(err)
					}
					verifies(t, verify.Policy{Keys: []crypto.PublicKey{key.Public()}}, t.Name(), signatures)
				}
			})
		}
	}
}

// TestLookUp: an entry that is not shown is found when it is asked for.
func TestLookUp(t *testing.T) {
	t.Parallel()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	signer, err := signing.NewKeySigner(signing.KeySignerConfig{Key: key, Log: configure(t, stack.SigningConfigV1NoTimestamp, nil)})
	if err != nil {
		t.Fatal(err)
	}
	byKey := verify.Policy{Keys: []crypto.PublicKey{key.Public()}}
	identity := newSigner(t, configure(t, stack.SigningConfigV1NoTimestamp, nil), keyless.StaticToken(mint(t, url.Values{"email": {"lost@example.com"}})))
	for name, test := range map[string]struct {
		signer signing.Signer
		policy verify.Policy
	}{"key": {signer, byKey}, "identity": {identity, person("lost@example.com")}} {
		for _, form := range []signing.Form{signing.Bundle, signing.Legacy} {
			t.Run(name+" "+string(form), func(t *testing.T) {
				t.Parallel()
				signatures, err := test.signer.Sign(limited(t), request(t.Name(), form))
				if err != nil {
					t.Fatal(err)
				}
				stripped := withoutEntry(t, signatures[0])
				verifyAs := func(lookup verify.LogLookup) error {
					policy := test.policy
					policy.TrustedRoots, policy.LogLookup = trusted(), lookup
					_, err := must(verify.New(policy)).Verify(limited(t), image(t.Name()), []verify.Candidate{stripped})
					return err
				}
				if err := verifyAs(nil); !errors.Is(err, verify.ErrRejected) {
					t.Errorf("without a look-up: %v", err)
				}
				if err := verifyAs(must(keyless.NewLogLookup(keyless.LogLookupConfig{URL: stack.Rekor}))); err != nil {
					t.Error(err)
				}
				down := must(keyless.NewLogLookup(keyless.LogLookupConfig{URL: unused}))
				if err := verifyAs(down); !errors.Is(err, verify.ErrInconclusive) {
					t.Errorf("with a log that is down: %v", err)
				}
			})
		}
	}
}

// withoutEntry is a signature that does not show its log entry.
func withoutEntry(t *testing.T, s signing.Signature) verify.Candidate {
	t.Helper()
	if s.Form == signing.Legacy {
		delete(s.Annotations, "dev.sigstore.cosign/bundle")
		return verify.Candidate{Payload: s.Payload, Annotations: s.Annotations}
	}
	var bundle map[string]any
	if err := json.Unmarshal(s.Bundle, &bundle); err != nil {
		t.Fatal(err)
	}
	delete(bundle["verificationMaterial"].(map[string]any), "tlogEntries")
	return verify.Candidate{Bundle: must(json.Marshal(bundle))}
}

// TestTUFMirror: the services are known by what the repository says.
func TestTUFMirror(t *testing.T) {
	t.Parallel()
	tuf, err := trust.NewTUF(trust.TUFConfig{Mirror: stack.TUF, InitialRoot: read(t, stack.TUFRoot), CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	config, err := keyless.FetchSigningConfig(limited(t), tuf)
	if err != nil {
		t.Fatal(err)
	}
	client, err := keyless.New(keyless.Config{SigningConfig: config, TrustedRoots: tuf, Consent: true})
	if err != nil {
		t.Fatal(err)
	}
	signatures, err := newSigner(t, client, keyless.StaticToken(mint(t, url.Values{"email": {"tuf@example.com"}}))).
		Sign(limited(t), request(t.Name(), signing.Bundle))
	if err != nil {
		t.Fatal(err)
	}
	verifies(t, person("tuf@example.com"), t.Name(), signatures)
}
