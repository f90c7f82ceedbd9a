// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package strictyaml checks YAML before a parser sees it. Parsers of YAML bound the
// depth themselves, and take linear time for all but the directives that name tags:
// each is compared with all before it.
package strictyaml

import "github.com/cosignkit/cosignkit/internal/limits"

// Check returns an error where b has more than [limits.YAMLDirectives] lines that
// can be directives (YAML 1.2.2, section 6.8), in UTF-8 or UTF-16. It allocates
// nothing.
func Check(b []byte) error {
	directives := 0
	for i, c := range b {
		if c == '%' && (i == 0 || endsLine(b[i-1])) {
			if directives++; directives > limits.YAMLDirectives {
				return limits.Exceeded("number of directives", limits.YAMLDirectives)
			}
		}
	}
	return nil
}

// endsLine reports whether b can be the last byte of what comes before a line: a
// break, of which YAML 1.1 has five, a byte order mark, or half a unit of UTF-16, in
// which each percent sign counts.
func endsLine(b byte) bool {
	switch b {
	case '\n', '\r', 0x85, 0xa8, 0xa9, 0xbf, 0xff, 0xfe, 0:
		return true
	}
	return false
}
