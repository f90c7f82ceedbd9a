// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package testimage makes small container images, in the archives that tools
// exchange, for tests and for the demo. The same image always has the same
// digest.
package testimage

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	_ "crypto/sha256" // package digest panics in a program without it
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// annotationImageName holds the full reference, which the OCI image layout has
// no field for; containerd and BuildKit write and read it.
const annotationImageName = "io.containerd.image.name"

// Image describes an image.
type Image struct {
	// Name is the reference under which the image is loaded. Empty leaves it
	// out of the archive.
	Name string

	// Content is the text of the one file in the image. Images differ in
	// digest if they differ in content.
	Content string

	// Busybox is the program of that name, linked statically. An image that has
	// it, as /bin/busybox, can be run, and does what Command says; without one,
	// it prints its one other file.
	Busybox []byte
	Command []string

	// Platforms such as linux/arm64. One makes an image manifest, more make an
	// index of manifests, and none is the host's.
	Platforms []string
}

// blobs are the files of an archive.
type blobs struct {
	names []string
	bytes map[string][]byte
}

// WriteArchive writes images as one OCI archive: an image layout in a tar file.
func WriteArchive(w io.Writer, images ...Image) error {
	b := &blobs{bytes: map[string][]byte{}}
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	for _, image := range images {
		desc, err := b.addImage(image)
		if err != nil {
			return fmt.Errorf("image %s: %w", image.Name, err)
		}
		if image.Name != "" {
			desc.Annotations = map[string]string{annotationImageName: image.Name}
		}
		index.Manifests = append(index.Manifests, desc)
	}
	if err := b.addFile(ocispec.ImageIndexFile, index); err != nil {
		return err
	}
	if err := b.addFile(ocispec.ImageLayoutFile, ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion}); err != nil {
		return err
	}
	return b.writeTar(w)
}

// WriteDockerArchive writes image as docker save does. It has one platform.
func WriteDockerArchive(w io.Writer, image Image) error {
	platform, err := onePlatform(image)
	if err != nil {
		return err
	}
	layer, err := image.layer()
	if err != nil {
		return err
	}
	b := &blobs{bytes: map[string][]byte{}}
	b.put("layer.tar", layer)
	if err := b.addFile("config.json", image.config(platform, digest.FromBytes(layer))); err != nil {
		return err
	}
	type entry struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	manifest := entry{Config: "config.json", RepoTags: []string{image.Name}, Layers: []string{"layer.tar"}}
	if err := b.addFile("manifest.json", []entry{manifest}); err != nil {
		return err
	}
	return b.writeTar(w)
}

func onePlatform(image Image) (ocispec.Platform, error) {
	switch len(image.Platforms) {
	case 0:
		return platforms.DefaultSpec(), nil
	case 1:
		return platforms.Parse(image.Platforms[0])
	}
	return ocispec.Platform{}, errors.New("more than one platform")
}

func (b *blobs) addImage(image Image) (ocispec.Descriptor, error) {
	if len(image.Platforms) < 2 {
		platform, err := onePlatform(image)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		return b.addManifest(image, platform)
	}
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	for _, p := range image.Platforms {
		platform, err := platforms.Parse(p)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		desc, err := b.addManifest(image, platform)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		index.Manifests = append(index.Manifests, desc)
	}
	return b.addBlob(ocispec.MediaTypeImageIndex, index)
}

func (b *blobs) addManifest(image Image, platform ocispec.Platform) (ocispec.Descriptor, error) {
	diff, err := image.layer()
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	layer, err := gzipped(diff)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	configDesc, err := b.addBlob(ocispec.MediaTypeImageConfig, image.config(platform, digest.FromBytes(diff)))
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	desc, err := b.addBlob(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    configDesc,
		Layers:    []ocispec.Descriptor{b.addBytes(ocispec.MediaTypeImageLayerGzip, layer)},
	})
	desc.Platform = &platform
	return desc, err
}

func (i Image) config(platform ocispec.Platform, diffID digest.Digest) ocispec.Image {
	command := []string{"/hello.txt"}
	switch {
	case i.Command != nil:
		command = i.Command
	case i.Busybox != nil:
		command = []string{"/bin/busybox", "cat", "/hello.txt"}
	}
	return ocispec.Image{
		Platform: platform,
		Config:   ocispec.ImageConfig{Cmd: command},
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{diffID}},
	}
}

// addBlob adds v, in JSON, under its digest.
func (b *blobs) addBlob(mediaType string, v any) (ocispec.Descriptor, error) {
	content, err := json.Marshal(v)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return b.addBytes(mediaType, content), nil
}

func (b *blobs) addBytes(mediaType string, content []byte) ocispec.Descriptor {
	d := digest.FromBytes(content)
	b.put(ocispec.ImageBlobsDir+"/"+d.Algorithm().String()+"/"+d.Encoded(), content)
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(content))}
}

// addFile adds v, in JSON, under name.
func (b *blobs) addFile(name string, v any) error {
	content, err := json.Marshal(v)
	if err == nil {
		b.put(name, content)
	}
	return err
}

func (b *blobs) put(name string, content []byte) {
	if _, ok := b.bytes[name]; !ok {
		b.names = append(b.names, name)
	}
	b.bytes[name] = content
}

func (b *blobs) writeTar(w io.Writer) error {
	tw := tar.NewWriter(w)
	for _, name := range b.names {
		if err := writeTarFile(tw, name, 0o644, b.bytes[name]); err != nil {
			return err
		}
	}
	return tw.Close()
}

func (i Image) layer() ([]byte, error) {
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	err := writeTarFile(tw, "hello.txt", 0o644, []byte(i.Content))
	if err == nil && i.Busybox != nil {
		err = writeTarFile(tw, "bin/busybox", 0o755, i.Busybox)
	}
	if err != nil {
		return nil, err
	}
	err = tw.Close()
	return buf.Bytes(), err
}

func writeTarFile(tw *tar.Writer, name string, mode int64, content []byte) error {
	if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(content))}); err != nil {
		return err
	}
	_, err := tw.Write(content)
	return err
}

func gzipped(content []byte) ([]byte, error) {
	var buf bytes.Buffer
	zw := gzip.NewWriter(&buf)
	if _, err := zw.Write(content); err != nil {
		return nil, err
	}
	err := zw.Close()
	return buf.Bytes(), err
}
