// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/errdefs"
	"github.com/gofrs/flock"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// lookUpLayout resolves the image of a layout and looks for its signatures, and
// returns the errors of both.
func lookUpLayout(ctx context.Context, resolver remotes.Resolver) (resolved, referred error) {
	_, desc, resolved := resolver.Resolve(ctx, layoutRef)
	fetcher, err := resolver.Fetcher(ctx, layoutRef)
	if err != nil {
		return resolved, err
	}
	if resolved != nil {
		desc.Digest = digest.FromString("any")
	}
	_, referred = fetcher.(remotes.ReferrersFetcher).FetchReferrers(ctx, desc.Digest)
	return resolved, referred
}

// TestLayoutThatIsNone: a directory that cannot be looked at is no image without
// signatures.
func TestLayoutThatIsNone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil  func(o *ociDir)
		text   string
		family error
	}{
		"no directory": {func(o *ociDir) { o.dir = o.path("missing") }, "no such file", verify.ErrMisconfigured},
		"a file": {func(o *ociDir) { o.dir = o.path(ocispec.ImageIndexFile) },
			"not a directory", verify.ErrMisconfigured},
		"no version": {func(o *ociDir) { removeFile(o, ocispec.ImageLayoutFile) },
			"is not an OCI image layout: no file oci-layout", verify.ErrMisconfigured},
		"no text in the file of the version": {func(o *ociDir) { o.write(ocispec.ImageLayoutFile, "") }, "unexpected end", verify.ErrRejected},
		"another version": {func(o *ociDir) { o.write(ocispec.ImageLayoutFile, `{"imageLayoutVersion":"2.0.0"}`) },
			`version "2.0.0" is not supported`, verify.ErrRejected},
		"no index": {func(o *ociDir) { removeFile(o, ocispec.ImageIndexFile) }, "no such file", verify.ErrInconclusive},
		"an index that is a directory": {func(o *ociDir) {
			removeFile(o, ocispec.ImageIndexFile)
			o.write("index.json/x", "")
		}, "index.json is not a regular file", verify.ErrRejected},
		"an index that is no JSON":   {func(o *ociDir) { o.write(ocispec.ImageIndexFile, "{") }, "unexpected end", verify.ErrRejected},
		"an index that is no object": {func(o *ociDir) { o.write(ocispec.ImageIndexFile, `[]`) }, "cannot unmarshal", verify.ErrRejected},
		"a list that is none":        {func(o *ociDir) { o.write(ocispec.ImageIndexFile, `{"manifests":1}`) }, "cannot unmarshal", verify.ErrRejected},
		"an entry that is none":      {func(o *ociDir) { o.write(ocispec.ImageIndexFile, `{"manifests":[1]}`) }, "cannot unmarshal", verify.ErrRejected},
		"too many entries": {func(o *ociDir) {
			o.write(ocispec.ImageIndexFile, `{"manifests":[`+strings.Repeat("{},", 2048)+`{}]}`)
		}, "larger than 2048", verify.ErrRejected},
		"a large index": {func(o *ociDir) { o.write(ocispec.ImageIndexFile, strings.Repeat(" ", 4<<20+1)) },
			"index.json in bytes is larger than", verify.ErrRejected},
		"an index elsewhere": {func(o *ociDir) { replaceByLink(o, ocispec.ImageIndexFile) }, "escapes", verify.ErrInconclusive},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOCIDir(t)
			o.list(o.image("a"))
			c.spoil(o)
			resolved, referred := lookUpLayout(t.Context(), o.resolver())
			for _, err := range []error{resolved, referred} {
				wantText(t, err, c.text)
				if errdefs.IsNotFound(err) {
					t.Errorf("%v is not found", err)
				}
			}
			_, err := layoutClient(t, o.dir).Verify(t.Context(), layoutRef, verifierOf(t, newKey(t)))
			wantFamily(t, err, c.family)
			wantText(t, err, c.text)
		})
	}
}

func removeFile(o *ociDir, name string) {
	o.t.Helper()
	if err := os.RemoveAll(o.path(name)); err != nil {
		o.t.Fatal(err)
	}
}

// replaceByLink moves a file to another directory and leaves a link.
func replaceByLink(o *ociDir, name string) {
	o.t.Helper()
	to := filepath.Join(o.t.TempDir(), "elsewhere")
	if err := os.Rename(o.path(name), to); err != nil {
		o.t.Fatal(err)
	}
	if err := os.Symlink(to, o.path(name)); err != nil {
		o.t.Fatal(err)
	}
}

// TestLayoutWithBrokenImage: the image of the layout is not what index.json says.
func TestLayoutWithBrokenImage(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(o *ociDir, image *ocispec.Descriptor)
		text  string
	}{
		"missing":           {func(o *ociDir, d *ocispec.Descriptor) { removeFile(o, layoutBlob(*d)) }, "is listed, and is not there"},
		"other content":     {func(o *ociDir, d *ocispec.Descriptor) { o.write(layoutBlob(*d), strings.Repeat("x", int(d.Size))) }, "has other content"},
		"more than listed":  {func(o *ociDir, d *ocispec.Descriptor) { d.Size-- }, "bytes, want"},
		"less than listed":  {func(o *ociDir, d *ocispec.Descriptor) { d.Size++ }, "bytes, want"},
		"a negative size":   {func(o *ociDir, d *ocispec.Descriptor) { d.Size = -1 }, "bytes, want"},
		"a large size":      {func(o *ociDir, d *ocispec.Descriptor) { d.Size = 1 << 60 }, "manifest in bytes is larger than"},
		"a large manifest":  {func(o *ociDir, d *ocispec.Descriptor) { *d = o.blob(d.MediaType, strings.Repeat(" ", 5<<20)) }, "manifest in bytes is larger than"},
		"another type":      {func(o *ociDir, d *ocispec.Descriptor) { d.MediaType = ocispec.MediaTypeImageIndex }, "is of media type"},
		"no JSON":           {func(o *ociDir, d *ocispec.Descriptor) { *d = o.blob(d.MediaType, "text") }, "invalid character"},
		"a path":            {func(o *ociDir, d *ocispec.Descriptor) { d.Digest = "sha256:../../index.json" }, "invalid checksum digest"},
		"another algorithm": {func(o *ociDir, d *ocispec.Descriptor) { d.Digest = "..:" + digest.Digest(d.Digest.Encoded()) }, "invalid checksum digest"},
		"a directory": {func(o *ociDir, d *ocispec.Descriptor) {
			removeFile(o, layoutBlob(*d))
			o.write(layoutBlob(*d)+"/x", "")
		}, "is not a regular file"},
		"elsewhere":                   {func(o *ociDir, d *ocispec.Descriptor) { replaceByLink(o, layoutBlob(*d)) }, "escapes"},
		"in a directory of elsewhere": {func(o *ociDir, _ *ocispec.Descriptor) { replaceByLink(o, "blobs") }, "escapes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOCIDir(t)
			image := o.image("a")
			c.spoil(o, &image)
			o.list(image)
			resolved, referred := lookUpLayout(t.Context(), o.resolver())
			for _, err := range []error{resolved, referred} {
				wantText(t, err, c.text)
				if errdefs.IsNotFound(err) {
					t.Errorf("%v is not found", err)
				}
			}
			if _, err := layoutClient(t, o.dir).Sign(t.Context(), layoutRef, signerOf(t, newKey(t))); err == nil {
				t.Error("it was signed")
			}
		})
	}
}

func layoutBlob(desc ocispec.Descriptor) string { return "blobs/sha256/" + desc.Digest.Encoded() }

// TestLayoutWithBrokenSignature: what index.json lists and cannot be read is
// not overlooked, and hides no signature from those who ask for what was found.
func TestLayoutWithBrokenSignature(t *testing.T) {
	t.Parallel()
	for _, form := range []signing.Form{signing.Bundle, signing.Legacy} {
		t.Run(string(form), func(t *testing.T) {
			t.Parallel()
			o, key := newOCIDir(t), newKey(t)
			image := o.image("a")
			o.list(image)
			c := layoutClient(t, o.dir)
			attached, err := c.Sign(t.Context(), layoutRef, signerOf(t, key), registry.WithForm(form))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(o.blobPath(attached[0].Manifest.Digest)); err != nil {
				t.Fatal(err)
			}
			_, err = c.Verify(t.Context(), layoutRef, verifierOf(t, key))
			wantFamily(t, err, verify.ErrInconclusive)
			wantText(t, err, "is listed, and is not there")
		})
	}
	o := newOCIDir(t)
	image := o.image("a")
	good, gone := o.referrer(image, layoutBundleType, "1"), o.referrer(image, layoutBundleType, "2")
	o.list(image)
	o.list(gone)
	o.list(good)
	if err := os.Remove(o.blobPath(gone.Digest)); err != nil {
		t.Fatal(err)
	}
	fetcher, err := o.resolver().Fetcher(t.Context(), layoutRef)
	if err != nil {
		t.Fatal(err)
	}
	found, err := fetcher.(remotes.ReferrersFetcher).FetchReferrers(t.Context(), image.Digest)
	if len(found) != 1 || found[0].Digest != good.Digest || err == nil {
		t.Errorf("found %v beside %v, want %s beside an error", found, err, good.Digest)
	}
}

// TestLayoutJunkAmongBlobs: what is no manifest is passed over where unlisted
// bundles are looked for.
func TestLayoutJunkAmongBlobs(t *testing.T) {
	t.Parallel()
	o := newOCIDir(t)
	image := o.image("a")
	o.list(image, annotationKind, cosignKindPrefix+"image")
	want := o.referrer(image, layoutBundleType, "1")
	o.blob("", "{")
	o.blob("", "")
	o.blob("", `{"subject":{"digest":1}}`)
	o.blob("", `{"subject":`+descJSON(image)+`,"mediaType":"text/plain"}`)
	o.blob("", `{"subject":`+descJSON(image)+`}`+strings.Repeat(" ", 4<<20))
	o.write("blobs/sha256/not a digest", `{"subject":`+descJSON(image)+`}`)
	o.write("blobs/sha256/"+strings.Repeat("a", 64)+"/directory", "")
	fetcher, err := o.resolver().Fetcher(t.Context(), layoutRef)
	if err != nil {
		t.Fatal(err)
	}
	found, err := fetcher.(remotes.ReferrersFetcher).FetchReferrers(t.Context(), image.Digest)
	if err != nil || len(found) != 1 || found[0].Digest != want.Digest {
		t.Errorf("found %v, %v; want %s", found, err, want.Digest)
	}
}

func TestLayoutFetch(t *testing.T) {
	t.Parallel()
	o := newOCIDir(t)
	blob := o.blob(ocispec.MediaTypeImageLayer, "content")
	fetcher, err := o.resolver().Fetcher(t.Context(), layoutRef)
	if err != nil {
		t.Fatal(err)
	}
	larger, absent, path := blob, blob, blob
	larger.Size++
	absent.Digest = digest.FromString("other")
	path.Digest = "sha256:../../oci-layout"
	for _, c := range []struct {
		desc ocispec.Descriptor
		text string
	}{{larger, "has 7 bytes, want 8"}, {absent, "not found"}, {path, "invalid checksum digest"}} {
		_, err := fetcher.Fetch(t.Context(), c.desc)
		wantText(t, err, c.text)
		if errdefs.IsNotFound(err) != (c.text == "not found") {
			t.Error(err)
		}
	}

	ctx, cancel := context.WithCancel(t.Context())
	rc, err := fetcher.Fetch(ctx, blob)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	if _, err := rc.Read(make([]byte, 3)); err != nil {
		t.Error(err)
	}
	cancel()
	if _, err := io.ReadAll(rc); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want that of the context", err)
	}
}

// TestLayoutIsNotWrittenOutside: a layout cannot have a writer touch what is not
// in it, nor a directory of something else become one.
func TestLayoutIsNotWrittenOutside(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(o *ociDir)
		text  string
	}{
		"blobs elsewhere":             {func(o *ociDir) { replaceByLink(o, "blobs") }, "escapes"},
		"the lock elsewhere":          {func(o *ociDir) { o.write("index.json.lock", ""); replaceByLink(o, "index.json.lock") }, "index.json.lock is not a regular file"},
		"a lock that is a directory":  {func(o *ociDir) { o.write("index.json.lock/x", "") }, "index.json.lock is not a regular file"},
		"a directory of other things": {func(o *ociDir) { removeFile(o, ocispec.ImageLayoutFile) }, "is not an OCI image layout, and is not empty"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOCIDir(t)
			image := o.image("a")
			o.list(image)
			c.spoil(o)
			text := fmt.Sprintf(`{"mediaType":%q}`, ocispec.MediaTypeImageManifest)
			desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(text), Size: int64(len(text))}
			pusher, err := o.resolver().Pusher(t.Context(), layoutRef)
			if err != nil {
				t.Fatal(err)
			}
			w, err := pusher.Push(t.Context(), desc)
			if err == nil {
				_, _ = io.WriteString(w, text)
				err = w.Commit(t.Context(), desc.Size, desc.Digest)
				_ = w.Close()
			}
			wantText(t, err, c.text)
			if target, err := filepath.EvalSymlinks(o.path("blobs")); err == nil {
				if _, err := os.Stat(filepath.Join(target, "sha256", desc.Digest.Encoded())); err == nil && name == "blobs elsewhere" {
					t.Error("it was written")
				}
			}
			if _, err := os.Lstat(o.path("index.json.lock")); err == nil && name == "a directory of other things" {
				t.Error("a lock was left behind")
			}
		})
	}
}

// TestLayoutWaitsForOtherWriters until the context ends.
func TestLayoutWaitsForOtherWriters(t *testing.T) {
	t.Parallel()
	o := newOCIDir(t)
	o.list(o.image("a"))
	lock := flock.New(o.path("index.json.lock"))
	if err := lock.Lock(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	c, key := layoutClient(t, o.dir), newKey(t)
	_, err := c.Sign(ctx, layoutRef, signerOf(t, key))
	wantFamily(t, err, verify.ErrInconclusive)
	wantText(t, err, "waiting for another writer")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v, want that of the context", err)
	}

	signed := make(chan error, 1)
	go func() {
		_, err := c.Sign(t.Context(), layoutRef, signerOf(t, key))
		signed <- err
	}()
	if _, _, err := o.resolver().Resolve(t.Context(), layoutRef); err != nil {
		t.Error("a reader waits:", err)
	}
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
	if err := <-signed; err != nil {
		t.Error(err)
	}
}

// TestLayoutThatIsFull takes no more than readers read.
func TestLayoutThatIsFull(t *testing.T) {
	t.Parallel()
	o := newOCIDir(t)
	image := o.image("a")
	o.Manifests = append(o.Manifests, image)
	for range 2047 {
		o.Manifests = append(o.Manifests, ocispec.Descriptor{MediaType: "text/plain"})
	}
	o.save()
	_, err := layoutClient(t, o.dir).Sign(t.Context(), layoutRef, signerOf(t, newKey(t)))
	wantFamily(t, err, verify.ErrRejected)
	wantText(t, err, "larger than 2048")
	if n := len(readLayoutIndex(t, o.dir).Manifests); n != 2048 {
		t.Errorf("%d entries, want those that were there", n)
	}
}
