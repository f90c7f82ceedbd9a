// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package trust_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/internal/worktest"
)

// TestTUFDoesLinearWork: whatever a mirror serves as a file of metadata costs no
// more than in proportion to its size. It counts what the process allocates, and so
// runs alone.
func TestTUFDoesLinearWork(t *testing.T) {
	for _, file := range mirrorFiles[:4] {
		t.Run(file, func(t *testing.T) {
			m := newMirror(t)
			m.rotate(t, metadata.ROOT)
			m.publish(t, "two")
			m.cache = filepath.Join(m.RootFile(), "cannot be made")
			published := map[string]string{"root.json": "2.root.json", "snapshot.json": "2.snapshot.json", "targets.json": "2.targets.json"}[file]
			if published == "" {
				published = file
			}
			worktest.Run(t, worktest.Decoder{
				Decode: func(b []byte) {
					m.setAnswer(func(w http.ResponseWriter, r *http.Request) bool {
						if !strings.HasSuffix(r.URL.Path, "/"+published) {
							return false
						}
						_, _ = w.Write(b)
						return true
					})
					_, _ = m.start(t).TrustedRoot(t.Context())
				},
				Seeds: [][]byte{readFile(t, m.dir, published)}, PerByte: 256, Fixed: 2 << 20,
			})
		})
	}
}

// TestTUFManyRoots: a refresh follows so many roots, and the next one goes on from
// there.
func TestTUFManyRoots(t *testing.T) {
	t.Parallel()
	m := newMirror(t)
	for range limits.TUFRoots + 2 {
		must(t, m.PublishRoot())
	}
	must(t, m.Rotate(metadata.TIMESTAMP))
	m.publish(t, "two")
	if err := m.refresh(t); err == nil || !strings.Contains(err.Error(), "not enough signatures") {
		t.Errorf("error is %v", err)
	}
	if roots, err := os.ReadDir(m.path("roots")); len(roots) != limits.TUFRoots {
		t.Errorf("the cache has %d roots, %v", len(roots), err)
	}
	if err := m.refresh(t); err != nil {
		t.Error(err)
	}
	wantState(t, m.start(t), "two")
}
