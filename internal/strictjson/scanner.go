// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package strictjson

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/cosignkit/cosignkit/internal/limits"
)

// scanner reads a text from its start to its end.
type scanner struct {
	text   []byte
	at     int
	values int
	keys   keySet
}

func newScanner(text []byte, folded bool) *scanner {
	return &scanner{text: text, keys: keySet{text: text, folded: folded}}
}

func (s *scanner) document() error {
	if err := s.value(1); err != nil {
		return err
	}
	if s.space(); s.at < len(s.text) {
		return s.errorf("something after the end")
	}
	return nil
}

func (s *scanner) errorf(what string) error { return fmt.Errorf("JSON: %s, at byte %d", what, s.at) }

func (s *scanner) space() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return
		}
	}
}

// peek returns the next byte that is no space, or 0 at the end.
func (s *scanner) peek() byte {
	if s.space(); s.at < len(s.text) {
		return s.text[s.at]
	}
	return 0
}

// count bounds keys and values alike.
func (s *scanner) count() error {
	if s.values++; s.values > limits.JSONValues {
		return limits.Exceeded("number of values of JSON", limits.JSONValues)
	}
	return nil
}

func (s *scanner) value(depth int) error {
	if err := s.count(); err != nil {
		return err
	}
	switch c := s.peek(); {
	case (c == '{' || c == '[') && depth > limits.JSONDepth:
		return limits.Exceeded("depth of JSON", limits.JSONDepth)
	case c == '{':
		return s.object(depth)
	case c == '[':
		return s.array(depth)
	case c == '"':
		return s.str()
	case c == '-' || '0' <= c && c <= '9':
		return s.number()
	}
	for _, word := range []string{"true", "false", "null"} {
		if bytes.HasPrefix(s.text[s.at:], []byte(word)) {
			s.at += len(word)
			return nil
		}
	}
	return s.errorf("no value")
}

func (s *scanner) array(depth int) error {
	s.at++
	if s.peek() == ']' {
		s.at++
		return nil
	}
	for {
		if err := s.value(depth + 1); err != nil {
			return err
		}
		if more, err := s.more(']'); !more {
			return err
		}
	}
}

func (s *scanner) object(depth int) error {
	s.at++
	if s.peek() == '}' {
		s.at++
		return nil
	}
	first := len(s.keys.keys)
	for {
		if s.peek() != '"' {
			return s.errorf("no key")
		}
		if err := s.count(); err != nil {
			return err
		}
		start := s.at + 1
		if err := s.str(); err != nil {
			return err
		}
		s.keys.add(start, s.at-1)
		if s.peek() != ':' {
			return s.errorf("no colon after a key")
		}
		s.at++
		if err := s.value(depth + 1); err != nil {
			return err
		}
		if more, err := s.more('}'); err != nil {
			return err
		} else if more {
			continue
		}
		if key := s.keys.close(first); key != nil {
			return fmt.Errorf("JSON: key %.64q is there twice", key)
		}
		return nil
	}
}

// more reads the comma before another element, or the end.
func (s *scanner) more(end byte) (bool, error) {
	switch s.peek() {
	case ',':
		s.at++
		return true, nil
	case end:
		s.at++
		return false, nil
	}
	return false, s.errorf("neither a comma nor " + string(end))
}

func (s *scanner) str() error {
	s.at++
	for s.at < len(s.text) {
		switch c := s.text[s.at]; {
		case c == '"':
			s.at++
			return nil
		case c == '\\':
			_, n := escaped(s.text[s.at:])
			if n == 0 {
				return s.errorf("an escape that is none")
			}
			s.at += n
		case c < ' ':
			return s.errorf("a control character")
		case c < utf8.RuneSelf:
			s.at++
		default:
			r, n := utf8.DecodeRune(s.text[s.at:])
			if r == utf8.RuneError && n == 1 {
				return s.errorf("what is not UTF-8")
			}
			s.at += n
		}
	}
	return errors.New("JSON: a string without an end")
}

// number reads a number, RFC 8259, section 6.
func (s *scanner) number() error {
	start := s.at
	if s.text[s.at] == '-' {
		s.at++
	}
	zero := s.at < len(s.text) && s.text[s.at] == '0'
	if n := s.digits(); n == 0 || zero && n > 1 {
		return s.errorf("a number that is none")
	}
	if s.at < len(s.text) && s.text[s.at] == '.' {
		s.at++
		if s.digits() == 0 {
			return s.errorf("a number that is none")
		}
	}
	if s.at < len(s.text) && s.text[s.at]|0x20 == 'e' {
		s.at++
		if s.at < len(s.text) && (s.text[s.at] == '+' || s.text[s.at] == '-') {
			s.at++
		}
		if s.digits() == 0 {
			return s.errorf("a number that is none")
		}
	}
	if s.at-start > limits.JSONNumber {
		return limits.Exceeded("number of JSON in bytes", limits.JSONNumber)
	}
	return nil
}

func (s *scanner) digits() int {
	start := s.at
	for s.at < len(s.text) && '0' <= s.text[s.at] && s.text[s.at] <= '9' {
		s.at++
	}
	return s.at - start
}
