// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package cosignkit

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/distribution/reference"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/keyless"
	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/trust"
)

// Config says how the tool reaches registries, and where its settings come from.
type Config struct {
	// Registry is how registries are reached. Its SignatureRepository, if set, goes
	// before COSIGN_REPOSITORY, and its Logger before Log.
	Registry registry.Config

	// InsecureRegistry does not check the certificate of the registry of each
	// reference that is passed in, and speaks plain HTTP to it where it speaks no
	// TLS. Mirrors, and the registry of a signature repository, are not included.
	// Only with Registry's own HostsDirs, and not with its Hosts or Resolver.
	InsecureRegistry bool

	// Environ is the environment, as os.Environ returns it, which is what tools
	// pass. Nil means that there are no variables. docs/nerdctl.md lists those
	// that are read. Variables of key references, such as env://NAME, and those of
	// GitHub Actions are read from the process.
	Environ []string

	// OtherProviders are the tool's other signature providers, such as [Notation].
	// For these, nothing is signed or verified here. Nil means that every other
	// provider is misconfigured.
	OtherProviders []string

	// Disabled refuses the provider cosign, as nerdctl does with
	// --experimental=false. Such a command fails, and never goes on without.
	Disabled bool

	// KeyFile opens the private keys whose reference is a path or env://NAME. Pass
	// keyfile.Open of package signing/keyfile. It is not the default because it links
	// all of cosign's library, which a tool that only verifies does not need. Nil
	// means that such references are misconfigured.
	KeyFile func(ctx context.Context, ref string, passphrase signing.PassphraseFunc) (crypto.Signer, error)

	// PrivateKey and PublicKey open the keys whose reference has a scheme other than
	// env://, such as kms.PrivateKey and kms.PublicKey of package signing/kms do. Nil
	// means that such references are misconfigured. The adapter, or a
	// [Verification], keeps the keys that they return. They get the references of
	// Compose projects as well: a reference that names a host gets the user's
	// credentials sent there, see docs/keys.md.
	PrivateKey func(ctx context.Context, ref string) (crypto.Signer, error)
	PublicKey  func(ctx context.Context, ref string) (crypto.PublicKey, error)

	// Passphrase is asked for the passphrase of a private key where
	// COSIGN_PASSWORD is not set. Nil means that there is nobody to ask.
	Passphrase signing.PassphraseFunc

	// Tokens gives the identity to sign with where neither the environment nor the
	// machine has a token, such as keyless.Browser does. Nil means that this is
	// misconfigured.
	Tokens keyless.TokenSource

	// Consent is asked whether the user agrees to what keyless.PublicRecord says,
	// once, by the first [Adapter.Signing] that is to publish something, before
	// anything is sent; an error ends that. Nil means that the provider cosign is
	// the agreement, as it is in nerdctl: the tool's documentation must then say
	// what is published. In either case Log is warned, once in a process for each
	// log, before the first upload.
	Consent func(ctx context.Context) error

	// Log is told what the tool's users should know, one line at a time, each with
	// the prefix "cosign: ". It is called by several goroutines. Nil discards it.
	Log func(level slog.Level, message string)
}

// Adapter does for the commands of a tool what their flags ask for. It is safe
// for concurrent use, and made once for a process: it keeps connections, tokens,
// opened keys and the trusted root. Its memory grows with the number of different keys
// and registries, and not with the number of images.
type Adapter struct {
	config  Config
	environ environment
	log     *slog.Logger

	mu      sync.Mutex
	clients map[string]*registry.Client // by insecure host; the empty one is for the rest
	tracked []*registry.Client          // the latest of those that have a tracker
	signers map[signerKey]*signerOnce
	tuf     *trust.TUF

	asking    chan struct{} // has room for who asks for consent
	consented bool          // belongs to them
}

// New returns an adapter. It makes no request and reads no file.
func New(config Config) (*Adapter, error) {
	a := &Adapter{
		config:  config,
		environ: newEnvironment(config.Environ),
		log:     newLogger(config.Log),
		clients: map[string]*registry.Client{},
		signers: map[signerKey]*signerOnce{},
		asking:  make(chan struct{}, 1),
	}
	if a.config.Registry.Logger == nil {
		a.config.Registry.Logger = a.log
	}
	if a.config.Registry.SignatureRepository == "" {
		a.config.Registry.SignatureRepository = a.environ["COSIGN_REPOSITORY"]
	}
	if config.InsecureRegistry && (config.Registry.Hosts != nil || config.Registry.Resolver != nil) {
		return nil, fault.New(verify.ErrMisconfigured, "new adapter", "", "", errors.New("with Hosts or Resolver of the tool's own, these say what is insecure; not InsecureRegistry"))
	}
	// That a variable is wrong must not fail what neither signs nor verifies.
	if a.config.Registry.SignatureRepository == config.Registry.SignatureRepository {
		if _, err := a.client(""); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// Client returns the client that reaches the registry of ref, as the tool
// configures it.
func (a *Adapter) Client(ref string) (*registry.Client, error) {
	host, err := a.insecureHost(ref)
	if err != nil {
		return nil, err
	}
	return a.client(host)
}

// insecureHost returns the host of ref if its certificate is not to be checked.
func (a *Adapter) insecureHost(ref string) (string, error) {
	if len(ref) > limits.Reference {
		return "", fault.New(verify.ErrMisconfigured, "parse reference", printable(ref), "", limits.Exceeded("reference in bytes", limits.Reference))
	}
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return "", fault.New(verify.ErrMisconfigured, "parse reference", printable(ref), "", fmt.Errorf("it is of no image in a registry: %w", fault.Printable(err)))
	}
	if !a.config.InsecureRegistry {
		return "", nil
	}
	return reference.Domain(named), nil
}

func (a *Adapter) client(insecureHost string) (*registry.Client, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c := a.clients[insecureHost]; c != nil {
		return c, nil
	}
	c, err := a.newClient(insecureHost, a.config.Registry.Tracker)
	if err == nil {
		a.clients[insecureHost] = c
	}
	return c, err
}

func (a *Adapter) newClient(insecureHost string, tracker docker.StatusTracker) (*registry.Client, error) {
	config := a.config.Registry
	config.Tracker = tracker
	if insecureHost != "" {
		config.InsecureRegistries = append(config.InsecureRegistries[:len(config.InsecureRegistries):len(config.InsecureRegistries)], insecureHost)
	}
	return registry.New(config)
}

// latest is how many pushes with a tracker CloseIdleConnections knows of. The
// connections of older ones close by themselves, half a minute after their last use.
const latest = 8

// remember has CloseIdleConnections know c.
func (a *Adapter) remember(c *registry.Client) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.tracked) == latest {
		a.tracked = slices.Delete(a.tracked, 0, 1)
	}
	a.tracked = append(a.tracked, c)
}

// CloseIdleConnections closes connections that are kept for reuse. The adapter
// stays usable.
func (a *Adapter) CloseIdleConnections() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.clients {
		c.CloseIdleConnections()
	}
	for _, c := range a.tracked {
		c.CloseIdleConnections()
	}
}

func misconfigured(op, stage string, err error) error {
	return fault.New(verify.ErrMisconfigured, op, "", stage, err)
}
