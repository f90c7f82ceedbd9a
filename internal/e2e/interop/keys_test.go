// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/signing/keyfile"
	"github.com/cosignkit/cosignkit/verify"
)

// importFormats are the private keys that both releases of cosign import.
var importFormats = []struct {
	format string
	kind   keyKind
	render func(*testing.T, crypto.Signer) []byte
}{
	{"PKCS #8", p256, pkcs8}, {"PKCS #8", p384, pkcs8}, {"PKCS #8", p521, pkcs8},
	{"SEC 1", p256, sec1}, {"SEC 1", p384, sec1}, {"SEC 1", p521, sec1},
	{"PKCS #8", rsa2048, pkcs8}, {"PKCS #1", rsa2048, pkcs1},
	{"PKCS #8", edwards, pkcs8},
}

// TestKeysFromCosign: what cosign generates and imports opens here, signs, and
// verifies with the public key that cosign wrote.
func TestKeysFromCosign(t *testing.T) {
	for _, c := range commands() {
		for title, password := range map[string]string{"generated": passphrase, "generated, empty passphrase": ""} {
			t.Run(c.name+"/"+title, func(t *testing.T) {
				t.Parallel()
				prefix := t.TempDir() + "/cosign"
				c.run(t, password, "generate-key-pair", "--output-key-prefix", prefix).succeeds(t)
				in := row{title, "", p256.name, c.name, here}
				results.expect(t, in, "", opened, func(t *testing.T) { opensHere(t, filesOf(prefix), password) })
				_, err := keyfile.Open(t.Context(), prefix+".key", signing.Passphrase([]byte("wrong")))
				if !errors.Is(err, signing.ErrWrongPassphrase) || !errors.Is(err, signing.ErrMisconfigured) {
					t.Errorf("wrong passphrase: error %v, want ErrWrongPassphrase", err)
				}
			})
		}
		for _, f := range importFormats {
			t.Run(fmt.Sprintf("%s/imported %s %s", c.name, f.format, f.kind.name), func(t *testing.T) {
				t.Parallel()
				prefix := t.TempDir() + "/cosign"
				key := newKey(t, f.kind)
				c.importKey(t, passphrase, f.render(t, key), prefix).succeeds(t)
				in := row{"imported " + f.format, "", f.kind.name, c.name, here}
				results.expect(t, in, "", opened, func(t *testing.T) {
					samePublic(t, opensHere(t, filesOf(prefix), passphrase), key.Public())
				})
			})
		}
	}
}

// opensHere fails the test unless the private key opens with password and
// belongs to the public key.
func opensHere(t *testing.T, k keyFiles, password string) crypto.PublicKey {
	t.Helper()
	pair := newKeySigner(t, signing.KeySignerConfig{Key: openPrivate(t, k, password), SkipTransparencyLog: true})
	for _, form := range singleForms {
		signAndVerify(t, pair, form, k.policy(t))
	}
	return pair.PublicKey()
}

// signAndVerify signs some digest and verifies the signature, without registry.
func signAndVerify(t *testing.T, signer signing.Signer, form signing.Form, policy verify.Policy) {
	t.Helper()
	const repository = "registry.example/app"
	subject := digest.FromString("manifest")
	signatures, err := signer.Sign(t.Context(), signing.Request{Digest: subject, Repository: repository, Form: form})
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := verify.New(policy)
	if err != nil {
		t.Fatal(err)
	}
	var candidates []verify.Candidate
	for _, s := range signatures {
		candidates = append(candidates, verify.Candidate{Bundle: s.Bundle, Payload: s.Payload, Annotations: s.Annotations})
	}
	target := verify.Image{Name: repository, Target: ocispec.Descriptor{Digest: subject}}
	if _, err := verifier.Verify(t.Context(), target, candidates); err != nil {
		t.Errorf("%s: %v", form, err)
	}
}

func samePublic(t *testing.T, got, want crypto.PublicKey) {
	t.Helper()
	if key, ok := want.(interface{ Equal(crypto.PublicKey) bool }); !ok || !key.Equal(got) {
		t.Error("the public key is another one")
	}
}

// TestKeysFromHere: what is generated and imported here opens in cosign. That
// cosign signs with such keys is shown by TestSignedByCosign.
func TestKeysFromHere(t *testing.T) {
	for _, kind := range keyKinds() {
		t.Run("generated/"+kind.name, func(t *testing.T) {
			t.Parallel()
			prefix := t.TempDir() + "/cosign"
			generateHere(t, kind, passphrase, prefix)
			openInCosign(t, "generated", kind, filesOf(prefix), passphrase)
		})
	}
	for _, f := range importFormats {
		t.Run(fmt.Sprintf("imported %s/%s", f.format, f.kind.name), func(t *testing.T) {
			t.Parallel()
			prefix := t.TempDir() + "/cosign"
			existing := t.TempDir() + "/existing.key"
			if err := os.WriteFile(existing, f.render(t, newKey(t, f.kind)), 0o600); err != nil {
				t.Fatal(err)
			}
			pair, err := keyfile.Import(existing, []byte(passphrase))
			if err != nil {
				t.Fatal(err)
			}
			if err := pair.WriteFiles(prefix, false); err != nil {
				t.Fatal(err)
			}
			openInCosign(t, "imported "+f.format, f.kind, filesOf(prefix), passphrase)
		})
	}
}

// openInCosign fails the test unless each release opens the private key with
// password and prints the public key byte by byte.
func openInCosign(t *testing.T, what string, kind keyKind, k keyFiles, password string) {
	t.Helper()
	want, err := os.ReadFile(k.public)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range commands() {
		in := row{what, "", kind.name, here, c.name}
		results.expect(t, in, "", opened, func(t *testing.T) {
			o := c.run(t, password, "public-key", "--key", k.private)
			o.succeeds(t)
			if o.stdout != string(want) {
				t.Errorf("cosign says that the public key is\n%s, want\n%s", o.stdout, want)
			}
		})
	}
}

// TestPassphrasesFromHere: an empty passphrase is one in cosign as well, and a
// wrong one is refused.
func TestPassphrasesFromHere(t *testing.T) {
	t.Parallel()
	prefix := t.TempDir() + "/cosign"
	generateHere(t, p256, "", prefix)
	openInCosign(t, "generated, empty passphrase", p256, filesOf(prefix), "")
	for _, c := range commands() {
		c.run(t, "wrong", "public-key", "--key", prefix+".key").fails(t, wrongPassword)
	}
}

// TestOldHeader: releases before 2.0 wrote another PEM header around the same
// bytes. All parties open it.
func TestOldHeader(t *testing.T) {
	t.Parallel()
	prefix := t.TempDir() + "/cosign"
	generateHere(t, p256, passphrase, prefix)
	k := filesOf(prefix)
	content, err := os.ReadFile(k.private)
	if err != nil {
		t.Fatal(err)
	}
	content = bytes.ReplaceAll(content, []byte("ENCRYPTED SIGSTORE"), []byte("ENCRYPTED COSIGN"))
	if err := os.WriteFile(k.private, content, 0o600); err != nil {
		t.Fatal(err)
	}
	const title = "ENCRYPTED COSIGN header"
	results.expect(t, row{title, "", p256.name, here, here}, "", opened, func(t *testing.T) {
		opensHere(t, k, passphrase)
	})
	openInCosign(t, title, p256, k, passphrase)
}
