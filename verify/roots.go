// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"reflect"

	"github.com/sigstore/sigstore-go/pkg/root"
)

// TrustedRoots gives the trusted root to verify with. A [*TrustedRoot] gives
// itself; a TUF client of package verify/trust gives one that it keeps up to date.
// Implementations are safe for concurrent use.
type TrustedRoots interface {
	// TrustedRoot returns the root that is current. A verification asks once
	// and uses what it got to its end. An error is inconclusive, or
	// misconfigured where only a human can help.
	TrustedRoot(ctx context.Context) (*TrustedRoot, error)
}

// TrustedRoot is an immutable set of certificate authorities, transparency
// logs, certificate transparency logs and timestamp authorities. Package
// verify/trust reads them.
type TrustedRoot struct {
	material root.TrustedMaterial
}

var _ TrustedRoots = (*TrustedRoot)(nil)

// NewTrustedRoot makes a trusted root of one in the form of sigstore-go, which must
// not be modified from then on.
func NewTrustedRoot(material root.TrustedMaterial) *TrustedRoot { return &TrustedRoot{material} }

// TrustedRoot implements [TrustedRoots] and returns r.
func (r *TrustedRoot) TrustedRoot(context.Context) (*TrustedRoot, error) { return r, nil }

// Material returns the root in the form of sigstore-go. It must not be modified.
func (r *TrustedRoot) Material() root.TrustedMaterial { return r.material }

// isNone also finds a nil pointer of whatever type.
func isNone(r TrustedRoots) bool {
	v := reflect.ValueOf(r)
	return r == nil || v.Kind() == reflect.Pointer && v.IsNil()
}
