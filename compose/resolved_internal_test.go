// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package compose

import (
	"testing"

	"github.com/containerd/containerd/v2/core/remotes"
	containerdtransfer "github.com/containerd/containerd/v2/core/transfer"
)

// optionsResolver counts the options that it is given.
type optionsResolver struct {
	remotes.Resolver
	options int
}

func (r *optionsResolver) SetOptions(opts ...containerdtransfer.ImageResolverOption) {
	r.options += len(opts)
}

// TestResolvedHandsOptionsOn: client.Pull sets its limits on the resolver, if that
// takes options.
func TestResolvedHandsOptionsOn(t *testing.T) {
	t.Parallel()
	inner := &optionsResolver{}
	var outer remotes.Resolver = resolved{Resolver: inner}
	taking, ok := outer.(remotes.ResolverWithOptions)
	if !ok {
		t.Fatal("it takes no options")
	}
	taking.SetOptions(nil, nil)
	if inner.options != 2 {
		t.Errorf("%d options arrived, want 2", inner.options)
	}
	resolved{}.SetOptions(nil) // a resolver that takes none
}
