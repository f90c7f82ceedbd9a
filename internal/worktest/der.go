// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package worktest

import (
	"bytes"
	"encoding/asn1"
	"math/rand/v2"
	"slices"
)

// element is ASN.1 as a tree. If a string holds ASN.1, that is part of the tree.
type element struct {
	tag      byte
	content  []byte
	children []*element
	// padding stands between tag and children: the unused bits of a bit string.
	padding []byte
	// lie is added to the length.
	lie int
	raw []byte // is all of the element, if not nil
}

func parseDER(b []byte) (*element, bool) {
	all, ok := parseAll(b)
	if !ok || len(all) != 1 {
		return nil, false
	}
	return all[0], true
}

func parseAll(b []byte) (all []*element, ok bool) {
	for len(b) > 0 {
		var raw asn1.RawValue
		rest, err := asn1.Unmarshal(b, &raw)
		if err != nil || b[0]&0x1f == 0x1f {
			return nil, false
		}
		e := &element{tag: b[0], content: raw.Bytes}
		const octetString, bitString = 4, 3
		switch {
		case raw.IsCompound:
			if e.children, ok = parseAll(raw.Bytes); !ok {
				return nil, false
			}
		case e.tag == octetString && len(raw.Bytes) > 1:
			e.children, _ = parseAll(raw.Bytes)
		case e.tag == bitString && len(raw.Bytes) > 2 && raw.Bytes[0] == 0:
			e.padding = raw.Bytes[:1]
			e.children, _ = parseAll(raw.Bytes[1:])
		}
		all, b = append(all, e), rest
	}
	return all, true
}

func (e *element) encode() []byte {
	if e.raw != nil {
		return e.raw
	}
	content := e.content
	if e.children != nil {
		content = slices.Clone(e.padding)
		for _, c := range e.children {
			content = append(content, c.encode()...)
		}
	}
	return slices.Concat([]byte{e.tag}, length(len(content)+e.lie), content)
}

func length(n int) []byte {
	if n < 0x80 {
		return []byte{byte(max(n, 0))}
	}
	var big []byte
	for ; n > 0; n >>= 8 {
		big = append(big, byte(n&0xff))
	}
	slices.Reverse(big)
	return append([]byte{0x80 | byte(len(big))}, big...) //nolint:gosec // at most 8
}

// all returns e and what it contains.
func (e *element) all() []*element {
	list := []*element{e}
	for _, c := range e.children {
		list = append(list, c.all()...)
	}
	return list
}

// hostileDER changes one element of the tree. The elements around it have the right lengths.
func hostileDER(random *rand.Rand, tree *element, size int) []byte {
	list := tree.all()
	e := list[random.IntN(len(list))]
	saved := *e
	defer func() { *e = saved }()
	switch random.IntN(6) {
	case 0:
		e.lie = 1 + random.IntN(3)
	case 1:
		e.lie = -min(1, len(e.encode())-2)
	case 2: // the same, again and again
		if len(e.children) > 0 {
			child := e.children[random.IntN(len(e.children))]
			e.children = slices.Concat(e.children, slices.Repeat([]*element{child}, 1+size/max(2, len(child.encode()))))
			break
		}
		fallthrough
	default:
		e.raw = junkDER(random, size)
	}
	return tree.encode()
}

// junkDER is an element that is costly for some parser, or not valid at all.
func junkDER(random *rand.Rand, size int) []byte {
	constructed := []byte{0x30, 0x31, 0xa0}[random.IntN(3)]
	switch random.IntN(7) {
	case 0: // one in another
		var b []byte
		for len(b) < size {
			b = slices.Concat([]byte{constructed}, length(len(b)), b)
			if len(b) > 1<<12 { // building deeper takes long
				break
			}
		}
		return b
	case 1: // children that are longer than their parents, and so overlap
		n := min(size/4, 12)
		return append(bytes.Repeat([]byte{0x31, 0x7f, 0x31, 0x02}, n), make([]byte, 160)...)
	case 2: // of indefinite length
		n := 1 + size/4
		return append(bytes.Repeat([]byte{constructed, 0x80}, n), make([]byte, 2*n)...)
	case 3:
		content := bytes.Repeat([]byte{5, 0}, 1+size/2)
		return slices.Concat([]byte{constructed}, length(len(content)), content)
	case 4:
		content := bytes.Repeat([]byte{constructed, 0}, 1+size/2)
		return slices.Concat([]byte{constructed}, length(len(content)), content)
	case 5: // a huge number
		content := append([]byte{0x7f}, make([]byte, size)...)
		return slices.Concat([]byte{2}, length(len(content)), content)
	default: // a long tag
		return append(bytes.Repeat([]byte{0xbf}, 1+size), 1, 0)
	}
}
