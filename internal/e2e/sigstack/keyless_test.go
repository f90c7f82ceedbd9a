// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"crypto/sha256"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore-go/pkg/tuf"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/cosignkit/cosignkit/internal/sigstack"
)

const workflow = "https://github.com/example/app/.github/workflows/release.yml@refs/heads/main"

func TestKeyless(t *testing.T) {
	t.Parallel()
	trusted, err := root.NewTrustedRootFromPath(stack.TrustedRoot)
	if err != nil {
		t.Fatal(err)
	}
	signed := verify.WithSignedTimestamps(1)
	for _, test := range []struct {
		name, issuer, identity string
		config                 string
		time                   verify.VerifierOption
	}{
		{"Rekor v1 and timestamp", stack.Issuer, "person@example.com", stack.SigningConfigV1, signed},
		{"Rekor v1", stack.Issuer, "person@example.com", stack.SigningConfigV1NoTimestamp, verify.WithIntegratedTimestamps(1)},
		{"Rekor v2 and timestamp", stack.Issuer, "person@example.com", stack.SigningConfigV2, signed},
		{"workflow", stack.Actions, workflow, stack.SigningConfigV1, signed},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			claims := url.Values{"iss": {test.issuer}}
			if test.issuer == stack.Issuer {
				claims.Set("email", test.identity)
			}
			content := []byte(test.name)
			b, err := signKeyless(t, stack, content, mint(t, claims), test.config)
			if err != nil {
				t.Fatal(err)
			}
			check := func(content []byte, identity string) error {
				return verifyBundle(trusted, b, content, test.issuer, identity,
					verify.WithTransparencyLog(1), verify.WithSignedCertificateTimestamps(1), test.time)
			}
			if err := check(content, test.identity); err != nil {
				t.Error(err)
			}
			if check(content, "another@example.com") == nil || check([]byte("other"), test.identity) == nil {
				t.Error("verified for another identity, or other content")
			}
		})
	}
}

// TestTUF: what the TUF repository has is what the files have.
func TestTUF(t *testing.T) {
	t.Parallel()
	initial, err := os.ReadFile(stack.TUFRoot)
	if err != nil {
		t.Fatal(err)
	}
	client, err := tuf.New(tuf.DefaultOptions().WithRoot(initial).WithRepositoryBaseURL(stack.TUF).WithCachePath(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	for target, file := range map[string]string{
		"trusted_root.json":        stack.TrustedRoot,
		"signing_config.v0.2.json": stack.SigningConfigV2,
	} {
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := client.GetTarget(target); string(got) != string(want) || err != nil {
			t.Errorf("%s: %v\n%s\nwant\n%s", target, err, got, want)
		}
	}
}

// TestFulcioRefuses: whatever is wrong with a token, Fulcio answers the same.
// Its reason is in its log alone.
func TestFulcioRefuses(t *testing.T) {
	t.Parallel()
	wants := []string{"400: ", `"There was an error processing the identity token"`}
	for name, claims := range map[string]url.Values{
		"expired":                  {"exp": {"-60"}},
		"not yet valid":            {"nbf": {"3600"}},
		"audience":                 {"aud": {"another"}},
		"issuer":                   {"iss": {"https://issuer.example.com"}},
		"forged":                   {"forge": {"1"}},
		"no address":               {"email": {""}},
		"workflow token expired":   {"iss": {stack.Actions}, "exp": {"-60"}},
		"workflow without its ref": {"iss": {stack.Actions}, "job_workflow_ref": {""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := signKeyless(t, stack, []byte(name), mint(t, claims), stack.SigningConfigV1)
			for _, want := range wants {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %s", err, want)
				}
			}
		})
	}
}

func mint(t *testing.T, claims url.Values) string {
	t.Helper()
	token, err := stack.Mint(t.Context(), claims)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// signKeyless signs content with the services of a signing configuration.
func signKeyless(t *testing.T, stack *sigstack.Stack, content []byte, token, configFile string) (*bundle.Bundle, error) {
	t.Helper()
	config, err := root.NewSigningConfigFromPath(configFile)
	if err != nil {
		t.Fatal(err)
	}
	key, err := sign.NewEphemeralKeypair(nil)
	if err != nil {
		t.Fatal(err)
	}
	const timeout = 30 * time.Second
	options := sign.BundleOptions{
		Context:                    t.Context(),
		CertificateProvider:        sign.NewFulcio(&sign.FulcioOptions{BaseURL: stack.Fulcio, Timeout: timeout}),
		CertificateProviderOptions: &sign.CertificateProviderOptions{IDToken: token},
	}
	for _, log := range config.RekorLogURLs() {
		options.TransparencyLogs = append(options.TransparencyLogs,
			sign.NewRekor(&sign.RekorOptions{BaseURL: log.URL, Version: log.MajorAPIVersion, Timeout: timeout}))
	}
	for _, authority := range config.TimestampAuthorityURLs() {
		options.TimestampAuthorities = append(options.TimestampAuthorities,
			sign.NewTimestampAuthority(&sign.TimestampAuthorityOptions{URL: authority.URL, Timeout: timeout}))
	}
	signed, err := sign.Bundle(&sign.PlainData{Data: content}, key, options)
	if err != nil {
		return nil, err
	}
	return bundle.NewBundle(signed)
}

func verifyBundle(trusted root.TrustedMaterial, b *bundle.Bundle, content []byte, issuer, identity string, options ...verify.VerifierOption) error {
	verifier, err := verify.NewVerifier(trusted, options...)
	if err != nil {
		return err
	}
	wanted, err := verify.NewShortCertificateIdentity(issuer, "", identity, "")
	if err != nil {
		return err
	}
	digest := sha256.Sum256(content)
	_, err = verifier.Verify(b, verify.NewPolicy(verify.WithArtifactDigest("sha256", digest[:]), verify.WithCertificateIdentity(wanted)))
	return err
}
