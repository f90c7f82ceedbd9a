// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"errors"
	"io"
	"strings"
	"testing"
	"unicode"
)

func TestRedactedShowsNoSecretPartOfURLs(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want string }{
		{"no URL", `connection refused`, `connection refused`},
		{"nothing secret", `Get "https://blob.example/x": EOF`, `Get "https://blob.example/x": EOF`},
		{"user information", `Get "https://user:SECRET@blob.example/x": EOF`, `Get "https://blob.example/x": EOF`},
		{"user information and query", `Get "https://user:SECRET@blob.example/x?sig=SECRET": EOF`, `Get "https://blob.example/x": EOF`},
		{"a user name alone", `Get "https://SECRET@blob.example/x": EOF`, `Get "https://blob.example/x": EOF`},
		{"query", `Get "https://blob.example/x?sig=SECRET": dial tcp: refused`, `Get "https://blob.example/x": dial tcp: refused`},
		{"query over plain HTTP", `Get "http://blob.example:8080/x?sig=SECRET": EOF`, `Get "http://blob.example:8080/x": EOF`},
		{"query without a path", `Get "https://blob.example?sig=SECRET": EOF`, `Get "https://blob.example": EOF`},
		{"several parameters", `Get "https://blob.example/x?a=b&sig=SECRET": EOF`, `Get "https://blob.example/x": EOF`},
		{"a colon before the secret", `Get "https://blob.example/x?se=2024-01-01T00:00:00Z&sig=SECRET": EOF`, `Get "https://blob.example/x": EOF`},
		{"unquoted, with text after it", `unexpected status from GET request to https://blob.example/x?sig=SECRET: 500`, `unexpected status from GET request to https://blob.example/x: 500`},
		{"fragment", `Get "https://blob.example/x#access_token=SECRET": EOF`, `Get "https://blob.example/x": EOF`},
		{"query and fragment", `Get "https://blob.example/x?a=SECRET#b=SECRET": EOF`, `Get "https://blob.example/x": EOF`},
		{"an at sign in the query", `Get "https://blob.example/x?mail=SECRET@b.example": EOF`, `Get "https://blob.example/x": EOF`},
		{"two URLs", `https://a.example/x?sig=SECRET then https://b.example/y?sig=SECRET`, `https://a.example/x then https://b.example/y`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := redacted{errors.New(test.text)}.Error()
			if strings.Contains(got, "SECRET") || got != test.want {
				t.Errorf("%s\nis    %s\nwant  %s", test.text, got, test.want)
			}
		})
	}
}

func TestRedactedIsOneShortLine(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"lines":             "denied\nverify app: accepted\r\n",
		"terminal escapes":  "\x1b[2J\x1b]0;title\a",
		"C1 controls":       "\u009b2J",
		"bidi controls":     "\u202egnp.exe\u2066",
		"line separators":   "a\u2028b\u2029c",
		"text that is none": "\xff\xfe\x9b",
		"much":              strings.Repeat("A", 1<<20),
		"much of two bytes": strings.Repeat("é", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := redacted{errors.New(text)}.Error()
			if len(got) > 1024 {
				t.Errorf("%d bytes", len(got))
			}
			if strings.ToValidUTF8(got, "") != got {
				t.Errorf("%q is no text", got)
			}
			for _, c := range got {
				if unicode.IsControl(c) || unicode.In(c, unicode.Bidi_Control, unicode.Zl, unicode.Zp) {
					t.Errorf("%q has %q", got, c)
				}
			}
		})
	}
}

func TestRedactedKeepsTheChain(t *testing.T) {
	t.Parallel()
	if !errors.Is(redacted{io.ErrUnexpectedEOF}, io.ErrUnexpectedEOF) {
		t.Error("the cause is lost")
	}
}
