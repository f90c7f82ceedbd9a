// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/leash"
	"github.com/cosignkit/cosignkit/verify"
)

// Verify resolves ref once and verifies the descriptor that it stands for, with
// the signatures that are found for it; in a reference with tag and digest the
// digest counts. The error is nil only if the image is acceptable; then the
// result's Image.Target is what to fetch and run. Looking for signatures ends as
// soon as the image is acceptable. The result is not nil when candidates were
// checked, even with an error.
func (c *Client) Verify(ctx context.Context, ref string, verifier verify.Verifier, opts ...VerifyOption) (*verify.Result, error) {
	name, err := normalize(ref)
	if err != nil {
		return nil, fault.New(verify.ErrMisconfigured, opVerify, ref, "reference", err)
	}
	return c.resolveAndVerify(ctx, c.pullSource(), name, verifier, makeVerifyOptions(opts))
}

// VerifyImage is [Client.Verify] for an image that is resolved already, such as
// one that containerd is about to fetch or to run. Nothing is resolved again. A
// digest in the name that is not that of the target is rejected.
func (c *Client) VerifyImage(ctx context.Context, image verify.Image, verifier verify.Verifier, opts ...VerifyOption) (*verify.Result, error) {
	o := makeVerifyOptions(opts)
	name, err := checkImage(image, o)
	if err != nil {
		return nil, err
	}
	return c.verifyTarget(ctx, c.pullSource(), name, image.Target, verifier, o)
}

// checkImage checks what a caller has resolved by itself.
func checkImage(image verify.Image, o verifyOptions) (reference.Named, error) {
	name, err := normalize(image.Name)
	if err == nil {
		err = checkTarget(image.Target)
	}
	if err != nil {
		return nil, fault.New(verify.ErrMisconfigured, opVerify, image.Name, "image", err)
	}
	if err := checkName(name, image.Target); err != nil {
		return nil, fault.New(verify.ErrRejected, opVerify, image.Name, "image", err)
	}
	if o.platform != nil {
		// Who has the descriptor is about to use it, and not another one.
		err := errors.New("WithSignedPlatform is for references that are not resolved yet")
		return nil, fault.New(verify.ErrMisconfigured, opVerify, image.Name, "options", err)
	}
	return name, nil
}

func (c *Client) resolveAndVerify(ctx context.Context, src source, name reference.Named, verifier verify.Verifier, o verifyOptions) (*verify.Result, error) {
	return o.run(ctx, name.String(), func(ctx context.Context) (*verify.Result, error) {
		v, limited, cancel, err := c.newVerification(ctx, src, verify.Image{Name: name.String()}, name, verifier, o)
		if err != nil {
			return nil, fault.New(verify.ErrMisconfigured, opVerify, name.String(), "", err)
		}
		defer cancel()
		target, err := src.resolve(limited, name)
		if err != nil {
			return nil, fault.New(kindOf(err), opVerify, name.String(), "resolve", err)
		}
		return v.decide(ctx, limited, target, v.verify)
	})
}

func (c *Client) verifyTarget(ctx context.Context, src source, name reference.Named, target ocispec.Descriptor, verifier verify.Verifier, o verifyOptions) (*verify.Result, error) {
	return o.run(ctx, name.String(), func(ctx context.Context) (*verify.Result, error) {
		v, limited, cancel, err := c.newVerification(ctx, src, verify.Image{Name: name.String(), Target: target}, name, verifier, o)
		if err != nil {
			return nil, fault.New(verify.ErrMisconfigured, opVerify, name.String(), "", err)
		}
		defer cancel()
		return v.decide(ctx, limited, target, v.verify)
	})
}

// newVerification returns the context that the verification is to be made in. The
// verifier has its limit of time as well; this one bounds all that is read.
func (c *Client) newVerification(ctx context.Context, src source, image verify.Image, name reference.Named, verifier verify.Verifier, o verifyOptions) (*verification, context.Context, context.CancelFunc, error) {
	if verifier == nil {
		return nil, nil, nil, errNoVerifier
	}
	if err := o.check(src); err != nil {
		return nil, nil, nil, err
	}
	selection, err := selectionOf(ctx, verifier, image)
	if err != nil {
		return nil, nil, nil, err
	}
	elsewhere, err := c.signatureRepository(o.repository, selection.SignatureRepository)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("signature repository: %w", err)
	}
	l := verify.Limits{}
	limited, ok := selection.Verifier.(verify.LimitedVerifier)
	if !ok {
		limited, ok = verifier.(verify.LimitedVerifier)
	}
	if ok {
		l = limited.Limits()
	}
	l = l.WithDefaults()
	ctx, cancel := withTime(ctx, l.Timeout, "time of the verification")
	return &verification{
		source: src, name: name, selection: selection, options: o, elsewhere: elsewhere,
		limits: l, indexes: &budget{limits: l}, log: c.log,
	}, c.ownContext(ctx, max(l.Manifest, l.Payload, l.Bundle)), cancel, nil
}

// selectionOf asks a verifier that has different rules for different images.
func selectionOf(ctx context.Context, verifier verify.Verifier, image verify.Image) (verify.Selection, error) {
	selector, ok := verifier.(verify.Selector)
	if !ok {
		return verify.Selection{Verifier: verifier}, nil
	}
	selection, err := selector.Select(ctx, image)
	if err != nil {
		return verify.Selection{}, err
	}
	if _, ok := selection.Verifier.(verify.Selector); ok {
		// Whose rule would hold, and who would warn?
		return verify.Selection{}, errors.New("the verifier that was selected selects another one")
	}
	return selection, nil
}

// signatureRepository returns the first repository that is given, or else that of
// the client, or nil.
func (c *Client) signatureRepository(given ...*string) (reference.Named, error) {
	name := c.config.SignatureRepository
	if i := slices.IndexFunc(given, func(s *string) bool { return s != nil }); i >= 0 {
		name = *given[i]
	}
	if name == "" {
		return nil, nil
	}
	return parseRepository(name)
}

// verification is one verification of one image.
type verification struct {
	source
	name      reference.Named
	selection verify.Selection
	limits    verify.Limits
	// indexes is what may be read to find what an index contains.
	indexes *budget
	options verifyOptions
	// elsewhere is a second repository in which signatures are looked for, or
	// nil.
	elsewhere reference.Named
	// beside are further sources of signatures.
	beside []source
	log    *slog.Logger
}

func (v *verification) image(target ocispec.Descriptor) verify.Image {
	return verify.Image{Name: v.name.String(), Target: target}
}

// failed wraps an error that is about what the caller gave.
func (v *verification) failed(target ocispec.Descriptor, stage string, err error) error {
	return fault.New(verify.ErrMisconfigured, opVerify, v.image(target).String(), stage, err)
}

// decide lets through what the policy only warns of, after all of the verification
// of target: nothing in that must take an image for acceptable that is not. The
// context is the caller's; the verification ends with limited.
func (v *verification) decide(ctx, limited context.Context, target ocispec.Descriptor, strict func(context.Context, ocispec.Descriptor) (*verify.Result, error)) (*verify.Result, error) {
	image := v.image(target)
	result, err := v.selection.Decide(ctx, image, func() (*verify.Result, error) {
		return leash.Operation(limited, verify.ErrRejected, opVerify, image.String(), func(ctx context.Context) (*verify.Result, error) {
			return strict(ctx, target)
		})
	})
	if err == nil && result.Unverified != nil {
		v.log.WarnContext(ctx, "image is accepted without being verified", "image", result.Image.String(), "reason", fault.OneLine(result.Unverified.Error()))
	}
	return result, err
}

// verify verifies target, and where that is not acceptable, what the options
// accept in its stead.
func (v *verification) verify(ctx context.Context, target ocispec.Descriptor) (*verify.Result, error) {
	result, err := v.node(ctx, v.name, target)
	_, pinned := v.name.(reference.Digested)
	switch {
	case err == nil && v.options.everyPlatform:
		return v.everyPlatform(ctx, result)
	case err == nil, errors.Is(err, verify.ErrMisconfigured), ctx.Err() != nil:
		return result, err
	case v.options.platform != nil && !pinned:
		second, secondErr := v.onePlatform(ctx, target)
		if errors.Is(secondErr, errNoIndex) {
			return result, err
		}
		return v.orElse(result, err, second, secondErr)
	case v.options.index != "":
		second, secondErr := v.withinIndex(ctx, target)
		return v.orElse(result, err, second, secondErr)
	default:
		return result, err
	}
}

// node verifies one manifest or index by its own signatures, those of the
// repository in.
func (v *verification) node(ctx context.Context, in reference.Named, target ocispec.Descriptor) (*verify.Result, error) {
	image := v.image(target)
	repositories := v.repositories(in)
	result, err := v.check(ctx, image, discover(ctx, repositories, target.Digest, v.limits))
	for _, r := range repositories {
		r.seen.report(ctx, v.log, image.String())
	}
	// A nil error alone is not trusted: a verifier of somebody else's that
	// forgets the result, or answers for another image, must not let one pass.
	if err == nil && (result == nil || !result.Accepted || result.Image.Target.Digest != target.Digest) {
		err = v.failed(target, "", errors.New("the verifier accepts without a result for this image"))
	}
	if err != nil {
		return notAccepted(result), fault.New(verify.ErrInconclusive, opVerify, image.String(), "", err)
	}
	result.Image, result.Matched = image, target
	return result, nil
}

// notAccepted makes sure that nothing can be run by the result beside an error.
func notAccepted(result *verify.Result) *verify.Result {
	if result != nil {
		result.Accepted, result.Matched = false, ocispec.Descriptor{}
	}
	return result
}

func (v *verification) check(ctx context.Context, image verify.Image, candidates iter.Seq[verify.Candidate]) (*verify.Result, error) {
	if s, ok := v.selection.Verifier.(verify.StreamVerifier); ok && !v.options.everySigner {
		return s.VerifyStream(ctx, image, candidates)
	}
	all := slices.Collect(candidates)
	if ctx.Err() != nil {
		// They are not all that there are.
		return nil, fault.Ended(ctx)
	}
	return v.selection.Verifier.Verify(ctx, image, all)
}

// repositories are where signatures of what is in a repository are looked for.
func (v *verification) repositories(in reference.Named) []repository {
	all := []repository{{source: v.source, name: in, seen: &sightings{}}}
	if v.elsewhere != nil && v.elsewhere.Name() != in.Name() {
		all = append(all, repository{source: v.source, name: v.elsewhere, elsewhere: v.elsewhere.Name(), seen: &sightings{}})
	}
	for _, s := range v.beside {
		all = append(all, repository{source: s, name: in, seen: &sightings{}})
	}
	return all
}

// orElse is the outcome of another attempt after one that failed. If both did,
// what is unknown of either counts.
func (v *verification) orElse(first *verify.Result, err error, result *verify.Result, secondErr error) (*verify.Result, error) {
	if result == nil {
		result = first
	} else if first != nil {
		result.Signatures = slices.Concat(first.Signatures, result.Signatures)
	}
	if secondErr == nil {
		return result, nil
	}
	if result != nil && first != nil {
		result.Image = first.Image
	}
	return notAccepted(result), fault.New(verify.ErrRejected, opVerify, v.name.String(), "", fmt.Errorf("%w; and %w", err, secondErr))
}

// nodes returns what index contains.
func (v *verification) nodes(ctx context.Context, in reference.Named, index ocispec.Descriptor, matcher platforms.Matcher) ([]ocispec.Descriptor, error) {
	nodes, err := repository{source: v.source, name: in}.nodes(ctx, index, v.indexes, matcher)
	if err != nil {
		return nil, fault.New(kindOf(err), opVerify, v.image(index).String(), "read index", err)
	}
	return nodes, nil
}

// onePlatform verifies the manifest of an index that is for the platform of the
// options.
func (v *verification) onePlatform(ctx context.Context, index ocispec.Descriptor) (*verify.Result, error) {
	nodes, err := v.nodes(ctx, v.name, index, v.options.platform)
	if err != nil {
		return nil, err
	}
	best := bestFor(v.options.platform, nodes)
	if best == nil {
		return nil, fault.New(verify.ErrRejected, opVerify, v.image(index).String(), "read index", errors.New("it has no manifest for the platform"))
	}
	result, err := v.node(ctx, v.name, *best)
	if err != nil {
		return result, err
	}
	// Which platform a manifest is for, the index says, which nobody signed.
	if err := (repository{source: v.source, name: v.name}).isFor(ctx, *best, v.indexes, v.options.platform); err != nil {
		return notAccepted(result), fault.New(kindOf(err), opVerify, v.image(*best).String(), "read configuration", err)
	}
	return result, nil
}

// withinIndex verifies the index that the options name, which must contain
// target.
func (v *verification) withinIndex(ctx context.Context, target ocispec.Descriptor) (*verify.Result, error) {
	ref := v.options.index
	name, err := normalize(ref)
	if err != nil {
		return nil, fault.New(verify.ErrMisconfigured, opVerify, ref, "reference of an index", err)
	}
	index, err := v.resolve(ctx, name)
	if err != nil {
		return nil, fault.New(kindOf(err), opVerify, name.String(), "resolve", err)
	}
	nodes, err := v.nodes(ctx, name, index, nil)
	if errors.Is(err, errNoIndex) {
		return nil, fault.New(verify.ErrMisconfigured, opVerify, name.String(), "", errors.New("it is not an index"))
	}
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(nodes, func(n ocispec.Descriptor) bool { return n.Digest == target.Digest && n.Size == target.Size })
	if at < 0 {
		return nil, fault.New(verify.ErrRejected, opVerify, name.String(), "read index", fmt.Errorf("it does not contain %s", target.Digest))
	}
	result, err := v.node(ctx, name, index)
	if err == nil {
		target.MediaType = nodes[at].MediaType
		result.Image = v.image(target)
	}
	return result, err
}

// everyPlatform verifies what an index contains that was found acceptable.
func (v *verification) everyPlatform(ctx context.Context, result *verify.Result) (*verify.Result, error) {
	index := result.Image.Target
	all, err := v.nodes(ctx, v.name, index, nil)
	if errors.Is(err, errNoIndex) {
		return result, nil
	}
	if err != nil {
		return notAccepted(result), err
	}
	nodes := distinctDigests(slices.DeleteFunc(all, func(n ocispec.Descriptor) bool {
		return images.IsIndexType(n.MediaType) || isForNoPlatform(n)
	}))
	if len(nodes) == 0 {
		return notAccepted(result), fault.New(verify.ErrRejected, opVerify, v.image(index).String(), "read index", errors.New("it has no manifest for any platform"))
	}
	results, errs := make([]*verify.Result, len(nodes)), make([]error, len(nodes))
	var g errgroup.Group
	g.SetLimit(parallelNodes)
	for i, n := range nodes {
		g.Go(func() error {
			results[i], errs[i] = v.node(ctx, v.name, n)
			return nil
		})
	}
	_ = g.Wait() // the functions keep their errors in errs
	var failed error
	for i, r := range results {
		if r != nil {
			result.Signatures = append(result.Signatures, r.Signatures...)
			if result.Unverified == nil {
				result.Unverified = r.Unverified
			}
		}
		// One that is bad decides, whatever is unknown of the others.
		if errs[i] != nil && (failed == nil || errors.Is(errs[i], verify.ErrRejected) && !errors.Is(failed, verify.ErrRejected)) {
			failed = errs[i]
		}
	}
	if failed != nil {
		return notAccepted(result), failed
	}
	return result, nil
}
