// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"cmp"
	"fmt"
	"time"

	"github.com/cosignkit/cosignkit/internal/limits"
)

// Limits bounds what one verification reads. A zero field means the default,
// which suits every registry and signer that is known; others may be smaller or
// larger, up to 1 GiB, 1,048,576 of a kind, and 24 hours. What exceeds a limit
// fails with [ErrLimit]. What is within the limits still counts; only of the
// signatures of one place, those that are listed after the limit is reached are
// not seen.
type Limits struct {
	// Manifest bounds each manifest and index, and each page of a list of
	// referrers, in bytes. Default 4 MiB.
	Manifest int64

	// Payload bounds each simple signing payload in bytes. Default 256 KiB.
	Payload int64

	// Bundle bounds each Sigstore bundle, and each annotation of a legacy
	// signature, in bytes. Default 1 MiB.
	Bundle int64

	// Chain bounds the certificates that come with one signature, its own
	// included. Default 16.
	Chain int

	// Candidates bounds the signatures that are read from each place where
	// signatures live, and the pages of a list of referrers. Default 2048.
	Candidates int

	// TotalBytes bounds what is read from each place, and what is read of an
	// index to find what it contains. Default 32 MiB.
	TotalBytes int64

	// Timeout bounds one verification, from resolving the reference to the last
	// check. It ends as inconclusive then. Default 2 minutes.
	Timeout time.Duration
}

// WithDefaults returns l with every field set.
func (l Limits) WithDefaults() Limits {
	return Limits{
		Manifest:   cmp.Or(l.Manifest, limits.Manifest),
		Payload:    cmp.Or(l.Payload, limits.Payload),
		Bundle:     cmp.Or(l.Bundle, limits.Bundle),
		Chain:      cmp.Or(l.Chain, limits.Chain),
		Candidates: cmp.Or(l.Candidates, limits.Candidates),
		TotalBytes: cmp.Or(l.TotalBytes, limits.TotalBytes),
		Timeout:    cmp.Or(l.Timeout, limits.VerifyTimeout),
	}
}

func (l Limits) validate() error {
	const bytes, count = 1 << 30, 1 << 20
	for _, f := range []struct {
		name       string
		value, max int64
	}{
		{"Manifest", l.Manifest, bytes}, {"Payload", l.Payload, bytes}, {"Bundle", l.Bundle, bytes},
		{"TotalBytes", l.TotalBytes, bytes}, {"Chain", int64(l.Chain), count}, {"Candidates", int64(l.Candidates), count},
		{"Timeout", int64(l.Timeout), int64(24 * time.Hour)},
	} {
		if f.value < 0 || f.value > f.max {
			return fmt.Errorf("limit %s is %d, want 0 to %d", f.name, f.value, f.max)
		}
	}
	return nil
}
