// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/limits"
)

// The three families of failure. Every error that this library returns matches
// exactly one of them with errors.Is, but for those of the methods of [Identity].
var (
	// ErrRejected: the image was checked and is not acceptable. Trying again
	// does not help.
	ErrRejected = fault.ErrRejected

	// ErrInconclusive: the image could not be checked, because of the network,
	// a registry's refusal or throttling, or the end of the context. It must
	// not run, and trying again may help.
	ErrInconclusive = fault.ErrInconclusive

	// ErrMisconfigured: the caller's policy, key, file or reference is wrong.
	// It needs a human.
	ErrMisconfigured = fault.ErrMisconfigured
)

// ErrLimit is the cause of a failure because input was larger, or there was more
// of it, than this library reads. It comes with one of the three families.
var ErrLimit = limits.ErrExceeded

// Error is the type of every error that this library returns. Its fields are
//
//	Op      string // what was asked for: "verify", "sign", "push", …
//	Stage   string // the step that failed: "resolve", "referrers", …; may be empty
//	Subject string // the image reference, digest or file concerned
//	Kind    error  // ErrRejected, ErrInconclusive or ErrMisconfigured
//	Err     error  // the cause
//
// and it unwraps to both Kind and Err.
type Error = fault.Error
