// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"sync"

	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Once is a SignOption with which an image is signed once in each repository, under
// however many tags it is pushed. The zero value is ready. It is for calls with one
// signer and otherwise the same options, and is safe for concurrent use: two that
// begin at the same time may sign twice.
type Once struct {
	mu   sync.Mutex
	done map[string]bool
}

func (o *Once) applyToSign(options *signOptions) { options.once = o }

func onceKey(name reference.Named, target ocispec.Descriptor) string {
	return name.Name() + "@" + target.Digest.String()
}

func (o *Once) has(name reference.Named, target ocispec.Descriptor) bool {
	if o == nil {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.done[onceKey(name, target)]
}

func (o *Once) add(name reference.Named, target ocispec.Descriptor) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.done == nil {
		o.done = map[string]bool{}
	}
	o.done[onceKey(name, target)] = true
}
