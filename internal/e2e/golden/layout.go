// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/golden"
)

// layout is an OCI image layout that is copied out of a registry, with all that
// belongs to the image there.
type layout struct {
	dir        string
	repository string // URL of the repository's API
	index      ocispec.Index
}

// copyLayout copies the image and whatever belongs to any of digests.
func copyLayout(ctx context.Context, dir, registry, repository string, image digest.Digest, digests []digest.Digest) error {
	l := &layout{
		dir:        dir,
		repository: "http://" + registry + "/v2/" + repository,
		index:      ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex},
	}
	if err := l.addTagged(ctx, image.String(), golden.ImageName); err != nil {
		return err
	}
	for _, d := range digests {
		for _, tag := range []string{golden.SignatureTag(d), golden.ReferrersTag(d)} {
			if err := l.addTagged(ctx, tag, tag); err != nil {
				return err
			}
		}
		if err := l.addReferrers(ctx, d); err != nil {
			return err
		}
	}
	return l.writeIndex()
}

// addTagged adds the manifest under a tag or digest, if there is one, to the
// index by a name.
func (l *layout) addTagged(ctx context.Context, reference, name string) error {
	descriptor, err := l.copyManifest(ctx, reference)
	if descriptor == nil || err != nil {
		return err
	}
	descriptor.Annotations = map[string]string{ocispec.AnnotationRefName: name}
	l.index.Manifests = append(l.index.Manifests, *descriptor)
	return nil
}

// addReferrers adds what the referrers API lists, as it does.
func (l *layout) addReferrers(ctx context.Context, d digest.Digest) error {
	body, _, err := l.get(ctx, "/referrers/"+d.String())
	if body == nil || err != nil {
		return err
	}
	var list ocispec.Index
	if err := json.Unmarshal(body, &list); err != nil {
		return err
	}
	for _, descriptor := range list.Manifests {
		if _, err := l.copyManifest(ctx, descriptor.Digest.String()); err != nil {
			return err
		}
		l.index.Manifests = append(l.index.Manifests, descriptor)
	}
	return nil
}

// copyManifest copies a manifest or index with all that it refers to, and
// returns nil if there is none.
func (l *layout) copyManifest(ctx context.Context, reference string) (*ocispec.Descriptor, error) {
	body, mediaType, err := l.get(ctx, "/manifests/"+reference)
	if body == nil || err != nil {
		return nil, err
	}
	var m struct {
		Manifests []ocispec.Descriptor `json:"manifests"`
		Config    *ocispec.Descriptor  `json:"config"`
		Layers    []ocispec.Descriptor `json:"layers"`
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, err
	}
	for _, child := range m.Manifests {
		if _, err := l.copyManifest(ctx, child.Digest.String()); err != nil {
			return nil, err
		}
	}
	blobs := m.Layers
	if m.Config != nil {
		blobs = append(slices.Clip(blobs), *m.Config)
	}
	for _, blob := range blobs {
		content, _, err := l.get(ctx, "/blobs/"+blob.Digest.String())
		if err != nil {
			return nil, err
		}
		if content == nil {
			return nil, fmt.Errorf("no blob %s", blob.Digest)
		}
		if err := l.write(content); err != nil {
			return nil, err
		}
	}
	descriptor := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(body), Size: int64(len(body))}
	return &descriptor, l.write(body)
}

func (l *layout) write(blob []byte) error {
	d := digest.FromBytes(blob)
	return writeFile(golden.BlobPath(l.dir, d), blob)
}

func (l *layout) writeIndex() error {
	if err := writeJSON(filepath.Join(l.dir, ocispec.ImageIndexFile), l.index); err != nil {
		return err
	}
	return writeJSON(filepath.Join(l.dir, ocispec.ImageLayoutFile), ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion})
}

// get returns nil where the registry has nothing.
func (l *layout) get(ctx context.Context, path string) (body []byte, mediaType string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, l.repository+path, nil)
	if err != nil {
		return nil, "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
		body, err = io.ReadAll(response.Body)
		return body, response.Header.Get("Content-Type"), err
	case http.StatusNotFound:
		return nil, "", nil
	default:
		return nil, "", fmt.Errorf("GET %s: %s", request.URL, response.Status)
	}
}
