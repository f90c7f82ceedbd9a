// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/leash/leashtest"
	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/registry/hooks"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// idle is a resolver of the caller's, and what it calls. It has every image, and
// takes every upload for one that is there already. It has signatures if fetching
// them calls something.
type idle struct{ resolve, fetch, push func() }

var theTarget = ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("image"), Size: 5}

func (r idle) Resolve(_ context.Context, ref string) (string, ocispec.Descriptor, error) {
	call(r.resolve)
	if r.fetch == nil && strings.Contains(ref, ":sha256-") {
		return "", ocispec.Descriptor{}, errdefs.ErrNotFound
	}
	return ref, theTarget, nil
}
func (r idle) Fetcher(context.Context, string) (remotes.Fetcher, error) { return r, nil }
func (r idle) Pusher(context.Context, string) (remotes.Pusher, error)   { return r, nil }
func (r idle) Fetch(context.Context, ocispec.Descriptor) (io.ReadCloser, error) {
	call(r.fetch)
	return nil, errdefs.ErrNotFound
}
func (r idle) Push(context.Context, ocispec.Descriptor) (content.Writer, error) {
	call(r.push)
	return nil, errdefs.ErrAlreadyExists
}

func call(f func()) {
	if f != nil {
		f()
	}
}

// foreignVerifier and hangingSigner are somebody else's. They call what they have
// for each of their methods, and know no context.
type foreignVerifier struct{ verify, selects, limits func() }

func (v foreignVerifier) Verify(_ context.Context, image verify.Image, _ []verify.Candidate) (*verify.Result, error) {
	call(v.verify)
	return &verify.Result{Image: image, Accepted: true}, nil
}

func (v foreignVerifier) Select(context.Context, verify.Image) (verify.Selection, error) {
	call(v.selects)
	return verify.Selection{Verifier: foreignLimits{v}}, nil
}

type foreignLimits struct{ foreignVerifier }

func (foreignLimits) Select() {} // which is not the method of a Selector

func (v foreignLimits) VerifyStream(_ context.Context, image verify.Image, _ iter.Seq[verify.Candidate]) (*verify.Result, error) {
	return v.Verify(context.Background(), image, nil)
}

func (v foreignLimits) Limits() verify.Limits {
	call(v.limits)
	return verify.Limits{}
}

type hangingSigner struct{ preflight, sign func() }

func (s hangingSigner) Preflight(context.Context, signing.Request) error {
	call(s.preflight)
	return nil
}

func (s hangingSigner) Sign(context.Context, signing.Request) ([]signing.Signature, error) {
	call(s.sign)
	return []signing.Signature{{Form: signing.Bundle, Bundle: []byte("{}")}}, nil
}

// TestEveryOperationEndsWithItsContext: nothing that the caller gave needs to return.
func TestEveryOperationEndsWithItsContext(t *testing.T) {
	const ref = "registry.test/app:v1"
	cd, stored := newStore(t)
	target := putImage(stored, t, cd, "image")
	client := func(r idle) *registry.Client { return newClient(t, registry.Config{Resolver: r}) }
	image := verify.Image{Name: ref, Target: theTarget}
	for name, operation := range map[string]func(ctx context.Context, stuck func()) error{
		"verify, resolver": func(ctx context.Context, stuck func()) error {
			_, err := client(idle{resolve: stuck}).Verify(ctx, ref, foreignVerifier{})
			return err
		},
		"verify, fetcher": func(ctx context.Context, stuck func()) error {
			_, err := client(idle{fetch: stuck}).Verify(ctx, ref, verifierOf(t, newKey(t)))
			return err
		},
		"verify, verifier": func(ctx context.Context, stuck func()) error {
			_, err := client(idle{}).Verify(ctx, ref, foreignVerifier{verify: stuck})
			return err
		},
		"verify, selector": func(ctx context.Context, stuck func()) error {
			_, err := client(idle{}).VerifyImage(ctx, image, foreignVerifier{selects: stuck})
			return err
		},
		"verify, limits": func(ctx context.Context, stuck func()) error {
			_, err := client(idle{}).VerifyImage(ctx, image, foreignVerifier{limits: stuck})
			return err
		},
		"verify every signature": func(ctx context.Context, stuck func()) error {
			_, err := client(idle{}).VerifyImage(ctx, image, foreignVerifier{verify: stuck}, registry.WithEverySignature())
			return err
		},
		"verify locally": func(ctx context.Context, stuck func()) error {
			local := verify.Image{Name: ref, Target: target}
			_, err := client(idle{}).VerifyLocalImage(namespaces.WithNamespace(ctx, "test"), cd.Client, local, foreignVerifier{verify: stuck})
			return err
		},
		"image verifier": func(ctx context.Context, stuck func()) error {
			v, err := client(idle{}).ImageVerifier(foreignVerifier{verify: stuck})
			if err == nil {
				_, err = v.VerifyImage(ctx, ref, theTarget)
			}
			return err
		},
		"resolve": func(ctx context.Context, stuck func()) error {
			_, err := client(idle{resolve: stuck}).Resolve(ctx, ref)
			return err
		},
		"verifying resolver": func(ctx context.Context, stuck func()) error {
			_, _, err := client(idle{}).VerifyingResolver(foreignVerifier{verify: stuck}).Resolve(ctx, ref)
			return err
		},
		"sign, resolver": func(ctx context.Context, stuck func()) error {
			_, err := client(idle{resolve: stuck}).Sign(ctx, ref, hangingSigner{})
			return err
		},
		"sign, preflight": func(ctx context.Context, stuck func()) error {
			_, err := client(idle{}).Sign(ctx, ref, hangingSigner{preflight: stuck})
			return err
		},
		"sign, signer": func(ctx context.Context, stuck func()) error {
			_, err := client(idle{}).Sign(ctx, ref, hangingSigner{sign: stuck})
			return err
		},
		"sign, pusher": func(ctx context.Context, stuck func()) error {
			_, err := client(idle{push: stuck}).Sign(ctx, ref, signerOf(t, newKey(t)))
			return err
		},
		"signing resolver": func(ctx context.Context, stuck func()) error {
			return client(idle{}).SignPush(hangingSigner{preflight: stuck}, func(resolver remotes.Resolver) error {
				_, err := resolver.Pusher(ctx, ref+"@"+theTarget.Digest.String())
				return err
			})
		},
		"pull, verifier": func(ctx context.Context, stuck func()) error {
			_, _, err := hooks.Pull(namespaces.WithNamespace(ctx, "test"), client(idle{}), cd.Client, ref, foreignVerifier{verify: stuck}, nil)
			return err
		},
		"pull, fetcher": func(ctx context.Context, stuck func()) error {
			r := idle{fetch: stuck}
			_, _, err := hooks.Pull(namespaces.WithNamespace(ctx, "test"), client(r), cd.Client, ref, acceptsUnseen{}, nil)
			return err
		},
		"push, pusher": func(ctx context.Context, stuck func()) error {
			_, err := hooks.Push(namespaces.WithNamespace(ctx, "test"), client(idle{push: stuck}), cd.Client, ref, target, signerOf(t, newKey(t)), nil)
			return err
		},
		"push, signer": func(ctx context.Context, stuck func()) error {
			_, err := hooks.Push(namespaces.WithNamespace(ctx, "test"), client(idle{}), cd.Client, ref, target, hangingSigner{sign: stuck}, nil)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) { leashtest.Ends(t, operation) })
	}
}

// acceptsUnseen selects a rule that accepts anything, so that nothing is looked for.
type acceptsUnseen struct{ verify.Verifier }

func (acceptsUnseen) Select(context.Context, verify.Image) (verify.Selection, error) {
	return verify.Selection{InsecureAcceptAnything: true}, nil
}

// TestTheTimeLimitEndsWhatHangs in a verification without a deadline of the caller's.
func TestTheTimeLimitEndsWhatHangs(t *testing.T) {
	image := verify.Image{Name: "registry.test/app:v1", Target: theTarget}
	for name, operation := range map[string]func(c func(idle) *registry.Client, stuck func()) error{
		"resolver": func(c func(idle) *registry.Client, stuck func()) error {
			_, err := c(idle{resolve: stuck}).Verify(context.Background(), image.Name, foreignVerifier{})
			return err
		},
		"fetcher": func(c func(idle) *registry.Client, stuck func()) error {
			_, err := c(idle{fetch: stuck}).VerifyImage(context.Background(), image, verifierOf(t, newKey(t)))
			return err
		},
		"verifier": func(c func(idle) *registry.Client, stuck func()) error {
			_, err := c(idle{}).VerifyImage(context.Background(), image, foreignVerifier{verify: stuck})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				leashtest.Within(t, 2*time.Minute, context.DeadlineExceeded, func(stuck func()) error {
					return operation(func(r idle) *registry.Client { return newClient(t, registry.Config{Resolver: r}) }, stuck)
				})
			})
		})
	}
}

// TestNothingIsToldOrUploadedAfterTheEnd: uploads that end long after Sign has
// returned are followed by no other one, and the caller does not hear of them.
func TestNothingIsToldOrUploadedAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		release := make(chan struct{})
		var begun atomic.Int32
		c := newClient(t, registry.Config{Resolver: idle{push: func() {
			begun.Add(1)
			<-release
		}}})
		attached, err := c.Sign(ctx, "registry.test/app:v1", signerOf(t, newKey(t)),
			registry.WithAttached(func(registry.Attached) { t.Error("told of a signature") }))
		before := begun.Load()
		if !errors.Is(err, context.DeadlineExceeded) || len(attached) != 0 || before == 0 {
			t.Errorf("%d uploads, %v, %v", before, attached, err)
		}
		close(release)
		synctest.Wait()
		if after := begun.Load(); after != before {
			t.Errorf("%d uploads were begun after the end", after-before)
		}
	})
}

// TestCredentialsThatHangAreCounted as what hangs elsewhere: they are asked for in a
// call of their own.
func TestCredentialsThatHangAreCounted(t *testing.T) {
	reg, _, verifier, _ := signedImage(t, true, signing.Bundle)
	leashtest.Saturate(t)
	c := newClient(t, registry.Config{Hosts: hostOf(reg, authorizerFunc(func() error {
		t.Error("the authorizer is called")
		return nil
	}))})
	_, _, err := c.Resolver().Resolve(t.Context(), reg.ref("app:v1"))
	wantText(t, err, "earlier calls have not returned")
	_, err = c.Verify(t.Context(), reg.ref("app:v1"), verifier)
	wantFamily(t, err, verify.ErrInconclusive)
}
