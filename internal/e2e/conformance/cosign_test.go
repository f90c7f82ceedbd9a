// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/cosignkit/cosignkit/internal/e2e/release"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/signing/keyfile"
)

// releases of the cosign command, by what must come before its version in its
// module's path.
var releases = map[string]string{"v2.6.5": "v2", "v3.1.3": "v3"}

// cosign runs a release of the command, which it builds if the cache has none.
// The proxy that is named does not exist: a run that reaches for the network
// fails.
func cosign(t *testing.T, version string, arguments ...string) {
	t.Helper()
	command := release.Command{Module: "github.com/sigstore/cosign/" + releases[version], Version: version, Package: "cmd/cosign"}
	program, err := command.Build(t.Context(), cache)
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	got := start(t, home, program, []string{
		"HOME=" + home, "TUF_ROOT=" + home, "COSIGN_PASSWORD=" + passphrase, "COSIGN_YES=true", "HTTPS_PROXY=http://127.0.0.1:1",
	}, arguments...)
	if got.code != 0 {
		t.Errorf("cosign %s %s: %d\n%s", version, strings.Join(arguments, " "), got.code, got.stderr)
	}
}

// newFormat is what cosign v2 must be told.
func newFormat(version string) []string {
	if releases[version] == "v2" {
		return []string{"--new-bundle-format"}
	}
	return nil
}

const passphrase = "correct horse battery staple"

func golden(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "..", "testdata", "keys", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestCosignVerifiesWhatKeysSign: files and statements, whose entries are of
// either version of the log.
func TestCosignVerifiesWhatKeysSign(t *testing.T) {
	t.Parallel()
	key, err := keyfile.Open(t.Context(), golden(t, "ecdsa-p256.key"), signing.Passphrase([]byte(passphrase)))
	if err != nil {
		t.Fatal(err)
	}
	empty := write(t, "root.json", `{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`)
	file := write(t, "file", content)
	for name, c := range map[string]struct {
		config, root string
		flags        []string
	}{
		"no log":   {"", empty, []string{"--insecure-ignore-tlog"}},
		"Rekor v1": {stack.SigningConfigV1, stack.TrustedRoot, nil},
		"Rekor v2": {stack.SigningConfigV2, stack.TrustedRoot, []string{"--use-signed-timestamps"}},
	} {
		signer := keySigner(t, key, c.config)
		for version := range releases {
			if c.config == stack.SigningConfigV2 && releases[version] == "v2" {
				continue // It knows no Rekor v2.
			}
			t.Run(name+" "+version, func(t *testing.T) {
				t.Parallel()
				flags := append(append(newFormat(version), "--key", golden(t, "ecdsa-p256.pub"), "--trusted-root", c.root), c.flags...)
				b, err := signer.SignArtifact(t.Context(), []byte(content))
				if err != nil {
					t.Fatal(err)
				}
				cosign(t, version, append(append([]string{"verify-blob"}, flags...), "--bundle", write(t, "bundle", string(b)), file)...)
				if b, err = signer.SignStatement(t.Context(), []byte(statement())); err != nil {
					t.Fatal(err)
				}
				cosign(t, version, append(append([]string{"verify-blob-attestation", "--type", "https://slsa.dev/provenance/v1"}, flags...),
					"--bundle", write(t, "bundle", string(b)), file)...)
			})
		}
	}
}

// TestCosignVerifiesWhatIdentitiesSign: the bundles of the client.
func TestCosignVerifiesWhatIdentitiesSign(t *testing.T) {
	t.Parallel()
	file := write(t, "file", content)
	for name, config := range map[string]string{"Rekor v1": stack.SigningConfigV1, "Rekor v2": stack.SigningConfigV2} {
		for version := range releases {
			if config == stack.SigningConfigV2 && releases[version] == "v2" {
				continue // It knows no Rekor v2.
			}
			t.Run(name+" "+version, func(t *testing.T) {
				t.Parallel()
				flags := append(newFormat(version), "--trusted-root", stack.TrustedRoot, "--use-signed-timestamps",
					"--certificate-identity", email, "--certificate-oidc-issuer", stack.Issuer)
				cosign(t, version, append(append([]string{"verify-blob"}, flags...), "--bundle", signed(t, config, false), file)...)
				cosign(t, version, append(append([]string{"verify-blob-attestation", "--type", "https://slsa.dev/provenance/v1"}, flags...),
					"--bundle", signed(t, config, true), file)...)
			})
		}
	}
}

func TestVerifiesWhatCosignSigns(t *testing.T) {
	t.Parallel()
	file := write(t, "file", content)
	for version := range releases {
		// With an Ed25519 key neither release can sign a file and record it.
		for _, kind := range []string{"ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-2048"} {
			t.Run(version+" "+kind, func(t *testing.T) {
				t.Parallel()
				bundle, file := filepath.Join(t.TempDir(), "bundle"), write(t, "file", t.Name())
				cosign(t, version, append(append([]string{"sign-blob"}, newFormat(version)...), "--key", golden(t, kind+".key"),
					"--signing-config", stack.SigningConfigV1, "--trusted-root", stack.TrustedRoot, "--bundle", bundle, file)...)
				client(t, "verify-bundle", "--bundle", bundle, "--key", golden(t, kind+".pub"), "--trusted-root", stack.TrustedRoot, file).succeeds(t)
			})
		}
		for name, config := range map[string]string{"Rekor v1": stack.SigningConfigV1, "Rekor v2": stack.SigningConfigV2} {
			t.Run(version+" identity "+name, func(t *testing.T) {
				t.Parallel()
				bundle := filepath.Join(t.TempDir(), "bundle")
				cosign(t, version, "version") // which may take longer to build than a token lives
				cosign(t, version, append(append([]string{"sign-blob"}, newFormat(version)...), "--identity-token", mint(t, nil),
					"--signing-config", config, "--trusted-root", stack.TrustedRoot, "--bundle", bundle, file)...)
				client(t, verifies(bundle, file)...).succeeds(t)
				client(t, verifies(bundle, digest.FromString(content).String())...).succeeds(t)
			})
		}
	}
}
