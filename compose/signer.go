// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package compose

import (
	"context"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/signing"
)

// jointSigner signs an image for all services that push it, in one go.
type jointSigner struct {
	parts []*part

	mu sync.Mutex
	// made are the parts of the signatures that are to be attached, in order.
	made []*part
	// digests are those that a signature was attached to.
	digests map[digest.Digest]bool
}

// part is what some services ask for.
type part struct {
	key      string
	outcomes []int
	signing.Signer
}

var (
	_ signing.Signer      = (*jointSigner)(nil)
	_ signing.Preflighter = (*jointSigner)(nil)
)

// Preflight implements [signing.Preflighter].
func (s *jointSigner) Preflight(ctx context.Context, request signing.Request) error {
	for _, part := range s.parts {
		if p, ok := part.Signer.(signing.Preflighter); ok {
			if err := p.Preflight(ctx, request); err != nil {
				return err
			}
		}
	}
	return nil
}

// Sign implements [signing.Signer].
func (s *jointSigner) Sign(ctx context.Context, request signing.Request) ([]signing.Signature, error) {
	var all []signing.Signature
	var made []*part
	for _, part := range s.parts {
		signatures, err := part.Signer.Sign(ctx, request)
		if err != nil {
			return nil, err
		}
		all = append(all, signatures...)
		for range signatures {
			made = append(made, part)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made = append(s.made, made...)
	return all, nil
}

// owners are the outcomes of a signature that was attached: the next one.
func (s *jointSigner) owners(a registry.Attached) []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.digests == nil {
		s.digests = map[digest.Digest]bool{}
	}
	s.digests[a.Subject] = true
	if len(s.made) == 0 {
		return nil
	}
	next := s.made[0]
	s.made = s.made[1:]
	return next.outcomes
}

func (s *jointSigner) signed(d digest.Digest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.digests[d]
}
