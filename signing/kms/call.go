// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package kms

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/keypair"
	"github.com/cosignkit/cosignkit/internal/leash"
	"github.com/cosignkit/cosignkit/internal/limits"
)

var errNoAnswer = fmt.Errorf("no answer in %v", limits.KeyService)

// await returns what do does, or that ctx has ended: not every provider takes a
// context. A panic is an error: some providers index into what the service said.
func await[T any](ctx context.Context, do func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limits.KeyService, errNoAnswer)
	defer cancel()
	value, err := leash.Call(ctx, do)
	if err != nil {
		err = fault.Printable(err)
	}
	return value, err
}

// kindOf is the family of what a provider returned: a key that cannot be used, or a
// service that may answer better later.
func kindOf(err error) error {
	if errors.Is(err, leash.ErrPanic) || errors.Is(err, keypair.ErrMismatch) || refused(err) {
		return fault.ErrMisconfigured
	}
	return fault.ErrInconclusive
}

// refusals are the codes by which AWS says so. With all of them, and with
// throttling, comes the status 400.
var refusals = []string{
	"AccessDeniedException", "DisabledException", "InvalidArnException", "InvalidKeyUsageException",
	"InvalidSignatureException", "KMSInvalidStateException", "NotFoundException", "UnrecognizedClientException",
	"ValidationException",
}

// refused reports whether the service understood the request and will not serve it.
// The errors of the SDKs are told by what they have, since to name their types is
// to link them.
func refused(err error) bool {
	var aws interface{ ErrorCode() string }
	if errors.As(err, &aws) {
		return slices.Contains(refusals, aws.ErrorCode())
	}
	var google interface{ GRPCStatus() *status.Status }
	if errors.As(err, &google) {
		return slices.Contains([]codes.Code{
			codes.InvalidArgument, codes.NotFound, codes.PermissionDenied, codes.Unauthenticated, codes.FailedPrecondition,
		}, google.GRPCStatus().Code())
	}
	return slices.Contains([]int{
		http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound,
	}, statusOf(err))
}

// statusOf is the field StatusCode that the errors of Azure and Vault have.
func statusOf(err error) int {
	for ; err != nil; err = errors.Unwrap(err) {
		v := reflect.Indirect(reflect.ValueOf(err))
		if v.Kind() != reflect.Struct {
			continue
		}
		field, ok := v.Type().FieldByName("StatusCode")
		if !ok {
			continue
		}
		// It may be promoted from a pointer that is nil.
		if code, err := v.FieldByIndexErr(field.Index); err == nil && code.CanInt() {
			return int(code.Int())
		}
	}
	return 0
}
