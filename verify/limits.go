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
// larger. What exceeds a limit fails with [ErrLimit], and hides nothing that
// does not: a signature that is within the limits still counts.
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

	// TotalBytes bounds what is read from each place. Default 32 MiB.
	TotalBytes int64

	// Time bounds one verification from the first look-up to the last check. It
	// ends as inconclusive then. Default 2 minutes.
	Time time.Duration
}

// withDefaults returns l with every field set.
func (l Limits) withDefaults() Limits {
	return Limits{
		Manifest:   cmp.Or(l.Manifest, limits.Manifest),
		Payload:    cmp.Or(l.Payload, limits.Payload),
		Bundle:     cmp.Or(l.Bundle, limits.Bundle),
		Chain:      cmp.Or(l.Chain, limits.Chain),
		Candidates: cmp.Or(l.Candidates, limits.Candidates),
		TotalBytes: cmp.Or(l.TotalBytes, limits.TotalBytes),
		Time:       cmp.Or(l.Time, limits.VerifyTime),
	}
}

func (l Limits) validate() error {
	for name, value := range map[string]int64{
		"Manifest": l.Manifest, "Payload": l.Payload, "Bundle": l.Bundle, "Chain": int64(l.Chain),
		"Candidates": int64(l.Candidates), "TotalBytes": l.TotalBytes, "Time": int64(l.Time),
	} {
		if value < 0 {
			return fmt.Errorf("negative limit %s", name)
		}
	}
	return nil
}

// DefaultLimits returns the limits of a policy that sets none.
func DefaultLimits() Limits { return Limits{}.withDefaults() }
