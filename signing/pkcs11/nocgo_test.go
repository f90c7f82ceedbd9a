// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !cgo

package pkcs11

import (
	"errors"
	"os"
	"testing"

	"github.com/cosignkit/cosignkit/verify"
)

func TestWithoutCgo(t *testing.T) {
	t.Parallel()
	executable, err := os.Executable() // any file
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), Config{URI: "pkcs11:token=a;object=b?pin-value=" + secret, Module: executable})
	if !errors.Is(err, verify.ErrMisconfigured) {
		t.Fatalf("error is %v", err)
	}
	wantNoPIN(t, err)
}
