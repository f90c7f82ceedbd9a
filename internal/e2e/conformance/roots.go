// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/sigstore/sigstore-go/pkg/tuf"

	"github.com/cosignkit/cosignkit/verify"
)

// repository is the TUF repository of the instance that c is about.
func (c command) repository() (*verify.TUF, error) {
	config := verify.TUFConfig{InitialRoot: verify.PublicInitialRoot()}
	if c.staging {
		config = verify.TUFConfig{Mirror: tuf.StagingMirror, InitialRoot: tuf.StagingRoot()}
	}
	return verify.NewTUF(config)
}

// roots are the trusted roots that c is about.
func (c command) roots() (verify.TrustedRoots, error) {
	if c.trustedRoot != "" {
		return verify.LoadTrustedRoot(c.trustedRoot)
	}
	return c.repository()
}
