// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"regexp"
	"strings"
	"unicode"
)

// maxText bounds the text that somebody else wrote in one of our messages.
const maxText = 512

// maxSubject bounds what an error is about, which is a reference or a path.
const maxSubject = 8 << 10

// OneLine renders text that a registry may control: one line of bounded length
// without control characters, which a terminal would obey, and without the secrets of
// URLs.
func OneLine(text string) string { return Line(text, maxText) }

// Line is [OneLine] with a bound of its own, in bytes.
func Line(text string, limit int) string {
	text = strings.Map(func(c rune) rune {
		if unicode.IsControl(c) || unicode.In(c, unicode.Bidi_Control, unicode.Zl, unicode.Zp) {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(HideSecrets(text), "?")) // before a cut makes a password look like a host
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "") + "…"
	}
	return text
}

// urlSecrets finds the parts of URLs that carry secrets: user information, and query
// and fragment, in which blob stores put signatures and services take API keys.
var urlSecrets = regexp.MustCompile(`(?i)([a-z][a-z0-9+.-]*://)(?:[^/\s"@?#]*@)?([^\s"?#]*)(?:[?#](?:[^\s":]|:[^\s"])*)?`)

// HideSecrets returns text without the secret parts of URLs.
func HideSecrets(text string) string { return urlSecrets.ReplaceAllString(text, "$1$2") }

// Printable is err with its text in one line, see [OneLine].
func Printable(err error) error { return printable{err} }

type printable struct{ error }

func (p printable) Error() string { return OneLine(p.error.Error()) }
func (p printable) Unwrap() error { return p.error }
