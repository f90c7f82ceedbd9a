// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"encoding/json"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/limits"
)

// parsedIndex and parsedManifest are what is read of an index and a manifest.
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
		return v, fmt.Errorf("%w: %w", errContent, err)
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
	if t, err := decoder.Token(); err != nil || t != json.Delim('[') {
		return fmt.Errorf("want a list of descriptors")
	}
	var list descriptors
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
