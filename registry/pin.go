// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/verify"
)

const opPin = "pin"

// Pin records in store that ref stands for target, under the full name of ref,
// such as docker.io/library/alpine:latest. It may have a tag, a digest or both; a
// digest that is not target's is misconfigured. What ref stood for is replaced; the
// labels of the record stay.
func Pin(ctx context.Context, store images.Store, ref string, target ocispec.Descriptor) error {
	name, err := normalize(ref)
	if err == nil {
		err = checkTarget(target)
	}
	if err == nil {
		err = checkName(name, target)
	}
	if err != nil {
		return fault.New(verify.ErrMisconfigured, opPin, ref, "", err)
	}
	image := images.Image{Name: name.String(), Target: target}
	for range limits.PinAttempts {
		_, err = store.Update(ctx, image, "target")
		if errdefs.IsNotFound(err) {
			_, err = store.Create(ctx, image)
		}
		if err == nil {
			return nil
		}
		if !errdefs.IsAlreadyExists(err) {
			return fault.New(storeKind(err), opPin, name.String(), "", failed(ctx, err))
		}
	}
	return fault.New(verify.ErrInconclusive, opPin, name.String(), "", errors.New("others create and delete it all the time"))
}
