// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package trust_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofrs/flock"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// kept are the versions of metadata that the cache holds: roots, then the other
// roles by their order.
func (m *mirror) kept(t *testing.T) string {
	t.Helper()
	var all []string
	roots, err := filepath.Glob(m.path("roots/*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, root := range roots {
		all = append(all, strings.TrimSuffix(filepath.Base(root), ".root.json"))
	}
	slices.Sort(all)
	for _, role := range everyRole[1:] {
		var file struct{ Signed struct{ Version int64 } }
		if b, err := os.ReadFile(m.path(role + ".json")); err != nil {
			all = append(all, "-")
		} else if err := json.Unmarshal(b, &file); err != nil {
			t.Fatal(err)
		} else {
			all = append(all, fmt.Sprint(file.Signed.Version))
		}
	}
	return strings.Join(all, " ")
}

// copyTo has a mirror with what this one has now, and with a copy of its cache.
func (m *mirror) copyTo(t *testing.T, cache string) *mirror {
	t.Helper()
	other := newMirror(t)
	other.initial, other.cache = m.initial, cache
	before := t.TempDir()
	if err := os.CopyFS(before, os.DirFS(m.dir)); err != nil {
		t.Fatal(err)
	}
	other.setAnswer(func(w http.ResponseWriter, r *http.Request) bool {
		http.StripPrefix("/tuf", http.FileServer(http.Dir(before))).ServeHTTP(w, r)
		return true
	})
	return other
}

// TestTUFKilledRefresh takes the cache at each request of a refresh, as a process
// that is killed then leaves it. After a root that revokes the key of a role, a
// mirror that hides that root has nothing to offer any more: neither what it says
// now, nor the copy in the cache.
func TestTUFKilledRefresh(t *testing.T) {
	t.Parallel()
	for _, role := range everyRole {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			m := newMirror(t)
			wantState(t, m.start(t), "one")
			hiding := m.copyTo(t, "")
			m.rotate(t, role, metadata.ROOT)
			m.publish(t, "two")
			m.aDayPasses(t)

			var names []string
			caches := map[string]string{}
			m.setAnswer(func(_ http.ResponseWriter, r *http.Request) bool {
				name := filepath.Base(r.URL.Path)
				names = append(names, name)
				caches[name] = t.TempDir()
				if err := os.CopyFS(caches[name], os.DirFS(m.cache)); err != nil {
					t.Error(err)
				}
				return false
			})
			wantState(t, m.start(t), "two")
			if len(names) != 8 {
				t.Fatalf("requests are %q", names)
			}
			for _, name := range names {
				hiding.cache = caches[name]
				for range 2 {
					hiding.log.Reset()
					switch killed := hiding.start(t); {
					case name == "2.root.json":
						wantState(t, killed, "one") // nothing has been heard of a new root
					case role == metadata.ROOT:
						// The old key of the root has signed nothing but roots.
						wantState(t, killed, "one")
					default:
						wantNone(t, killed, "")
					}
				}
				// With the mirror that tells the truth all is well again.
				m.answer.Store(nil)
				m.cache = caches[name]
				m.aDayPasses(t)
				wantState(t, m.start(t), "two")
				hiding.aDayPasses(t)
				wantState(t, hiding.start(t), "two")
			}
		})
	}
}

// TestTUFHiddenRootWithoutCache is the same within one process, which has nothing
// but its memory. Others that wait for the refresh do not get the old state either.
func TestTUFHiddenRootWithoutCache(t *testing.T) {
	t.Parallel()
	for _, role := range everyRole[1:] {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newMirror(t)
				m.cache = filepath.Join(m.RootFile(), "cannot be made")
				running := m.start(t)
				wantState(t, running, "one")
				hiding := m.copyTo(t, m.cache)
				m.rotate(t, role)
				m.publish(t, "two")

				<-time.After(25 * time.Hour)
				ctx := t.Context()
				m.setAnswer(func(_ http.ResponseWriter, r *http.Request) bool {
					return !strings.HasSuffix(r.URL.Path, ".root.json") && hang(nil, r)
				})
				done := make(chan error, 1)
				go func() {
					_, err := running.TrustedRoot(ctx)
					done <- err
				}()
				synctest.Wait()
				wantNone(t, running, "the mirror took too long")
				if err := <-done; err == nil {
					t.Error("the refresh has no error")
				}
				m.answer.Store(hiding.answer.Load())
				wantNone(t, running, "")
				m.down.Store(true)
				wantNone(t, running, "")
				m.down.Store(false)
				m.answer.Store(nil)
				wantState(t, running, "two")
			})
		})
	}
}

// TestTUFKeepsEachFile: the cache has what was verified before a refresh failed,
// and no mirror goes back behind it.
func TestTUFKeepsEachFile(t *testing.T) {
	t.Parallel()
	for missing, want := range map[string]string{
		"2.root.json":    "1 1 1",
		"timestamp.json": "2 1 1 1",
		"snapshot.json":  "2 2 1 1",
		"targets.json":   "2 2 2 1",
		rootTarget:       "2 2 2 2",
	} {
		t.Run(missing, func(t *testing.T) {
			t.Parallel()
			m := newMirror(t)
			wantState(t, m.start(t), "one")
			before := m.copyTo(t, m.cache)
			m.rotate(t, metadata.ROOT)
			m.publish(t, "two")
			m.aDayPasses(t)
			m.setAnswer(func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.HasSuffix(r.URL.Path, missing) {
					return false
				}
				w.WriteHeader(http.StatusServiceUnavailable)
				return true
			})
			wantState(t, m.start(t), "one")
			if got := m.kept(t); got != want {
				t.Errorf("the cache has versions %s, want %s", got, want)
			}
			// The mirror's earlier state is older now, though the keys are the same.
			back := before.start(t)
			wantState(t, back, "one")
			seen := missing != "2.root.json" && missing != "timestamp.json"
			if got := strings.Contains(before.log.String(), "bad version number"); got != seen {
				t.Errorf("logged %s", &before.log)
			}
			if got := m.kept(t); got != want {
				t.Errorf("the cache has versions %s, want %s", got, want)
			}
		})
	}
}

// TestTUFRootsNeedNoLock: nobody keeps a revocation from the disk by holding the
// lock.
func TestTUFRootsNeedNoLock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMirror(t)
		wantState(t, m.start(t), "one")
		hiding := m.copyTo(t, m.cache)
		m.rotate(t, metadata.TIMESTAMP)
		m.publish(t, "two")
		m.aDayPasses(t)
		other := flock.New(m.path("") + ".lock")
		if locked, err := other.TryLock(); err != nil || !locked {
			t.Fatal(locked, err)
		}
		wantState(t, m.start(t), "two")
		if got := m.kept(t); got != "2 1 1 1" {
			t.Errorf("the cache has versions %s", got)
		}
		if err := other.Unlock(); err != nil {
			t.Fatal(err)
		}
		wantNone(t, hiding.start(t), "")
	})
}

// TestTUFFetchesWhatIsNew: a refresh asks for the files that have changed.
func TestTUFFetchesWhatIsNew(t *testing.T) {
	t.Parallel()
	m := newMirror(t)
	wantState(t, m.start(t), "one")
	m.aDayPasses(t)
	clear(m.requests)
	wantState(t, m.start(t), "one")
	if want := map[string]int{"2.root.json": 1, "timestamp.json": 1}; !maps.Equal(m.requests, want) {
		t.Errorf("requests are %v, want %v", m.requests, want)
	}
	if err := m.PublishSnapshot(); err != nil {
		t.Fatal(err)
	}
	if err := m.PublishTimestamp(); err != nil {
		t.Fatal(err)
	}
	m.aDayPasses(t)
	clear(m.requests)
	wantState(t, m.start(t), "one")
	if want := map[string]int{"2.root.json": 1, "timestamp.json": 1, "2.snapshot.json": 1}; !maps.Equal(m.requests, want) {
		t.Errorf("requests are %v, want %v", m.requests, want)
	}
}
