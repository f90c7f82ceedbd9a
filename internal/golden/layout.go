// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package golden

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// ImageName is the reference name of the image in a layout. Signature tags and
// referrers tags have their own names, and referrers of the API have none.
const ImageName = "image"

// ReferrersTag is the tag of the index of what refers to d.
func ReferrersTag(d digest.Digest) string { return strings.Replace(d.String(), ":", "-", 1) }

// SignatureTag is the tag of the legacy signatures of d.
func SignatureTag(d digest.Digest) string { return ReferrersTag(d) + ".sig" }

// BlobPath is where a layout has a blob.
func BlobPath(layout string, d digest.Digest) string {
	return filepath.Join(layout, ocispec.ImageBlobsDir, d.Algorithm().String(), d.Encoded())
}

const (
	bundleType  = "application/vnd.dev.sigstore.bundle.v0.3+json"
	payloadType = "application/vnd.dev.cosign.simplesigning.v1+json"
)

// Signature is a bundle, or a payload with the annotations of its layer.
type Signature struct {
	Bundle      []byte
	Payload     []byte
	Annotations map[string]string
}

// Signatures reads the signatures of d out of the layout of v.
func (s *Set) Signatures(v Vector, d digest.Digest) ([]Signature, error) {
	l := layout(s.Layout(v))
	index, err := l.index()
	if err != nil {
		return nil, err
	}
	var all []Signature
	for _, descriptor := range index.Manifests {
		name := descriptor.Annotations[ocispec.AnnotationRefName]
		found := []ocispec.Descriptor{descriptor}
		switch name {
		case "", SignatureTag(d):
		case ReferrersTag(d):
			var referrers ocispec.Index
			if err := l.read(descriptor, &referrers); err != nil {
				return nil, err
			}
			found = referrers.Manifests
		default:
			continue
		}
		for _, f := range found {
			var m ocispec.Manifest
			if err := l.read(f, &m); err != nil {
				return nil, err
			}
			if name != SignatureTag(d) && (m.Subject == nil || m.Subject.Digest != d) {
				continue
			}
			if all, err = l.append(all, m); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// layout is the directory of an image layout.
type layout string

func (l layout) index() (index ocispec.Index, err error) {
	content, err := os.ReadFile(filepath.Join(string(l), ocispec.ImageIndexFile))
	if err != nil {
		return index, err
	}
	return index, json.Unmarshal(content, &index)
}

// append appends the signatures that a manifest holds.
func (l layout) append(all []Signature, m ocispec.Manifest) ([]Signature, error) {
	for _, descriptor := range m.Layers {
		content, err := l.blob(descriptor)
		if err != nil {
			return nil, err
		}
		switch descriptor.MediaType {
		case bundleType:
			all = append(all, Signature{Bundle: content})
		case payloadType:
			all = append(all, Signature{Payload: content, Annotations: descriptor.Annotations})
		default:
			return nil, fmt.Errorf("layer of type %s", descriptor.MediaType)
		}
	}
	return all, nil
}

func (l layout) read(descriptor ocispec.Descriptor, v any) error {
	content, err := l.blob(descriptor)
	if err != nil {
		return err
	}
	return json.Unmarshal(content, v)
}

func (l layout) blob(descriptor ocispec.Descriptor) ([]byte, error) {
	content, err := os.ReadFile(BlobPath(string(l), descriptor.Digest))
	if err != nil {
		return nil, err
	}
	if digest.FromBytes(content) != descriptor.Digest || int64(len(content)) != descriptor.Size {
		return nil, fmt.Errorf("blob %s is damaged", descriptor.Digest)
	}
	return content, nil
}
