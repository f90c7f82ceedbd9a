// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/verify"
)

// Resolve asks what ref stands for, once, for a caller that then calls
// [Client.VerifyImage] with several policies. A reference with tag and digest
// resolves to the digest. It takes no longer than a verification does by default.
// Nothing is verified yet.
func (c *Client) Resolve(ctx context.Context, ref string) (verify.Image, error) {
	const op = "resolve"
	name, err := normalize(ref)
	if err != nil {
		return verify.Image{}, fault.New(verify.ErrMisconfigured, op, ref, "reference", err)
	}
	limited, cancel := withTime(ctx, limits.VerifyTimeout, "time to resolve")
	defer cancel()
	target, err := c.pullSource().resolve(c.ownContext(limited, limits.Manifest), name)
	if err != nil {
		return verify.Image{}, fault.New(kindOf(err), op, name.String(), "", err)
	}
	return verify.Image{Name: name.String(), Target: target}, nil
}
