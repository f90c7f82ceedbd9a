// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"crypto"
	"net/url"
	"slices"
	"strconv"
	"testing"

	"github.com/cosignkit/cosignkit/keyless"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// credential is what an image is signed with, and verified by: a key pair or an
// identity, and the services that record the signature.
type credential interface {
	// signer and policy are for cosignkit, and vouches fails the test unless
	// a signature that it accepted says who signed, and when.
	signer(t *testing.T) signing.Signer
	policy(t *testing.T) verify.Policy
	vouches(t *testing.T, s verify.Signature)

	// signFlags, verifyFlags and environment are for cosign.
	signFlags(t *testing.T, c *cosign, form signing.Form) []string
	verifyFlags(t *testing.T, c *cosign) []string
	environment(t *testing.T, c *cosign) []string

	// recorded says which services record its signatures.
	recorded() recording
}

var (
	_ credential = keyFiles{}
	_ credential = undocumented{}
	_ credential = recordedKey{}
	_ credential = certified{}
	_ credential = inActions{}
)

// A key pair on its own makes signatures that nobody records.

func (k keyFiles) signer(t *testing.T) signing.Signer {
	t.Helper()
	return newKeySigner(t, signing.KeySignerConfig{Key: k.open(t), SkipTransparencyLog: true})
}

func (k keyFiles) policy(t *testing.T) verify.Policy {
	t.Helper()
	return verify.Policy{Keys: []crypto.PublicKey{k.publicKey(t)}, InsecureIgnoreTransparencyLog: true}
}

func (k keyFiles) vouches(t *testing.T, s verify.Signature) {
	t.Helper()
	if s.KeyID == "" || s.Identity != nil || len(s.Timestamps) > 0 {
		t.Errorf("key %q, signer %v, timestamps %v; want a key alone", s.KeyID, s.Identity, s.Timestamps)
	}
}

// signFlags are those that the release documents, where they will do.
func (k keyFiles) signFlags(t *testing.T, c *cosign, form signing.Form) []string {
	t.Helper()
	if c.isV3() && form == signing.Bundle {
		return []string{"--key", k.private, "--signing-config", c.signingConfig, "--trusted-root", c.trustedRoot}
	}
	return undocumented{k}.signFlags(t, c, form)
}

func (k keyFiles) verifyFlags(_ *testing.T, c *cosign) []string {
	return []string{"--key", k.public, "--insecure-ignore-tlog", "--trusted-root", c.trustedRoot}
}

func (keyFiles) environment(*testing.T, *cosign) []string { return nil }

func (keyFiles) recorded() recording { return recording{} }

// undocumented is a key pair with which cosign v3 signs by flags that it has
// hidden and deprecated, but needs for a legacy signature without a
// transparency log.
type undocumented struct{ keyFiles }

func (u undocumented) signFlags(_ *testing.T, c *cosign, form signing.Form) []string {
	flags := []string{"--key", u.private, "--tlog-upload=false", "--new-bundle-format=" + strconv.FormatBool(form == signing.Bundle)}
	if c.isV3() {
		flags = append(flags, "--use-signing-config=false")
	}
	return flags
}

// recordedKey is a key pair whose signatures services record.
type recordedKey struct {
	keyFiles
	services
}

func (k recordedKey) signer(t *testing.T) signing.Signer {
	t.Helper()
	return newKeySigner(t, signing.KeySignerConfig{Key: k.open(t), Log: k.client(t)})
}

func (k recordedKey) policy(t *testing.T) verify.Policy {
	t.Helper()
	return k.require(t, verify.Policy{Keys: []crypto.PublicKey{k.publicKey(t)}})
}

func (k recordedKey) vouches(t *testing.T, s verify.Signature) {
	t.Helper()
	if s.KeyID == "" || s.Identity != nil {
		t.Errorf("key %q, signer %v; want a key", s.KeyID, s.Identity)
	}
	if k.timestamp {
		dated(t, s, verify.TimestampFromAuthority)
	}
}

func (k recordedKey) signFlags(t *testing.T, c *cosign, form signing.Form) []string {
	t.Helper()
	return append([]string{"--key", k.private}, k.services.signFlags(c, form)...)
}

func (k recordedKey) verifyFlags(*testing.T, *cosign) []string {
	return append([]string{"--key", k.public}, k.services.verifyFlags()...)
}

func (k recordedKey) environment(t *testing.T, c *cosign) []string {
	t.Helper()
	return k.services.environment(t, c)
}

func (k recordedKey) recorded() recording { return k.recording }

// noKey is what the tables say in the place of a kind of key.
const noKey = "keyless"

// certified is an identity that signs with a certificate, and services that
// issue it and record the signatures.
type certified struct {
	identity verify.Identity
	services
}

// person and workflow are identities that the issuers of the stack vouch for.
func person() verify.Identity {
	return verify.Identity{Subject: "person@example.com", Issuer: stack.Issuer}
}

func workflow() verify.Identity {
	return verify.Identity{
		Subject: "https://github.com/example/app/.github/workflows/release.yml@refs/heads/main",
		Issuer:  stack.Actions,
		GitHub: verify.GitHubWorkflow{
			Trigger:    "push",
			SHA:        "5d41402abc4b2a76b9719d911017c592ab4b2a76",
			Name:       "release",
			Repository: "example/app",
			Ref:        "refs/heads/main",
		},
	}
}

// token returns one for the identity.
func (c certified) token(t *testing.T) string {
	t.Helper()
	claims := url.Values{"iss": {c.identity.Issuer}}
	if c.identity.Issuer == stack.Issuer {
		claims.Set("email", c.identity.Subject)
	}
	token, err := stack.Mint(t.Context(), claims)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (c certified) signer(t *testing.T) signing.Signer {
	t.Helper()
	signer, err := keyless.NewSigner(c.client(t), keyless.SignerConfig{Tokens: keyless.StaticToken(c.token(t))})
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func (c certified) policy(t *testing.T) verify.Policy {
	t.Helper()
	return c.require(t, verify.Policy{Identities: []verify.Identity{c.identity}})
}

func (c certified) vouches(t *testing.T, s verify.Signature) {
	t.Helper()
	if s.Identity == nil || s.KeyID != "" {
		t.Fatalf("key %q, signer %v; want an identity", s.KeyID, s.Identity)
	}
	want := verify.CertificateIdentity{Subject: c.identity.Subject, Issuer: c.identity.Issuer, GitHub: c.identity.GitHub}
	if c.identity.SubjectRegexp == "" && *s.Identity != want {
		t.Errorf("signed by %+v, want %+v", *s.Identity, want)
	}
	if c.timestamp {
		dated(t, s, verify.TimestampFromAuthority)
	}
	if c.rekor == 1 {
		dated(t, s, verify.TimestampFromLog)
	}
}

// dated fails the test unless an authority of this kind vouches for the time.
func dated(t *testing.T, s verify.Signature, source verify.TimestampSource) {
	t.Helper()
	if !slices.ContainsFunc(s.Timestamps, func(stamp verify.Timestamp) bool { return stamp.Source == source }) {
		t.Errorf("timestamps %+v, want one of a %s", s.Timestamps, source)
	}
}

func (c certified) signFlags(t *testing.T, command *cosign, form signing.Form) []string {
	t.Helper()
	return append([]string{"--identity-token", c.token(t)}, c.services.signFlags(command, form)...)
}

func (c certified) verifyFlags(*testing.T, *cosign) []string {
	flags := c.services.verifyFlags()
	for _, flag := range []struct{ name, value string }{
		{"identity", c.identity.Subject},
		{"identity-regexp", c.identity.SubjectRegexp},
		{"oidc-issuer", c.identity.Issuer},
		{"github-workflow-trigger", c.identity.GitHub.Trigger},
		{"github-workflow-sha", c.identity.GitHub.SHA},
		{"github-workflow-name", c.identity.GitHub.Name},
		{"github-workflow-repository", c.identity.GitHub.Repository},
		{"github-workflow-ref", c.identity.GitHub.Ref},
	} {
		if flag.value != "" {
			flags = append(flags, "--certificate-"+flag.name, flag.value)
		}
	}
	return flags
}

func (c certified) recorded() recording { return c.recording }

// inActions is a workflow that asks for its token itself, as GitHub's runner
// tells it to.
type inActions struct{ certified }

func actionsVariables() map[string]string {
	return map[string]string{
		"ACTIONS_ID_TOKEN_REQUEST_URL":   stack.ActionsRequestURL,
		"ACTIONS_ID_TOKEN_REQUEST_TOKEN": stack.ActionsRequestToken,
	}
}

// signer reads the environment, so that the test cannot be parallel.
func (a inActions) signer(t *testing.T) signing.Signer {
	t.Helper()
	for name, value := range actionsVariables() {
		t.Setenv(name, value)
	}
	signer, err := keyless.NewSigner(a.client(t), keyless.SignerConfig{Tokens: keyless.Ambient(keyless.AmbientConfig{})})
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func (a inActions) signFlags(_ *testing.T, c *cosign, form signing.Form) []string {
	return a.services.signFlags(c, form)
}

func (inActions) environment(*testing.T, *cosign) []string { return assignments(actionsVariables()) }
