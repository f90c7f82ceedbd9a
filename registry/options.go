// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"maps"
	"os"
	"slices"
	"sync"

	"github.com/containerd/platforms"
	"github.com/distribution/reference"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/leash"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// SignOption changes how an image is signed.
type SignOption interface{ applyToSign(*signOptions) }

// VerifyOption changes how an image is verified.
type VerifyOption interface{ applyToVerify(*verifyOptions) }

// Option is for both.
type Option interface {
	SignOption
	VerifyOption
}

type signOptions struct {
	form        signing.Form
	annotations map[string]string
	claimed     string
	recursive   bool
	repository  *string
	onAttached  func(Attached)
	once        *Once
}

type verifyOptions struct {
	repository    *string
	everySigner   bool
	platform      platforms.MatchComparer
	everyPlatform bool
	index         string
	offline       bool
	onResult      func(*verify.Result, error)
}

type signOption func(*signOptions)

func (f signOption) applyToSign(o *signOptions) { f(o) }

type verifyOption func(*verifyOptions)

func (f verifyOption) applyToVerify(o *verifyOptions) { f(o) }

// attachments are the signatures that one call has attached so far.
type attachments struct {
	mu  sync.Mutex
	all []Attached
}

// applyToSign has o list what is attached.
func (l *attachments) applyToSign(o *signOptions) {
	next := o.onAttached
	o.onAttached = func(a Attached) {
		l.mu.Lock()
		l.all = append(l.all, a)
		l.mu.Unlock()
		if next != nil {
			next(a)
		}
	}
}

func (l *attachments) list() []Attached {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all)
}

func makeSignOptions(opts []SignOption) signOptions {
	var o signOptions
	for _, opt := range opts {
		opt.applyToSign(&o)
	}
	return o
}

// check refuses what cannot all be honoured, or not with src.
func (o verifyOptions) check(src source) error {
	if _, local := src.resolver.(storeResolver); o.offline && !local {
		return errors.New("WithoutRegistry is for images in a store")
	}
	if o.everyPlatform && (o.platform != nil || o.index != "") || o.platform != nil && o.index != "" {
		return errors.New("WithEveryPlatform, WithSignedPlatform and WithContainingIndex exclude each other")
	}
	return nil
}

// run is the way into every verification. It returns when ctx ends, whatever hangs,
// and tells whoever wants to know the outcome.
func (o verifyOptions) run(ctx context.Context, image string, verification func(context.Context) (*verify.Result, error)) (*verify.Result, error) {
	result, err := leash.Operation(ctx, verify.ErrRejected, opVerify, image, verification)
	if o.onResult != nil {
		leash.Do(ctx, func() { o.onResult(result, err) })
	}
	return result, err
}

func makeVerifyOptions(opts []VerifyOption) verifyOptions {
	var o verifyOptions
	for _, opt := range opts {
		opt.applyToVerify(&o)
	}
	return o
}

// WithSignatureRepository is [Config.SignatureRepository] for one call. Empty
// means the image's own alone, whatever the client has.
func WithSignatureRepository(name string) Option { return signatureRepository(name) }

type signatureRepository string

func (r signatureRepository) applyToSign(o *signOptions)     { o.repository = (*string)(&r) }
func (r signatureRepository) applyToVerify(o *verifyOptions) { o.repository = (*string)(&r) }

// WithForm sets the form of signature. The default is signing.Bundle.
func WithForm(form signing.Form) SignOption {
	return signOption(func(o *signOptions) { o.form = form })
}

// WithAnnotations adds signed annotations, to those of other such options too.
func WithAnnotations(annotations map[string]string) SignOption {
	return signOption(func(o *signOptions) {
		all := maps.Clone(o.annotations)
		if all == nil {
			all = map[string]string{}
		}
		maps.Copy(all, annotations)
		o.annotations = all
	})
}

// WithClaimedRepository sets the repository name that the signature claims. The
// default is the repository that is pushed to.
func WithClaimedRepository(name string) SignOption {
	return signOption(func(o *signOptions) { o.claimed = name })
}

// WithRecursive signs, where the image is an index, also every manifest and index
// that it contains, each with signatures of its own, and itself last. Without it
// an index is signed as it is, which says as much about what it contains, since
// that is named by digest; but a manifest that is used alone has no signature
// then, unless verified with [WithContainingIndex]. As cosign does, it signs the
// attestations too that build tools keep in an index.
func WithRecursive() SignOption {
	return signOption(func(o *signOptions) { o.recursive = true })
}

// WithAttached calls f for each signature once it is attached and read back. It
// is not called by two goroutines at a time, and not after the call that signs has
// returned.
func WithAttached(f func(Attached)) SignOption {
	return signOption(func(o *signOptions) { o.onAttached = f })
}

// WithResult calls f with the outcome of each verification, before the verification
// returns; the result is nil when nothing could be checked. It is for resolvers,
// which have no other way to return one.
func WithResult(f func(*verify.Result, error)) VerifyOption {
	return verifyOption(func(o *verifyOptions) { o.onResult = f })
}

// WithEverySignature reads and checks every signature, and lists each in the result,
// even if the first one was enough. It is for people who want to see who signed; a
// pull does not need it.
func WithEverySignature() VerifyOption {
	return verifyOption(func(o *verifyOptions) { o.everySigner = true })
}

// WithSignedPlatform also accepts an index that is not acceptable itself, if the
// manifest for the given platform is, and its own configuration names that platform.
// Then the result's Image.Target is that manifest and not the index; fetch and run
// it. A reference with a digest is not replaced in this way; with [Client.VerifyImage] it is misconfigured. [Client.PullWith] wants a manifest
// that is allowed as well.
func WithSignedPlatform(platform platforms.MatchComparer) VerifyOption {
	return verifyOption(func(o *verifyOptions) { o.platform = platform })
}

// WithEveryPlatform accepts an index only if the index and every manifest in it have
// acceptable signatures of their own, as [WithRecursive] makes them. Attestations of
// build tools, which are for no platform, need none. The index must have at least
// one manifest for a platform.
func WithEveryPlatform() VerifyOption {
	return verifyOption(func(o *verifyOptions) { o.everyPlatform = true })
}

// WithContainingIndex also accepts a manifest that is not acceptable itself, if the
// index that ref names is acceptable and contains it. The result's Matched is
// that index then; Image.Target is the manifest as ever. The index may be in any
// repository and is best given by its digest, which does not move. A policy about the
// claimed repository applies to the repository of the manifest.
func WithContainingIndex(ref string) VerifyOption {
	return verifyOption(func(o *verifyOptions) { o.index = ref })
}

// WithoutRegistry keeps [Client.VerifyLocal] and [Client.VerifyLocalImage] from
// asking the registry: an image without enough kept signatures is then inconclusive.
// In other calls it is misconfigured.
func WithoutRegistry() VerifyOption {
	return verifyOption(func(o *verifyOptions) { o.offline = true })
}

// SignatureRepositoryFromEnvironment returns COSIGN_REPOSITORY, for
// [Config.SignatureRepository]. It is empty if the variable is unset or empty,
// and misconfigured if it names no repository.
func SignatureRepositoryFromEnvironment() (string, error) {
	const name = "COSIGN_REPOSITORY"
	value := os.Getenv(name) //nolint:forbidigo // the constructor for it
	if value == "" {
		return "", nil
	}
	if _, err := parseRepository(value); err != nil {
		return "", fault.New(verify.ErrMisconfigured, "read environment", name, "", err)
	}
	return value, nil
}

// parseRepository parses a reference that has neither tag nor digest.
func parseRepository(name string) (reference.Named, error) {
	named, err := reference.ParseNormalizedNamed(name)
	if err == nil && !reference.IsNameOnly(named) {
		err = errors.New("a repository has neither tag nor digest")
	}
	return named, err
}
