// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// Config says how registries are reached. The zero Config reaches public
// registries over TLS, anonymously, and those on loopback as containerd does.
type Config struct {
	// HostsDirs are directories of containerd host configuration, such as
	// /etc/containerd/certs.d, each with a directory per registry that holds a
	// hosts.toml or certificates. The first that knows a registry is used.
	HostsDirs []string

	// Credentials returns the user name and secret for a registry host such as
	// registry-1.docker.io. Nil means anonymous. See [DockerCredentials]. It is
	// called by several goroutines. It has no context: one that blocks past the
	// end of an operation keeps a goroutine.
	Credentials func(host string) (username, secret string, err error)

	// InsecureRegistries are the hosts, with port if any and as references
	// spell them, whose certificate is not checked and which may be spoken to
	// over plain HTTP. Exactly these hosts; mirrors of theirs are not included.
	InsecureRegistries []string

	// UserAgent is sent with every request. Empty means containerd's own.
	UserAgent string

	// Hosts replaces HostsDirs, Credentials and InsecureRegistries for a tool
	// that has containerd host configuration of its own.
	Hosts docker.RegistryHosts

	// Resolver replaces everything above: [RemoteResolver], or the resolver of a
	// tool that has nothing else. Prefer Hosts to a resolver of containerd's:
	// its list of referrers is the first page only, and is empty also when the
	// registry failed to answer, so that such an image is rejected where it
	// should be inconclusive.
	Resolver remotes.Resolver

	// Tracker receives the status of uploads, for progress. Nil means one per
	// operation.
	Tracker docker.StatusTracker

	// Logger receives what containerd and this package have to say. Nil
	// discards it.
	Logger *slog.Logger
}

// Client signs and verifies images in registries. For its life it keeps
// connections, tokens, and the host configuration of each registry that it has
// reached, and should be made once. It is safe for concurrent use.
type Client struct {
	config Config
	log    *slog.Logger

	mu         sync.Mutex
	hosts      map[string][]docker.RegistryHost
	transports []*http.Transport
}

// New returns a client. It makes no request and reads no file.
func New(config Config) (*Client, error) {
	const op = "new registry client"
	custom := config.HostsDirs != nil || config.Credentials != nil || config.InsecureRegistries != nil
	switch {
	case config.Hosts != nil && custom:
		return nil, fault.New(verify.ErrMisconfigured, op, "", "", errors.New("field Hosts replaces HostsDirs, Credentials and InsecureRegistries; set one or the other"))
	case config.Resolver != nil && (custom || config.Hosts != nil || config.UserAgent != "" || config.Tracker != nil):
		return nil, fault.New(verify.ErrMisconfigured, op, "", "", errors.New("field Resolver replaces every other network setting; set one or the other"))
	}
	c := &Client{config: config, log: config.Logger, hosts: map[string][]docker.RegistryHost{}}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if len(config.InsecureRegistries) > 0 {
		c.log.Warn("certificates are not checked and plain HTTP is allowed", "registries", config.InsecureRegistries)
	}
	return c, nil
}

// CloseIdleConnections closes connections that are kept for reuse. It does not
// interrupt operations, and the client stays usable.
func (c *Client) CloseIdleConnections() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, hosts := range c.hosts {
		for _, host := range hosts {
			host.Client.CloseIdleConnections()
		}
	}
	for _, transport := range c.transports { // also where containerd wraps them
		transport.CloseIdleConnections()
	}
}

// Resolver returns a containerd resolver that neither signs nor verifies, for
// images that are moved without either, along the client's network path.
func (c *Client) Resolver() remotes.Resolver {
	return &plainResolver{client: c}
}

// Attached is a signature that was attached to an image and read back.
type Attached struct {
	// Subject is the digest that was signed.
	Subject digest.Digest `json:"subject"`
	// Form is signing.Bundle or signing.Legacy.
	Form signing.Form `json:"form"`
	// Source is the place where the signature is found.
	Source verify.Source `json:"source"`
	// Manifest is the manifest in the registry that holds the signature.
	Manifest ocispec.Descriptor `json:"manifest"`
}

// SignOption changes how an image is signed.
type SignOption func(*signOptions)

type signOptions struct {
	form        signing.Form
	annotations map[string]string
	repository  string
	onAttached  func(Attached)
}

// WithForm sets the form of signature. The default is signing.Bundle.
func WithForm(form signing.Form) SignOption {
	return func(o *signOptions) { o.form = form }
}

// WithAnnotations adds signed annotations.
func WithAnnotations(annotations map[string]string) SignOption {
	return func(o *signOptions) { o.annotations = annotations }
}

// WithClaimedRepository sets the repository name that the signature claims. The
// default is the repository that is pushed to.
func WithClaimedRepository(name string) SignOption {
	return func(o *signOptions) { o.repository = name }
}

// WithAttached calls f, in the goroutine that signs, for each signature once it
// is attached and read back.
func WithAttached(f func(Attached)) SignOption {
	return func(o *signOptions) { o.onAttached = f }
}

// Sign signs the image that ref stands for and attaches the signature to it. A
// reference with a tag is resolved once, and the digest that was resolved is
// signed; in one with tag and digest the digest counts. The tag is not touched.
func (c *Client) Sign(ctx context.Context, ref string, signer signing.Signer, opts ...SignOption) ([]Attached, error) {
	name, err := normalize(ref)
	if err != nil {
		return nil, fault.New(verify.ErrMisconfigured, opSign, ref, "reference", err)
	}
	target, err := c.pushSource().resolve(c.ownContext(ctx), name)
	if err != nil {
		return nil, fault.New(kindOf(err), opSign, ref, "resolve", err)
	}
	return c.SignImage(ctx, verify.Image{Name: name.String(), Target: target}, signer, opts...)
}

// SignImage is [Client.Sign] for an image that is resolved already, such as one
// that was just pushed. Nothing is resolved again.
func (c *Client) SignImage(ctx context.Context, image verify.Image, signer signing.Signer, opts ...SignOption) ([]Attached, error) {
	name, err := normalize(image.Name)
	if err == nil {
		err = checkTarget(image.Target)
	}
	if err == nil && signer == nil {
		err = errNoSigner
	}
	if err != nil {
		return nil, fault.New(verify.ErrMisconfigured, opSign, image.Name, "image", err)
	}
	o := makeSignOptions(opts)
	if err := preflight(ctx, signer, o.request(name)); err != nil {
		return nil, fault.New(verify.ErrInconclusive, opSign, image.String(), "preflight", err)
	}
	attached, err := c.signTarget(ctx, repository{c.pushSource(), name}, image.Target, signer, o)
	if err != nil {
		return attached, fault.New(kindOf(err), opSign, image.String(), "", err)
	}
	return attached, nil
}

const (
	opSign   = "sign"
	opVerify = "verify"
	opPush   = "push"
	opPull   = "pull"
)

var (
	errNoSigner   = errors.New("no signer")
	errNoVerifier = errors.New("no verifier")
)

func makeSignOptions(opts []SignOption) signOptions {
	var o signOptions
	for _, opt := range opts {
		opt(&o)
	}
	return o
}

// request is what is asked of the signer, but for the digest.
func (o signOptions) request(name reference.Named) signing.Request {
	r := signing.Request{Repository: o.repository, Annotations: o.annotations, Form: o.form}
	if r.Repository == "" {
		r.Repository = name.Name()
	}
	return r
}

// preflight finds what can fail before anything is uploaded.
func preflight(ctx context.Context, signer signing.Signer, request signing.Request) error {
	if p, ok := signer.(signing.Preflighter); ok {
		return p.Preflight(ctx, request)
	}
	return nil
}

// signTarget signs, attaches and reads back.
func (c *Client) signTarget(ctx context.Context, r repository, target ocispec.Descriptor, signer signing.Signer, o signOptions) ([]Attached, error) {
	ctx = c.ownContext(ctx)
	request := o.request(r.name)
	request.Digest = target.Digest
	signatures, err := signer.Sign(ctx, request)
	if err == nil && len(signatures) == 0 {
		err = errors.New("the signer returned no signature")
	}
	if err != nil {
		return nil, err
	}
	var done []Attached
	for _, s := range signatures {
		a, err := r.attach(ctx, target, s)
		if err != nil {
			return done, fmt.Errorf("attach %s signature: %w", s.Form, err)
		}
		done = append(done, a)
		c.log.DebugContext(ctx, "attached signature", "digest", target.Digest, "form", s.Form, "source", a.Source, "manifest", a.Manifest.Digest)
		if o.onAttached != nil {
			o.onAttached(a)
		}
	}
	return done, nil
}

// VerifyOption changes how an image is verified.
type VerifyOption func(*verifyOptions)

type verifyOptions struct {
	onResult func(*verify.Result, error)
}

// WithResult calls f, in the goroutine that verifies, with the outcome of each
// verification; the result is nil when nothing could be checked. It is for
// resolvers, which have no other way to return one.
func WithResult(f func(*verify.Result, error)) VerifyOption {
	return func(o *verifyOptions) { o.onResult = f }
}

func makeVerifyOptions(opts []VerifyOption) verifyOptions {
	var o verifyOptions
	for _, opt := range opts {
		opt(&o)
	}
	return o
}

// Verify resolves ref once and verifies the descriptor that it stands for, with
// every signature that is found for it; in a reference with tag and digest the
// digest counts. The error is nil only if the image is acceptable; then the
// result's Image.Target is what to fetch and run. The result is not nil when
// candidates were checked, also beside an error.
func (c *Client) Verify(ctx context.Context, ref string, verifier verify.Verifier, opts ...VerifyOption) (*verify.Result, error) {
	name, err := normalize(ref)
	if err != nil {
		return nil, fault.New(verify.ErrMisconfigured, opVerify, ref, "reference", err)
	}
	return c.resolveAndVerify(ctx, c.pullSource(), name, verifier, makeVerifyOptions(opts))
}

// VerifyImage is [Client.Verify] for an image that is resolved already, such as
// one that containerd is about to fetch or to run. Nothing is resolved again.
func (c *Client) VerifyImage(ctx context.Context, image verify.Image, verifier verify.Verifier, opts ...VerifyOption) (*verify.Result, error) {
	name, err := normalize(image.Name)
	if err == nil {
		err = checkTarget(image.Target)
	}
	if err != nil {
		return nil, fault.New(verify.ErrMisconfigured, opVerify, image.Name, "image", err)
	}
	return c.verifyTarget(ctx, repository{c.pullSource(), name}, image.Target, verifier, makeVerifyOptions(opts))
}

func (c *Client) resolveAndVerify(ctx context.Context, src source, name reference.Named, verifier verify.Verifier, o verifyOptions) (*verify.Result, error) {
	target, err := src.resolve(c.ownContext(ctx), name)
	if err != nil {
		err = fault.New(kindOf(err), opVerify, name.String(), "resolve", err)
		if o.onResult != nil {
			o.onResult(nil, err)
		}
		return nil, err
	}
	return c.verifyTarget(ctx, repository{src, name}, target, verifier, o)
}

func (c *Client) verifyTarget(ctx context.Context, r repository, target ocispec.Descriptor, verifier verify.Verifier, o verifyOptions) (result *verify.Result, err error) {
	if o.onResult != nil {
		defer func() { o.onResult(result, err) }()
	}
	image := verify.Image{Name: r.name.String(), Target: target}
	if verifier == nil {
		return nil, fault.New(verify.ErrMisconfigured, opVerify, image.String(), "", errNoVerifier)
	}
	result, err = verifier.Verify(ctx, image, r.discover(c.ownContext(ctx), target))
	if err != nil {
		return result, fault.New(verify.ErrInconclusive, opVerify, image.String(), "", err)
	}
	// A nil error alone is not trusted: a verifier of somebody else's that
	// forgets the result, or answers for another image, must not let one pass.
	if result == nil || !result.Accepted || result.Image.Target.Digest != target.Digest {
		return result, fault.New(verify.ErrMisconfigured, opVerify, image.String(), "", errors.New("the verifier accepts without a result for this image"))
	}
	result.Image = image
	return result, nil
}

// normalize parses a reference as Docker's users write them.
func normalize(ref string) (reference.Named, error) {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return nil, err
	}
	return reference.TagNameOnly(named), nil
}
