// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package der checks the structure of ASN.1 before a parser sees it. [Check] reads
// each element once, allocates nothing, and knows no types: it bounds what any
// parser can be made to do with the same bytes.
package der

import (
	"errors"
	"fmt"

	"github.com/cosignkit/cosignkit/internal/limits"
)

// Check returns an error unless b is one element in the Distinguished Encoding
// Rules (ITU-T X.690, sections 8.1 and 10), and nothing else: tags and lengths are
// definite and as short as can be, children fill their parent exactly, and depth
// and number of elements are within [limits.DERDepth] and [limits.DERElements].
//
// The content of a primitive element is opaque, even if it is ASN.1 again, as in
// the extensions of a certificate and in the content of a signed message. No parser
// behind this package goes on into such content by itself; one that does so in a
// step of its own checks the content first.
func Check(b []byte) error {
	_, err := Elements(b)
	return err
}

// Elements is [Check], and counts the elements that it has visited.
func Elements(b []byte) (int, error) {
	var c checker
	rest, err := c.element(b, 1)
	if err == nil && len(rest) > 0 {
		err = errors.New("ASN.1 with bytes after its end")
	}
	return c.elements, err
}

type checker struct{ elements int }

// element checks the first element of b, and returns what follows it.
func (c *checker) element(b []byte, depth int) ([]byte, error) {
	if depth > limits.DERDepth {
		return nil, limits.Exceeded("depth of ASN.1", limits.DERDepth)
	}
	if c.elements++; c.elements > limits.DERElements {
		return nil, limits.Exceeded("number of elements of ASN.1", limits.DERElements)
	}
	constructed, content, rest, err := split(b)
	if err != nil || !constructed {
		return rest, err
	}
	for len(content) > 0 {
		if content, err = c.element(content, depth+1); err != nil {
			return nil, err
		}
	}
	return rest, nil
}

// split divides b into the content of its first element and what follows.
func split(b []byte) (constructed bool, content, rest []byte, err error) {
	if len(b) < 2 {
		return false, nil, nil, errCut
	}
	const class, form, number = 0xc0, 0x20, 0x1f
	first, universal := b[0], b[0]&class == 0
	constructed = first&form != 0
	b = b[1:]
	switch n := first & number; {
	case n == number:
		if universal {
			return false, nil, nil, errors.New("ASN.1 with an unknown universal tag")
		}
		if b, err = afterTag(b); err != nil {
			return false, nil, nil, err
		}
	case universal && constructed != mayContain(n) || universal && n == 0:
		return false, nil, nil, fmt.Errorf("not DER: tag 0x%02x", first)
	}
	length, b, err := lengthOf(b)
	if err != nil {
		return false, nil, nil, err
	}
	if length > len(b) {
		return false, nil, nil, errCut
	}
	return constructed, b[:length], b[length:], nil
}

var (
	errCut     = errors.New("ASN.1 element that is longer than what contains it")
	errMinimal = errors.New("not DER: a tag or length that is not in its shortest form")
)

// mayContain reports whether DER has elements with this universal tag contain
// others: EXTERNAL, EMBEDDED PDV, SEQUENCE, SET and CHARACTER STRING always do, and
// the rest never.
func mayContain(tag byte) bool {
	switch tag {
	case 8, 11, 16, 17, 29:
		return true
	}
	return false
}

// afterTag skips the number of a tag above 30, of four bytes at most.
func afterTag(b []byte) ([]byte, error) {
	value := 0
	for i := range min(len(b), 4) {
		if i == 0 && b[i] == 0x80 {
			return nil, errMinimal
		}
		value = value<<7 | int(b[i]&0x7f)
		if b[i]&0x80 != 0 {
			continue
		}
		if value < 0x1f {
			return nil, errMinimal
		}
		return b[i+1:], nil
	}
	return nil, errors.New("ASN.1 with a tag that is too long or cut off")
}

// lengthOf reads a length of four bytes at most.
func lengthOf(b []byte) (length int, rest []byte, err error) {
	if len(b) == 0 {
		return 0, nil, errCut
	}
	first, b := b[0], b[1:]
	if first < 0x80 {
		return int(first), b, nil
	}
	n := int(first & 0x7f)
	switch {
	case n == 0:
		return 0, nil, errors.New("not DER: an element of indefinite length")
	case n > 4 || n > len(b):
		return 0, nil, errCut
	case b[0] == 0:
		return 0, nil, errMinimal
	}
	var l int64
	for _, c := range b[:n] {
		l = l<<8 | int64(c)
	}
	if l < 0x80 {
		return 0, nil, errMinimal
	}
	if l > int64(len(b)-n) {
		return 0, nil, errCut
	}
	return int(l), b[n:], nil
}
