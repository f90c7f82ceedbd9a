// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	remoteserrors "github.com/containerd/containerd/v2/core/remotes/errors"
	"github.com/containerd/containerd/v2/pkg/reference"
	"github.com/containerd/errdefs"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/leash"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/verify"
)

// errContent is the cause when what a registry sent is not what its digest or
// descriptor says.
var errContent = errors.New("content does not match its descriptor")

// errName is the cause when a name has the digest of another image than it stands
// for.
var errName = errors.New("the name has another digest")

// kindOf tells the family of a failed request. Bad content from a registry is
// rejected. Everything that kept an answer from arriving is inconclusive, including
// refused credentials: a registry answers the same for content that it hides or does
// not have.
func kindOf(err error) error {
	switch {
	case fault.Family(err) != nil:
		return fault.Family(err)
	case errors.Is(err, limits.ErrExceeded), errors.Is(err, errContent), errors.Is(err, errName),
		errors.Is(err, leash.ErrPanic),    // of a parser, or of what the caller gave
		errdefs.IsFailedPrecondition(err): // content stores, of what is not of the expected size or digest
		return verify.ErrRejected
	case errors.Is(err, reference.ErrObjectRequired), errors.Is(err, reference.ErrHostnameRequired),
		errors.Is(err, reference.ErrInvalid):
		return verify.ErrMisconfigured
	default:
		return verify.ErrInconclusive
	}
}

// redacted is an error of a request, whose text a registry may have a hand in. See
// fault.OneLine.
type redacted struct{ error }

func (r redacted) Error() string {
	return fault.OneLine(r.error.Error())
}

func (r redacted) Unwrap() error { return r.error }

// failed prepares the error of a request. If the context has ended, its
// error is in the chain even if the transport reports the cause instead.
func failed(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ended := ctx.Err(); ended != nil && !errors.Is(err, ended) {
		err = fmt.Errorf("%w: %w", ended, err)
	}
	return redacted{err}
}

// isNotFound reports whether a registry said, and could say with authority,
// that something does not exist.
func isNotFound(err error) bool {
	return errdefs.IsNotFound(err) && !errors.Is(err, docker.ErrInvalidAuthorization) && !errors.Is(err, errNoHost)
}

// isDenied reports whether a registry, or its token server, refused to show
// something.
func isDenied(err error) bool {
	var status remoteserrors.ErrUnexpectedStatus
	return errors.Is(err, docker.ErrInvalidAuthorization) ||
		errors.As(err, &status) && (status.StatusCode == http.StatusUnauthorized || status.StatusCode == http.StatusForbidden)
}
