// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package strictjson

import (
	"hash/maphash"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// keySet is a stack of the keys of the objects that are open. Its memory is that of
// the objects with the most keys, and it finds what is there twice in linear time:
// the seed of the hash is random, so nobody can choose keys that collide.
type keySet struct {
	text   []byte
	folded bool
	keys   []key
	table  []int32
	hash   maphash.Hash
}

// key is where a key stands, without its quotes, and the hash of what it says.
type key struct {
	start, end int32
	hash       uint64
}

func (k *keySet) add(start, end int) {
	k.hash.Reset()
	for rest := k.text[start:end]; len(rest) > 0; {
		var r rune
		r, rest = next(rest, k.folded)
		var b [utf8.UTFMax]byte
		_, _ = k.hash.Write(b[:utf8.EncodeRune(b[:], r)])
	}
	k.keys = append(k.keys, key{int32(start), int32(end), k.hash.Sum64()}) //nolint:gosec // the caller bounds the text
}

// close ends the object whose first key is at first. It returns a key that is there
// twice, or nil.
func (k *keySet) close(first int) []byte {
	keys := k.keys[first:]
	k.keys = k.keys[:first]
	if len(keys) < 2 {
		return nil
	}
	size := 4
	for size < 2*len(keys) {
		size *= 2
	}
	if size > len(k.table) {
		k.table = make([]int32, size)
	}
	table := k.table[:size]
	clear(table)
	for i, candidate := range keys {
		slot := int(candidate.hash % uint64(size)) //nolint:gosec // below size
		for ; table[slot] != 0; slot = (slot + 1) % size {
			other := keys[table[slot]-1]
			if other.hash == candidate.hash && same(k.textOf(other), k.textOf(candidate), k.folded) {
				return k.textOf(candidate)
			}
		}
		table[slot] = int32(i + 1) // at most limits.JSONValues
	}
	return nil
}

func (k *keySet) textOf(of key) []byte { return k.text[of.start:of.end] }

func same(a, b []byte, folded bool) bool {
	for len(a) > 0 && len(b) > 0 {
		var x, y rune
		x, a = next(a, folded)
		y, b = next(b, folded)
		if x != y {
			return false
		}
	}
	return len(a) == len(b)
}

// next returns the first character of a string that the scanner accepted.
func next(b []byte, folded bool) (rune, []byte) {
	r, n := rune(b[0]), 1
	switch {
	case r == '\\':
		r, n = escaped(b)
	case r >= utf8.RuneSelf:
		r, n = utf8.DecodeRune(b)
	}
	if folded {
		r = fold(r)
	}
	return r, b[n:]
}

// fold returns the same for all characters that differ only in case, as
// encoding/json does.
func fold(r rune) rune {
	if r < utf8.RuneSelf && (r < 'A' || 'Z' < r) && (r < 'a' || 'z' < r) {
		return r
	}
	for {
		f := unicode.SimpleFold(r)
		if f <= r {
			return f
		}
		r = f
	}
}

// escaped reads the escape at the start of b. It returns its length, or 0 if it is not
// valid. Half of a surrogate pair is not valid: each parser replaces it in its own way.
func escaped(b []byte) (rune, int) {
	if len(b) < 2 {
		return 0, 0
	}
	switch c := b[1]; c {
	case '"', '\\', '/':
		return rune(c), 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	}
	r, ok := hex(b)
	if !ok {
		return 0, 0
	}
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	low, ok := hex(b[6:])
	if r = utf16.DecodeRune(r, low); !ok || r == unicode.ReplacementChar {
		return 0, 0
	}
	return r, 12
}

// hex reads \uXXXX.
func hex(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range b[2:6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}
