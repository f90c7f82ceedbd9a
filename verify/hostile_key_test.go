// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"errors"
	"testing"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/verify"
)

// deepDER is a sequence of sequences, one more than are allowed.
func deepDER() []byte {
	b := []byte{5, 0}
	for range limits.DERDepth {
		b = append([]byte{0x30, byte(len(b))}, b...)
	}
	return b
}

func TestKeysAreCheckedBeforeTheyAreParsed(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func() error{
		"a key in DER": func() error { _, err := verify.ParsePublicKey(deepDER()); return err },
		"a key in PEM": func() error { _, err := verify.ParsePublicKey(inPEM("PUBLIC KEY", deepDER())); return err },
		"a key of RSA": func() error { _, err := verify.ParsePublicKey(inPEM("RSA PUBLIC KEY", deepDER())); return err },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := open()
			wantFamily(t, err, verify.ErrMisconfigured)
			if !errors.Is(err, verify.ErrLimit) {
				t.Errorf("error is %v, want one that is ErrLimit", err)
			}
		})
	}
}
