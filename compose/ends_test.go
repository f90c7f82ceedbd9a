// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package compose_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/compose"
	"github.com/cosignkit/cosignkit/internal/leash/leashtest"
)

// mover pulls and pushes at once, or calls stuck first.
func mover(stuck func()) compose.Mover {
	return func(context.Context, compose.Image) (ocispec.Descriptor, error) {
		if stuck != nil {
			stuck()
		}
		return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("image"), Size: 5}, nil
	}
}

// TestAProjectEndsWithItsContext: what the tool gave need not return.
func TestAProjectEndsWithItsContext(t *testing.T) {
	s := newScene(t)
	project := s.load("services:\n  a:\n    image: $R/a:v1\n  b:\n    image: $R/b:v1\n")
	for name, operation := range map[string]func(ctx context.Context, stuck func()) error{
		"pull": func(ctx context.Context, stuck func()) error {
			_, err := s.plan(project, compose.Config{}).Pull(ctx, mover(stuck))
			return err
		},
		"push": func(ctx context.Context, stuck func()) error {
			_, err := s.plan(project, compose.Config{Push: true}).Push(ctx, mover(stuck))
			return err
		},
		"start": func(ctx context.Context, stuck func()) error {
			_, err := s.plan(project, compose.Config{}).Start(ctx, mover(nil), func(context.Context, types.ServiceConfig, compose.Outcome) error {
				stuck()
				return nil
			})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) { leashtest.Ends(t, operation) })
	}
}

// TestOutcomesAreTheCallersAfterTheEnd: a pull that returns long after Pull has
// changes none.
func TestOutcomesAreTheCallersAfterTheEnd(t *testing.T) {
	s := newScene(t)
	project := s.load("services:\n  a:\n    image: $R/a:v1\n")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		release := make(chan struct{})
		var states []compose.State
		plan := s.plan(project, compose.Config{Trace: func(e compose.Event) { states = append(states, e.State) }})
		result, err := plan.Pull(ctx, mover(func() { <-release }))
		if !errors.Is(err, context.DeadlineExceeded) || result == nil || result.Outcomes[0].Err == nil {
			t.Fatalf("%+v, %v", result, err)
		}
		told := len(states)
		close(release)
		synctest.Wait()
		if o := result.Outcomes[0]; o.Target.Digest != "" || o.Err == nil || len(states) != told {
			t.Errorf("outcome %+v, told of %v", o, states[told:])
		}
	})
}
