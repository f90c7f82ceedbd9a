// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/cosignkit/cosignkit/keyless"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify/trust"
)

// publicRoot is the path of the trusted root of Sigstore's public instance.
func publicRoot(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "..", "testdata", "public-good", "trusted_root.json"))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

type object = map[string]any

// changed returns the path of a copy of a JSON file that change has worked on.
func changed(t *testing.T, path string, change func(object)) string {
	t.Helper()
	var o object
	if err := json.Unmarshal([]byte(read(t, path)), &o); err != nil {
		t.Fatal(err)
	}
	change(o)
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, filepath.Base(path), string(b))
}

// at follows names and numbers into o.
func at(o any, path ...any) any {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			o = o.(object)[step]
		case int:
			o = o.([]any)[step]
		}
	}
	return o
}

func material(o object) object { return at(o, "verificationMaterial").(object) }

func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	for log, config := range map[string]string{"Rekor v1": stack.SigningConfigV1, "Rekor v2": stack.SigningConfigV2} {
		t.Run(log, func(t *testing.T) {
			t.Parallel()
			bundle, other, attestation := signed(t, config, false), signed(t, config, false), signed(t, config, true)
			file := write(t, "file", content)
			var others object
			changed(t, other, func(o object) { others = material(o) })
			for name, c := range map[string]struct {
				flag, value string
				change      func(object)
				want        string
			}{
				"another identity":              {"--certificate-identity", "other@example.com", nil, `signed by "` + email + `"`},
				"an identity that is a pattern": {"--certificate-identity", ".*", nil, `signed by "` + email + `"`},
				"another issuer":                {"--certificate-oidc-issuer", stack.Actions, nil, "issuer"},
				"another trusted root":          {"--trusted-root", publicRoot(t), nil, "verify bundle"},
				"no trusted root there":         {"--trusted-root", "missing", nil, "missing"},
				"no bundle there":               {"--bundle", "missing", nil, "missing"},
				"a bundle that is none":         {"--bundle", file, nil, "bundle"},
				"a trusted root that is none":   {"--trusted-root", file, nil, "trusted root"},

				"another signature": {change: func(o object) { o["messageSignature"].(object)["signature"] = "MEUCIQC=" }},
				"another digest": {change: func(o object) {
					at(o, "messageSignature", "messageDigest").(object)["digest"] = strings.Repeat("A", 43) + "="
				}},
				"another entry": {change: func(o object) { material(o)["tlogEntries"] = others["tlogEntries"] }},
				"another timestamp": {change: func(o object) {
					material(o)["timestampVerificationData"] = others["timestampVerificationData"]
				}},
				"no entry":           {change: func(o object) { delete(material(o), "tlogEntries") }},
				"no inclusion proof": {change: func(o object) { delete(at(material(o), "tlogEntries", 0).(object), "inclusionProof") }},
				"no checkpoint":      {change: func(o object) { delete(at(material(o), "tlogEntries", 0, "inclusionProof").(object), "checkpoint") }},
				"another checkpoint": {change: func(o object) {
					checkpoint := at(material(o), "tlogEntries", 0, "inclusionProof", "checkpoint").(object)
					lines := strings.Split(checkpoint["envelope"].(string), "\n")
					lines[2] = strings.Repeat("A", 43) + "="
					checkpoint["envelope"] = strings.Join(lines, "\n")
				}},
				"a later version":       {change: func(o object) { o["mediaType"] = "application/vnd.dev.sigstore.bundle.v0.4+json" }},
				"no version":            {change: func(o object) { delete(o, "mediaType") }},
				"a key's hint":          {change: func(o object) { delete(material(o), "certificate"); material(o)["publicKey"] = object{"hint": "a"} }},
				"no content":            {change: func(o object) { delete(o, "messageSignature") }},
				"a negative log index":  {change: func(o object) { at(material(o), "tlogEntries", 0).(object)["logIndex"] = "-1" }},
				"a certificate cut off": {change: func(o object) { at(material(o), "certificate").(object)["rawBytes"] = "MIIC" }},
			} {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					arguments := verifies(bundle, file)
					if c.change != nil {
						arguments = verifies(changed(t, bundle, c.change), file)
					}
					client(t, replaced(arguments, c.flag, c.value)...).fails(t, 1, c.want)
				})
			}
			for name, change := range map[string]func(entry object){
				"another integrated time": func(entry object) { entry["integratedTime"] = "4102444800" },
				"another promise":         func(entry object) { entry["inclusionPromise"] = object{"signedEntryTimestamp": "MEUCIQC="} },
			} {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					bundle := changed(t, signed(t, stack.SigningConfigV1NoTimestamp, false), func(o object) {
						change(at(material(o), "tlogEntries", 0).(object))
					})
					client(t, verifies(bundle, file)...).fails(t, 1, "log")
				})
			}
			t.Run("two signatures in an envelope", func(t *testing.T) {
				t.Parallel()
				twice := changed(t, attestation, func(o object) {
					envelope := at(o, "dsseEnvelope").(object)
					envelope["signatures"] = append(envelope["signatures"].([]any), at(envelope, "signatures", 0))
				})
				client(t, verifies(twice, file)...).fails(t, 1)
			})
			t.Run("no file", func(t *testing.T) {
				t.Parallel()
				client(t, verifies(bundle, "missing")...).fails(t, 1, "missing")
				client(t, verifies(bundle, "sha256:abc")...).fails(t, 1, "sha256:abc")
			})
		})
	}
}

// TestAFileThatIsNamedLikeADigest is a file.
func TestAFileThatIsNamedLikeADigest(t *testing.T) {
	t.Parallel()
	bundle := signed(t, stack.SigningConfigV2, false)
	name := digest.FromString(content).String()
	file := write(t, name, "another")
	clientIn(t, filepath.Dir(file), nil, verifies(bundle, name)...).fails(t, 1)
	clientIn(t, t.TempDir(), nil, verifies(bundle, name)...).succeeds(t)
	clientIn(t, t.TempDir(), nil, verifies(bundle, strings.ToUpper(name))...).fails(t, 1)
	clientIn(t, t.TempDir(), nil, verifies(bundle, "sha256:"+strings.ToUpper(name[7:]))...).succeeds(t)
}

func publicPEM(t *testing.T, key crypto.PublicKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, "key.pub", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
}

// keySigner signs with key and records by the signing config, or not at all.
func keySigner(t *testing.T, key crypto.Signer, config string) *signing.KeySigner {
	t.Helper()
	c := signing.KeySignerConfig{Key: key, SkipTransparencyLog: config == ""}
	if config != "" {
		services, err := keyless.LoadSigningConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		roots, err := trust.Load(stack.TrustedRoot)
		if err != nil {
			t.Fatal(err)
		}
		if c.Log, err = keyless.New(keyless.Config{SigningConfig: services, TrustedRoots: roots, Consent: true}); err != nil {
			t.Fatal(err)
		}
	}
	signer, err := signing.NewKeySigner(c)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func TestVerifyWithAKey(t *testing.T) {
	t.Parallel()
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	empty := write(t, "root.json", `{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`)
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	file := write(t, "file", content)
	for name, c := range map[string]struct {
		key     crypto.Signer
		config  string
		root    string
		fileBad bool // no log has it, and the trusted root has one
	}{
		"ECDSA, Rekor v1":                   {p256, stack.SigningConfigV1, stack.TrustedRoot, false},
		"ECDSA, Rekor v2":                   {p256, stack.SigningConfigV2, stack.TrustedRoot, false},
		"ECDSA, no log and none trusted":    {p256, "", empty, false},
		"Ed25519, no log and none trusted":  {ed, "", empty, false},
		"ECDSA, no log where one is wanted": {p256, "", stack.TrustedRoot, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			signer := keySigner(t, c.key, c.config)
			for what, sign := range map[string]func() ([]byte, error){
				"file":      func() ([]byte, error) { return signer.SignArtifact(t.Context(), []byte(content)) },
				"statement": func() ([]byte, error) { return signer.SignStatement(t.Context(), []byte(statement())) },
			} {
				b, err := sign()
				if err != nil {
					t.Fatal(err)
				}
				arguments := []string{
					"verify-bundle", "--bundle", write(t, "bundle", string(b)), "--key", publicPEM(t, c.key.Public()),
					"--trusted-root", c.root, file,
				}
				if c.fileBad {
					client(t, arguments...).fails(t, 1, "log")
					continue
				}
				client(t, arguments...).succeeds(t)
				byDigest := append(slices.Clone(arguments[:len(arguments)-1]), digest.FromString(content).String())
				if got := client(t, byDigest...); what == "file" && strings.HasPrefix(name, "Ed25519") {
					got.fails(t, 1) // Ed25519 signs the file and not its digest.
				} else {
					got.succeeds(t)
				}
				client(t, replaced(arguments, "--key", publicPEM(t, other.Public()))...).fails(t, 1, "does not verify with the key")
				client(t, append(arguments[:len(arguments)-1:len(arguments)-1], write(t, "other", "another"))...).fails(t, 1)
				client(t, verifies(arguments[2], file)...).fails(t, 1, "key")
			}
		})
	}
	t.Run("signed by an identity", func(t *testing.T) {
		t.Parallel()
		client(t, "verify-bundle", "--bundle", signed(t, stack.SigningConfigV2, false), "--key", publicPEM(t, p256.Public()),
			"--trusted-root", stack.TrustedRoot, file).fails(t, 1, "certificate")
	})
	t.Run("no public key", func(t *testing.T) {
		t.Parallel()
		client(t, "verify-bundle", "--bundle", file, "--key", file, "--trusted-root", stack.TrustedRoot, file).fails(t, 1, "key")
	})
}

func TestUsage(t *testing.T) {
	t.Parallel()
	identity := []string{"--certificate-identity", "a", "--certificate-oidc-issuer", "b"}
	for name, arguments := range map[string][]string{
		"nothing":               {},
		"no such command":       {"verify", "file"},
		"no flags":              {"verify-bundle", "file"},
		"no bundle":             append(append([]string{"verify-bundle"}, identity...), "file"),
		"no identity":           {"verify-bundle", "--bundle", "b", "--certificate-oidc-issuer", "b", "file"},
		"no issuer":             {"verify-bundle", "--bundle", "b", "--certificate-identity", "a", "file"},
		"empty issuer":          {"verify-bundle", "--bundle", "b", "--certificate-identity", "a", "--certificate-oidc-issuer", "", "file"},
		"key and identity":      append(append([]string{"verify-bundle", "--bundle", "b", "--key", "k"}, identity...), "file"),
		"no file":               append([]string{"verify-bundle", "--bundle", "b"}, identity...),
		"two files":             append(append([]string{"verify-bundle", "--bundle", "b"}, identity...), "file", "file"),
		"flag of the other":     append(append([]string{"verify-bundle", "--in-toto", "--bundle", "b"}, identity...), "file"),
		"unknown flag":          {"sign-bundle", "--unknown", "--identity-token", "t", "--bundle", "b", "file"},
		"no token":              {"sign-bundle", "--bundle", "b", "file"},
		"no bundle to write to": {"sign-bundle", "--identity-token", "t", "file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client(t, arguments...).fails(t, 2, "usage")
		})
	}
}

// TestInstances: what is not given comes from the TUF repository of the public
// instance, or of staging. A proxy sees who was asked for.
func TestInstances(t *testing.T) {
	t.Parallel()
	file := write(t, "file", content)
	for name, c := range map[string]struct {
		arguments []string
		want      string
	}{
		"verify": {[]string{"verify-bundle", "--bundle", file, "--certificate-identity", "a", "--certificate-oidc-issuer", "b", file}, "tuf-repo-cdn.sigstore.dev"},
		"verify, staging": {[]string{
			"verify-bundle", "--staging", "--bundle", file, "--certificate-identity", "a", "--certificate-oidc-issuer", "b", file,
		}, "tuf-repo-cdn.sigstage.dev"},
		"sign": {[]string{"sign-bundle", "--identity-token", "t", "--bundle", "b", "--trusted-root", stack.TrustedRoot, file}, "tuf-repo-cdn.sigstore.dev"},
		"sign, staging": {[]string{
			"sign-bundle", "--staging", "--identity-token", "t", "--bundle", "b", "--trusted-root", stack.TrustedRoot, file,
		}, "tuf-repo-cdn.sigstage.dev"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := make(chan string, 100)
			proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked <- r.Host
				http.Error(w, "no", http.StatusForbidden)
			}))
			defer proxy.Close()
			environment := []string{"HTTPS_PROXY=" + proxy.URL, "https_proxy=" + proxy.URL, "NO_PROXY=", "no_proxy="}
			clientIn(t, t.TempDir(), environment, c.arguments...).fails(t, 1, c.want)
			if host, _, err := net.SplitHostPort(<-asked); err != nil || host != c.want {
				t.Errorf("asked for %s, %v, want %s", host, err, c.want)
			}
		})
	}
}
