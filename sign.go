// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package cosignkit

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/keys"
	"github.com/cosignkit/cosignkit/internal/leash"
	"github.com/cosignkit/cosignkit/keyless"
	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

const opSigning = "set up signing"

// Signing is what the flags of a push ask for. It is safe for concurrent use. It
// signs an image once in each repository, under however many tags it is pushed.
type Signing struct {
	adapter *Adapter
	signer  signing.Signer // nil if nothing is signed
	once    registry.Once
}

// Signing checks o, and everything else that can fail without a registry: it
// opens the key, and asks for the passphrase; or gets an identity token and a
// certificate. Call it before anything is uploaded. For the provider none it
// returns a Signing that does not sign.
func (a *Adapter) Signing(ctx context.Context, o SignOptions) (*Signing, error) {
	s := &Signing{adapter: a}
	on, err := a.enabled(o.Provider, o.useless)
	if err != nil {
		return nil, misconfigured(opSigning, "", err)
	}
	if !on {
		return s, nil
	}
	if err := a.checkClient(opSigning); err != nil {
		return nil, err
	}
	s.signer, err = a.signer(ctx, o)
	if err != nil {
		return nil, err
	}
	// Any repository does: only its absence could be refused.
	request := signing.Request{Repository: "localhost/preflight"}
	if err := s.signer.(signing.Preflighter).Preflight(ctx, request); err != nil {
		return nil, fault.New(verify.ErrInconclusive, opSigning, "", "", err)
	}
	return s, nil
}

// checkClient reports what New left for those who need it.
func (a *Adapter) checkClient(op string) error {
	_, err := a.client("")
	if err != nil {
		return fault.New(verify.ErrMisconfigured, op, "COSIGN_REPOSITORY", "", err)
	}
	return nil
}

// Enabled reports whether it signs.
func (s *Signing) Enabled() bool { return s.signer != nil }

// Signer returns what signs, in the form and with the annotations of the options,
// or nil if it does not sign. It is for registry.Client; give it no other form.
func (s *Signing) Signer() signing.Signer { return s.signer }

// Push has push push ref, with a resolver for containerd.WithResolver that signs:
// content goes up by digest, the digest is signed, and then the tag is written. The
// error is misconfigured where what was pushed is not what the reference names, see
// registry.Client.SignPush. Without signing, the resolver only pushes. The tracker,
// which may be nil, is the tool's, for its progress, and may be the same for all
// pushes: what it remembers decides nothing.
func (s *Signing) Push(ref string, tracker docker.StatusTracker, push func(remotes.Resolver) error) error {
	client, err := s.adapter.pushClient(ref, tracker)
	if err != nil {
		return err
	}
	if s.signer == nil {
		return push(client.Resolver())
	}
	return client.SignPush(s.signer, push, &s.once, s.logged(ref))
}

// Sign signs target, which was pushed as ref, and attaches the signature. Until
// then others can pull the image without one: where the tool's push takes a
// resolver, [Signing.Push] signs before the tag is written. Without signing, Sign
// does nothing.
func (s *Signing) Sign(ctx context.Context, ref string, target ocispec.Descriptor) error {
	if s.signer == nil {
		return nil
	}
	client, err := s.adapter.Client(ref)
	if err != nil {
		return err
	}
	_, err = client.SignImage(ctx, verify.Image{Name: ref, Target: target}, s.signer, &s.once, s.logged(ref))
	return err
}

func (s *Signing) logged(ref string) registry.SignOption {
	return registry.WithAttached(func(a registry.Attached) {
		s.adapter.log.Info("signed " + verify.Image{Name: ref, Target: ocispec.Descriptor{Digest: a.Subject}}.String())
	})
}

// pushClient is the client for one push, with the tracker of the tool.
func (a *Adapter) pushClient(ref string, tracker docker.StatusTracker) (*registry.Client, error) {
	host, err := a.insecureHost(ref)
	if err != nil {
		return nil, err
	}
	if tracker == nil {
		return a.client(host)
	}
	c, err := a.newClient(host, tracker)
	if err == nil {
		a.remember(c)
	}
	return c, err
}

// formSigner signs in one form, with annotations.
type formSigner struct {
	signing.Signer
	form        signing.Form
	annotations map[string]string
}

func (f *formSigner) request(r signing.Request) (signing.Request, error) {
	if r.Form != "" && r.Form != f.form {
		return r, misconfigured("sign", "", fmt.Errorf("the form is %s by the options, and %s is asked for", f.form, r.Form))
	}
	r.Form = f.form
	all := maps.Clone(f.annotations)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, r.Annotations)
	r.Annotations = all
	return r, nil
}

func (f *formSigner) Sign(ctx context.Context, request signing.Request) ([]signing.Signature, error) {
	request, err := f.request(request)
	if err != nil {
		return nil, err
	}
	return f.Signer.Sign(ctx, request)
}

// Preflight implements signing.Preflighter.
func (f *formSigner) Preflight(ctx context.Context, request signing.Request) error {
	request, err := f.request(request)
	if err != nil {
		return err
	}
	if p, ok := f.Signer.(signing.Preflighter); ok {
		return p.Preflight(ctx, request)
	}
	return nil
}

// signerKey is what a key or identity is opened with, once for all that has the
// same.
type signerKey struct{ key, trustedRoot string }

type signerOnce struct {
	turn   chan struct{} // has room for who opens it
	signer signing.Signer
}

func (a *Adapter) signer(ctx context.Context, o SignOptions) (signing.Signer, error) {
	r := a.read(signs)
	if o.CosignKey == "" {
		o.CosignKey = r.text("COSIGN_KEY")
	}
	if len(o.Annotations) == 0 {
		o.Annotations = r.annotations()
	}
	form, err := signing.ParseForm(o.Format)
	if err != nil {
		r.errs = append(r.errs, err)
	}
	if _, ok := r.lookup("COSIGN_NEW_BUNDLE_FORMAT"); ok && o.Format == "" && !r.boolean("COSIGN_NEW_BUNDLE_FORMAT", true) {
		form = signing.Legacy
	}
	skipLog := r.weakened("COSIGN_TLOG_UPLOAD", false, "the signature is recorded in no transparency log")
	skipSCT := r.weakened("COSIGN_INSECURE_SKIP_VERIFY", true, "certificates count that no certificate transparency log has signed for")
	if o.CosignKey == "" && skipLog {
		r.errs = append(r.errs, errors.New("COSIGN_TLOG_UPLOAD=false needs a key: an identity is nothing without a record"))
	}
	if err := r.err(); err != nil {
		return nil, misconfigured(opSigning, "", err)
	}

	a.mu.Lock()
	once := a.signers[signerKey{o.CosignKey, o.TrustedRoot}]
	if once == nil {
		once = &signerOnce{turn: make(chan struct{}, 1)}
		a.signers[signerKey{o.CosignKey, o.TrustedRoot}] = once
	}
	a.mu.Unlock()
	select {
	case once.turn <- struct{}{}: // held while a person types the passphrase, which is asked for once
		defer func() { <-once.turn }()
	case <-ctx.Done():
		return nil, fault.New(verify.ErrInconclusive, opSigning, "", "", fault.Ended(ctx))
	}
	if once.signer == nil {
		signer, err := leash.Call(ctx, func(ctx context.Context) (signing.Signer, error) { return r.signer(ctx, o, skipLog, skipSCT) })
		if err != nil {
			return nil, fault.New(verify.ErrMisconfigured, opSigning, "", "", err)
		}
		once.signer = signer
	}
	return &formSigner{Signer: once.signer, form: form, annotations: maps.Clone(o.Annotations)}, nil
}

func (r *reader) signer(ctx context.Context, o SignOptions, skipLog, skipSCT bool) (signing.Signer, error) {
	if o.CosignKey == "" {
		return r.identitySigner(ctx, o, skipSCT)
	}
	// The services first: a person should type a passphrase only if it is of use.
	config := signing.KeySignerConfig{SkipTransparencyLog: skipLog}
	if !skipLog {
		client, err := r.services(ctx, o, false, skipSCT)
		if err != nil {
			return nil, err
		}
		config.Log = client
	}
	var err error
	if config.Key, err = r.privateKey(ctx, o.CosignKey); err != nil {
		return nil, err
	}
	return signing.NewKeySigner(config)
}

func (r *reader) privateKey(ctx context.Context, ref string) (crypto.Signer, error) {
	if open := r.adapter.config.PrivateKey; open != nil && keys.IsElsewhere(ref) {
		return open(ctx, ref)
	}
	if r.adapter.config.KeyFile == nil {
		return nil, fault.New(ErrMisconfigured, "open private key", keys.Name(ref), "", errors.New("this program opens no key files: its Config has no KeyFile"))
	}
	return r.adapter.config.KeyFile(ctx, ref, r.passphrase())
}

func (r *reader) passphrase() signing.PassphraseFunc {
	if value, ok := r.lookup("COSIGN_PASSWORD"); ok {
		return signing.Passphrase([]byte(value))
	}
	if r.adapter.config.Passphrase != nil {
		return r.adapter.config.Passphrase
	}
	return func(context.Context, string) ([]byte, error) {
		return nil, fmt.Errorf("%w: COSIGN_PASSWORD is not set", signing.ErrNoPassphrase)
	}
}

func (r *reader) identitySigner(ctx context.Context, o SignOptions, skipSCT bool) (signing.Signer, error) {
	tokens, err := r.tokens()
	if err != nil {
		return nil, err
	}
	client, err := r.services(ctx, o, true, skipSCT)
	if err != nil {
		return nil, err
	}
	return keyless.NewSigner(client, keyless.SignerConfig{Tokens: tokens})
}

// filesystemToken is where runners put a token for cosign.
const filesystemToken = "/var/run/sigstore/cosign/oidc-token" //nolint:gosec // a path

// tokens are where the identity comes from: the environment, the machine, the
// tool.
func (r *reader) tokens() (keyless.TokenSource, error) {
	if token := r.text("COSIGN_IDENTITY_TOKEN"); token != "" {
		if strings.Count(token, ".") == 2 && strings.HasPrefix(token, "ey") {
			return keyless.StaticToken(token), nil
		}
		// What is no token and no file may be a token with something around it, which
		// no message may repeat.
		if _, err := os.Stat(token); err != nil {
			return nil, misconfigured(opSigning, "", errors.New("COSIGN_IDENTITY_TOKEN is neither an identity token nor the path of a file"))
		}
		return keyless.TokenFile(token), nil
	}
	if token := r.text("SIGSTORE_ID_TOKEN"); token != "" {
		return keyless.StaticToken(token), nil
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	sources := []keyless.TokenSource{keyless.TokenFile(filesystemToken)}
	for _, name := range []string{"GITHUB_ACTIONS", "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"} {
		if _, ok := r.lookup(name); ok {
			sources = append(sources, keyless.GitHubActions(keyless.GitHubActionsConfig{}))
			break
		}
	}
	if r.adapter.config.Tokens != nil {
		sources = append(sources, r.adapter.config.Tokens)
	}
	return keyless.FirstOf(slices.Clip(sources)...), nil
}

// consent asks the user, unless there is no need, or was none since.
func (a *Adapter) consent(ctx context.Context) error {
	if a.config.Consent == nil {
		return nil
	}
	select {
	case a.asking <- struct{}{}:
		defer func() { <-a.asking }()
	case <-ctx.Done():
		return fault.New(verify.ErrInconclusive, opSigning, "", "consent", fault.Ended(ctx))
	}
	if a.consented {
		return nil
	}
	if err := a.config.Consent(ctx); err != nil {
		return fault.New(verify.ErrMisconfigured, opSigning, "", "consent", err)
	}
	a.consented = true
	return nil
}

// services returns the client of the services that record signatures, and that
// give certificates if identity is true.
func (r *reader) services(ctx context.Context, o SignOptions, identity, skipSCT bool) (*keyless.Client, error) {
	urls := keyless.ServiceURLs{
		Fulcio:    r.text("COSIGN_FULCIO_URL"),
		Rekor:     r.text("COSIGN_REKOR_URL"),
		Timestamp: r.text("COSIGN_TIMESTAMP_SERVER_URL"),
	}
	path := r.text("COSIGN_SIGNING_CONFIG")
	given := urls != keyless.ServiceURLs{}
	switch {
	case given && path != "":
		r.errs = append(r.errs, errors.New("COSIGN_SIGNING_CONFIG and the URLs of services exclude each other"))
	case given && urls.Rekor == "":
		r.errs = append(r.errs, errors.New("of the services only some are named: COSIGN_REKOR_URL is missing"))
	case given && identity && urls.Fulcio == "":
		r.errs = append(r.errs, errors.New("of the services only some are named: COSIGN_FULCIO_URL is missing"))
	}
	roots, tuf, err := r.roots(o.TrustedRoot)
	if err != nil {
		return nil, err
	}
	if err := r.adapter.consent(ctx); err != nil {
		return nil, err
	}
	var config *keyless.SigningConfig
	switch {
	case given:
		config, err = keyless.NewSigningConfig(urls)
	case path != "":
		config, err = keyless.LoadSigningConfig(path)
	case tuf != nil:
		config, err = keyless.FetchSigningConfig(ctx, tuf)
	default:
		err = errors.New("a trusted root of one's own needs COSIGN_SIGNING_CONFIG, or the URLs of its services, or for a key COSIGN_TLOG_UPLOAD=false")
	}
	if err != nil {
		return nil, err
	}
	// See Config.Consent.
	return keyless.New(keyless.Config{
		SigningConfig: config, TrustedRoots: roots, Consent: true, InsecureIgnoreSCT: skipSCT, Logger: r.adapter.log,
	})
}
