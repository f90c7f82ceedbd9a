// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package signing_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/cosignkit/cosignkit/signing"
)

func TestParseForm(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]signing.Form{
		"": signing.Bundle, "bundle": signing.Bundle, "legacy": signing.Legacy, "both": signing.Both,
	} {
		got, err := signing.ParseForm(text)
		if err != nil || got != want {
			t.Errorf("ParseForm(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"Bundle", "bundle ", "sig", "none", "Form(1)"} {
		_, err := signing.ParseForm(text)
		wantFamily(t, err, signing.ErrMisconfigured)
		for _, want := range []string{strconv.Quote(text), "bundle", "legacy", "both"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("error %q does not say %s", err, want)
			}
		}
	}
}
