// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package pkcs11

import (
	"strings"
	"testing"
)

const secret = "s3cret"

func wantNoPIN(t *testing.T, err error) {
	t.Helper()
	for _, pin := range []string{secret, "648219", "735102"} {
		if strings.Contains(err.Error(), pin) {
			t.Errorf("the error %q has the PIN", err)
		}
	}
}

func TestParseURI(t *testing.T) {
	t.Parallel()
	five := uint(5)
	for s, want := range map[string]uri{
		"pkcs11:token=a;object=b":                              {token: "a", object: "b"},
		"pkcs11:object=b;token=a":                              {token: "a", object: "b"},
		"pkcs11:token=My%20Token;object=%c3%a9":                {token: "My Token", object: "é"},
		"pkcs11:token=a+b;object=c+d":                          {token: "a+b", object: "c+d"},
		"pkcs11:serial=1;id=%00%ff;type=private":               {serial: "1", id: "\x00\xff"},
		"pkcs11:token=a;object=b;manufacturer=m;model=n":       {token: "a", object: "b", manufacturer: "m", model: "n"},
		"pkcs11:slot-id=5;object=b?module-path=/a%20b.so":      {slot: &five, object: "b", module: "/a b.so"},
		"pkcs11:token=a;slot-id=5;id=%01?module-path=/m":       {token: "a", slot: &five, id: "\x01", module: "/m"},
		"pkcs11:token=a;object=b?module-path=/m&pin-value=%26": {token: "a", object: "b", module: "/m"},
	} {
		got, err := parseURI(s)
		if err != nil {
			t.Errorf("%s: %v", s, err)
			continue
		}
		if strings.Contains(s, "pin-value") != (got.pin != nil) || got.pin != nil && *got.pin != "&" {
			t.Errorf("%s: PIN is %v", s, got.pin)
		}
		if (got.slot == nil) != (want.slot == nil) || got.slot != nil && *got.slot != *want.slot {
			t.Errorf("%s: slot is %v", s, got.slot)
		}
		got.pin, got.slot, want.slot = nil, nil, nil
		if got != want {
			t.Errorf("%s is %+v, want %+v", s, got, want)
		}
	}
}

func TestParseURIRefuses(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"":                                                      "want a pkcs11: URI",
		"token=a;object=b":                                      "want a pkcs11: URI",
		"PKCS11:token=a;object=b":                               "want a pkcs11: URI",
		"pkcs11:":                                               "names no token",
		"pkcs11:object=b":                                       "names no token",
		"pkcs11:token=;object=b":                                "malformed",
		"pkcs11:token=a":                                        "names no key",
		"pkcs11:token=a;object":                                 "without a value",
		"pkcs11:token=a;object=%":                               "malformed",
		"pkcs11:token=a;object=%zz":                             "malformed",
		"pkcs11:token=a;token=b;id=c":                           "twice",
		"pkcs11:token=a;id=b;type=cert":                         "not of a private key",
		"pkcs11:slot-id=-1;id=b":                                "not a number",
		"pkcs11:slot-id=99999999999;id=b":                       "not a number",
		"pkcs11:token=a;id=b;library-version=3":                 "not supported",
		"pkcs11:token=a;id=b;x-vendor=3":                        "not supported",
		"pkcs11:token=a;id=b?pin-source=%7c/bin/sh":             "not supported",
		"pkcs11:token=a;id=b?module-name=softhsm2":              "not supported",
		"pkcs11:token=a;id=b?pin-value=s3cret&pin-value=a":      "twice",
		"pkcs11:token=a;id=b?pin-value=s3cret%":                 "malformed",
		"pkcs11:token=a;id=b?module-path=/m%00":                 "malformed",
		"pkcs11:token=a;id=b;pin-value=s3cret":                  "not supported",
		"pkcs11:token=a;id=b?s3cret":                            "without a value",
		"pkcs11:token=" + strings.Repeat("a", maxURI) + ";id=b": "want a pkcs11: URI",
	} {
		_, err := parseURI(s)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.64q: error is %v, want %q", s, err, want)
			continue
		}
		wantNoPIN(t, err)
		if strings.Contains(describe(s), secret) {
			t.Errorf("%.64q is shown as %q", s, describe(s))
		}
	}
}

func TestWhatIsShownOfAURI(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"pkcs11:token=a;object=b?pin-value=s3cret": "pkcs11:token=a;object=b",
		"pkcs11:token=a;object=b":                  "pkcs11:token=a;object=b",
		"pkcs11:token=a;pinfile=s3cret":            "pkcs11:…",
		"pkcs11:token=a;PIN-value=s3cret":          "pkcs11:…",
		"pkcs11:token=\x1b[2Ja;object=b":           "pkcs11:…",
		"s3cret":                                   "",
	} {
		if got := describe(s); got != want {
			t.Errorf("%q is shown as %q, want %q", s, got, want)
		}
	}
}

func FuzzParseURI(f *testing.F) {
	f.Add("pkcs11:token=a;slot-id=5;id=%01;object=b?module-path=/m&pin-value=s3cret")
	f.Add("pkcs11:?")
	f.Fuzz(func(t *testing.T, s string) {
		u, err := parseURI(s)
		if err == nil && (u.token == "" && u.serial == "" && u.slot == nil || u.id == "" && u.object == "") {
			t.Errorf("%q names no token or no key", s)
		}
		before, query, _ := strings.Cut(s, "?")
		if shown := describe(s); len(query) > 0 && shown != scheme+"…" && len(shown) > len(before) {
			t.Errorf("%q is shown as %q", s, describe(s))
		}
	})
}
