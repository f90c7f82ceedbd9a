// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package compose

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/verify"
)

const opVerify = "verify project"

// Verify verifies every image of the plan whose service says how. The keys of all
// policies are opened before any request is made. The error is nil only if all are
// acceptable, and otherwise has every failure; the first one ends the
// verifications that are not finished. The result is not nil unless nothing was
// begun.
//
// Images of services without the fields are not looked at, so that they need not
// be in a registry.
func (p *Plan) Verify(ctx context.Context) (*Result, error) {
	verifiers, err := p.verifiers(ctx)
	if err != nil {
		return nil, err
	}
	result := p.newResult(p.uses)
	w := p.newWork(ctx, opVerify, result)
	for _, image := range p.verifications() {
		w.do(image.verified, func(ctx context.Context) error {
			w.tell(image.verified, Verifying)
			client, err := p.config.Adapter.Client(image.ref)
			if err != nil {
				return err
			}
			resolved, err := p.resolve(ctx, client, image.ref, image.local)
			if err != nil {
				return err
			}
			w.set(image.others, "", func(o *Outcome) { o.Target = resolved.Target })
			for policy, outcomes := range image.policies {
				w.do(outcomes, func(ctx context.Context) error {
					return p.verifyImage(ctx, w, client, image.local, resolved, verifiers[policy], outcomes)
				})
			}
			return nil
		})
	}
	return result, w.wait(p.project.Name)
}

func (p *Plan) verifyImage(ctx context.Context, w *work, client *registry.Client, local bool, image verify.Image, v verify.Verifier, outcomes []int) error {
	var result *verify.Result
	var err error
	if local {
		result, err = client.VerifyLocalImage(ctx, p.config.Store, image, v)
	} else {
		result, err = client.VerifyImage(ctx, image, v)
	}
	if err == nil && result.Unverified != nil && p.config.RequireVerified {
		err = fault.New(verify.ErrRejected, "verify", image.String(), "", result.Unverified)
	}
	if err == nil && result.Image.Target.Digest != image.Target.Digest {
		err = fault.New(verify.ErrRejected, "verify", image.String(), "", errors.New("another image was verified"))
	}
	if err != nil {
		return err
	}
	w.set(outcomes, Verified, func(o *Outcome) {
		o.Target, o.Verification = plain(image.Target), result
	})
	return nil
}

// resolve asks a registry, or the store.
func (p *Plan) resolve(ctx context.Context, client *registry.Client, ref string, local bool) (verify.Image, error) {
	if !local {
		return client.Resolve(ctx, ref)
	}
	for _, name := range recordNames(ref) {
		record, err := p.config.Store.ImageService().Get(ctx, name)
		if errdefs.IsNotFound(err) {
			continue
		}
		if err != nil {
			return verify.Image{}, fault.New(verify.ErrInconclusive, "verify", ref, "image store", fault.Printable(err))
		}
		// A tag that has moved on says nothing about the digest that is wanted. A name
		// with that digest and another target is refused.
		if name == ref || strings.Contains(name, "@") || strings.HasSuffix(ref, "@"+record.Target.Digest.String()) {
			return verify.Image{Name: ref, Target: plain(record.Target)}, nil
		}
	}
	return verify.Image{}, fault.New(verify.ErrMisconfigured, "verify", ref, "", errors.New("not in the image store, and pull_policy is never"))
}

// recordNames are the names under which tools record an image: one with tag and
// digest under both, or under either.
func recordNames(ref string) []string {
	named, digest, pinned := strings.Cut(ref, "@")
	if !pinned {
		return []string{ref}
	}
	names := []string{ref, named}
	if colon := strings.LastIndex(named, ":"); colon > strings.LastIndex(named, "/") {
		names = append(names, named[:colon]+"@"+digest)
	}
	return names
}

// plain leaves of a descriptor what identifies content.
func plain(d ocispec.Descriptor) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
}

// verification is an image with its policies.
type verification struct {
	ref string
	// local is for the image store, and not a registry.
	local bool
	// policies has the outcomes of each policy, verified those of all, and others
	// those of services that have none.
	policies         map[string][]int
	verified, others []int
}

// verifications are one for each image that some service verifies, in the order
// of the services.
func (p *Plan) verifications() []*verification {
	type key struct {
		ref   string
		local bool
	}
	byKey := map[key]*verification{}
	var all []*verification
	for i, u := range p.uses {
		if !u.registry {
			continue
		}
		v := byKey[key{u.Image, u.local}]
		if v == nil {
			v = &verification{ref: u.Image, local: u.local, policies: map[string][]int{}}
			byKey[key{u.Image, u.local}] = v
			all = append(all, v)
		}
		if !verifies(u.fields) {
			v.others = append(v.others, i)
			continue
		}
		policy := keyOf(u.fields.Verify)
		v.policies[policy] = append(v.policies[policy], i)
		v.verified = append(v.verified, i)
	}
	return slices.DeleteFunc(all, func(v *verification) bool { return len(v.verified) == 0 })
}

// newResult has an outcome for each use, of the same number.
func (p *Plan) newResult(uses []use) *Result {
	r := &Result{project: p.project, Outcomes: make([]Outcome, 0, len(uses))}
	for _, u := range uses {
		r.Outcomes = append(r.Outcomes, Outcome{Service: u.Service, Use: u.Use, Image: u.Image})
	}
	return r
}
