// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package layout

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/limits"
)

const (
	// lockName is the file that the writers of index.json lock. It stays: who
	// waits has it open, and would lock another one than who comes next.
	lockName = ocispec.ImageIndexFile + ".lock"
	// temporary begins the names of files that are being written.
	temporary = ".cosignkit-"
	// A layout is for whoever may read the directory.
	dirMode, fileMode = 0o755, 0o644
)

// Create opens the layout in dir for writing. A directory that is missing or
// empty is made one.
func Create(ctx context.Context, dir string) (*Layout, error) {
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return nil, err
	}
	l, err := openDir(dir)
	if err != nil {
		return nil, err
	}
	err = l.checkVersion()
	if errors.Is(err, ErrNoLayout) {
		err = l.begin(ctx)
	}
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// begin makes an empty layout. The version comes last: with it, all is there.
func (l *Layout) begin(ctx context.Context) error {
	// No lock is left behind in a directory that is for something else.
	if !l.isBegun() {
		if err := l.checkEmpty(); err != nil && !l.isBegun() {
			return err
		}
	}
	unlock, err := l.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if err := l.checkVersion(); !errors.Is(err, ErrNoLayout) {
		return err // another writer was faster
	}
	if err := l.checkEmpty(); err != nil {
		return err
	}
	index := ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{},
	}
	if err := l.writeJSON(ocispec.ImageIndexFile, index); err != nil {
		return err
	}
	return l.writeJSON(ocispec.ImageLayoutFile, ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion})
}

// isBegun reports whether a writer has begun the layout, since the directory was
// looked at.
func (l *Layout) isBegun() bool {
	_, err := l.root.Lstat(lockName)
	return err == nil
}

func (l *Layout) checkEmpty() error {
	dir, err := l.root.Open(".")
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	for {
		entries, err := dir.ReadDir(16)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if name := entry.Name(); name != lockName && !strings.HasPrefix(name, temporary) {
				return fmt.Errorf("directory %w, and is not empty", ErrNoLayout)
			}
		}
	}
}

// lock waits for its turn to write index.json, across processes, or for the end
// of ctx.
func (l *Layout) lock(ctx context.Context) (unlock func(), err error) {
	info, err := l.root.Lstat(lockName)
	if err == nil && !info.Mode().IsRegular() {
		return nil, mismatch("%s is not a regular file", lockName)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	lock := flock.New(filepath.Join(l.dir, lockName), flock.SetFlag(os.O_CREATE|os.O_RDONLY|lockFlags), flock.SetPermissions(fileMode))
	locked, err := lock.TryLockContext(ctx, limits.LockPoll)
	if locked {
		return func() { _ = lock.Unlock() }, nil
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("waiting for another writer: %w", context.Cause(ctx))
	}
	return nil, err
}

// Update has change edit what index.json says. One writer at a time does so;
// readers see the old state or the new one.
func (l *Layout) Update(ctx context.Context, change func(*ocispec.Index)) error {
	unlock, err := l.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	index, err := l.Index()
	if err != nil {
		return err
	}
	change(&index)
	if len(index.Manifests) > limits.Candidates {
		return limits.Exceeded("number of descriptors in "+ocispec.ImageIndexFile, limits.Candidates)
	}
	index.SchemaVersion = 2
	return l.writeJSON(ocispec.ImageIndexFile, index)
}

func (l *Layout) writeJSON(name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(b) > limits.Manifest {
		return limits.Exceeded(name+" in bytes", limits.Manifest)
	}
	f, err := l.newFile(name)
	if err != nil {
		return err
	}
	defer f.discard()
	if _, err := f.Write(b); err != nil {
		return err
	}
	return f.keep()
}

// file gets its name when it is complete.
type file struct {
	*os.File
	layout          *Layout
	temporary, name string
}

func (l *Layout) newFile(name string) (*file, error) {
	f := &file{layout: l, temporary: path.Join(path.Dir(name), temporary+rand.Text()), name: name}
	var err error
	f.File, err = l.root.OpenFile(f.temporary, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
	return f, err
}

func (f *file) keep() error {
	err := f.Sync()
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	if err := f.layout.root.Rename(f.temporary, f.name); err != nil {
		return err
	}
	f.temporary = ""
	return nil
}

// discard does nothing to what is kept.
func (f *file) discard() {
	if f.temporary != "" {
		_ = f.Close()
		_ = f.layout.root.Remove(f.temporary)
		f.temporary = ""
	}
}

// BlobWriter writes one blob. It has to be closed.
type BlobWriter struct {
	file     *file
	digest   digest.Digest
	digester digest.Digester
}

// NewBlob returns the writer of a blob.
func (l *Layout) NewBlob(d digest.Digest) (*BlobWriter, error) {
	name, err := blobName(d)
	if err != nil {
		return nil, err
	}
	if err := l.root.MkdirAll(path.Dir(name), dirMode); err != nil {
		return nil, err
	}
	f, err := l.newFile(name)
	if err != nil {
		return nil, err
	}
	return &BlobWriter{f, d, d.Algorithm().Digester()}, nil
}

func (w *BlobWriter) Write(b []byte) (int, error) {
	n, err := w.file.Write(b)
	_, _ = w.digester.Hash().Write(b[:n]) // which never fails
	return n, err
}

// Digest is that of what was written so far.
func (w *BlobWriter) Digest() digest.Digest { return w.digester.Digest() }

// Reset forgets what was written.
func (w *BlobWriter) Reset() error {
	w.digester = w.digest.Algorithm().Digester()
	if _, err := w.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return w.file.Truncate(0)
}

// Commit puts the blob in its place, if it has the right digest.
func (w *BlobWriter) Commit() error {
	if got := w.Digest(); got != w.digest {
		return mismatch("content has digest %s, want %s", got, w.digest)
	}
	return w.file.keep()
}

// Close removes what was not committed.
func (w *BlobWriter) Close() { w.file.discard() }

// Has reports whether the layout has the whole content of desc.
func (l *Layout) Has(ctx context.Context, desc ocispec.Descriptor) bool {
	f, size, err := l.Blob(desc.Digest)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	if size != desc.Size {
		return false
	}
	verifier := desc.Digest.Verifier()
	_, err = io.Copy(verifier, Reader(ctx, f))
	return err == nil && verifier.Verified()
}

// Reader reads r until ctx ends.
func Reader(ctx context.Context, r io.Reader) io.Reader { return reader{ctx, r} }

type reader struct {
	ctx context.Context
	io.Reader
}

func (r reader) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(b)
}
