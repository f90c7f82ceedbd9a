// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package signing_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/cosignkit/cosignkit/signing"
)

func TestPassphraseFromEnvironment(t *testing.T) {
	otherwise := signing.Passphrase([]byte("from elsewhere"))
	set := func(value string) func(*testing.T) {
		return func(t *testing.T) { t.Setenv("COSIGN_PASSWORD", value) }
	}
	unset := func(t *testing.T) {
		t.Setenv("COSIGN_PASSWORD", "") // restored when the test ends
		if err := os.Unsetenv("COSIGN_PASSWORD"); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		env       func(*testing.T)
		otherwise signing.PassphraseFunc
		want      string
		cause     error
	}{
		"set wins":                 {env: set("from the variable"), otherwise: otherwise, want: "from the variable"},
		"set to the empty string":  {env: set(""), otherwise: otherwise, want: ""},
		"white space is kept":      {env: set(" x\n"), want: " x\n"},
		"unset asks the other":     {env: unset, otherwise: otherwise, want: "from elsewhere"},
		"unset with nobody to ask": {env: unset, cause: signing.ErrNoPassphrase},
	} {
		t.Run(name, func(t *testing.T) {
			c.env(t)
			got, err := signing.PassphraseFromEnvironment(c.otherwise)(t.Context(), "cosign.key")
			if !errors.Is(err, c.cause) {
				t.Fatalf("error is %v, want %v", err, c.cause)
			}
			if c.cause != nil && !strings.Contains(err.Error(), "COSIGN_PASSWORD") {
				t.Errorf("error %q does not name the variable", err)
			}
			if string(got) != c.want {
				t.Errorf("passphrase is %q, want %q", got, c.want)
			}
		})
	}
}
