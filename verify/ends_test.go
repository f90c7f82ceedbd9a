// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cosignkit/cosignkit/internal/leash/leashtest"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// TestVerifyingEndsWithItsContext: whatever a verifier calls may never return.
func TestVerifyingEndsWithItsContext(t *testing.T) {
	key := keys["P-256"]()
	candidates := []verify.Candidate{signed(t, key, signing.Bundle)}
	roots := func(stuck func()) verify.TrustedRoots {
		return rootsFunc(func(context.Context) (*verify.TrustedRoot, error) {
			stuck()
			return nil, errors.New("late")
		})
	}
	matcher := func(stuck func()) verify.Policy {
		policy := policyOf(key)
		policy.Repository = func(string, string) bool { stuck(); return true }
		return policy
	}
	content := func(stuck func()) verify.Artifact {
		return verify.Artifact{Content: stuckReader{bytes.NewReader(nil), stuck}}
	}
	for name, operation := range map[string]func(ctx context.Context, stuck func()) error{
		"trusted roots": func(ctx context.Context, stuck func()) error {
			policy := policyOf(key)
			policy.InsecureIgnoreTransparencyLog, policy.TrustedRoots = false, roots(stuck)
			_, err := newVerifier(t, policy).Verify(ctx, theImage(), candidates)
			return err
		},
		"matcher": func(ctx context.Context, stuck func()) error {
			_, err := newVerifier(t, matcher(stuck)).Verify(ctx, theImage(), candidates)
			return err
		},
		"matcher, of a stream": func(ctx context.Context, stuck func()) error {
			_, err := newStreamVerifier(t, matcher(stuck)).VerifyStream(ctx, theImage(), slices.Values(candidates))
			return err
		},
		"sequence": func(ctx context.Context, stuck func()) error {
			_, err := newStreamVerifier(t, policyOf(key)).VerifyStream(ctx, theImage(), func(func(verify.Candidate) bool) { stuck() })
			return err
		},
		"trusted roots, for a bundle": func(ctx context.Context, stuck func()) error {
			policy := policyOf(key)
			policy.InsecureIgnoreTransparencyLog, policy.TrustedRoots = false, roots(stuck)
			_, err := verify.Bundle(ctx, policy, verify.Artifact{Digest: theImage().Target.Digest}, candidates[0].Bundle)
			return err
		},
		"content of an artifact": func(ctx context.Context, stuck func()) error {
			_, err := verify.Bundle(ctx, policyOf(key), content(stuck), candidates[0].Bundle)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) { leashtest.Ends(t, operation) })
	}
	t.Run("time limit", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			leashtest.Within(t, time.Minute, context.DeadlineExceeded, func(stuck func()) error {
				policy := matcher(stuck)
				policy.Limits.Timeout = time.Minute
				_, err := newVerifier(t, policy).Verify(t.Context(), theImage(), candidates)
				return err
			})
		})
	})
}

type stuckReader struct {
	*bytes.Reader
	stuck func()
}

func (r stuckReader) Read([]byte) (int, error) {
	r.stuck()
	return 0, errors.New("late")
}

// TestContentIsLeftAloneAfterABundle: a check that is abandoned does not read what
// the caller has again.
func TestContentIsLeftAloneAfterABundle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		release := make(chan struct{})
		content := &countedReader{Reader: strings.NewReader("content")}
		policy := policyOf(keys["P-256"]())
		policy.InsecureIgnoreTransparencyLog = false
		policy.TrustedRoots = rootsFunc(func(context.Context) (*verify.TrustedRoot, error) {
			<-release
			return ours.trust().parsed(t), nil
		})
		bundle := signed(t, keys["P-256"](), signing.Bundle).Bundle
		_, err := verify.Bundle(ctx, policy, verify.Artifact{Content: content}, bundle)
		if !errors.Is(err, context.DeadlineExceeded) || content.reads == 0 {
			t.Errorf("%d reads, %v", content.reads, err)
		}
		content.reads = 0
		close(release)
		synctest.Wait()
		if content.reads != 0 {
			t.Errorf("%d reads after Bundle returned", content.reads)
		}
	})
}

type countedReader struct {
	*strings.Reader
	reads int
}

func (r *countedReader) Read(p []byte) (int, error) {
	r.reads++
	return r.Reader.Read(p)
}

func (r *countedReader) Seek(offset int64, whence int) (int64, error) {
	r.reads++
	return r.Reader.Seek(offset, whence)
}

// TestAPanicOfTheRootsIsARejection: it is that of a dependency, and of no candidate.
func TestAPanicOfTheRootsIsARejection(t *testing.T) {
	t.Parallel()
	a := newAttempt(signing.Bundle)
	a.policy.TrustedRoots = rootsFunc(func(context.Context) (*verify.TrustedRoot, error) { panic("nil map") })
	_, err := a.verify(t)
	wantFamily(t, err, verify.ErrRejected)
}
