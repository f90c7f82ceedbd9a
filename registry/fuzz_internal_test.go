// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/verify"
)

const signatureAnnotation = "dev.cosignproject.cosign/signature"

// addDocuments adds manifests and indexes that real tools wrote, and some that no
// honest one writes.
func addDocuments(f *testing.F, add func([]byte)) {
	f.Helper()
	const golden = "../testdata/golden"
	for _, name := range []string{
		"v1.13.6-legacy-keyless-rekor-v1", "v2.2.4-oci11-p256-referrers-tag", "v3.1.3-legacy-p256-and-rsa-2048",
		"v3.1.3-bundle-p256-and-rsa-2048-referrers-tag", "v3.1.3-bundle-p256-recursive",
	} {
		files, err := filepath.Glob(filepath.Join(golden, name, "blobs", "sha256", "*"))
		if err != nil || len(files) == 0 {
			f.Fatal(name, err)
		}
		for _, file := range append(files, filepath.Join(golden, name, "index.json")) {
			b, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			if strings.Contains(string(b), "schemaVersion") {
				add(b)
			}
		}
	}
	d := digest.FromString("a").String()
	for _, seed := range []string{
		``, `null`, `{}`, `[]`, `{"manifests":null,"layers":null}`, `{"manifests":[],"layers":[]}`, `{"manifests":{},"layers":1}`,
		`{"manifests":[null,{},1,{"digest":1},{"size":"1"},{"size":-1}],"layers":[null,{},1,{"annotations":[]}]}`,
		`{"manifests":[{"digest":"` + d + `","size":1}],"manifests":[{"digest":"` + d + `","size":2}]}`,
		`{"layers":[{"digest":"` + d + `","size":1}],"Layers":[{}],"LAYERS":[{"size":1e3}]}`,
		`{"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"digest":"` + d + `","size":1,"mediaType":"x","artifactType":"` + bundleMediaType + `"}],"annotations":{"a":"b"}}`,
		`{"mediaType":"application/vnd.oci.image.manifest.v1+json","layers":[{"digest":"` + d + `","size":1,"annotations":{"` + signatureAnnotation + `":"AAAA"}},{"digest":"` + d + `","size":1}]}`,
		`{"manifests":[` + strings.Repeat(`{},`, 40) + `{}]}`,
	} {
		add([]byte(seed))
	}
}

// wantContentError holds that err says that a registry sent something bad, in one
// line.
func wantContentError(t *testing.T, err error) {
	t.Helper()
	wrapped := unreadable(verify.Origin{}, err).Err
	for _, family := range []error{verify.ErrRejected, verify.ErrInconclusive, verify.ErrMisconfigured} {
		if errors.Is(wrapped, family) != (family == verify.ErrRejected) {
			t.Errorf("error is of another family than rejected: %v", wrapped)
		}
	}
	if strings.ContainsFunc(wrapped.Error(), unicode.IsControl) || len(wrapped.Error()) > 8<<10 {
		t.Errorf("error is not one short line: %.1000q", wrapped)
	}
}

// FuzzDescriptors holds that no list panics, and that the two ways of reading one,
// that which keeps it and that which does not, read the same.
func FuzzDescriptors(f *testing.F) {
	addDocuments(f, func(b []byte) { f.Add(b) })
	f.Fuzz(func(t *testing.T, b []byte) {
		index, indexErr := parseIndex(b)
		manifest, manifestErr := parseManifest(b)
		for field, parsed := range map[string]struct {
			list descriptors
			err  error
		}{"manifests": {index.Manifests, indexErr}, "layers": {manifest.Layers, manifestErr}} {
			var passed []ocispec.Descriptor
			bad := 0
			err := eachDescriptor(b, field, limits.Descriptors, func(i int, desc ocispec.Descriptor, err error) error {
				if err != nil {
					bad++
					wantContentError(t, err)
					if !reflect.DeepEqual(desc, ocispec.Descriptor{}) {
						t.Errorf("%+v beside the error %v", desc, err)
					}
				}
				checkMaySign(t, desc)
				passed = append(passed, desc)
				return nil
			})
			if len(passed) > limits.Descriptors {
				t.Errorf("%d descriptors", len(passed))
			}
			if err != nil {
				wantContentError(t, err)
			}
			if parsed.err != nil {
				wantContentError(t, parsed.err)
			} else if n := len(parsed.list); err != nil || bad > 0 || n > len(passed) || n > 0 && !reflect.DeepEqual([]ocispec.Descriptor(parsed.list), passed[len(passed)-n:]) {
				t.Errorf("one by one %s are %+v, %v; together %+v", field, passed, err, parsed.list)
			}
			checkStop(t, b, field, len(passed))
		}
	})
}

// checkStop holds that an error ends the list, and is returned.
func checkStop(t *testing.T, b []byte, field string, n int) {
	t.Helper()
	if n == 0 {
		return
	}
	stop, calls := errors.New("stop"), 0
	err := eachDescriptor(b, field, limits.Descriptors, func(int, ocispec.Descriptor, error) error {
		if calls++; calls > n/2 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || calls != n/2+1 {
		t.Errorf("stopped after %d of %d: %v", calls, n, err)
	}
}

func checkMaySign(t *testing.T, desc ocispec.Descriptor) {
	t.Helper()
	predicate, ok := desc.Annotations["dev.sigstore.bundle.predicateType"]
	attests := ok && predicate != "" && predicate != "https://sigstore.dev/cosign/sign/v1"
	other := desc.ArtifactType != "" && desc.ArtifactType != "application/vnd.oci.empty.v1+json" &&
		desc.ArtifactType != "application/vnd.dev.cosign.artifact.sig.v1+json" &&
		!strings.HasPrefix(desc.ArtifactType, "application/vnd.dev.sigstore.bundle")
	if maySign(desc) == (attests || other) {
		t.Errorf("may sign: %t: %+v", maySign(desc), desc)
	}
}

// FuzzNextPage holds that no header panics, that one in proper form is followed
// (RFC 8288), and that nothing is followed where nothing is next.
func FuzzNextPage(f *testing.F) {
	for _, seed := range []string{
		`</v2/app/referrers/x?page=2>; rel="next"`, `</v2/app/referrers/x>;rel=next`, `<a>; rel="prev", <b>; rel="next"`,
		`<//other.example/x>; rel="next"`, `<https://user:password@host/\x7f>; rel=next`, `<%zz>; rel=next`, `<:>; rel="next"`,
		`<a>; title="x, y"; rel="next"`, `<a>; rel="next last"`, `<a>; REL=NEXT`, `<>; rel=next`, ``, `rel=next`, `<a>`,
	} {
		f.Add(seed, "/v2/app/referrers/x?page=2")
		f.Add(seed, seed)
	}
	base := &url.URL{Scheme: "https", Host: "registry.example", Path: "/v2/app/referrers/sha256:x", RawQuery: "ns=docker.io"}
	f.Fuzz(func(t *testing.T, value, target string) {
		next, err := nextPage(base, http.Header{"Link": {value}})
		switch {
		case err != nil:
			wantContentError(t, err)
			if next != nil {
				t.Errorf("%v beside the error %v", next, err)
			}
		case next != nil && (!strings.Contains(strings.ToLower(value), "rel") || !strings.Contains(strings.ToLower(value), "next") || !next.IsAbs()):
			t.Errorf("%q leads to %v", value, next)
		}
		if strings.ContainsAny(target, "<>") {
			return
		}
		want, wantErr := url.Parse(target)
		next, err = nextPage(base, http.Header{"Link": {`</first>; rel="first"`, `</last>; rel="last", <` + target + `>; rel="next"`}})
		if (err == nil) != (wantErr == nil) || err == nil && (next == nil || next.String() != base.ResolveReference(want).String()) {
			t.Errorf("<%q> leads to %v, %v; want %v, %v", target, next, err, want, wantErr)
		}
	})
}

// FuzzMergeReferrersTag holds that merging loses no entry: none of what is there,
// and none of what was there when it was read before.
func FuzzMergeReferrersTag(f *testing.F) {
	var first []byte
	addDocuments(f, func(b []byte) {
		f.Add(b, first, "a")
		f.Add(b, b, "b")
		first = b
	})
	f.Fuzz(func(t *testing.T, current, other []byte, text string) {
		add := describe(ocispec.MediaTypeImageManifest, []byte(text))
		add.ArtifactType = bundleMediaType
		x := &referrersIndex{add: add}
		after := checkMerge(t, x, current, "manifests", nil, add)
		if after == nil {
			return
		}
		checkMerge(t, x, other, "manifests", after, add)
		checkMerge(t, &referrersIndex{add: add}, nil, "manifests", nil, add)
	})
}

// FuzzMergeSignatureTag is the same for the manifest of legacy signatures.
func FuzzMergeSignatureTag(f *testing.F) {
	var first []byte
	addDocuments(f, func(b []byte) {
		f.Add(b, first, "a", "AAAA", "")
		f.Add(b, b, "b", "", "{}")
		first = b
	})
	// An algorithm can be deterministic: this is the signature as it was made
	// before it was logged.
	unlogged := &signatureManifest{add: fuzzedLayer("a", "AAAA", "")}
	signed, err := unlogged.merge(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signed.data, first, "a", "AAAA", "{}")
	f.Add(first, signed.data, "a", "AAAA", "{}")
	f.Fuzz(func(t *testing.T, current, other []byte, text, signature, entry string) {
		if !utf8.ValidString(signature) || !utf8.ValidString(entry) {
			return // no signer makes it
		}
		add := fuzzedLayer(text, signature, entry)
		x := &signatureManifest{add: add}
		after := checkMerge(t, x, current, "layers", nil, add)
		if after == nil {
			return
		}
		checkMerge(t, x, other, "layers", after, add)
		checkMerge(t, &signatureManifest{add: add}, nil, "layers", nil, add)
	})
}

func fuzzedLayer(text, signature, entry string) ocispec.Descriptor {
	layer := describe("application/vnd.dev.cosign.simplesigning.v1+json", []byte(text))
	layer.Annotations = map[string]string{signatureAnnotation: signature}
	if entry != "" {
		layer.Annotations["dev.sigstore.cosign/bundle"] = entry
	}
	return layer
}

// checkMerge merges into current, and returns what the tag holds then; nil where
// it is not overwritten. before is what it held when it was last read.
func checkMerge(t *testing.T, s shared, current []byte, field string, before []ocispec.Descriptor, add ocispec.Descriptor) []ocispec.Descriptor {
	t.Helper()
	merged, err := s.merge(current)
	if err != nil {
		if merged != nil {
			t.Errorf("a document beside the error %v", err)
		}
		if line := failed(t.Context(), err).Error(); strings.ContainsFunc(line, unicode.IsControl) {
			t.Errorf("error is not one line: %q", line)
		}
		return nil
	}
	was, now := listOf(t, current, field), current
	if merged != nil {
		now = merged.data
		if merged.Digest != digest.FromBytes(now) || merged.Size != int64(len(now)) {
			t.Errorf("%+v describes %d bytes", merged.Descriptor, len(now))
		}
		if again, err := s.merge(now); err != nil || again != nil {
			t.Errorf("merged again: %v, %v", again, err)
		}
		if len(now) > 0 && len(annotationsOf(t, current)) > 0 && !maps.Equal(annotationsOf(t, current), annotationsOf(t, now)) {
			t.Errorf("the annotations of %s are lost in %s", current, now)
		}
	}
	is := listOf(t, now, field)
	if len(is) < len(was) || len(is) > len(was)+len(before)+1 || len(is) > limits.Candidates {
		t.Errorf("%d entries were %d, and %d before", len(is), len(was), len(before))
	}
	for _, d := range slices.Concat(was, before, []ocispec.Descriptor{add}) {
		if !slices.ContainsFunc(is, func(have ocispec.Descriptor) bool {
			// A referrer is known by its digest, and one of our own that has another
			// size or type there is mended. A signature is all that a layer says.
			return have.Digest == d.Digest && (field == "manifests" ||
				have.Size == d.Size && have.MediaType == d.MediaType && maps.Equal(have.Annotations, d.Annotations))
		}) {
			t.Errorf("the entry %+v is lost in %s", d, now)
		}
	}
	if !slices.ContainsFunc(is, func(have ocispec.Descriptor) bool {
		return have.Digest == add.Digest && have.Size == add.Size && have.MediaType == add.MediaType && have.ArtifactType == add.ArtifactType
	}) {
		t.Errorf("the entry %+v is not in %s", add, now)
	}
	return is
}

// listOf is what a document lists as any reader of JSON sees it.
func listOf(t *testing.T, b []byte, field string) []ocispec.Descriptor {
	t.Helper()
	if b == nil {
		return nil
	}
	var index struct{ Manifests []ocispec.Descriptor }
	var manifest struct{ Layers []ocispec.Descriptor }
	var err error
	if field == "layers" {
		err = json.Unmarshal(b, &manifest)
	} else {
		err = json.Unmarshal(b, &index)
	}
	if err != nil {
		t.Fatal(err)
	}
	return append(index.Manifests, manifest.Layers...)
}

func annotationsOf(t *testing.T, b []byte) map[string]string {
	t.Helper()
	var document struct{ Annotations map[string]string }
	if b != nil && json.Unmarshal(b, &document) != nil {
		t.Fatalf("merged with %s", b)
	}
	return document.Annotations
}
