// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package cosignkit_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cosignkit/cosignkit"
	"github.com/cosignkit/cosignkit/verify"
)

// projectDir has the files that fields name.
func projectDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"cosign.key", "cosign.pub", "root.json"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("-"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestParseFields(t *testing.T) {
	t.Parallel()
	dir := projectDir(t)
	in := func(name string) string { return filepath.Join(dir, name) }
	for name, c := range map[string]struct {
		fields map[string]any
		want   cosignkit.Fields
	}{
		"no fields": {},
		"fields of others": {
			fields: map[string]any{"x-logging": 1, "x-nerdctl": nil, "x-common": map[string]any{"a": 1}, "x-sign": "a", "x-\u8a2d\u5b9a\u8a2d\u5b9a\u8a2d\u5b9a-\u8a2d\u5b9a": 1, "x-nerd": 1, "x-verify": "cosign"},
		},
		"none turns off what a base file asks for": {
			fields: map[string]any{
				"x-nerdctl-verify": "none", "x-nerdctl-sign": "none",
				"x-nerdctl-cosign-public-key": "missing.pub", "x-nerdctl-cosign-private-key": 1,
				"x-nerdctl-cosign-annotations": []any{}, "x-nerdctl-cosign-insecure-ignore-tlog": "yes",
			},
		},
		"a key pair, relative to the project": {
			fields: map[string]any{
				"x-nerdctl-verify": "cosign", "x-nerdctl-sign": "cosign",
				"x-nerdctl-cosign-public-key": "cosign.pub", "x-nerdctl-cosign-private-key": "./keys/../cosign.key",
			},
			want: cosignkit.Fields{
				Sign:   cosignkit.SignOptions{Provider: "cosign", CosignKey: in("cosign.key")},
				Verify: cosignkit.VerifyOptions{Provider: "cosign", CosignKey: in("cosign.pub")},
			},
		},
		"an absolute path": {
			fields: map[string]any{"x-nerdctl-verify": "cosign", "x-nerdctl-cosign-public-key": in("cosign.pub")},
			want:   cosignkit.Fields{Verify: cosignkit.VerifyOptions{Provider: "cosign", CosignKey: in("cosign.pub")}},
		},
		"references with a scheme": {
			fields: map[string]any{
				"x-nerdctl-verify": "cosign", "x-nerdctl-sign": "cosign",
				"x-nerdctl-cosign-public-key": "env://PUB", "x-nerdctl-cosign-private-key": "awskms:///alias/key",
			},
			want: cosignkit.Fields{
				Sign:   cosignkit.SignOptions{Provider: "cosign", CosignKey: "awskms:///alias/key"},
				Verify: cosignkit.VerifyOptions{Provider: "cosign", CosignKey: "env://PUB"},
			},
		},
		"a key on a token": {
			fields: map[string]any{"x-nerdctl-sign": "cosign", "x-nerdctl-cosign-private-key": "pkcs11:token=t"},
			want:   cosignkit.Fields{Sign: cosignkit.SignOptions{Provider: "cosign", CosignKey: "pkcs11:token=t"}},
		},
		"signing with an identity": {
			fields: map[string]any{"x-nerdctl-sign": "cosign"},
			want:   cosignkit.Fields{Sign: cosignkit.SignOptions{Provider: "cosign"}},
		},
		"an identity": {
			fields: map[string]any{
				"x-nerdctl-verify":                                "cosign",
				"x-nerdctl-cosign-certificate-identity":           "name@example.com",
				"x-nerdctl-cosign-certificate-oidc-issuer-regexp": `https://.*\.example`,
				"x-nerdctl-cosign-trusted-root":                   "root.json",
				"x-nerdctl-cosign-annotations":                    map[string]any{"env": "prod"},
				"x-nerdctl-cosign-insecure-ignore-tlog":           true,
			},
			want: cosignkit.Fields{Verify: cosignkit.VerifyOptions{
				Provider: "cosign", CosignCertificateIdentity: "name@example.com", CosignCertificateOidcIssuerRegexp: `https://.*\.example`,
				TrustedRoot: in("root.json"), Annotations: map[string]string{"env": "prod"}, InsecureIgnoreTlog: true,
			}},
		},
		"every field of ours": {
			fields: map[string]any{
				"x-nerdctl-sign": "cosign", "x-nerdctl-verify": "cosign",
				"x-nerdctl-cosign-certificate-identity-regexp": ".*@example[.]com",
				"x-nerdctl-cosign-certificate-oidc-issuer":     "https://issuer.example",
				"x-nerdctl-cosign-trusted-root":                "root.json",
				"x-nerdctl-cosign-annotations":                 map[string]any{"env": "prod"},
				"x-nerdctl-cosign-signature-format":            "both",
				"x-nerdctl-cosign-insecure-ignore-tlog":        true,
			},
			want: cosignkit.Fields{
				Sign: cosignkit.SignOptions{Provider: "cosign", Format: "both", TrustedRoot: in("root.json"), Annotations: map[string]string{"env": "prod"}},
				Verify: cosignkit.VerifyOptions{
					Provider: "cosign", CosignCertificateIdentityRegexp: ".*@example[.]com", CosignCertificateOidcIssuer: "https://issuer.example",
					TrustedRoot: in("root.json"), Annotations: map[string]string{"env": "prod"}, InsecureIgnoreTlog: true,
				},
			},
		},
		"another provider is passed on": {
			fields: map[string]any{"x-nerdctl-sign": "notation", "x-nerdctl-verify": "notation"},
			want:   cosignkit.Fields{Sign: cosignkit.SignOptions{Provider: "notation"}, Verify: cosignkit.VerifyOptions{Provider: "notation"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := cosignkit.ParseFields("web", c.fields, dir)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

const privateKey = "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nSECRET\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n"

func TestParseFieldsRefuses(t *testing.T) {
	t.Parallel()
	dir := projectDir(t)
	verifying := map[string]any{"x-nerdctl-verify": "cosign", "x-nerdctl-cosign-public-key": "cosign.pub"}
	signs := map[string]any{"x-nerdctl-sign": "cosign", "x-nerdctl-cosign-private-key": "cosign.key"}
	keyless := map[string]any{
		"x-nerdctl-verify":                         "cosign",
		"x-nerdctl-cosign-certificate-identity":    "name@example.com",
		"x-nerdctl-cosign-certificate-oidc-issuer": "https://issuer.example",
	}
	with := func(base map[string]any, field string, value any) map[string]any {
		fields := maps.Clone(base)
		fields[field] = value
		return fields
	}
	without := func(base map[string]any, field string) map[string]any {
		fields := maps.Clone(base)
		delete(fields, field)
		return fields
	}
	for name, c := range map[string]struct {
		fields map[string]any
		want   []string // one problem each, without the service
	}{
		"a provider that is a boolean": {
			with(verifying, "x-nerdctl-verify", true),
			[]string{"x-nerdctl-verify: found the boolean true, want cosign, notation or none, as a string"},
		},
		"a provider that is a number": {
			with(signs, "x-nerdctl-sign", 1),
			[]string{"x-nerdctl-sign: found the number 1, want cosign, notation or none, as a string"},
		},
		"a provider that is null": {
			with(verifying, "x-nerdctl-verify", nil),
			[]string{"x-nerdctl-verify: found nothing, want cosign, notation or none, as a string"},
		},
		"a provider that is a list": {
			with(verifying, "x-nerdctl-verify", []any{"cosign"}),
			[]string{"x-nerdctl-verify: found a list, want cosign, notation or none, as a string"},
		},
		"a provider of another spelling": {
			with(verifying, "x-nerdctl-verify", "Cosign"),
			[]string{`x-nerdctl-verify: found "Cosign", want cosign, notation or none`},
		},
		"a provider from a variable that is not set": {
			with(verifying, "x-nerdctl-verify", ""),
			[]string{"x-nerdctl-verify: found an empty value, such as that of a variable that is not set, want cosign, notation or none"},
		},
		"a misspelt field": {
			with(verifying, "x-nerdctl-cosign-pulic-key", "cosign.pub"),
			[]string{"x-nerdctl-cosign-pulic-key: found an unknown field, want x-nerdctl-cosign-public-key"},
		},
		"a misspelt provider, alone": {
			map[string]any{"x-nerdctl-verfy": "cosign"},
			[]string{"x-nerdctl-verfy: found an unknown field, want x-nerdctl-verify"},
		},
		"a misspelt prefix": {
			map[string]any{"x-nerdclt-verify": "cosign"},
			[]string{"x-nerdclt-verify: found an unknown field, want x-nerdctl-verify"},
		},
		"a prefix in another case": {
			map[string]any{"x-NERDCTL-verify": "cosign"},
			[]string{"x-NERDCTL-verify: found an unknown field, want x-nerdctl-verify"},
		},
		"a misspelt prefix and name": {
			map[string]any{"x-nertdctl-veryfi": "cosign"},
			[]string{"x-nertdctl-veryfi: found an unknown field, want x-nerdctl-verify"},
		},
		"an underscore": {
			map[string]any{"x-nerdctl_verify": "cosign"},
			[]string{"x-nerdctl_verify: found an unknown field, want x-nerdctl-verify"},
		},
		"underscores": {
			map[string]any{"x-nerdctl_cosign_public_key": "cosign.pub"},
			[]string{"x-nerdctl_cosign_public_key: found an unknown field, want x-nerdctl-cosign-public-key"},
		},
		"a letter of another alphabet": {
			map[string]any{"x-n\u0435rdctl-verify": "cosign"},
			[]string{"x-n\u0435rdctl-verify: found an unknown field, want x-nerdctl-verify"},
		},
		"many letters of other alphabets": {
			map[string]any{"x-n\u0435rd\u0441tl-v\u0435r\u0456f\u0443": "cosign", "x-\uff4e\uff45\uff52\uff44\uff43\uff54\uff4c-sign": "cosign"},
			[]string{
				"x-n\u0435rd\u0441tl-v\u0435r\u0456f\u0443: found an unknown field, want x-nerdctl-verify",
				"x-\uff4e\uff45\uff52\uff44\uff43\uff54\uff4c-sign: found an unknown field, want x-nerdctl-sign",
			},
		},
		"another hyphen": {
			map[string]any{"x-nerdctl\u2010verify": "cosign"},
			[]string{"x-nerdctl\u2010verify: found an unknown field, want x-nerdctl-verify"},
		},
		"what nobody sees": {
			map[string]any{"x-\u200bnerd\u200bctl-\u200bveri\u0307fy": "cosign"},
			[]string{`"x-\u200bnerd\u200bctl-\u200bveri` + "\u0307" + `fy": found an unknown field, want x-nerdctl-verify`},
		},
		"a mapping in the place of the fields": {
			map[string]any{"x-nerdctl": map[string]any{"verify": "cosign"}},
			[]string{"x-nerdctl: found a mapping, want fields beside it, such as x-nerdctl-verify: cosign"},
		},
		"a provider in the place of the fields": {
			map[string]any{"x-nerdctl": "cosign"},
			[]string{`x-nerdctl: found the string "cosign", want fields beside it, such as x-nerdctl-verify: cosign`},
		},
		"a provider that is a date": {
			with(verifying, "x-nerdctl-verify", time.Unix(0, 0)),
			[]string{"x-nerdctl-verify: found a date, want cosign, notation or none, as a string"},
		},
		"another case": {
			map[string]any{"x-nerdctl-Sign": "cosign"},
			[]string{"x-nerdctl-Sign: found an unknown field, want x-nerdctl-sign"},
		},
		"a field that nothing resembles": {
			map[string]any{"x-nerdctl-z": 1},
			[]string{"x-nerdctl-z: found an unknown field, want one of " + strings.Join(cosignkit.FieldNames(), ", ")},
		},
		"a public key without its provider": {
			without(verifying, "x-nerdctl-verify"),
			[]string{"x-nerdctl-cosign-public-key: found it without its provider, want also x-nerdctl-verify: cosign"},
		},
		"a private key without its provider": {
			without(signs, "x-nerdctl-sign"),
			[]string{"x-nerdctl-cosign-private-key: found it without its provider, want also x-nerdctl-sign: cosign"},
		},
		"a public key where only signing is asked for": {
			with(signs, "x-nerdctl-cosign-public-key", "cosign.pub"),
			[]string{"x-nerdctl-cosign-public-key: found it without its provider, want also x-nerdctl-verify: cosign"},
		},
		"a key for notation": {
			with(verifying, "x-nerdctl-verify", "notation"),
			[]string{"x-nerdctl-cosign-public-key: found it without its provider, want also x-nerdctl-verify: cosign"},
		},
		"a trusted root alone": {
			map[string]any{"x-nerdctl-cosign-trusted-root": "root.json"},
			[]string{"x-nerdctl-cosign-trusted-root: found it without its provider, want also x-nerdctl-sign: cosign, or x-nerdctl-verify: cosign"},
		},
		"a provider without what it needs": {
			map[string]any{"x-nerdctl-verify": "cosign"},
			[]string{"x-nerdctl-verify: found cosign alone, want also x-nerdctl-cosign-public-key, or x-nerdctl-cosign-certificate-identity and x-nerdctl-cosign-certificate-oidc-issuer"},
		},
		"a key and an identity": {
			with(verifying, "x-nerdctl-cosign-certificate-identity", "name@example.com"),
			[]string{"x-nerdctl-cosign-certificate-identity: found it beside x-nerdctl-cosign-public-key, want either a key or an identity"},
		},
		"an identity without issuer": {
			without(keyless, "x-nerdctl-cosign-certificate-oidc-issuer"),
			[]string{"x-nerdctl-cosign-certificate-oidc-issuer: found nothing, want the URL of the issuer that vouches for the identity, here or in x-nerdctl-cosign-certificate-oidc-issuer-regexp"},
		},
		"an issuer without identity": {
			without(keyless, "x-nerdctl-cosign-certificate-identity"),
			[]string{"x-nerdctl-cosign-certificate-identity: found nothing, want the subject that the issuer vouches for, here or in x-nerdctl-cosign-certificate-identity-regexp"},
		},
		"an identity twice": {
			with(keyless, "x-nerdctl-cosign-certificate-identity-regexp", ".*"),
			[]string{"x-nerdctl-cosign-certificate-identity-regexp: found it beside x-nerdctl-cosign-certificate-identity, want one of the two"},
		},
		"an empty identity": {
			with(keyless, "x-nerdctl-cosign-certificate-identity", " "),
			[]string{"x-nerdctl-cosign-certificate-identity: found an empty value, such as that of a variable that is not set, want the subject of a certificate"},
		},
		"an empty regular expression, which matches everybody": {
			with(without(keyless, "x-nerdctl-cosign-certificate-identity"), "x-nerdctl-cosign-certificate-identity-regexp", ""),
			[]string{"x-nerdctl-cosign-certificate-identity-regexp: found an empty value, such as that of a variable that is not set, want a regular expression for the subject of a certificate"},
		},
		"a regular expression that does not compile": {
			with(without(keyless, "x-nerdctl-cosign-certificate-identity"), "x-nerdctl-cosign-certificate-identity-regexp", "(("),
			[]string{`x-nerdctl-cosign-certificate-identity-regexp: found "((", which does not compile, want a regular expression for the subject of a certificate`},
		},
		"an empty key, which is not an identity": {
			with(signs, "x-nerdctl-cosign-private-key", ""),
			[]string{"x-nerdctl-cosign-private-key: found an empty value, such as that of a variable that is not set, want a private key, as a path or a reference such as env://NAME"},
		},
		"a key in the place of its path": {
			with(signs, "x-nerdctl-cosign-private-key", privateKey),
			[]string{"x-nerdctl-cosign-private-key: found a key itself, or a reference with a password, a PIN or a module in it, want a private key, as a path or a reference such as env://NAME"},
		},
		"a module of a token, whose code a project would have run": {
			with(signs, "x-nerdctl-cosign-private-key", "pkcs11:token=t;object=o?module-path=/tmp/evil.so"),
			[]string{"x-nerdctl-cosign-private-key: found a key itself, or a reference with a password, a PIN or a module in it, want a private key, as a path or a reference such as env://NAME"},
		},
		"a key as a number": {
			with(verifying, "x-nerdctl-cosign-public-key", 12),
			[]string{"x-nerdctl-cosign-public-key: found the number 12, want a public key, as a path or a reference such as env://NAME, as a string"},
		},
		"a boolean as a string": {
			with(verifying, "x-nerdctl-cosign-insecure-ignore-tlog", "false"),
			[]string{`x-nerdctl-cosign-insecure-ignore-tlog: found the string "false", want true or false, as a boolean`},
		},
		"an unknown form": {
			with(signs, "x-nerdctl-cosign-signature-format", "dsse"),
			[]string{`x-nerdctl-cosign-signature-format: found "dsse", want bundle, legacy or both`},
		},
		"annotations as a list": {
			with(signs, "x-nerdctl-cosign-annotations", []any{"a=b"}),
			[]string{"x-nerdctl-cosign-annotations: found a list, want a mapping of names to strings"},
		},
		"no annotation": {
			with(signs, "x-nerdctl-cosign-annotations", map[string]any{}),
			[]string{"x-nerdctl-cosign-annotations: found an empty mapping, want a mapping of names to strings"},
		},
		"an annotation that is a number": {
			with(signs, "x-nerdctl-cosign-annotations", map[string]any{"build": 7}),
			[]string{`x-nerdctl-cosign-annotations: found the number 7 for "build", want a string; quote it`},
		},
		"an empty annotation": {
			with(verifying, "x-nerdctl-cosign-annotations", map[string]any{"env": ""}),
			[]string{`x-nerdctl-cosign-annotations: found an empty name or value: "env", want a mapping of names to strings`},
		},
		"all at once, in order": {
			map[string]any{
				"x-nerdctl-sign": "x", "x-nerdctl-verify": 7, "x-nerdctl-verfiy": "cosign", "x-nerdctl-cosign-private-key": nil,
			},
			[]string{
				"x-nerdctl-sign: found \"x\", want cosign, notation or none",
				"x-nerdctl-verfiy: found an unknown field, want x-nerdctl-verify",
				"x-nerdctl-verify: found the number 7, want cosign, notation or none, as a string",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := cosignkit.ParseFields("web", c.fields, dir)
			if !errors.Is(err, verify.ErrMisconfigured) || !reflect.DeepEqual(got, cosignkit.Fields{}) {
				t.Fatalf("got %+v and %v, want nothing and misconfigured", got, err)
			}
			var problems cosignkit.FieldErrors
			if !errors.As(err, &problems) {
				t.Fatalf("%v has no FieldErrors", err)
			}
			for i, want := range c.want {
				c.want[i] = "service web: " + want
			}
			if text := strings.Split(problems.Error(), "\n"); !slices.Equal(text, c.want) {
				t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(text, "\n\t"), strings.Join(c.want, "\n\t"))
			}
		})
	}
}

func quoted(s string) string { return `"` + s + `"` }

func TestCheckFiles(t *testing.T) {
	t.Parallel()
	dir := projectDir(t)
	fields, err := cosignkit.ParseFields("web", map[string]any{
		"x-nerdctl-sign": "cosign", "x-nerdctl-cosign-private-key": "keys",
		"x-nerdctl-verify": "cosign", "x-nerdctl-cosign-public-key": "missing.pub",
		"x-nerdctl-cosign-trusted-root": "missing.json",
	}, dir)
	if err != nil {
		t.Fatal(err)
	}
	key := "service web: x-nerdctl-cosign-private-key: found " + quoted(filepath.Join(dir, "keys")) + ", which is not a regular file, want the file of a private key"
	pub := "service web: x-nerdctl-cosign-public-key: found " + quoted(filepath.Join(dir, "missing.pub")) + ", which does not exist, want the file of a public key"
	root := "service web: x-nerdctl-cosign-trusted-root: found " + quoted(filepath.Join(dir, "missing.json")) + ", which does not exist, want the file of a trusted root in JSON"
	for name, c := range map[string]struct {
		signing, verifying bool
		want               []string
	}{
		"what only signs needs no public key":     {true, false, []string{key, root}},
		"what only verifies needs no private key": {false, true, []string{pub, root}},
		"what does both tells of a file once":     {true, true, []string{pub, key, root}},
		"what does neither needs no file":         {false, false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := fields.CheckFiles("web", c.signing, c.verifying)
			if want := strings.Join(c.want, "\n"); got.Error() != want || len(got) != len(c.want) {
				t.Errorf("got\n%v\nwant\n%s", got, want)
			}
		})
	}
	for name, fields := range map[string]cosignkit.Fields{
		"files that are there":      {Sign: cosignkit.SignOptions{Provider: "cosign", CosignKey: filepath.Join(dir, "cosign.key")}},
		"references with a scheme":  {Sign: cosignkit.SignOptions{Provider: "cosign", CosignKey: "env://KEY"}},
		"an identity needs no file": {Sign: cosignkit.SignOptions{Provider: "cosign"}},
	} {
		if problems := fields.CheckFiles("web", true, true); problems != nil {
			t.Errorf("%s: %v", name, problems)
		}
	}
}

func TestParseFieldsRepeatsNoSecretAndNoControlCharacter(t *testing.T) {
	t.Parallel()
	_, err := cosignkit.ParseFields("web\x1b[2J", map[string]any{
		"x-nerdctl-sign":                        "cosign",
		"x-nerdctl-cosign-private-key":          privateKey,
		"x-nerdctl-verify":                      "\x1b[31m\u202e" + strings.Repeat("y", 1<<20),
		"x-nerdctl-\x07\x00":                    "z",
		"x-nerdctl-" + strings.Repeat("k", 1e6): "z",
		"x-" + strings.Repeat("k", 1e6):         "of nobody's interest",
	}, projectDir(t))
	if err == nil {
		t.Fatal("no error")
	}
	text := err.Error()
	if strings.Contains(text, "SECRET") {
		t.Error("the error has the key")
	}
	if strings.ContainsAny(text, "\x00\x07\x1b\u202e") {
		t.Errorf("the error has control characters: %q", text)
	}
	if len(text) > 8000 {
		t.Errorf("the error has %d bytes", len(text))
	}
}

func TestFlags(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fields       cosignkit.Fields
		sign, verify []string
		signErr      string
		verifyErr    string
	}{
		"nothing": {},
		"none": {
			fields: cosignkit.Fields{Sign: cosignkit.SignOptions{Provider: "none"}, Verify: cosignkit.VerifyOptions{Provider: "none"}},
		},
		"a key pair": {
			fields: cosignkit.Fields{
				Sign:   cosignkit.SignOptions{Provider: "cosign", CosignKey: "-f.key"},
				Verify: cosignkit.VerifyOptions{Provider: "cosign", CosignKey: "/k/cosign.pub"},
			},
			sign:   []string{"--sign=cosign", "--cosign-key=-f.key"},
			verify: []string{"--verify=cosign", "--cosign-key=/k/cosign.pub"},
		},
		"identities": {
			fields: cosignkit.Fields{
				Sign: cosignkit.SignOptions{Provider: "cosign"},
				Verify: cosignkit.VerifyOptions{
					Provider:                          "cosign",
					CosignCertificateIdentity:         "a b",
					CosignCertificateIdentityRegexp:   ".*",
					CosignCertificateOidcIssuer:       "https://issuer.example",
					CosignCertificateOidcIssuerRegexp: "i",
				},
			},
			sign: []string{"--sign=cosign"},
			verify: []string{
				"--verify=cosign", "--cosign-certificate-identity=a b", "--cosign-certificate-identity-regexp=.*",
				"--cosign-certificate-oidc-issuer=https://issuer.example", "--cosign-certificate-oidc-issuer-regexp=i",
			},
		},
		"another provider": {
			fields: cosignkit.Fields{Sign: cosignkit.SignOptions{Provider: "notation"}, Verify: cosignkit.VerifyOptions{Provider: "notation"}},
			sign:   []string{"--sign=notation"},
			verify: []string{"--verify=notation"},
		},
		"what no flag says is not dropped": {
			fields: cosignkit.Fields{
				Sign:   cosignkit.SignOptions{Provider: "cosign", Format: "legacy", TrustedRoot: "r", Annotations: map[string]string{"a": "b"}},
				Verify: cosignkit.VerifyOptions{Provider: "cosign", CosignKey: "k", TrustedRoot: "r", Annotations: map[string]string{"a": "b"}, InsecureIgnoreTlog: true},
			},
			signErr:   "make flags: the command has no flags for these fields: x-nerdctl-cosign-trusted-root, x-nerdctl-cosign-annotations, x-nerdctl-cosign-signature-format",
			verifyErr: "make flags: the command has no flags for these fields: x-nerdctl-cosign-trusted-root, x-nerdctl-cosign-annotations, x-nerdctl-cosign-insecure-ignore-tlog",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check := func(got []string, err error, want []string, wantErr string) {
				t.Helper()
				switch {
				case wantErr != "" && (!errors.Is(err, verify.ErrMisconfigured) || err.Error() != wantErr || got != nil):
					t.Errorf("got %q and %v, want %s", got, err, wantErr)
				case wantErr == "" && (err != nil || !slices.Equal(got, want)):
					t.Errorf("got %q and %v, want %q", got, err, want)
				}
			}
			got, err := c.fields.SignFlags()
			check(got, err, c.sign, c.signErr)
			got, err = c.fields.VerifyFlags()
			check(got, err, c.verify, c.verifyErr)
		})
	}
}

// A Service reads its fields when it is asked, for what it is asked.
func TestService(t *testing.T) {
	t.Parallel()
	dir := projectDir(t)
	service := func(fields map[string]any) cosignkit.Service {
		return cosignkit.Service{Name: "web", Extensions: fields, Dir: dir}
	}
	bare := service(nil)
	if o, err := bare.VerifyOptions(); err != nil || !reflect.DeepEqual(o, cosignkit.VerifyOptions{Provider: "none"}) {
		t.Errorf("without fields: %+v and %v", o, err)
	}
	if flags, err := bare.SignFlags(); err != nil || flags != nil {
		t.Errorf("without fields: %q and %v", flags, err)
	}
	// A machine that pulls has no private key.
	pulls := service(map[string]any{
		"x-nerdctl-sign": "cosign", "x-nerdctl-cosign-private-key": "missing.key",
		"x-nerdctl-verify": "cosign", "x-nerdctl-cosign-public-key": "cosign.pub",
	})
	flags, err := pulls.VerifyFlags()
	if want := []string{"--verify=cosign", "--cosign-key=" + filepath.Join(dir, "cosign.pub")}; err != nil || !slices.Equal(flags, want) {
		t.Errorf("got %q and %v, want %q", flags, err, want)
	}
	_, err = pulls.SignFlags()
	wantFamily(t, err, verify.ErrMisconfigured)
	wantText(t, err, "service web: x-nerdctl-cosign-private-key: found")
	wrong := service(map[string]any{"x-nerdctl-verify": 1})
	for name, err := range map[string]error{
		"SignFlags":     second(wrong.SignFlags()),
		"VerifyFlags":   second(wrong.VerifyFlags()),
		"VerifyOptions": second(wrong.VerifyOptions()),
	} {
		if !errors.Is(err, verify.ErrMisconfigured) {
			t.Errorf("%s of a wrong type: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }
