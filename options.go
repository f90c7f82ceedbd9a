// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package cosignkit

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cosignkit/cosignkit/verify"
)

// The providers, as nerdctl's users name them.
const (
	// Cosign signs and verifies with this library.
	Cosign = "cosign"
	// None, like the empty string, neither signs nor verifies.
	None = "none"
	// Notation is another tool, which Compose fields may name. See
	// Config.OtherProviders.
	Notation = "notation"
)

// SignOptions are the flags of a push.
type SignOptions struct {
	// Provider is [Cosign], or [None] or empty for no signature, or one of
	// Config.OtherProviders. Any other is misconfigured.
	Provider string
	// CosignKey is the private key: a path, env://NAME, or a reference that
	// Config.PrivateKey opens. Empty means COSIGN_KEY, or an identity if that is
	// not set.
	CosignKey string

	// The fields below have no flag in nerdctl. Empty means the variable of the
	// environment, or the default.

	// Format is bundle, legacy or both.
	Format string
	// Annotations are signed.
	Annotations map[string]string
	// TrustedRoot is the path of a trusted root in JSON. The answers of the
	// services are verified with it.
	TrustedRoot string
}

// VerifyOptions are the flags of a pull, run or create.
type VerifyOptions struct {
	// Provider is [Cosign], or [None] or empty for no verification, or one of
	// Config.OtherProviders. Any other is misconfigured.
	Provider string
	// CosignKey is the public key: a path, env://NAME, or a reference that
	// Config.PublicKey opens. It and the identity exclude each other. If both are
	// empty, COSIGN_KEY is used.
	CosignKey string
	// Without a key, one field of each pair is required.
	CosignCertificateIdentity         string
	CosignCertificateIdentityRegexp   string
	CosignCertificateOidcIssuer       string
	CosignCertificateOidcIssuerRegexp string

	// The fields below have no flag in nerdctl. Empty means the variable of the
	// environment.

	// TrustedRoot is the path of a trusted root in JSON.
	TrustedRoot string
	// Annotations must all be signed.
	Annotations map[string]string
	// InsecureIgnoreTlog accepts signatures that are in no transparency log.
	InsecureIgnoreTlog bool
	// RequireTlog requires a log entry even if the environment does not. It and
	// InsecureIgnoreTlog exclude each other.
	RequireTlog bool
}

func (o VerifyOptions) identity() verify.Identity {
	return verify.Identity{
		Subject:       o.CosignCertificateIdentity,
		SubjectRegexp: o.CosignCertificateIdentityRegexp,
		Issuer:        o.CosignCertificateOidcIssuer,
		IssuerRegexp:  o.CosignCertificateOidcIssuerRegexp,
	}
}

// enabled reports whether the provider is cosign. With another
// provider of the tool, the other options are ignored; without a provider they must be
// empty.
func (a *Adapter) enabled(provider string, useless func() error) (bool, error) {
	switch {
	case provider == Cosign && a.config.Disabled:
		return false, errors.New("the provider cosign is turned off, as experimental features are")
	case provider == Cosign:
		return true, nil
	case provider == None, provider == "":
		return false, useless()
	case slices.Contains(a.config.OtherProviders, provider):
		return false, nil
	}
	return false, fmt.Errorf("unknown provider %s, want %s", quote(provider), strings.Join(append(append([]string{Cosign}, a.config.OtherProviders...), None), ", "))
}

// errUseless refuses options that do nothing without the provider: a user who gives a
// key believes that it is used.
func errUseless(set ...string) error {
	var found []string
	for i := 0; i+1 < len(set); i += 2 {
		if set[i+1] != "" {
			found = append(found, set[i])
		}
	}
	if found == nil {
		return nil
	}
	return errors.New("without the provider cosign these do nothing: " + strings.Join(found, ", "))
}

func (o SignOptions) useless() error {
	return errUseless(
		"cosign-key", o.CosignKey,
		"signature format", o.Format,
		"annotations", anyOf(o.Annotations),
		"trusted root", o.TrustedRoot)
}

func (o VerifyOptions) useless() error {
	return errUseless(
		"cosign-key", o.CosignKey,
		"cosign-certificate-identity", o.CosignCertificateIdentity,
		"cosign-certificate-identity-regexp", o.CosignCertificateIdentityRegexp,
		"cosign-certificate-oidc-issuer", o.CosignCertificateOidcIssuer,
		"cosign-certificate-oidc-issuer-regexp", o.CosignCertificateOidcIssuerRegexp,
		"annotations", anyOf(o.Annotations),
		"trusted root", o.TrustedRoot,
		"transparency log", ifSet(o.InsecureIgnoreTlog || o.RequireTlog))
}

func ifSet(set bool) string {
	if set {
		return "set"
	}
	return ""
}

// anyOf is not empty if annotations are given.
func anyOf(annotations map[string]string) string {
	for name, value := range annotations {
		return name + "=" + value
	}
	return ""
}
