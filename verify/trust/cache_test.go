// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package trust_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

func TestTUFCorruptCache(t *testing.T) {
	t.Parallel()
	damages := map[string]func(*testing.T, string){
		"truncated": func(t *testing.T, path string) { b := readFile(t, path); writeFile(t, path, b[:len(b)/2]) },
		"junk":      func(t *testing.T, path string) { writeFile(t, path, []byte("junk")) },
		"null":      func(t *testing.T, path string) { writeFile(t, path, []byte("null")) },
		"nulls": func(t *testing.T, path string) {
			writeFile(t, path, []byte(`{"signatures":[],"signed":{"_type":"root","targets":{"a":null},"meta":{"a":null},"roles":{"root":null}}}`))
		},
		"deep":      func(t *testing.T, path string) { writeFile(t, path, bytes.Repeat([]byte(`[`), 100_000)) },
		"binary":    func(t *testing.T, path string) { writeFile(t, path, bytes.Repeat([]byte{0, 0xff, '\n'}, 1000)) },
		"one byte":  func(t *testing.T, path string) { b := readFile(t, path); b[len(b)/2] ^= 1; writeFile(t, path, b) },
		"huge":      func(t *testing.T, path string) { truncate(t, path, 6<<20) },
		"missing":   remove,
		"directory": func(t *testing.T, path string) { remove(t, path); mkdir(t, path) },
		"symlink": func(t *testing.T, path string) {
			remove(t, path)
			if err := os.Symlink("nowhere", path); err != nil {
				t.Fatal(err)
			}
		},
	}
	for file, needed := range map[string]bool{
		"timestamp.json": true, "snapshot.json": true, "targets.json": true,
		"roots/2.root.json": true, "roots/3.root.json": true,
		"targets/" + rootTarget: true, "targets/" + signingTarget: true,
		// Without it nobody knows how old the rest is.
		".json": false,
	} {
		for damage, apply := range damages {
			t.Run(file+" "+damage, func(t *testing.T) {
				t.Parallel()
				m := newMirror(t)
				m.rotate(t, metadata.ROOT, metadata.TIMESTAMP)
				m.publish(t, "two")
				wantState(t, m.start(t), "two")
				path := m.path(file)
				if file == ".json" {
					path = m.path("") + file
				}
				apply(t, path)

				m.down.Store(true)
				if needed {
					wantNone(t, m.start(t), "no good copy")
				} else {
					wantState(t, m.start(t), "two")
				}
				m.down.Store(false)
				wantState(t, m.start(t), "two")
				m.down.Store(true)
				m.aDayPasses(t)
				wantState(t, m.start(t), "two")
				if left, err := filepath.Glob(m.path(".new-*")); err != nil || len(left) != 0 {
					t.Errorf("left %q, %v", left, err)
				}
			})
		}
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
}

func truncate(t *testing.T, path string, size int64) {
	t.Helper()
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}

// TestTUFStrayRoots: what follows the last root, and did not come from the
// mirror, is not in the way.
func TestTUFStrayRoots(t *testing.T) {
	t.Parallel()
	other := newMirror(t)
	other.rotate(t, metadata.ROOT)
	for name, content := range map[string][]byte{
		"junk":                    []byte("junk"),
		"null":                    []byte("null"),
		"of another repository":   readFile(t, filepath.Join(other.dir, "2.root.json")),
		"the first one once more": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMirror(t)
			if content == nil {
				content = m.initial
			}
			wantState(t, m.start(t), "one")
			mkdir(t, m.path("roots"))
			writeFile(t, m.path("roots/2.root.json"), content)
			m.down.Store(true)
			wantState(t, m.start(t), "one")
			m.down.Store(false)
			m.rotate(t, metadata.ROOT)
			m.publish(t, "two")
			m.aDayPasses(t)
			wantState(t, m.start(t), "two")
			m.down.Store(true)
			wantState(t, m.start(t), "two")
		})
	}
}

// TestTUFUnusableCache: it is done without, and what is in memory is as good.
func TestTUFUnusableCache(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*testing.T, *mirror){
		"a file in the place of the directory": func(t *testing.T, m *mirror) {
			mkdir(t, filepath.Dir(m.cache))
			writeFile(t, m.cache, []byte("file"))
		},
		"a file in the place of its parent": func(t *testing.T, m *mirror) {
			writeFile(t, filepath.Dir(m.cache), []byte("file"))
		},
		"a file in the place of the repository": func(t *testing.T, m *mirror) {
			mkdir(t, m.cache)
			writeFile(t, m.path(""), []byte("file"))
		},
		"a file in the place of the roots": func(t *testing.T, m *mirror) {
			mkdir(t, m.path(""))
			writeFile(t, m.path("roots"), []byte("file"))
		},
		"a directory in the place of the lock": func(t *testing.T, m *mirror) {
			mkdir(t, m.path("")+".lock")
		},
		"a full directory in the place of the timestamp": func(t *testing.T, m *mirror) {
			mkdir(t, m.path("timestamp.json/full"))
		},
		"a full directory in the place of the time": func(t *testing.T, m *mirror) {
			mkdir(t, m.path("")+".json/full")
		},
		"a name that no file can have": func(_ *testing.T, m *mirror) { m.cache = "\x00" },
		"a link to itself": func(t *testing.T, m *mirror) {
			mkdir(t, filepath.Dir(m.cache))
			if err := os.Symlink(filepath.Base(m.cache), m.cache); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newMirror(t)
				m.rotate(t, metadata.ROOT)
				spoil(t, m)
				running := m.start(t)
				wantState(t, running, "one")
				wantState(t, running, "one")
				if got := m.count("timestamp.json"); got != 1 {
					t.Errorf("%d requests of the timestamp, want 1", got)
				}
				if m.warnings() != 1 || !strings.Contains(m.log.String(), "cannot be written") {
					t.Errorf("logged %s, want one warning", &m.log)
				}
				m.down.Store(true)
				<-time.After(25 * time.Hour)
				wantState(t, running, "one")
				m.down.Store(false)
				m.publish(t, "two")
				wantState(t, m.start(t), "two")
				wantState(t, running, "one") // for some minutes, see TestTUFRetry
			})
		})
	}
}

// These two set the environment, and cannot run with others.

func TestTUFWithoutHome(t *testing.T) {
	m, server := newServer(t)
	for _, name := range []string{"HOME", "home", "USERPROFILE"} {
		t.Setenv(name, "")
	}
	t.Chdir(t.TempDir())
	m.cache = ""
	running := m.start(t)
	wantState(t, running, "one")
	if entries, err := os.ReadDir("."); err != nil || len(entries) != 0 {
		t.Errorf("the working directory has %v, %v", entries, err)
	}
	if !strings.Contains(m.log.String(), "there is no cache") {
		t.Errorf("logged %s", &m.log)
	}
	server.Close()
	wantState(t, running, "one")
	wantNone(t, m.start(t), "there is no cache")
}

func TestTUFInHome(t *testing.T) {
	m, server := newServer(t)
	home := t.TempDir()
	for _, name := range []string{"HOME", "home", "USERPROFILE"} {
		t.Setenv(name, home)
	}
	m.cache = ""
	wantState(t, m.start(t), "one")
	m.cache = filepath.Join(home, ".sigstore", "root")
	readFile(t, m.path("timestamp.json"))
	server.Close()
	wantState(t, m.start(t), "one")
}

func TestTUFRetry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMirror(t)
		running := m.start(t)
		wantState(t, running, "one")
		<-time.After(23 * time.Hour)
		m.publish(t, "two")
		wantState(t, running, "one")
		m.down.Store(true)
		<-time.After(2 * time.Hour)
		wantState(t, running, "one")
		wantState(t, running, "one")
		if m.warnings() != 1 {
			t.Errorf("logged %s, want one warning", &m.log)
		}
		m.down.Store(false)
		wantState(t, running, "one")
		<-time.After(6 * time.Minute)
		wantState(t, running, "two")
	})
}

// TestTUFSharesTheDay: the day begins with the fetch, in whichever process.
func TestTUFSharesTheDay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMirror(t)
		wantState(t, m.start(t), "one")
		<-time.After(20 * time.Hour)
		second := m.start(t)
		wantState(t, second, "one")
		m.publish(t, "two")
		<-time.After(5 * time.Hour)
		wantState(t, m.start(t), "two")
		wantState(t, second, "two")
		if got := m.count("timestamp.json"); got != 2 {
			t.Errorf("%d requests of the timestamp, want 2", got)
		}
	})
}

func TestTUFClockWasSetBack(t *testing.T) {
	t.Parallel()
	m := newMirror(t)
	wantState(t, m.start(t), "one")
	m.publish(t, "two")
	m.setLastFetch(t, time.Now().Add(time.Hour))
	wantState(t, m.start(t), "two")
	m.publish(t, "three")
	m.setLastFetch(t, time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))
	wantState(t, m.start(t), "three")
	wantState(t, m.start(t), "three")
	if got := m.count("timestamp.json"); got != 3 {
		t.Errorf("%d requests of the timestamp, want 3", got)
	}
}
