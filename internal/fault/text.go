// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"strings"
	"unicode"
)

// maxText bounds the text that somebody else wrote in one of our messages.
const maxText = 512

// maxSubject bounds what an error is about, which is a reference or a path.
const maxSubject = 8 << 10

// OneLine renders text that a registry may control: one line of bounded length
// without control characters, which a terminal would obey.
func OneLine(text string) string { return Line(text, maxText) }

// Line is [OneLine] with a bound of its own, in bytes.
func Line(text string, limit int) string {
	text = strings.Map(func(c rune) rune {
		if unicode.IsControl(c) || unicode.In(c, unicode.Bidi_Control, unicode.Zl, unicode.Zp) {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "") + "…"
	}
	return text
}

// Printable is err with its text in one line, see [OneLine].
func Printable(err error) error { return printable{err} }

type printable struct{ error }

func (p printable) Error() string { return OneLine(p.error.Error()) }
func (p printable) Unwrap() error { return p.error }
