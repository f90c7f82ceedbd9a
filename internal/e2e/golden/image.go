// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/name"
	oci "github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/opencontainers/go-digest"

	"github.com/cosignkit/cosignkit/internal/testimage"
)

// push pushes an image with text in it, or an index of two, and returns its
// digest, and after it those of the images in an index.
func (m *maker) push(ctx context.Context, registry, repository, text string, index bool) (image digest.Digest, children []digest.Digest, err error) {
	platforms := []string{"linux/amd64"}
	if index {
		platforms = append(platforms, "linux/arm64")
	}
	dir, err := os.MkdirTemp(m.scratch, "image-")
	if err != nil {
		return "", nil, err
	}
	var archive bytes.Buffer
	if err := testimage.WriteArchive(&archive, testimage.Image{Content: text, Platforms: platforms}); err != nil {
		return "", nil, err
	}
	if err := untar(&archive, dir); err != nil {
		return "", nil, err
	}
	top, err := oci.ImageIndexFromPath(dir)
	if err != nil {
		return "", nil, err
	}
	list, err := top.IndexManifest()
	if err != nil {
		return "", nil, err
	}
	hash := list.Manifests[0].Digest
	tag, err := name.NewTag(registry + "/" + repository + ":v1")
	if err != nil {
		return "", nil, err
	}
	if !index {
		img, err := top.Image(hash)
		if err != nil {
			return "", nil, err
		}
		return digest.Digest(hash.String()), nil, remote.Write(tag, img, remote.WithContext(ctx))
	}
	idx, err := top.ImageIndex(hash)
	if err != nil {
		return "", nil, err
	}
	if list, err = idx.IndexManifest(); err != nil {
		return "", nil, err
	}
	for _, child := range list.Manifests {
		children = append(children, digest.Digest(child.Digest.String()))
	}
	return digest.Digest(hash.String()), children, remote.WriteIndex(tag, idx, remote.WithContext(ctx))
}

func untar(archive io.Reader, dir string) error {
	for r := tar.NewReader(archive); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if !filepath.IsLocal(header.Name) {
			return fmt.Errorf("%s in the archive of an image", header.Name)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		if err := writeFile(filepath.Join(dir, header.Name), content); err != nil {
			return err
		}
	}
}
