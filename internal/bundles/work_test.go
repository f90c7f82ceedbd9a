// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package bundles

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/cosignkit/cosignkit/internal/limits"
)

// realBundles are bundles that real tools made, with all kinds of log entries.
func realBundles(t testing.TB) []*protobundle.Bundle {
	t.Helper()
	var all []*protobundle.Bundle
	for _, pattern := range []string{"golden/v3.1.3-bundle-*/blobs/sha256/*", "public-good/bundles/*.json"} {
		files, err := filepath.Glob(filepath.Join("..", "..", "testdata", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			pb := &protobundle.Bundle{}
			if bytes.Contains(b, []byte("verificationMaterial")) && protojson.Unmarshal(b, pb) == nil {
				all = append(all, pb)
			}
		}
	}
	return all
}

// parts are what real bundles have of each kind, a few of each.
func realParts(t testing.TB) (certificates, bodies, stamps [][]byte) {
	t.Helper()
	kinds := map[string]bool{}
	for _, b := range realBundles(t) {
		material := b.GetVerificationMaterial()
		if c := material.GetCertificate(); c != nil && len(certificates) < 2 {
			certificates = append(certificates, c.GetRawBytes())
		}
		for _, entry := range material.GetTlogEntries() {
			if kind := entry.GetKindVersion().String(); !kinds[kind] {
				kinds[kind] = true
				bodies = append(bodies, entry.GetCanonicalizedBody())
			}
		}
		for _, stamp := range material.GetTimestampVerificationData().GetRfc3161Timestamps() {
			if len(stamps) < 2 {
				stamps = append(stamps, stamp.GetSignedTimestamp())
			}
		}
	}
	if len(certificates) == 0 || len(bodies) < 3 || len(stamps) == 0 {
		t.Fatalf("%d certificates, %d kinds of entries, %d timestamps", len(certificates), len(bodies), len(stamps))
	}
	return certificates, bodies, stamps
}

func TestRealBundlesAreLight(t *testing.T) {
	t.Parallel()
	for _, b := range realBundles(t) {
		if err := CheckWeight(b, limits.Chain); err != nil {
			t.Errorf("%v: %v", b.GetMediaType(), err)
		}
	}
}
