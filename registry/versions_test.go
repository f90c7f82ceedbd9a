// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	cosigntypes "github.com/sigstore/cosign/v2/pkg/types"

	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/verify"
)

// TestVersionsOfBundles: each media type that bundles have had is found in both
// lists of referrers, whatever the artifact type says.
func TestVersionsOfBundles(t *testing.T) {
	t.Parallel()
	for _, mediaType := range []string{
		"application/vnd.dev.sigstore.bundle+json;version=0.1",
		"application/vnd.dev.sigstore.bundle+json;version=0.2",
		"application/vnd.dev.sigstore.bundle+json;version=0.3",
		"application/vnd.dev.sigstore.bundle.v0.3+json",
	} {
		for _, artifactType := range []string{mediaType, strings.ReplaceAll(mediaType, ";", "; "), ocispec.MediaTypeEmptyJSON, ""} {
			for _, repo := range []string{"app", "signatures"} {
				for _, api := range []bool{true, false} {
					t.Run(fmt.Sprintf("%s, listed as %q in %s, API %t", mediaType, artifactType, repo, api), func(t *testing.T) {
						t.Parallel()
						j := newJunkTest(t)
						good := bundleOver(theJunkKeys().right, cosigntypes.CosignSignPredicateType, j.image.Target.Digest)
						good = newPiece(mediaType, bytes.Replace(good.data, []byte(junkBundleType), []byte(mediaType), 1), nil)
						list := j.refer(repo, artifactType, j.image.Target, []piece{good})
						if j.hasAPI = api; api {
							j.referrers[repo] = list
						} else {
							j.putManifest(repo, ocispec.MediaTypeImageIndex, indexOf(list...), tagOf(j.image.Target.Digest))
						}
						c := newClient(t, registry.Config{SignatureRepository: j.reg.ref("signatures")})
						if _, err := c.VerifyImage(t.Context(), j.image, junkVerifier(t, verify.Limits{})); err != nil {
							t.Error(err)
						}
					})
				}
			}
		}
	}
}
