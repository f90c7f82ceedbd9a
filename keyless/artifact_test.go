// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

const theArtifact = "artifact"

func theStatement() []byte {
	return fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"a","digest":{"sha256":%q}}],`+
		`"predicateType":"https://example.test/p/v1","predicate":{}}`, digest.FromString(theArtifact).Encoded())
}

var recordings = map[string]ServiceURLs{
	"Rekor v1":               {Rekor: v1URL},
	"Rekor v1 and timestamp": {Rekor: v1URL, Timestamp: stampURL},
	"Rekor v2 and timestamp": {Rekor: v2URL, RekorVersion: 2, Timestamp: stampURL},
}

// wantBundle holds that the policy accepts a bundle for the artifact.
func wantBundle(t *testing.T, policy verify.Policy, b []byte) {
	t.Helper()
	for name, artifact := range map[string]verify.Artifact{
		"digest":  {Digest: digest.FromString(theArtifact)},
		"content": {Content: strings.NewReader(theArtifact)},
	} {
		if !strings.Contains(string(b), "SHA2_256") && strings.Contains(string(b), "messageSignature") && name == "digest" {
			continue // The signature is over another digest.
		}
		if _, err := verify.Bundle(t.Context(), policy, artifact, b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := verify.Bundle(t.Context(), policy, verify.Artifact{Content: strings.NewReader("another")}, b); !errors.Is(err, verify.ErrRejected) {
		t.Errorf("another artifact: %v", err)
	}
}

func TestSignerSignsBundles(t *testing.T) {
	t.Parallel()
	for name, urls := range recordings {
		urls.Fulcio = fulcioURL
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDeployment()
			source := &tokens{}
			s := newSigner(t, d.client(t, urls), SignerConfig{Tokens: source})
			policy := verify.Policy{
				Identities: []verify.Identity{{Subject: theSubject, Issuer: theIssuer}}, TrustedRoots: d.trusted(t),
			}
			b, err := s.SignArtifact(t.Context(), []byte(theArtifact))
			if err != nil {
				t.Fatal(err)
			}
			wantBundle(t, policy, b)
			if b, err = s.SignStatement(t.Context(), theStatement()); err != nil {
				t.Fatal(err)
			}
			wantBundle(t, policy, b)
			if source.asked != 1 || d.asked("fulcio.test") != 1 {
				t.Errorf("%d tokens and %d certificates for two signatures", source.asked, d.asked("fulcio.test"))
			}
		})
	}
}

// TestSignerRefusesArtifactsBeforeLogin: nobody is asked to log in, and no
// certificate is issued, for what cannot be signed.
func TestSignerRefusesArtifactsBeforeLogin(t *testing.T) {
	t.Parallel()
	d := newDeployment()
	source := &tokens{}
	s := newSigner(t, d.client(t, everything), SignerConfig{Tokens: source})
	for _, statement := range []string{"", strings.Replace(string(theStatement()), "https://example.test/p/v1", "https://sigstore.dev/cosign/sign/v1", 1)} {
		b, err := s.SignStatement(t.Context(), []byte(statement))
		wantFault(t, err, verify.ErrMisconfigured, "sign statement")
		if b != nil {
			t.Errorf("%s beside an error", b)
		}
	}
	for _, content := range []string{"DSSEv1 0  0 ", `{"critical":{"image":{"docker-manifest-digest":"sha256:00"}}}`} {
		b, err := s.SignArtifact(t.Context(), []byte(content))
		wantFault(t, err, verify.ErrMisconfigured, "sign artifact")
		if b != nil {
			t.Errorf("%s beside an error", b)
		}
	}
	if source.asked != 0 || d.asked("fulcio.test") != 0 {
		t.Errorf("%d tokens, %d certificates", source.asked, d.asked("fulcio.test"))
	}
}

func TestSignerSignsNoBundlesWhere(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		urls   ServiceURLs
		tokens *tokens
		family error
	}{
		"no authority vouches for a time": {ServiceURLs{Fulcio: fulcioURL, Rekor: v2URL, RekorVersion: 2}, &tokens{}, verify.ErrMisconfigured},
		"there is no token":               {everything, &tokens{fail: []error{errors.New("away"), errors.New("away")}}, verify.ErrInconclusive},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDeployment()
			s := newSigner(t, d.client(t, c.urls), SignerConfig{Tokens: c.tokens})
			if b, err := s.SignArtifact(t.Context(), []byte(theArtifact)); b != nil || !errors.Is(err, c.family) {
				t.Errorf("artifact: %s, %v", b, err)
			}
			if b, err := s.SignStatement(t.Context(), theStatement()); b != nil || !errors.Is(err, c.family) {
				t.Errorf("statement: %s, %v", b, err)
			}
			if c.family == verify.ErrMisconfigured && c.tokens.asked > 0 {
				t.Error("somebody logged in for a signature that cannot be recorded")
			}
		})
	}
}

// TestArtifactsWithKeys: entries of either log say with which hash, so that they
// take what an entry of a statement does not.
func TestArtifactsWithKeys(t *testing.T) {
	t.Parallel()
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]crypto.Signer{
		"P-256":   newP256(),
		"P-384":   must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)),
		"P-521":   must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)),
		"RSA":     must(rsa.GenerateKey(rand.Reader, 2048)),
		"Ed25519": ed,
	}
	for name, urls := range recordings {
		for kind, key := range keys {
			t.Run(name+" "+kind, func(t *testing.T) {
				t.Parallel()
				d := newDeployment()
				signer, err := signing.NewKeySigner(signing.KeySignerConfig{Key: key, Log: d.client(t, urls)})
				if err != nil {
					t.Fatal(err)
				}
				b, err := signer.SignArtifact(t.Context(), []byte(theArtifact))
				if kind == "Ed25519" {
					wantFault(t, err, verify.ErrMisconfigured, "Ed25519")
					if b != nil || d.asked("rekor.test")+d.asked("tsa.test") != 0 {
						t.Errorf("%s, and services were asked", b)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				wantBundle(t, verify.Policy{Keys: []crypto.PublicKey{key.Public()}, TrustedRoots: d.trusted(t)}, b)
			})
		}
	}
}
