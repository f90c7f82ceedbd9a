// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"io"
	"testing"

	"github.com/cosignkit/cosignkit/examples/kms/program"
	"github.com/cosignkit/cosignkit/verify"
)

// TestTheProviderIsAsked: it refuses the reference, and so is linked.
func TestTheProviderIsAsked(t *testing.T) {
	err := program.Run(t.Context(), []string{"sign", "gcpkms://projects/p", "registry.example/app:1"}, io.Discard)
	var typed *verify.Error
	if !errors.Is(err, verify.ErrMisconfigured) || !errors.As(err, &typed) || typed.Stage != "provider" {
		t.Errorf("error is %v, want one of the provider", err)
	}
}
