// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/signing"
)

const (
	bundleType = "application/vnd.dev.sigstore.bundle.v0.3+json"
	emptyType  = "application/vnd.oci.empty.v1+json"
)

// TestReferrersIndex: in the index that is written under the referrers tag, on
// a registry without the referrers API, the descriptor of a bundle says that it
// is one. cosign v2 writes the type of the empty config there. Neither side
// changes the other's descriptor when it adds its own. With the API there is no
// such tag.
func TestReferrersIndex(t *testing.T) {
	for _, r := range registries {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			us, v2 := parties()[2], parties()[0]
			key := us.key(t, p256)
			img := r.push(t)
			in := row{"tag's index types bundle", "bundle", p256.name, here, cosignV3.name}
			ours, theirs := bundleType, emptyType
			if r.referrers {
				in.what = "referrers API, no tag"
				ours = emptyType // what this registry shows for every referrer
			}
			us.sign(t, r, signing.Bundle, key, img, nil)
			results.expect(t, in, r.name, verified, func(t *testing.T) {
				expectTypes(t, r, img, ours)
				cosignV3.verify(t, key, img).succeeds(t)
			})
			v2.sign(t, r, signing.Bundle, ownKey(t, v2), img, nil)
			expectTypes(t, r, img, ours, theirs)
			third := keyMadeHere(t, p256, "third")
			us.sign(t, r, signing.Bundle, third, img, nil)
			expectTypes(t, r, img, ours, ours, theirs)
		})
	}
}

// expectTypes fails the test unless the descriptors of the referrers of img
// have these artifact types, in any order.
func expectTypes(t *testing.T, r testRegistry, img image, want ...string) {
	t.Helper()
	count := map[string]int{}
	for _, descriptor := range referrers(t, r, img) {
		count[descriptor.ArtifactType]++
	}
	for _, artifactType := range want {
		count[artifactType]--
	}
	for artifactType, n := range count {
		if n != 0 {
			t.Errorf("artifact type %q: %+d descriptors than expected", artifactType, n)
		}
	}
}

// referrers reads what the registry itself says, by its API or under the
// referrers tag, whichever it has.
func referrers(t *testing.T, r testRegistry, img image) []ocispec.Descriptor {
	t.Helper()
	repository := strings.TrimPrefix(img.repository, r.address+"/")
	api := "http://" + r.address + "/v2/" + repository + "/referrers/" + img.digest
	tag := "http://" + r.address + "/v2/" + repository + "/manifests/" + strings.Replace(img.digest, ":", "-", 1)
	url, other := api, tag
	if !r.referrers {
		url, other = tag, api
	}
	if status, _, err := get(t.Context(), other, ocispec.MediaTypeImageIndex); err != nil || status != http.StatusNotFound {
		t.Errorf("GET %s: status %d, %v; want %d", other, status, err, http.StatusNotFound)
	}
	status, body, err := get(t.Context(), url, ocispec.MediaTypeImageIndex)
	if err != nil || status != http.StatusOK {
		t.Fatalf("GET %s: status %d, %v", url, status, err)
	}
	var index ocispec.Index
	if err := json.Unmarshal(body, &index); err != nil {
		t.Fatal(err)
	}
	if index.MediaType != ocispec.MediaTypeImageIndex {
		t.Errorf("media type %q, want %q", index.MediaType, ocispec.MediaTypeImageIndex)
	}
	return index.Manifests
}
