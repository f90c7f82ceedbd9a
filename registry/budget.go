// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"sync/atomic"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/verify"
)

// budget is what one place may have read for it in one verification.
type budget struct {
	limits     verify.Limits
	bytes      atomic.Int64
	referrers  atomic.Int64
	candidates atomic.Int64
}

// take charges for what is about to be read, with the size that the reader will
// then insist on, or for what was read. What is refused costs nothing.
func (b *budget) take(n, limit int64, what string) error {
	if n < 0 || n > limit {
		return limits.Exceeded(what, limit)
	}
	for {
		taken := b.bytes.Load()
		if n > b.limits.TotalBytes-taken {
			return limits.Exceeded("signatures of the image in bytes", b.limits.TotalBytes)
		}
		if b.bytes.CompareAndSwap(taken, taken+n) {
			return nil
		}
	}
}

// descriptors is how many entries of one list are looked at, whatever they are.
func (b *budget) descriptors() int { return max(limits.Descriptors, 8*b.limits.Candidates) }

func (b *budget) takeReferrer() error {
	if b.referrers.Add(1) > int64(b.limits.Candidates) {
		return limits.Exceeded("number of referrers", b.limits.Candidates)
	}
	return nil
}

func (b *budget) takeCandidate() error {
	if b.candidates.Add(1) > int64(b.limits.Candidates) {
		return limits.Exceeded("number of signatures", b.limits.Candidates)
	}
	return nil
}
