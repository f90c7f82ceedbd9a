// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !cgo

package pkcs11

import (
	"context"
	"crypto"
	"errors"

	"github.com/cosignkit/cosignkit/signing"
)

func openToken(context.Context, uri, string, signing.PassphraseFunc) (token, crypto.PublicKey, error) {
	return nil, nil, errors.New("this program is built without cgo, which loading a PKCS #11 library needs")
}

func kindOf(error) error { return signing.ErrMisconfigured }
