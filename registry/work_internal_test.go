// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package registry

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/remotes/docker/auth"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/internal/worktest"
)

// decoders are all that read what a registry sends, and what they read.
func decoders(t testing.TB) map[string]worktest.Decoder {
	t.Helper()
	desc := ocispec.Descriptor{
		MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("a"), Size: 1, ArtifactType: bundleMediaType,
		Annotations: map[string]string{signatureAnnotation: "AAAA", "org.opencontainers.image.created": "2026-01-02T03:04:05Z"},
		Platform:    &ocispec.Platform{OS: "linux", Architecture: "amd64"},
	}
	index := marshalled(t, ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{desc, desc}})
	manifest := marshalled(t, ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: desc, Layers: []ocispec.Descriptor{desc}})
	config := marshalled(t, ocispec.Image{Platform: *desc.Platform, RootFS: ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{desc.Digest}}})
	each := func(field string) func([]byte) {
		return func(b []byte) {
			_ = eachDescriptor(b, field, limits.Descriptors, func(int, ocispec.Descriptor, error) error { return nil })
		}
	}
	header := func(name string, decode func(http.Header)) func([]byte) {
		return func(b []byte) {
			// As net/http splits it, which gives no line more than one of these.
			h := http.Header{name: strings.Split(string(b), "\n")}
			if checkHeader(h) == nil {
				decode(h)
			}
		}
	}
	page := &url.URL{Scheme: "https", Host: "registry.test", Path: "/v2/app/referrers/x"}
	decoder := func(decode func([]byte), seed []byte) worktest.Decoder {
		return worktest.Decoder{Decode: decode, Seeds: [][]byte{seed}, PerByte: 512, Fixed: 1 << 16}
	}
	// Under the race detector a regular expression makes its machine anew each time.
	link := func(seed string) worktest.Decoder {
		decode := header("Link", func(h http.Header) { _, _ = nextPage(page, h) })
		return worktest.Decoder{Decode: decode, Seeds: [][]byte{[]byte(seed)}, PerByte: 4096, Fixed: 1 << 20}
	}
	return map[string]worktest.Decoder{
		"list of referrers": decoder(each("manifests"), index),
		"layers":            decoder(each("layers"), manifest),
		"index":             decoder(func(b []byte) { _, _ = parseIndex(b) }, index),
		"kind of an index":  decoder(func(b []byte) { _ = checkIndex(b) }, index),
		"referrers tag":     decoder(func(b []byte) { _, _ = (&referrersIndex{add: desc}).merge(b) }, index),
		"signature tag":     decoder(func(b []byte) { _, _ = (&signatureManifest{add: desc}).merge(b) }, manifest),
		"refusal": decoder(func(b []byte) {
			saysNoAPI(&http.Response{StatusCode: http.StatusNotFound, Body: io.NopCloser(bytes.NewReader(b))})
		}, []byte(`{"errors":[{"code":"UNSUPPORTED"}]}`)),
		"image configuration": decoder(func(b []byte) { _, _ = parse[ocispec.Platform](b) }, config),
		"challenge": decoder(header("Www-Authenticate", func(h http.Header) { auth.ParseAuthHeader(h) }),
			[]byte(`Bearer realm="https://auth.test/token",service="te\"st"`+"\n")),
		"link to the next page": link(`<a>; title="x"; rel="prev", `),
		"links to no page":      link("<a>; rel=x;a=\"\\\n"),
	}
}

func marshalled(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestWhatARegistrySendsCostsLinearWork counts what hostile content makes each
// decoder allocate. It counts for the whole process, and so runs alone.
func TestWhatARegistrySendsCostsLinearWork(t *testing.T) {
	for name, d := range decoders(t) {
		t.Run(name, func(t *testing.T) { worktest.Run(t, d) })
	}
}
