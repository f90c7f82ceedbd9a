// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package layout

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/limits"
)

// ErrNoLayout is the cause when a directory does not exist or is no layout. It
// is not errdefs.ErrNotFound: that nothing could be looked at does not mean that
// nothing is there.
var ErrNoLayout = errors.New("is not an OCI image layout")

// contentError tells of content that is not what its name or descriptor says.
type contentError struct{ error }

// FailedPrecondition is what package errdefs recognises such errors by.
func (contentError) FailedPrecondition() {}

func (e contentError) Unwrap() error { return e.error }

func mismatch(format string, args ...any) error { return contentError{fmt.Errorf(format, args...)} }

// Layout is a layout in a directory, until it is closed.
type Layout struct {
	dir  string
	root *os.Root
}

// Open opens the layout in dir for reading.
func Open(dir string) (*Layout, error) {
	l, err := openDir(dir)
	if err != nil {
		return nil, err
	}
	if err := l.checkVersion(); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

func openDir(dir string) (*Layout, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("directory %w: %w", ErrNoLayout, err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%w: is not a directory", ErrNoLayout)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &Layout{dir, root}, nil
}

// Close closes the directory. Files that were opened stay open.
func (l *Layout) Close() error { return l.root.Close() }

func (l *Layout) checkVersion() error {
	b, err := l.readFile(ocispec.ImageLayoutFile)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("directory %w: no file %s", ErrNoLayout, ocispec.ImageLayoutFile)
	}
	if err != nil {
		return err
	}
	var found ocispec.ImageLayout
	if err := json.Unmarshal(b, &found); err != nil {
		return mismatch("file %s: %w", ocispec.ImageLayoutFile, err)
	}
	if found.Version != ocispec.ImageLayoutVersion {
		return mismatch("layout version %.32q is not supported, want %s", found.Version, ocispec.ImageLayoutVersion)
	}
	return nil
}

// open opens a regular file. A named pipe does not block it, and a device is not
// opened.
func (l *Layout) open(name string) (*os.File, int64, error) {
	info, err := l.root.Stat(name)
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, mismatch("%s is not a regular file", name)
	}
	f, err := l.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, err
	}
	// It may have been replaced in between.
	if info, err = f.Stat(); err == nil && !info.Mode().IsRegular() {
		err = mismatch("%s is not a regular file", name)
	}
	if err != nil {
		_ = f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

func (l *Layout) readFile(name string) ([]byte, error) {
	f, _, err := l.open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return limits.ReadAll(f, limits.Manifest, name)
}

// Index returns what index.json says, which is at most limits.Candidates
// descriptors.
func (l *Layout) Index() (ocispec.Index, error) {
	var index ocispec.Index
	b, err := l.readFile(ocispec.ImageIndexFile)
	if err != nil {
		return index, err
	}
	var counted struct {
		Manifests counter `json:"manifests"`
	}
	err = json.Unmarshal(b, &counted) // before descriptors, which are large, are allocated
	if err == nil {
		err = json.Unmarshal(b, &index)
	}
	if errors.Is(err, limits.ErrExceeded) {
		return index, err
	}
	if err != nil {
		return index, mismatch("file %s: %w", ocispec.ImageIndexFile, err)
	}
	return index, nil
}

// counter is a list that ends in an error where it is longer than what will be
// looked at.
type counter struct{}

func (*counter) UnmarshalJSON(b []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(b))
	if t, err := decoder.Token(); err != nil || t != json.Delim('[') {
		return err // what is no list fails when it is decoded into one
	}
	for n := 0; decoder.More(); n++ {
		if n == limits.Candidates {
			return limits.Exceeded("number of descriptors in "+ocispec.ImageIndexFile, limits.Candidates)
		}
		var skipped struct{}
		if err := decoder.Decode(&skipped); err != nil {
			return err
		}
	}
	return nil
}

// blobName is the path of a blob. A digest that is valid has no separators.
func blobName(d digest.Digest) (string, error) {
	if err := d.Validate(); err != nil {
		return "", mismatch("digest %.128q: %w", d, err)
	}
	return path.Join(ocispec.ImageBlobsDir, d.Algorithm().String(), d.Encoded()), nil
}

// Blob opens a blob, and returns its size. Its content is not checked. One that
// is not there is errdefs.ErrNotFound.
func (l *Layout) Blob(d digest.Digest) (*os.File, int64, error) {
	name, err := blobName(d)
	if err != nil {
		return nil, 0, err
	}
	f, size, err := l.open(name)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("blob %s: %w", d, errdefs.ErrNotFound)
	}
	return f, size, err
}

// Manifest is what is read of a manifest or an index.
type Manifest struct {
	MediaType    string `json:"mediaType"`
	ArtifactType string `json:"artifactType"`
	Config       struct {
		MediaType string `json:"mediaType"`
	} `json:"config"`
	Subject *struct {
		Digest digest.Digest `json:"digest"`
	} `json:"subject"`
	// Annotations is decoded by those who need it: it can be many.
	Annotations json.RawMessage `json:"annotations"`
}

// ParseManifest parses a manifest or an index.
func ParseManifest(b []byte) (Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return m, contentError{err}
	}
	return m, nil
}

// RefersTo reports whether d is the subject.
func (m Manifest) RefersTo(d digest.Digest) bool { return m.Subject != nil && m.Subject.Digest == d }

// Describe returns the descriptor of a referrer as the OCI distribution
// specification 1.1, listing referrers, wants it, but see [Plain].
func (m Manifest) Describe(mediaType string, d digest.Digest, size int64) ocispec.Descriptor {
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: size, ArtifactType: m.ArtifactType}
	if desc.ArtifactType == "" {
		desc.ArtifactType = m.Config.MediaType
	}
	var annotations map[string]string
	// They are for those who choose; a signature counts without.
	if json.Unmarshal(m.Annotations, &annotations) == nil && len(annotations) <= limits.Annotations {
		desc.Annotations = annotations
	}
	return Plain(desc)
}

// Manifest reads the manifest or index that desc stands for, and checks it
// against desc.
func (l *Layout) Manifest(desc ocispec.Descriptor) (Manifest, error) {
	f, size, err := l.Blob(desc.Digest)
	if err != nil {
		return Manifest{}, err
	}
	defer func() { _ = f.Close() }()
	if size != desc.Size {
		return Manifest{}, mismatch("blob %s has %d bytes, want %d", desc.Digest, size, desc.Size)
	}
	b, err := limits.ReadAll(f, limits.Manifest, "manifest")
	if err != nil {
		return Manifest{}, err
	}
	if desc.Digest.Algorithm().FromBytes(b) != desc.Digest {
		return Manifest{}, mismatch("blob %s has other content", desc.Digest)
	}
	m, err := ParseManifest(b)
	if err != nil {
		return m, fmt.Errorf("manifest %s: %w", desc.Digest, err)
	}
	if m.MediaType != "" && m.MediaType != desc.MediaType {
		// What is an index for one reader and a manifest for another is refused:
		// CVE-2021-41190.
		return m, mismatch("manifest %s is of media type %.128q, want %.128q", desc.Digest, m.MediaType, desc.MediaType)
	}
	return m, nil
}

// Unlisted returns the descriptor of a manifest or index that need not be in
// index.json. The media type is what it says itself. All that is not a manifest
// is errdefs.ErrNotFound.
func (l *Layout) Unlisted(d digest.Digest) (ocispec.Descriptor, Manifest, error) {
	f, size, err := l.Blob(d)
	if err != nil {
		return ocispec.Descriptor{}, Manifest{}, err
	}
	defer func() { _ = f.Close() }()
	none := fmt.Errorf("blob %s is no manifest: %w", d, errdefs.ErrNotFound)
	if size > limits.Manifest {
		return ocispec.Descriptor{}, Manifest{}, none
	}
	b, err := limits.ReadAll(f, limits.Manifest, "manifest")
	if err != nil {
		return ocispec.Descriptor{}, Manifest{}, err
	}
	if d.Algorithm().FromBytes(b) != d {
		return ocispec.Descriptor{}, Manifest{}, mismatch("blob %s has other content", d)
	}
	m, err := ParseManifest(b)
	if err != nil || !IsManifest(m.MediaType) {
		return ocispec.Descriptor{}, Manifest{}, none
	}
	return ocispec.Descriptor{MediaType: m.MediaType, Digest: d, Size: int64(len(b))}, m, nil
}

// IsManifest reports whether a media type is that of a manifest or an index.
func IsManifest(mediaType string) bool {
	return images.IsManifestType(mediaType) || images.IsIndexType(mediaType)
}

// Referrers returns the manifests among the blobs that have d as their subject
// and are not in listed. It looks at limits.Descriptors blobs, and at
// limits.TotalBytes of those that begin like a manifest.
func (l *Layout) Referrers(ctx context.Context, d digest.Digest, listed []ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	name := path.Join(ocispec.ImageBlobsDir, digest.SHA256.String())
	info, err := l.root.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && !info.IsDir() {
		err = mismatch("%s is not a directory", name)
	}
	if err != nil {
		return nil, err
	}
	dir, err := l.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // see open
	if err != nil {
		return nil, err
	}
	defer func() { _ = dir.Close() }()
	known := map[digest.Digest]bool{}
	for _, desc := range listed {
		known[desc.Digest] = true
	}
	var found []ocispec.Descriptor
	left := int64(limits.TotalBytes)
	for files := 0; ; {
		entries, err := dir.ReadDir(256)
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return found, err
		}
		if files += len(entries); files > limits.Descriptors {
			return found, limits.Exceeded("number of blobs", limits.Descriptors)
		}
		for _, entry := range entries {
			if err := ctx.Err(); err != nil {
				return found, err
			}
			candidate := digest.NewDigestFromEncoded(digest.SHA256, entry.Name())
			if known[candidate] {
				continue
			}
			desc, ok, err := l.referrer(candidate, d, &left)
			if err != nil {
				return found, err
			}
			if ok {
				found = append(found, desc)
			}
			if len(found) > limits.Candidates {
				return found, limits.Exceeded("number of referrers", limits.Candidates)
			}
		}
	}
}

// referrer looks whether the blob candidate refers to subject. What cannot be
// read as a manifest is none: nothing said that it is.
func (l *Layout) referrer(candidate, subject digest.Digest, left *int64) (desc ocispec.Descriptor, ok bool, err error) {
	f, size, err := l.Blob(candidate)
	if err != nil {
		return desc, false, nil //nolint:nilerr // not a blob
	}
	defer func() { _ = f.Close() }()
	var begin [1]byte
	if n, _ := f.ReadAt(begin[:], 0); size > limits.Manifest || n == 0 || !bytes.ContainsAny(begin[:], "{ \t\r\n") {
		return desc, false, nil
	}
	if *left -= size; *left < 0 {
		return desc, false, limits.Exceeded("manifests of the layout in bytes", limits.TotalBytes)
	}
	b, err := limits.ReadAll(f, limits.Manifest, "manifest")
	if err != nil {
		return desc, false, err
	}
	m, err := ParseManifest(b)
	if err != nil || !m.RefersTo(subject) {
		return desc, false, nil //nolint:nilerr // not a referrer
	}
	if m.MediaType == "" {
		m.MediaType = ocispec.MediaTypeImageManifest
	}
	return m.Describe(m.MediaType, candidate, size), IsManifest(m.MediaType), nil
}
