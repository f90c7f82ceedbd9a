// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

const content = "what is signed\n"

func statement() string {
	return fmt.Sprintf(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"file","digest":{"sha256":%q}}],`+
		`"predicateType":"https://slsa.dev/provenance/v1","predicate":{"buildDefinition":{}}}`, digest.FromString(content).Encoded())
}

// signed signs, and returns the path of the bundle.
func signed(t *testing.T, signingConfig string, inToto bool) string {
	t.Helper()
	bundle := filepath.Join(t.TempDir(), "bundle.sigstore.json")
	arguments := []string{"sign-bundle"}
	signs := content
	if inToto {
		arguments, signs = append(arguments, "--in-toto"), statement()
	}
	client(t, append(arguments, "--identity-token", mint(t, nil), "--bundle", bundle, "--trusted-root", stack.TrustedRoot,
		"--signing-config", signingConfig, write(t, "file", signs))...).succeeds(t)
	return bundle
}

// verifies returns the arguments that accept the bundle of signed.
func verifies(bundle, artifact string) []string {
	return []string{
		"verify-bundle", "--bundle", bundle, "--certificate-identity", email, "--certificate-oidc-issuer", stack.Issuer,
		"--trusted-root", stack.TrustedRoot, artifact,
	}
}

// replaced returns arguments with another value of a flag.
func replaced(arguments []string, flag, value string) []string {
	changed := append([]string(nil), arguments...)
	for i, a := range changed {
		if a == flag {
			changed[i+1] = value
		}
	}
	return changed
}

func TestSignThenVerify(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config      string
		kind        string // of the log entry of a file
		attestation string // of that of a statement
		timestamps  int
	}{
		"Rekor v1 and timestamp": {stack.SigningConfigV1, "hashedrekord 0.0.1", "dsse 0.0.1", 1},
		"Rekor v1":               {stack.SigningConfigV1NoTimestamp, "hashedrekord 0.0.1", "dsse 0.0.1", 0},
		"Rekor v2 and timestamp": {stack.SigningConfigV2, "hashedrekord 0.0.2", "hashedrekord 0.0.2", 1},
	} {
		for _, inToto := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, statement %t", name, inToto), func(t *testing.T) {
				t.Parallel()
				bundle := signed(t, c.config, inToto)
				kind := c.kind
				if inToto {
					kind = c.attestation
				}
				wantShape(t, bundle, inToto, kind, c.timestamps)
				client(t, verifies(bundle, write(t, "file", content))...).succeeds(t)
				client(t, verifies(bundle, digest.FromString(content).String())...).succeeds(t)
				client(t, verifies(bundle, write(t, "file", "another"))...).fails(t, 1)
				client(t, verifies(bundle, digest.FromString("another").String())...).fails(t, 1)
			})
		}
	}
}

// wantShape holds what the suite looks at in a bundle: its version, that it has
// the one certificate and no chain, the content as it was given, and the kind of
// the one log entry.
func wantShape(t *testing.T, path string, inToto bool, kind string, timestamps int) {
	t.Helper()
	var b struct {
		MediaType            string
		VerificationMaterial struct {
			Certificate          struct{ RawBytes []byte }
			X509CertificateChain any
			TlogEntries          []struct {
				KindVersion struct{ Kind, Version string }
			}
			TimestampVerificationData struct{ RFC3161Timestamps []any }
		}
		MessageSignature *struct {
			MessageDigest struct{ Algorithm string }
		}
		DSSEEnvelope *struct{ Payload []byte }
	}
	if err := json.Unmarshal([]byte(read(t, path)), &b); err != nil {
		t.Fatal(err)
	}
	material := b.VerificationMaterial
	if b.MediaType != "application/vnd.dev.sigstore.bundle.v0.3+json" || len(material.Certificate.RawBytes) == 0 || material.X509CertificateChain != nil {
		t.Errorf("bundle is %+v", b)
	}
	if inToto && (b.DSSEEnvelope == nil || string(b.DSSEEnvelope.Payload) != statement() || b.MessageSignature != nil) ||
		!inToto && (b.MessageSignature == nil || b.MessageSignature.MessageDigest.Algorithm != "SHA2_256" || b.DSSEEnvelope != nil) {
		t.Errorf("content is %+v and %+v", b.MessageSignature, b.DSSEEnvelope)
	}
	if n := len(material.TlogEntries); n != 1 || material.TlogEntries[0].KindVersion.Kind+" "+material.TlogEntries[0].KindVersion.Version != kind {
		t.Errorf("log entries are %+v, want one of kind %s", material.TlogEntries, kind)
	}
	if n := len(material.TimestampVerificationData.RFC3161Timestamps); n != timestamps {
		t.Errorf("%d timestamps, want %d", n, timestamps)
	}
}

func TestSignRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		claims url.Values
		flags  []string
		signs  string
		want   string
	}{
		"expired token":        {url.Values{"exp": {"-60"}}, nil, content, "expired"},
		"forged token":         {url.Values{"forge": {"1"}}, nil, content, "request certificate"},
		"no statement":         {nil, []string{"--in-toto"}, content, "not an in-toto statement"},
		"an image's signature": {nil, []string{"--in-toto"}, strings.Replace(statement(), "https://slsa.dev/provenance/v1", "https://sigstore.dev/cosign/sign/v1", 1), "only Sign makes"},
		"no trusted root":      {nil, []string{"--trusted-root", "none"}, content, "none"},
		"no signing config":    {nil, []string{"--signing-config", "none"}, content, "none"},
		"another trusted root": {nil, []string{"--trusted-root", publicRoot(t)}, content, "no trusted authority"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			token, bundle := mint(t, c.claims), filepath.Join(t.TempDir(), "bundle")
			arguments := []string{"sign-bundle", "--trusted-root", stack.TrustedRoot, "--signing-config", stack.SigningConfigV2}
			arguments = append(append(arguments, c.flags...), "--identity-token", token, "--bundle", bundle, write(t, "file", c.signs))
			got := client(t, arguments...)
			got.fails(t, 1, c.want)
			if strings.Contains(got.stderr, token) {
				t.Error("the token is in the message")
			}
			if _, err := os.Stat(bundle); err == nil {
				t.Error("a bundle beside an error")
			}
		})
	}
	t.Run("no file", func(t *testing.T) {
		t.Parallel()
		client(t, "sign-bundle", "--identity-token", "a.b.c", "--bundle", "bundle", "--trusted-root", stack.TrustedRoot,
			"--signing-config", stack.SigningConfigV2, "missing").fails(t, 1, "missing")
	})
}
