// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package strictjson checks JSON before a parser sees it, so that all parsers read
// the same. [Check] reads each byte once and allocates next to nothing. [Decode]
// is encoding/json behind it.
package strictjson

import (
	"bytes"
	"encoding/json"
)

// Check returns an error unless b is one JSON text (RFC 8259) in valid UTF-8 and
// nothing else, whose objects name no key twice, and whose depth, numbers and
// number of values are within [limits.JSONDepth], [limits.JSONNumber] and
// [limits.JSONValues]. The caller bounds its size.
func Check(b []byte) error {
	_, err := Values(b)
	return err
}

// CheckFolded is [Check], and also refuses keys of one object that differ only in
// case. Parsers such as encoding/json take those for one field of a struct, though
// for two keys of a map.
func CheckFolded(b []byte) error { return newScanner(b, true).document() }

// Values is [Check], and counts the keys and values that it has visited.
func Values(b []byte) (int, error) {
	s := newScanner(b, false)
	err := s.document()
	return s.values, err
}

// Decode stores b, which must pass [CheckFolded], as [json.Unmarshal] does.
func Decode(b []byte, into any) error {
	if err := CheckFolded(b); err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}

// DecodeKnown is [Decode], and refuses fields that a struct does not have.
func DecodeKnown(b []byte, into any) error {
	if err := CheckFolded(b); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode(into)
}
