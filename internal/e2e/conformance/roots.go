// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/sigstore/sigstore-go/pkg/tuf"

	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/trust"
)

// repository is the TUF repository of the instance that c is about.
func (c command) repository() (*trust.TUF, error) {
	config := trust.TUFConfig{InitialRoot: trust.PublicInitialRoot()}
	if c.staging {
		config = trust.TUFConfig{Mirror: tuf.StagingMirror, InitialRoot: tuf.StagingRoot()}
	}
	return trust.NewTUF(config)
}

// roots are the trusted roots that c is about.
func (c command) roots() (verify.TrustedRoots, error) {
	if c.trustedRoot != "" {
		return trust.Load(c.trustedRoot)
	}
	return c.repository()
}
