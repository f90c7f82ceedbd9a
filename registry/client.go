// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/leash"
	"github.com/cosignkit/cosignkit/internal/limits"
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
	// asked for registries and their mirrors, and not for hosts that these redirect
	// to. It is called by several goroutines. It has no context: one that blocks past the
	// end of an operation keeps a goroutine.
	Credentials func(host string) (username, secret string, err error)

	// InsecureRegistries are the hosts, with port if any and as references
	// spell them, whose certificate is not checked and which may be spoken to
	// over plain HTTP. Exactly these hosts; mirrors of theirs are not included. A
	// token server over plain HTTP on another machine has to be listed as well.
	InsecureRegistries []string

	// UserAgent is sent with every request. Empty means containerd's own.
	UserAgent string

	// Hosts replaces HostsDirs, Credentials and InsecureRegistries for a tool
	// that has containerd host configuration of its own.
	Hosts docker.RegistryHosts

	// Resolver replaces everything above: [RemoteResolver], or the resolver of a
	// tool that has nothing else. Prefer Hosts to a resolver of containerd's:
	// it returns only the first page of referrers, and an empty list even if the
	// registry failed to answer. Such an image is rejected when it should be
	// inconclusive.
	Resolver remotes.Resolver

	// SignatureRepository is a repository for signatures, such as
	// registry.example/signatures. Signatures are attached there instead of in the
	// image's own repository. Verification looks in both; cosign looks only here.
	// Empty means the image's own repository. See
	// [SignatureRepositoryFromEnvironment].
	SignatureRepository string

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

	// lacksAPI are the hosts that said that they have no referrers API.
	lacksAPI hostSet
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
	if err := checkEntries(config); err != nil {
		return nil, fault.New(verify.ErrMisconfigured, op, "", "", err)
	}
	if _, err := parseRepository(config.SignatureRepository); err != nil && config.SignatureRepository != "" {
		return nil, fault.New(verify.ErrMisconfigured, op, config.SignatureRepository, "signature repository", err)
	}
	config.HostsDirs, config.InsecureRegistries = slices.Clone(config.HostsDirs), slices.Clone(config.InsecureRegistries)
	c := &Client{config: config, log: config.Logger, hosts: map[string][]docker.RegistryHost{}}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if len(config.InsecureRegistries) > 0 {
		c.log.Warn("certificates are not checked and plain HTTP is allowed", "registries", config.InsecureRegistries)
	}
	return c, nil
}

// checkEntries refuses what an empty variable leaves, which would be the working
// directory, and hosts that no reference can have.
func checkEntries(config Config) error {
	if slices.Contains(config.HostsDirs, "") {
		return errors.New("field HostsDirs has an empty entry")
	}
	for _, host := range config.InsecureRegistries {
		if host == "" || strings.ContainsAny(host, "/ ") {
			return fmt.Errorf("field InsecureRegistries: %.128q is no host, want such as registry.example:5000", host)
		}
	}
	return nil
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
	// Repository is the normalized name of the repository that holds the
	// signature, if it is not the image's own.
	Repository string `json:"repository,omitempty"`
	// Manifest is the manifest in the registry that holds the signature.
	Manifest ocispec.Descriptor `json:"manifest"`
}

// Sign signs the image that ref stands for and attaches the signature to it. A
// reference with a tag is resolved once, and the digest that was resolved is
// signed; in one with tag and digest the digest counts. The tag is not touched.
func (c *Client) Sign(ctx context.Context, ref string, signer signing.Signer, opts ...SignOption) ([]Attached, error) {
	name, err := normalize(ref)
	if err == nil {
		err = c.checkRequest(name, signer, makeSignOptions(opts))
	}
	if err != nil {
		return nil, fault.New(verify.ErrMisconfigured, opSign, ref, "reference", err)
	}
	target, err := c.pushSource().resolve(c.ownContext(ctx, limits.Manifest), name)
	if err != nil {
		return nil, fault.New(kindOf(err), opSign, ref, "resolve", err)
	}
	return c.SignImage(ctx, verify.Image{Name: name.String(), Target: target}, signer, opts...)
}

// SignImage is [Client.Sign] for an image that is resolved already, such as one
// that was just pushed. Nothing is resolved again.
func (c *Client) SignImage(ctx context.Context, image verify.Image, signer signing.Signer, opts ...SignOption) ([]Attached, error) {
	var attached attachments
	o := makeSignOptions(append(slices.Clip(opts), &attached))
	name, err := normalize(image.Name)
	if err == nil {
		err = c.checkSigning(name, image.Target, signer, o)
	}
	if err != nil {
		return nil, fault.New(verify.ErrMisconfigured, opSign, image.Name, "image", err)
	}
	_, err = leash.Operation(ctx, verify.ErrRejected, opSign, image.String(), func(ctx context.Context) (none struct{}, err error) {
		s, err := c.ready(ctx, c.pushSource(), name, image.Target, signer, o)
		if err != nil {
			return none, fault.New(kindOf(err), opSign, image.String(), "", err)
		}
		if err := o.preflight(ctx, signer, name, image.Target); err != nil {
			return none, fault.New(verify.ErrInconclusive, opSign, image.String(), "preflight", err)
		}
		if err := s.signAll(ctx); err != nil {
			return none, fault.New(kindOf(err), opSign, image.String(), "", err)
		}
		return none, nil
	})
	return attached.list(), err
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

// request is what is asked of the signer, but for the digest.
func (o signOptions) request(name reference.Named) signing.Request {
	r := signing.Request{Repository: o.claimed, Annotations: o.annotations, Form: o.form}
	if r.Repository == "" {
		r.Repository = name.Name()
	}
	return r
}

// checkSigning refuses what cannot be signed as it was asked for. Each way to sign,
// with a push or without one, comes through here before anything is uploaded or
// published.
func (c *Client) checkSigning(name reference.Named, target ocispec.Descriptor, signer signing.Signer, o signOptions) error {
	err := c.checkRequest(name, signer, o)
	if err == nil {
		err = checkTarget(target)
	}
	if err == nil && target.Size > limits.Manifest {
		err = limits.Exceeded("manifest in bytes", limits.Manifest)
	}
	if err == nil {
		err = checkName(name, target)
	}
	return err
}

// checkRequest is the part of checkSigning that needs no image.
func (c *Client) checkRequest(name reference.Named, signer signing.Signer, o signOptions) error {
	if signer == nil {
		return errNoSigner
	}
	if _, err := signing.ParseForm(string(o.form)); err != nil {
		return err
	}
	if _, err := c.signatureRepository(o.repository); err != nil {
		return fmt.Errorf("signature repository: %w", err)
	}
	if d, ok := name.(reference.Digested); ok {
		return checkDescriptor(ocispec.Descriptor{Digest: d.Digest()})
	}
	return nil
}

// preflight finds what can fail before anything is uploaded. It may publish: where
// nothing is to be signed, nobody is asked.
func (o signOptions) preflight(ctx context.Context, signer signing.Signer, name reference.Named, target ocispec.Descriptor) error {
	if p, ok := signer.(signing.Preflighter); ok && !o.once.has(name, target) {
		return p.Preflight(ctx, o.request(name))
	}
	return nil
}

// signTarget signs, attaches and reads back: target, and before it, if asked to,
// what it contains.
func (c *Client) signTarget(ctx context.Context, src source, name reference.Named, target ocispec.Descriptor, signer signing.Signer, o signOptions) error {
	s, err := c.ready(ctx, src, name, target, signer, o)
	if err != nil {
		return err
	}
	return s.signAll(ctx)
}

// ready reads what tells whether signatures can be attached, before the signer
// publishes anything.
func (c *Client) ready(ctx context.Context, src source, name reference.Named, target ocispec.Descriptor, signer signing.Signer, o signOptions) (*signatures, error) {
	ctx = c.ownContext(ctx, limits.Manifest)
	s := &signatures{client: c, signer: signer, to: repository{source: src, name: name}, request: o.request(name), onAttached: o.onAttached}
	if o.once.has(name, target) {
		return s, nil
	}
	elsewhere, err := c.signatureRepository(o.repository)
	if err != nil {
		return nil, fault.New(verify.ErrMisconfigured, opSign, name.String(), "signature repository", err)
	}
	if elsewhere != nil && elsewhere.Name() != name.Name() {
		s.to.name, s.to.elsewhere = elsewhere, elsewhere.Name()
	}
	var nodes []ocispec.Descriptor
	if o.recursive {
		b := &budget{limits: verify.Limits{}.WithDefaults()}
		nodes, err = repository{source: src, name: name}.nodes(ctx, target, b, nil)
		if err != nil && !errors.Is(err, errNoIndex) {
			return nil, fmt.Errorf("read index: %w", err)
		}
	}
	s.targets = append(distinctDigests(nodes), target)
	s.signed = func() { o.once.add(name, target) }
	return s, s.each(ctx, s.targets, func(ctx context.Context, i int) error {
		if err := s.to.checkPlaces(ctx, s.targets[i].Digest, o.form); err != nil {
			return fmt.Errorf("look where the signature goes: %w", err)
		}
		return nil
	})
}

// signatures are those that one call makes.
type signatures struct {
	client     *Client
	signer     signing.Signer
	to         repository
	request    signing.Request // but for the digest
	onAttached func(Attached)
	// targets is empty if all is signed already.
	targets []ocispec.Descriptor
	signed  func()
}

// signAll signs an index with what it contains, or one manifest: the last of
// targets, which is attached to last. Nothing is attached before all is signed.
func (s *signatures) signAll(ctx context.Context) error {
	if len(s.targets) == 0 {
		return nil
	}
	ctx = s.client.ownContext(ctx, limits.Manifest)
	targets, made := s.targets, make([][]checked, len(s.targets))
	err := s.each(ctx, targets, func(ctx context.Context, i int) (err error) {
		made[i], err = s.make(ctx, targets[i])
		return err
	})
	if err != nil {
		return err
	}
	last := len(targets) - 1
	err = s.each(ctx, targets[:last], func(ctx context.Context, i int) error { return s.attach(ctx, targets[i], made[i]) })
	if err == nil {
		err = s.attach(ctx, targets[last], made[last])
	}
	if err == nil {
		s.signed()
	}
	return err
}

// each calls f for several targets at a time.
func (s *signatures) each(ctx context.Context, targets []ocispec.Descriptor, f func(context.Context, int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelNodes)
	for i, target := range targets {
		g.Go(func() error {
			err := f(ctx, i)
			if err != nil && len(targets) > 1 {
				err = fmt.Errorf("%s: %w", target.Digest, err)
			}
			return err
		})
	}
	return g.Wait()
}

func (s *signatures) make(ctx context.Context, target ocispec.Descriptor) ([]checked, error) {
	request := s.request
	request.Digest = target.Digest
	made, err := s.signer.Sign(ctx, request)
	if err != nil {
		return nil, err
	}
	return checkMade(ctx, target, request, made)
}

func (s *signatures) attach(ctx context.Context, target ocispec.Descriptor, made []checked) error {
	for _, m := range made {
		a, err := s.to.attach(ctx, target, m)
		if err != nil {
			return fmt.Errorf("attach %s signature: %w", m.Form, err)
		}
		a.Repository = s.to.elsewhere
		s.done(ctx, a)
	}
	return nil
}

func (s *signatures) done(ctx context.Context, a Attached) {
	s.client.log.DebugContext(ctx, "attached signature", "digest", a.Subject, "form", a.Form, "source", a.Source, "manifest", a.Manifest.Digest)
	if s.onAttached != nil {
		leash.Do(ctx, func() { s.onAttached(a) })
	}
}

// normalize parses a reference as Docker's users write them.
func normalize(ref string) (reference.Named, error) {
	if len(ref) > limits.Reference {
		return nil, limits.Exceeded("reference in bytes", limits.Reference)
	}
	if isOfAnotherKind(ref) {
		return nil, errKind
	}
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return nil, fault.Printable(err) // which repeats the reference
	}
	return reference.TagNameOnly(named), nil
}

// errKind is about what tools accept instead of a reference. Nobody can say who
// signed it, which is no reason to let it pass.
var errKind = errors.New("only an image reference can be signed or verified: an archive, a path, an image ID and a reference of another kind, such as ipfs://, have no repository with signatures")

// isOfAnotherKind recognises URLs, paths and IDs. sha256:<hex> would be taken for a
// tag.
func isOfAnotherKind(ref string) bool {
	return strings.Contains(ref, "://") || strings.HasPrefix(ref, "/") || strings.HasPrefix(ref, ".") || strings.Contains(ref, `\`) ||
		imageID.MatchString(ref)
}

var imageID = regexp.MustCompile(`^(sha256:)?[0-9a-f]{64}$`)

// checkName refuses a descriptor for a name with the digest of another one.
func checkName(name reference.Named, target ocispec.Descriptor) error {
	if d, ok := name.(reference.Digested); ok && d.Digest() != target.Digest {
		return fmt.Errorf("%w: %s is %s", errName, name, target.Digest)
	}
	return nil
}
