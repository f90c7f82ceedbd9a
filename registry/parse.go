// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/limits"
)

// eachFunc is called for each descriptor of a list, with its position, and the
// error of one that cannot be read. An error that it returns ends the list.
type eachFunc func(i int, desc ocispec.Descriptor, err error) error

// eachDescriptor calls f for the list in the field manifests or layers of a
// manifest or index, of at most limit descriptors, and returns its error. Nothing but the current descriptor is
// in memory: one takes two bytes in JSON and a hundred times that as a value.
func eachDescriptor(b []byte, field string, limit int, f eachFunc) error {
	list := descriptorList{each: f}
	var document struct {
		Manifests descriptorList `json:"manifests"`
		Layers    descriptorList `json:"layers"`
	}
	if field == "layers" {
		document.Layers = descriptorList{each: list.pass, limit: limit}
	} else {
		document.Manifests = descriptorList{each: list.pass, limit: limit}
	}
	err := json.Unmarshal(b, &document)
	if list.stopped != nil {
		return list.stopped
	}
	if err != nil {
		return malformed(err)
	}
	return nil
}

// malformed is the error of what cannot be parsed, whose text may be what is in it.
func malformed(err error) error { return fmt.Errorf("%w: %w", errContent, fault.Printable(err)) }

// descriptorList is a list that is not kept.
type descriptorList struct {
	each    eachFunc
	limit   int
	begun   bool
	stopped error
}

// pass keeps the error of each, which is none of the document's.
func (l *descriptorList) pass(i int, desc ocispec.Descriptor, err error) error {
	l.stopped = l.each(i, desc, err)
	return l.stopped
}

func (l *descriptorList) UnmarshalJSON(b []byte) error {
	if l.each == nil || string(b) == "null" {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(b))
	if t, err := decoder.Token(); err != nil || t != json.Delim('[') || l.begun {
		return errors.New("want one list of descriptors")
	}
	l.begun = true
	for i := 0; decoder.More(); i++ {
		if i == l.limit {
			return limits.Exceeded("number of descriptors", l.limit)
		}
		var raw json.RawMessage
		if err := decoder.Decode(&raw); err != nil {
			return err
		}
		desc, err := parseDescriptor(raw)
		if err := l.each(i, desc, err); err != nil {
			return err
		}
	}
	return nil
}

func parseDescriptor(raw []byte) (ocispec.Descriptor, error) {
	var counted struct {
		Annotations annotationCounter `json:"annotations"`
	}
	var desc ocispec.Descriptor
	err := json.Unmarshal(raw, &counted) // before a map of them is made, which is large
	if err == nil {
		err = json.Unmarshal(raw, &desc)
	}
	if errors.Is(err, limits.ErrExceeded) {
		return ocispec.Descriptor{}, err
	}
	if err != nil {
		return ocispec.Descriptor{}, malformed(err)
	}
	return desc, nil
}

// annotationCounter is annotations, of which there may be more than once, that end in
// an error where there are more than any signature has.
type annotationCounter int

func (n *annotationCounter) UnmarshalJSON(b []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(b))
	if t, err := decoder.Token(); err != nil || t != json.Delim('{') {
		return err // what is no mapping fails when it is decoded into one
	}
	for ; decoder.More(); *n++ {
		if *n == limits.Annotations {
			return limits.Exceeded("number of annotations", limits.Annotations)
		}
		if _, err := decoder.Token(); err != nil { // the name
			return err
		}
		var skipped json.RawMessage
		if err := decoder.Decode(&skipped); err != nil {
			return err
		}
	}
	return nil
}

// parsedIndex and parsedManifest are what is read of an index and a manifest that
// is written again.
type parsedIndex struct {
	MediaType string      `json:"mediaType"`
	Manifests descriptors `json:"manifests"`
}

type parsedManifest struct {
	MediaType string      `json:"mediaType"`
	Layers    descriptors `json:"layers"`
}

func parseIndex(b []byte) (parsedIndex, error) { return parse[parsedIndex](b) }

func parseManifest(b []byte) (parsedManifest, error) { return parse[parsedManifest](b) }

func parse[T any](b []byte) (T, error) {
	var v T
	if err := json.Unmarshal(b, &v); err != nil {
		return v, malformed(err)
	}
	return v, nil
}

// descriptors is a list that ends in an error where it is longer than what will
// be looked at. A descriptor takes two bytes in JSON and a hundred times that in
// memory.
type descriptors []ocispec.Descriptor

func (d *descriptors) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(b))
	if t, err := decoder.Token(); err != nil || t != json.Delim('[') || *d != nil {
		return errors.New("want one list of descriptors")
	}
	list := descriptors{}
	for decoder.More() {
		if len(list) == limits.Candidates {
			return limits.Exceeded("number of descriptors", limits.Candidates)
		}
		var desc ocispec.Descriptor
		if err := decoder.Decode(&desc); err != nil {
			return err
		}
		list = append(list, desc)
	}
	*d = list
	return nil
}
