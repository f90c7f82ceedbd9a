// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package referenceutil stands in for nerdctl's package of that name.
package referenceutil

import (
	"errors"
	"strings"

	"github.com/distribution/reference"
)

// ErrLoadOCIArchiveRequired is that of a reference to an archive.
var ErrLoadOCIArchiveRequired = errors.New("an archive must be loaded first")

// ImageReference is a parsed reference.
type ImageReference struct {
	Protocol string
	Domain   string
	name     string
}

// String returns the reference in full.
func (r *ImageReference) String() string { return r.name }

// Parse parses a reference of a registry or of IPFS.
func Parse(rawRef string) (*ImageReference, error) {
	if strings.HasPrefix(rawRef, "oci-archive://") {
		return nil, ErrLoadOCIArchiveRequired
	}
	if rest, ok := strings.CutPrefix(rawRef, "ipfs://"); ok {
		return &ImageReference{Protocol: "ipfs", name: rest}, nil
	}
	named, err := reference.ParseNormalizedNamed(rawRef)
	if err != nil {
		return nil, err
	}
	return &ImageReference{Domain: reference.Domain(named), name: reference.TagNameOnly(named).String()}, nil
}
