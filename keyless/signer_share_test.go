// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cosignkit/cosignkit/signing"
)

// TestSignersWaitingForALoginShareItsFailure: of a project of many images, whose
// user closes the browser.
func TestSignersWaitingForALoginShareItsFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		closed := errors.New("the browser was closed")
		s := newSigner(t, newDeployment().client(t, everything), SignerConfig{
			Tokens: tokenFunc(func(context.Context, string) (string, error) {
				asked.Add(1)
				time.Sleep(time.Minute) // until all of the others wait
				return "", closed
			}),
		})
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				if _, err := s.Sign(t.Context(), theRequest(signing.Bundle)); !errors.Is(err, closed) {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if n := asked.Load(); n != 1 {
			t.Errorf("%d logins, want 1", n)
		}
		if _, err := s.Sign(t.Context(), theRequest(signing.Bundle)); !errors.Is(err, closed) || asked.Load() != 2 {
			t.Errorf("the next one: %d logins, %v", asked.Load(), err)
		}
	})
}
