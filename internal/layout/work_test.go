// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package layout

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/cosignkit/cosignkit/internal/limits"
)

const (
	someManifest = `{"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"x"},"subject":{"digest":"sha256:a"},"annotations":{"a":"b"}}`
	someIndex    = `{"schemaVersion":2,"manifests":[{"mediaType":"x","size":1,"annotations":{"a":"b"}},{"platform":{"os":"linux"}}]}`
)

// layoutWith is a layout whose index.json holds b.
func layoutWith(t testing.TB, dir string, b []byte) *Layout {
	t.Helper()
	for name, content := range map[string][]byte{"oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}`), "index.json": b} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func decodeManifest(b []byte) {
	if m, err := ParseManifest(b); err == nil {
		m.Describe(m.MediaType, digest.FromBytes(b), int64(len(b)))
	}
}

// FuzzIndex holds that no index.json and no manifest panics, and that an index has no
// more descriptors than are read.
func FuzzIndex(f *testing.F) {
	f.Add([]byte(someIndex))
	f.Add([]byte(`{"manifests":[{}],"manifests":[{}]}`))
	f.Add([]byte(`{"manifests":{}}`))
	f.Add(bytes.Repeat([]byte("["), 10_001))
	f.Add([]byte(someManifest))
	f.Fuzz(func(t *testing.T, b []byte) {
		decodeManifest(b)
		l := layoutWith(t, t.TempDir(), b)
		defer func() { _ = l.Close() }()
		if index, err := l.Index(); err == nil && len(index.Manifests) > limits.Candidates {
			t.Errorf("%d descriptors", len(index.Manifests))
		}
	})
}
