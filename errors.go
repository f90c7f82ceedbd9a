// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package cosignkit

import "github.com/cosignkit/cosignkit/internal/fault"

// The families of error. Each error of this library matches exactly one, and says in
// its text what to do. Packages verify and signing have the same values.
var (
	// ErrRejected: the image is not acceptable. Trying again does not help.
	ErrRejected = fault.ErrRejected
	// ErrInconclusive: a service, a registry or the end of a context prevented a
	// decision. Trying again later may help. Do not run the image.
	ErrInconclusive = fault.ErrInconclusive
	// ErrMisconfigured: a flag, a file, a key or a policy is wrong. The user has to
	// change it.
	ErrMisconfigured = fault.ErrMisconfigured
)
