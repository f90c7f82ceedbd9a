// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/cosignkit/cosignkit/internal/golden"
)

// makeVector pushes an image, signs it, and copies it with its signatures.
func (m *maker) makeVector(ctx context.Context, s spec) error {
	registry, repository := m.registries[s.referrers], "golden/"+s.name()
	image, children, err := m.push(ctx, registry, repository, s.name()+"\n", s.recursive)
	if err != nil {
		return err
	}
	v := golden.Vector{
		Name:        s.name(),
		Tool:        s.release.tool(),
		Form:        s.form,
		Log:         s.log(),
		Timestamp:   s.timestamp,
		Annotations: s.annotations,
		Recursive:   s.recursive,
		Signed:      append([]digest.Digest{image}, children...),
		Signers:     len(s.signers),
		Repository:  registry + "/" + repository,
		Digest:      image,
		Referrers:   s.referrers,
		Note:        s.note(),
	}
	if s.form == golden.Bundle && s.release.line == v26 {
		v.Annotations = nil
	}
	for _, signer := range s.signers {
		m.addSigner(&v, s.release, signer)
		command, err := m.sign(ctx, s, signer, registry+"/"+repository+"@"+image.String())
		if err != nil {
			return err
		}
		v.Commands = append(v.Commands, command)
	}
	if err := copyLayout(ctx, filepath.Join(m.out, v.Name), registry, repository, image, v.Signed); err != nil {
		return err
	}
	m.manifest.Vectors = append(m.manifest.Vectors, v)
	return nil
}

func (m *maker) addSigner(v *golden.Vector, r *cosign, signer string) {
	public := golden.Published(keyName(r, signer) + ".pub")
	switch {
	case signer == person || signer == workflow:
		v.Identity = m.identity(signer)
	case v.PublicKey == "":
		v.Key, v.PublicKey = signer, public
	default:
		v.MorePublicKeys = append(v.MorePublicKeys, public)
	}
}

// identity is what the services' issuers vouch for.
func (m *maker) identity(signer string) *golden.Identity {
	if signer == person {
		return &golden.Identity{Subject: "person@example.com", Issuer: m.stack.Issuer}
	}
	return &golden.Identity{
		Subject: "https://github.com/example/app/.github/workflows/release.yml@refs/heads/main",
		Issuer:  m.stack.Actions,
		GitHub: golden.GitHubWorkflow{
			Trigger:    "push",
			SHA:        "5d41402abc4b2a76b9719d911017c592ab4b2a76",
			Name:       "release",
			Repository: "example/app",
			Ref:        "refs/heads/main",
		},
	}
}

// sign runs the release, and returns the command as it is recorded.
func (m *maker) sign(ctx context.Context, s spec, signer, image string) (command string, err error) {
	dir, err := os.MkdirTemp(m.scratch, "sign-")
	if err != nil {
		return "", err
	}
	credential, shown := []string{"--key", m.keyPath(s.release, signer)}, ""
	if s.keyless() {
		token, err := m.token(ctx, m.identity(signer))
		if err != nil {
			return "", err
		}
		credential, shown = []string{"--identity-token", token}, token
	}
	environment := m.environment(s)
	args := slices.Concat([]string{"sign"}, credential, m.flags(s), s.flags(), []string{image})
	if err := s.release.run(ctx, dir, passphrase, environment, args); err != nil {
		return "", err
	}
	line := shellLine(environment, args)
	if shown != "" {
		line = strings.ReplaceAll(line, shown, "$TOKEN")
	}
	return m.placeholders().Replace(line), nil
}

func (m *maker) token(ctx context.Context, i *golden.Identity) (string, error) {
	claims := url.Values{"iss": {i.Issuer}}
	if i.GitHub == (golden.GitHubWorkflow{}) {
		claims.Set("email", i.Subject)
	}
	return m.stack.Mint(ctx, claims)
}

// environment is what there are no flags for.
func (m *maker) environment(s spec) []string {
	var environment []string
	if s.release.line == v1 && s.rekor != 0 || s.form == golden.OCI11 {
		environment = append(environment, "COSIGN_EXPERIMENTAL=1")
	}
	if s.release.line < v26 && (s.rekor != 0 || s.keyless()) {
		environment = append(environment, "SIGSTORE_REKOR_PUBLIC_KEY="+m.stack.RekorPEM)
	}
	if s.release.line < v26 && s.keyless() {
		environment = append(environment,
			"SIGSTORE_ROOT_FILE="+m.stack.FulcioPEM, "SIGSTORE_CT_LOG_PUBLIC_KEY_FILE="+m.stack.CTPEM)
	}
	return environment
}

// flags are for what the spec asks for itself.
func (s spec) flags() []string {
	var flags []string
	for _, key := range slices.Sorted(maps.Keys(s.annotations)) {
		flags = append(flags, fmt.Sprintf("--annotations=%s=%s", key, s.annotations[key]))
	}
	if s.recursive {
		flags = append(flags, "--recursive")
	}
	if s.form == golden.OCI11 {
		flags = append(flags, "--registry-referrers-mode=oci-1-1")
	}
	return flags
}

// flags say where the services are, and which form is wanted.
func (m *maker) flags(s spec) []string {
	line := s.release.line
	flags := []string{"--yes"}
	if s.form == golden.Bundle && s.signers[0] == edwards {
		// It signs with Ed25519ph, and when it has a trusted root verifies
		// what it signed as pure Ed25519.
		if line == v26 {
			return append(flags, "--new-bundle-format", "--tlog-upload=false")
		}
		return append(flags, "--use-signing-config=false", "--tlog-upload=false")
	}
	if line >= v26 && (s.rekor != 0 || s.timestamp || s.keyless() || s.form == golden.Bundle) {
		flags = append(flags, "--trusted-root", m.stack.TrustedRoot)
	}
	if s.form == golden.Bundle {
		if line == v26 {
			flags = append(flags, "--new-bundle-format")
		}
		return append(flags, "--signing-config", m.configs[s.recording])
	}
	if line == v3 {
		flags = append(flags, "--use-signing-config=false", "--new-bundle-format=false")
	}
	if s.keyless() {
		flags = append(flags, "--fulcio-url", m.stack.Fulcio)
	}
	if s.timestamp {
		flags = append(flags, "--timestamp-server-url", m.stack.Timestamp)
	}
	switch {
	case s.rekor != 0:
		flags = append(flags, "--rekor-url", m.stack.Rekor)
	case line > v1:
		flags = append(flags, "--tlog-upload=false")
	}
	return flags
}

// shellLine renders a command. No word of those here needs quotes.
func shellLine(environment, args []string) string {
	return strings.Join(slices.Concat(environment, []string{"cosign"}, args), " ")
}
