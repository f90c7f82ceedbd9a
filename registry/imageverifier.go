// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"

	"github.com/containerd/containerd/v2/pkg/imageverifier"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/verify"
)

// ImageVerifier is containerd's image verifier, for daemons that embed
// containerd's transfer service: it is called after a reference is resolved and
// before anything is fetched. For a daemon as it is shipped, build
// examples/image-verifier.
type ImageVerifier struct{}

var _ imageverifier.ImageVerifier = (*ImageVerifier)(nil)

// NewImageVerifier returns an image verifier that reaches signatures by client
// and decides by verifier, such as a [policyfile.Policy].
func NewImageVerifier(client *Client, verifier verify.Verifier, opts ...VerifyOption) (*ImageVerifier, error) {
	return nil, errors.New("not built")
}

// VerifyImage implements containerd's ImageVerifier. An image that is rejected
// is a judgement that is not OK; what could not be checked is an error. With
// either, containerd does not pull.
func (v *ImageVerifier) VerifyImage(ctx context.Context, name string, desc ocispec.Descriptor) (*imageverifier.Judgement, error) {
	return nil, errors.New("not built")
}
