// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package layout_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.uber.org/goleak"

	"github.com/cosignkit/cosignkit/internal/layout"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAttachedTo(t *testing.T) {
	t.Parallel()
	hex := strings.Repeat("0a", 32)
	for tag, want := range map[string]struct{ digest, suffix string }{
		"sha256-" + hex:                  {"sha256:" + hex, ""},
		"sha256-" + hex + ".sig":         {"sha256:" + hex, ".sig"},
		"sha256-" + hex + ".att":         {"sha256:" + hex, ".att"},
		"sha256-" + hex + "0":            {},
		"sha256-" + hex[1:]:              {},
		"sha256-" + strings.ToUpper(hex): {},
		"v1-sha256-" + hex:               {},
		"latest":                         {},
		"":                               {},
	} {
		d, suffix, ok := layout.AttachedTo(tag)
		if ok != (want.digest != "") || d.String() != want.digest || suffix != want.suffix {
			t.Errorf("%q is about %q, %q, %v; want %v", tag, d, suffix, ok, want)
		}
	}
}

// FuzzTag: whatever was in the index, a name stands for what it was given to,
// and giving it again adds nothing.
func FuzzTag(f *testing.F) {
	const name = "example.com/team/app:v1"
	hex := strings.Repeat("a", 64)
	manifest := `"mediaType":"application/vnd.oci.image.manifest.v1+json","size":2,"digest":"sha256:` + hex + `"`
	for _, index := range []string{
		`{}`,
		`{"manifests":[{}]}`,
		`{"manifests":[{` + manifest + `}]}`,
		`{"manifests":[{` + manifest + `,"annotations":{"org.opencontainers.image.ref.name":"v1"}}]}`,
		`{"manifests":[{` + manifest + `,"annotations":{"org.opencontainers.image.ref.name":"` + name + `"}},` +
			`{` + manifest + `,"annotations":{"org.opencontainers.image.ref.name":"v1"}}]}`,
		`{"manifests":[{` + manifest + `,"annotations":{"org.opencontainers.image.ref.name":"v1","io.containerd.image.name":"example.com/other:v1"}}]}`,
		`{"manifests":[{` + manifest + `,"annotations":{"kind":"dev.cosignproject.cosign/image"}},{` + manifest + `,"annotations":{"kind":"dev.cosignproject.cosign/sigs"}}]}`,
		// Signatures that do not say whose they are: without an image that is
		// marked, twice, after a mark on nothing, and with a name of another kind.
		`{"manifests":[{` + manifest + `},{` + manifest + `,"annotations":{"kind":"dev.cosignproject.cosign/sigs"}}]}`,
		`{"manifests":[{` + manifest + `,"annotations":{"kind":"dev.cosignproject.cosign/image"}},` +
			`{` + manifest + `,"annotations":{"kind":"dev.cosignproject.cosign/sigs"}},{` + manifest + `,"annotations":{"kind":"dev.cosignproject.cosign/sigs"}}]}`,
		`{"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","annotations":{"kind":"dev.cosignproject.cosign/image","org.opencontainers.image.ref.name":"sha256-` + hex + `.sig"}},` +
			`{` + manifest + `,"annotations":{"kind":"dev.cosignproject.cosign/image"}},{` + manifest + `,"annotations":{"kind":"dev.cosignproject.cosign/sigs"}}]}`,
		`{"manifests":[{` + manifest + `,"annotations":{"kind":"dev.cosignproject.cosign/image"}},` +
			`{` + manifest + `,"annotations":{"kind":"dev.cosignproject.cosign/sigs","io.containerd.image.name":"example.com/team/app:sha256-` + hex + `.sig"}},` +
			`{` + strings.ReplaceAll(manifest, hex, strings.Repeat("b", 64)) + `,"annotations":{"kind":"dev.cosignproject.cosign/sigs"}}]}`,
	} {
		f.Add([]byte(index), name)
		f.Add([]byte(index), "example.com/team/app:sha256-"+hex+".sig")
	}
	f.Fuzz(func(t *testing.T, b []byte, ref string) {
		var index ocispec.Index
		named, err := reference.ParseNormalizedNamed(ref)
		if err != nil || json.Unmarshal(b, &index) != nil {
			return
		}
		tagged, ok := named.(reference.NamedTagged)
		if _, digested := named.(reference.Digested); !ok || digested {
			return
		}
		before := len(index.Manifests)
		want := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("new"), Size: 3}
		layout.Tag(&index, tagged, "", want)
		found, err := layout.Find(index, tagged)
		if err != nil || found == nil || found.Digest != want.Digest || found.Size != want.Size || found.MediaType != want.MediaType {
			t.Fatalf("%s is %v, %v; want %v", tagged, found, err, want)
		}
		n := len(index.Manifests)
		if n > before+1 {
			t.Errorf("%d entries became %d", before, n)
		}
		layout.Tag(&index, tagged, "", want)
		if len(index.Manifests) != n {
			t.Errorf("%d entries became %d with the same name", n, len(index.Manifests))
		}
	})
}
