// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package adapter

import (
	"context"
	"errors"
	"log/slog"

	containerd "github.com/containerd/containerd/v2/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// Config says how the tool reaches registries, and where its settings come from.
type Config struct {
	// Registry is how registries are reached.
	Registry registry.Config

	// LookupEnv finds variables of the environment, as os.LookupEnv does, which
	// is what tools pass. Nil means that there are none. Variables lists those
	// that are read.
	LookupEnv func(name string) (value string, ok bool)

	// Passphrase is asked for the passphrase of a private key where
	// COSIGN_PASSWORD is not set. Nil means that there is nobody to ask.
	Passphrase signing.PassphraseFunc

	// Logger is told what the tool's users should know, each message with the
	// prefix "cosign: ". Nil discards it.
	Logger *slog.Logger
}

// SignOptions are the flags of a push.
type SignOptions struct {
	// Provider is cosign, or none or empty for no signature. Any other is
	// misconfigured.
	Provider string
	// CosignKey is the private key. Empty means an identity.
	CosignKey string

	// What follows has no flag in nerdctl. Empty means what the environment
	// says, and else the default of package registry.

	// Format is bundle, legacy or both.
	Format string
	// Annotations are signed.
	Annotations map[string]string
}

// VerifyOptions are the flags of a pull, run or create.
type VerifyOptions struct {
	// Provider is cosign, or none or empty for no verification. Any other is
	// misconfigured.
	Provider string
	// CosignKey is the public key; it and the identities exclude each other.
	CosignKey string
	// Of each of the two pairs, one is required without CosignKey.
	CosignCertificateIdentity         string
	CosignCertificateIdentityRegexp   string
	CosignCertificateOidcIssuer       string
	CosignCertificateOidcIssuerRegexp string

	// What follows has no flag in nerdctl. Empty means what the environment
	// says.

	// TrustedRoot is the path of a trusted root in JSON.
	TrustedRoot string
	// Annotations must all be signed.
	Annotations map[string]string
	// InsecureIgnoreTlog accepts signatures that are in no transparency log.
	InsecureIgnoreTlog bool
}

// Adapter does for one command of a tool what its flags ask for. It is safe for
// concurrent use.
type Adapter struct{}

// New returns an adapter. It makes no request.
func New(config Config) (*Adapter, error) { return nil, errUnbuilt }

// Signer returns what signs, or nil if the provider is none.
func (a *Adapter) Signer(ctx context.Context, o SignOptions) (signing.Signer, error) {
	return nil, errUnbuilt
}

// Verifier returns what verifies, or nil if the provider is none.
func (a *Adapter) Verifier(ctx context.Context, o VerifyOptions) (verify.Verifier, error) {
	return nil, errUnbuilt
}

// Sign signs target, which was pushed as ref, and attaches the signature.
func (a *Adapter) Sign(ctx context.Context, ref string, target ocispec.Descriptor, o SignOptions) error {
	return errUnbuilt
}

// Verify resolves ref once, verifies what it stands for, and returns the
// reference with its digest, to pull, and the descriptor, to run. With the
// provider none it returns ref as it is.
func (a *Adapter) Verify(ctx context.Context, ref string, o VerifyOptions) (pinned string, target ocispec.Descriptor, err error) {
	return "", ocispec.Descriptor{}, errUnbuilt
}

// CheckTarget verifies what ref stands for in the image store of cd, see
// registry.Client.VerifyLocal, and returns the descriptor to run.
func (a *Adapter) CheckTarget(ctx context.Context, cd *containerd.Client, ref string, o VerifyOptions) (ocispec.Descriptor, error) {
	return ocispec.Descriptor{}, errUnbuilt
}

// Variable is a variable of the environment.
type Variable struct {
	Name string
	// Meaning is what it sets, in words for people.
	Meaning string
	// Insecure reports whether it weakens verification, so that each use is
	// logged as a warning.
	Insecure bool
}

// Variables returns those that an Adapter reads. Every other COSIGN_ or SIGSTORE_
// variable has no effect.
func Variables() []Variable { return nil }

var errUnbuilt = errors.New("not built")
