// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofrs/flock"
	"github.com/sigstore/sigstore-go/pkg/tuf"
	"github.com/theupdateframework/go-tuf/v2/metadata"
	"golang.org/x/sync/errgroup"

	"github.com/cosignkit/cosignkit/internal/tufrepo"
	"github.com/cosignkit/cosignkit/verify"
)

const (
	rootTarget    = "trusted_root.json"
	signingTarget = "signing_config.v0.2.json"
)

// everyRole is in the order in which a client needs their metadata.
var everyRole = []string{metadata.ROOT, metadata.TIMESTAMP, metadata.SNAPSHOT, metadata.TARGETS}

// mirror serves a TUF repository to clients that share a cache.
type mirror struct {
	*tufrepo.Repo
	dir, cache string
	address    string
	initial    []byte
	transport  http.RoundTripper
	log        bytes.Buffer
	logger     *slog.Logger
	// answer is asked first; it reports whether it answered.
	answer atomic.Pointer[func(http.ResponseWriter, *http.Request) bool]
	down   atomic.Bool

	mu       sync.Mutex
	requests map[string]int
}

func newMirror(t *testing.T) *mirror {
	t.Helper()
	m := &mirror{
		dir: t.TempDir(), cache: filepath.Join(t.TempDir(), "made", "when needed"),
		address: "http://mirror.example/tuf", requests: map[string]int{},
	}
	m.transport = handlerTransport{m}
	m.logger = slog.New(slog.NewTextHandler(&m.log, nil))
	var err error
	if m.Repo, err = tufrepo.New(m.dir, time.Now().Add(72*time.Hour)); err != nil {
		t.Fatal(err)
	}
	m.initial = readFile(t, m.RootFile())
	m.publish(t, "one")
	return m
}

// newServer is newMirror on a socket.
func newServer(t *testing.T) (*mirror, *httptest.Server) {
	t.Helper()
	m := newMirror(t)
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	m.address, m.transport = server.URL+"/tuf", server.Client().Transport
	return m, server
}

func (m *mirror) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/tuf/")
	// The hash of a target says nothing to a test.
	if hash, target, ok := strings.Cut(strings.TrimPrefix(name, "targets/"), "."); ok && len(hash) == 64 {
		name = target
	}
	m.mu.Lock()
	m.requests[name]++
	m.mu.Unlock()
	if answer := m.answer.Load(); answer != nil && (*answer)(w, r) {
		return
	}
	http.StripPrefix("/tuf", m.Handler()).ServeHTTP(w, r)
}

// handlerTransport has no sockets and no goroutines, as synctest wants it.
type handlerTransport struct{ m *mirror }

func (h handlerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if h.m.down.Load() {
		return nil, errors.New("no route to host")
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	recorder := httptest.NewRecorder()
	h.m.ServeHTTP(recorder, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	response := recorder.Result()
	response.Request = r
	return response, nil
}

func (m *mirror) setAnswer(answer func(http.ResponseWriter, *http.Request) bool) {
	m.answer.Store(&answer)
}

// publish has the repository offer a state that is known by its name.
func (m *mirror) publish(t *testing.T, name string) {
	t.Helper()
	m.publishTargets(t, map[string][]byte{
		rootTarget:    readFile(t, filepath.Join(publicGood, "trusted_root.json")),
		signingTarget: []byte(name),
	})
}

func (m *mirror) publishTargets(t *testing.T, targets map[string][]byte) {
	t.Helper()
	m.Set(targets)
	if err := m.Publish(); err != nil {
		t.Fatal(err)
	}
}

func (m *mirror) rotate(t *testing.T, roles ...string) {
	t.Helper()
	for _, role := range roles {
		if err := m.Rotate(role); err != nil {
			t.Fatal(err)
		}
	}
}

func (m *mirror) config() verify.TUFConfig {
	return verify.TUFConfig{Mirror: m.address, InitialRoot: m.initial, CacheDir: m.cache, Transport: m.transport, Logger: m.logger}
}

// start is what a process does when it starts.
func (m *mirror) start(t *testing.T) *verify.TUF {
	t.Helper()
	return newTUF(t, m.config())
}

func newTUF(t *testing.T, config verify.TUFConfig) *verify.TUF {
	t.Helper()
	source, err := verify.NewTUF(config)
	if err != nil {
		t.Fatal(err)
	}
	return source
}

func (m *mirror) count(name string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.requests[name]
}

// path is where the cache has a file.
func (m *mirror) path(name string) string {
	return filepath.Join(m.cache, tuf.URLToPath(m.address), filepath.FromSlash(name))
}

func (m *mirror) setLastFetch(t *testing.T, at time.Time) {
	t.Helper()
	writeFile(t, m.path("")+".json", marshal(t, tuf.Config{LastTimestamp: at}))
}

// aDayPasses makes the cache too old to be used without a look at the mirror.
func (m *mirror) aDayPasses(t *testing.T) {
	t.Helper()
	m.setLastFetch(t, time.Now().Add(-25*time.Hour))
}

func (m *mirror) warnings() int { return strings.Count(m.log.String(), "level=WARN") }

func writeFile(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// wantState holds that source has the state of that name, whole.
func wantState(t *testing.T, source *verify.TUF, want string) {
	t.Helper()
	trusted, err := source.TrustedRoot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(trusted.Material().FulcioCertificateAuthorities()) == 0 {
		t.Error("the trusted root has no certificate authority")
	}
	signing, err := source.SigningConfig(t.Context())
	if err != nil || string(signing) != want {
		t.Errorf("the state is %q, %v; want %q", signing, err, want)
	}
}

// wantNone holds that source has nothing, for a reason.
func wantNone(t *testing.T, source *verify.TUF, reason string) {
	t.Helper()
	trusted, err := source.TrustedRoot(t.Context())
	wantFamily(t, err, verify.ErrInconclusive)
	if trusted != nil {
		t.Error("a root beside the error")
	}
	if !strings.Contains(err.Error(), reason) {
		t.Errorf("error is %q, want one that says %q", err, reason)
	}
}

func TestTUFFirstStart(t *testing.T) {
	t.Parallel()
	m, _ := newServer(t)
	first := m.start(t)
	if _, err := os.Stat(m.cache); !errors.Is(err, fs.ErrNotExist) || len(m.requests) != 0 {
		t.Errorf("NewTUF touched the cache (%v) or the mirror (%v)", err, m.requests)
	}
	wantState(t, first, "one")
	wantState(t, first, "one")
	wantState(t, m.start(t), "one")
	want := map[string]int{"2.root.json": 1, "timestamp.json": 1, "1.snapshot.json": 1, "1.targets.json": 1, rootTarget: 1, signingTarget: 1}
	if !maps.Equal(m.requests, want) {
		t.Errorf("requests are %v, want %v", m.requests, want)
	}

	m.publish(t, "two")
	wantState(t, m.start(t), "one")
	m.aDayPasses(t)
	again := m.start(t)
	wantState(t, again, "two")
	wantState(t, again, "two")
	wantState(t, m.start(t), "two")
	if got := m.count("timestamp.json"); got != 2 {
		t.Errorf("%d requests of the timestamp, want 2", got)
	}
	if m.log.Len() != 0 {
		t.Errorf("logged %s", &m.log)
	}

	var cached []string
	err := filepath.WalkDir(m.cache, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			cached = append(cached, strings.TrimPrefix(path, m.path("")))
		}
		return err
	})
	slices.Sort(cached)
	wantCached := []string{".json", ".lock", "/snapshot.json", "/targets.json", "/targets/" + signingTarget, "/targets/" + rootTarget, "/timestamp.json"}
	if err != nil || !slices.Equal(cached, wantCached) {
		t.Errorf("the cache has %q, %v", cached, err)
	}
}

func TestTUFVerifies(t *testing.T) {
	t.Parallel()
	m, _ := newServer(t)
	if err := verifyPublicGood(t, m.start(t)); err != nil {
		t.Error(err)
	}
}

// TestTUFReadsTheCacheOfSigstore: what sigstore-go left is used without a fetch,
// as long as no root was published after the initial one.
func TestTUFReadsTheCacheOfSigstore(t *testing.T) {
	t.Parallel()
	m, server := newServer(t)
	client, err := tuf.New(tuf.DefaultOptions().WithRoot(m.initial).WithRepositoryBaseURL(m.address).WithCachePath(m.cache))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{rootTarget, signingTarget} {
		if _, err := client.GetTarget(name); err != nil {
			t.Fatal(err)
		}
	}
	server.Close()
	wantState(t, m.start(t), "one")
}

func TestTUFRestartOffline(t *testing.T) {
	t.Parallel()
	for name, rotate := range map[string][]string{
		"first root":                nil,
		"another root key":          {metadata.ROOT},
		"three roots in a row":      {metadata.ROOT, metadata.ROOT, metadata.ROOT},
		"another key of every role": everyRole,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, server := newServer(t)
			wantState(t, m.start(t), "one")
			m.rotate(t, rotate...)
			m.publish(t, "two")
			m.aDayPasses(t)
			wantState(t, m.start(t), "two")
			server.Close()

			wantState(t, m.start(t), "two")
			if m.log.Len() != 0 {
				t.Errorf("logged %s", &m.log)
			}
			m.aDayPasses(t)
			again := m.start(t)
			wantState(t, again, "two")
			wantState(t, again, "two")
			if m.warnings() != 1 || !strings.Contains(m.log.String(), "last good copy") {
				t.Errorf("logged %s, want one warning", &m.log)
			}
		})
	}
}

// TestTUFFailsHalfWay: neither half of a new state, nor a new root without what
// its keys signed, takes the place of the last good copy.
func TestTUFFailsHalfWay(t *testing.T) {
	t.Parallel()
	for _, broken := range []string{"3.root.json", "timestamp.json", "2.snapshot.json", "2.targets.json", rootTarget, signingTarget} {
		for _, how := range []string{"status", "junk"} {
			t.Run(broken+" "+how, func(t *testing.T) {
				t.Parallel()
				m, server := newServer(t)
				wantState(t, m.start(t), "one")
				m.rotate(t, metadata.TIMESTAMP, metadata.ROOT)
				m.publish(t, "two")
				m.aDayPasses(t)
				m.setAnswer(func(w http.ResponseWriter, r *http.Request) bool {
					if !strings.HasSuffix(r.URL.Path, broken) {
						return false
					}
					if how == "status" {
						w.WriteHeader(http.StatusServiceUnavailable)
					}
					fmt.Fprint(w, "{}")
					return true
				})
				wantState(t, m.start(t), "one")
				if _, err := os.Stat(m.path("roots/2.root.json")); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("a root of a refresh that failed is kept: %v", err)
				}
				m.answer.Store(nil)
				wantState(t, m.start(t), "two")
				server.Close()
				m.aDayPasses(t)
				wantState(t, m.start(t), "two")
			})
		}
	}
}

func TestTUFExpiredAtTheMirror(t *testing.T) {
	t.Parallel()
	for _, role := range everyRole {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			m, server := newServer(t)
			wantState(t, m.start(t), "one")
			m.Expire(role, time.Now().Add(-time.Minute))
			if role == metadata.ROOT {
				m.rotate(t, role)
			}
			m.publish(t, "two")
			m.aDayPasses(t)
			wantState(t, m.start(t), "one")
			if !strings.Contains(m.log.String(), "expired") {
				t.Errorf("logged %s", &m.log)
			}
			elsewhere := m.config()
			elsewhere.CacheDir = t.TempDir()
			wantNone(t, newTUF(t, elsewhere), "expired")
			server.Close()
			wantState(t, m.start(t), "one")
		})
	}
}

// TestTUFExpiredCopy also asks a process that has the copy in memory.
func TestTUFExpiredCopy(t *testing.T) {
	t.Parallel()
	for _, role := range everyRole {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newMirror(t)
				m.Expire(role, time.Now().Add(12*time.Hour))
				if role == metadata.ROOT {
					m.rotate(t, role)
				}
				m.publish(t, "two")
				running := m.start(t)
				wantState(t, running, "two")
				m.down.Store(true)
				<-time.After(11 * time.Hour)
				wantState(t, running, "two")
				wantState(t, m.start(t), "two")
				// Not a day has passed.
				<-time.After(2 * time.Hour)
				wantNone(t, running, "expired")
				wantNone(t, m.start(t), "expired")
				m.down.Store(false)
				m.Expire(role, time.Now().Add(time.Hour))
				if role == metadata.ROOT {
					m.rotate(t, role)
				}
				m.publish(t, "three")
				wantState(t, running, "three")
				wantState(t, m.start(t), "three")
			})
		})
	}
}

func TestTUFRollback(t *testing.T) {
	t.Parallel()
	for _, role := range everyRole[1:] {
		for _, cached := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, cache %v", role, cached), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					m := newMirror(t)
					if !cached {
						m.cache = filepath.Join(m.RootFile(), "cannot be made")
					}
					for _, other := range everyRole[1:] {
						m.Expire(other, time.Now().Add(48*time.Hour))
					}
					m.SetVersion(role, 5)
					m.publish(t, "new")
					running := m.start(t)
					wantState(t, running, "new")

					for _, other := range everyRole[1:] {
						m.Expire(other, time.Now().Add(70*time.Hour))
					}
					m.SetVersion(role, 4)
					m.publish(t, "old")
					starts := []*verify.TUF{running}
					<-time.After(25 * time.Hour)
					if cached {
						starts = append(starts, m.start(t))
					}
					for _, source := range starts {
						wantState(t, source, "new")
					}
					<-time.After(24 * time.Hour)
					for _, source := range starts {
						wantNone(t, source, "bad version number")
					}
					m.SetVersion(role, 6)
					m.publish(t, "newest")
					for _, source := range starts {
						wantState(t, source, "newest")
					}
				})
			})
		}
	}
}

// TestTUFHiddenRoot: who holds a key that was revoked cannot bring it back by
// hiding the root that says so.
func TestTUFHiddenRoot(t *testing.T) {
	t.Parallel()
	for _, role := range everyRole {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			m, _ := newServer(t)
			wantState(t, m.start(t), "one")
			before := t.TempDir()
			if err := os.CopyFS(before, os.DirFS(m.dir)); err != nil {
				t.Fatal(err)
			}
			m.rotate(t, role)
			m.publish(t, "two")
			m.aDayPasses(t)
			wantState(t, m.start(t), "two")
			m.setAnswer(func(w http.ResponseWriter, r *http.Request) bool {
				http.StripPrefix("/tuf", http.FileServer(http.Dir(before))).ServeHTTP(w, r)
				return true
			})
			m.aDayPasses(t)
			wantState(t, m.start(t), "two")
			if m.warnings() != 1 {
				t.Errorf("logged %s, want one warning", &m.log)
			}
		})
	}
}

// TestTUFNewKeysMayCountAnew: versions that lost keys signed do not keep the
// repository from going on.
func TestTUFNewKeysMayCountAnew(t *testing.T) {
	t.Parallel()
	m, _ := newServer(t)
	m.SetVersion(metadata.TIMESTAMP, 1000)
	m.SetVersion(metadata.SNAPSHOT, 1000)
	m.publish(t, "far ahead")
	wantState(t, m.start(t), "far ahead")
	m.rotate(t, metadata.TIMESTAMP, metadata.SNAPSHOT)
	m.SetVersion(metadata.TIMESTAMP, 2)
	m.SetVersion(metadata.SNAPSHOT, 2)
	m.publish(t, "recovered")
	m.aDayPasses(t)
	wantState(t, m.start(t), "recovered")
}

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

// These two set the environment, and cannot run beside others.

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

func TestTUFGoroutines(t *testing.T) {
	t.Parallel()
	m, _ := newServer(t)
	source := m.start(t)
	var g errgroup.Group
	for range 32 {
		g.Go(func() error {
			for range 10 {
				if _, err := source.TrustedRoot(t.Context()); err != nil {
					return err
				}
				b, err := source.SigningConfig(t.Context())
				if err != nil || string(b) != "one" {
					return fmt.Errorf("%q, %w", b, err)
				}
				b[0] = 'x' // which is ours
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := m.count("timestamp.json"); got != 1 {
		t.Errorf("%d requests of the timestamp, want 1", got)
	}
}

const tufProcessVariable = "COSIGNKIT_TEST_TUF" // mirror, initial root and cache, by newlines

// TestTUFProcesses is also what its child processes run.
func TestTUFProcesses(t *testing.T) {
	t.Parallel()
	if task, ok := os.LookupEnv(tufProcessVariable); ok {
		fields := strings.Split(task, "\n")
		config := verify.TUFConfig{
			Mirror: fields[0], InitialRoot: readFile(t, fields[1]), CacheDir: fields[2],
			Transport: &http.Transport{DisableKeepAlives: true},
		}
		var g errgroup.Group
		for range 4 {
			g.Go(func() error {
				for range 5 {
					source, err := verify.NewTUF(config)
					if err != nil {
						return err
					}
					if _, err := source.TrustedRoot(t.Context()); err != nil {
						return err
					}
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		return
	}

	m, server := newServer(t)
	m.rotate(t, everyRole...)
	m.publish(t, "two")
	var g errgroup.Group
	for range 4 {
		g.Go(func() error {
			child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestTUFProcesses$")
			child.Env = append(os.Environ(), tufProcessVariable+"="+m.address+"\n"+m.RootFile()+"\n"+m.cache)
			if out, err := child.CombinedOutput(); err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := m.count("timestamp.json"); got != 1 {
		t.Errorf("%d requests of the timestamp, want 1", got)
	}
	server.Close()
	wantState(t, m.start(t), "two")
	m.aDayPasses(t)
	wantState(t, m.start(t), "two")
}

// hang answers when the client has gone.
func hang(_ http.ResponseWriter, r *http.Request) bool {
	<-r.Context().Done()
	return true
}

func TestTUFHangingMirror(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMirror(t)
		m.setAnswer(hang)
		first := m.start(t)
		wantNone(t, first, "the mirror took too long")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := first.TrustedRoot(ctx)
		wantFamily(t, err, verify.ErrInconclusive)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error is %v", err)
		}
		m.answer.Store(nil)
		wantState(t, first, "one")

		// A caller in a hurry has the last good copy in time, whoever starts.
		m.setAnswer(hang)
		<-time.After(25 * time.Hour)
		for _, source := range []*verify.TUF{first, m.start(t)} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := source.TrustedRoot(ctx); err != nil || ctx.Err() != nil {
				t.Errorf("%v, %v", err, ctx.Err())
			}
		}
	})
}

// TestTUFWaiters: those who wait for the same fetch share its end, and nobody
// waits who has a copy.
func TestTUFWaiters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMirror(t)
		m.setAnswer(hang)
		source := m.start(t)
		start := time.Now()
		ask := func(ctx context.Context) <-chan error {
			done := make(chan error, 1)
			go func() {
				_, err := source.TrustedRoot(ctx)
				done <- err
			}()
			synctest.Wait()
			return done
		}
		first := ask(t.Context())
		ctx, cancel := context.WithCancel(t.Context())
		waits := []<-chan error{ask(t.Context()), ask(t.Context()), ask(t.Context())}
		leaves := ask(ctx)
		cancel()
		if err := <-leaves; !errors.Is(err, context.Canceled) || time.Since(start) != 0 {
			t.Errorf("who left was told %v", err)
		}
		for _, wait := range append(waits, first) {
			wantFamily(t, <-wait, verify.ErrInconclusive)
		}
		if got := m.count("2.root.json"); got != 1 {
			t.Errorf("%d fetches, want that of the first one alone", got)
		}

		// When the first one leaves, the next one takes its place.
		ctx, cancel = context.WithCancel(t.Context())
		first, second := ask(ctx), ask(t.Context())
		m.answer.Store(nil)
		cancel()
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("who left was told %v", err)
		}
		if err := <-second; err != nil {
			t.Error(err)
		}

		<-time.After(25 * time.Hour)
		m.setAnswer(hang)
		first = ask(t.Context())
		wantState(t, source, "one")
		select {
		case err := <-first:
			t.Errorf("the refresh ended: %v", err)
		default:
		}
		if err := <-first; err != nil {
			t.Error(err)
		}
	})
}

// TestTUFLockedForEver: another process may have been stopped.
func TestTUFLockedForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMirror(t)
		mkdir(t, m.cache)
		other := flock.New(m.path("") + ".lock")
		if locked, err := other.TryLock(); err != nil || !locked {
			t.Fatal(locked, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			_, err := m.start(t).TrustedRoot(ctx)
			done <- err
		}()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("who left was told %v", err)
		}

		wantState(t, m.start(t), "one")
		if !strings.Contains(m.log.String(), "another process keeps it locked") {
			t.Errorf("logged %s", &m.log)
		}
		if _, err := os.Stat(m.path("timestamp.json")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("wrote without the lock: %v", err)
		}
		if err := other.Unlock(); err != nil {
			t.Fatal(err)
		}
		wantState(t, m.start(t), "one")

		// A fresh copy is read without the lock.
		if locked, err := other.TryLock(); err != nil || !locked {
			t.Fatal(locked, err)
		}
		m.down.Store(true)
		before := time.Now()
		wantState(t, m.start(t), "one")
		if !time.Now().Equal(before) {
			t.Error("waited for the lock")
		}
		if err := other.Unlock(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestTUFCancelled is over sockets: nothing is left of what was cancelled.
func TestTUFCancelled(t *testing.T) {
	t.Parallel()
	m, _ := newServer(t)
	source := m.start(t)
	ctx, cancel := context.WithCancel(t.Context())
	m.setAnswer(func(w http.ResponseWriter, r *http.Request) bool {
		cancel()
		return hang(w, r)
	})
	_, err := source.TrustedRoot(ctx)
	wantFamily(t, err, verify.ErrInconclusive)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	if _, err := source.TrustedRoot(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	m.answer.Store(nil)
	wantState(t, source, "one")
}

func TestTUFHostileMirror(t *testing.T) {
	t.Parallel()
	status := func(code int) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	body := func(content string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, content) }
	}
	answers := map[string]func(http.ResponseWriter, *http.Request){
		"500":       status(http.StatusInternalServerError),
		"429":       status(http.StatusTooManyRequests),
		"403":       status(http.StatusForbidden),
		"204":       status(http.StatusNoContent),
		"nothing":   body(""),
		"HTML":      body("<html>"),
		"null":      body("null"),
		"nulls":     body(`{"signatures":[null],"signed":null}`),
		"list":      body("[]"),
		"deep":      body(strings.Repeat(`{"signed":`, 40_000)),
		"terminal":  body("\x1b[2J\x00\n"),
		"redirects": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.String(), http.StatusFound) },
		"elsewhere": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
		},
		"endless": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.Copy(w, endless{}) },
		"cut short": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, "{")
		},
		"another answer": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"signatures":[],"signed":{"_type":"root","spec_version":"1.0.0","version":2,"expires":"2999-01-01T00:00:00Z","keys":{},"roles":{"root":null}}}`)
		},
	}
	for _, file := range []string{"root.json", "timestamp.json", "snapshot.json", "targets.json", rootTarget, signingTarget} {
		for name, answer := range answers {
			t.Run(file+" "+name, func(t *testing.T) {
				t.Parallel()
				m, _ := newServer(t)
				good := m.config()
				good.CacheDir = t.TempDir()
				wantState(t, newTUF(t, good), "one")
				m.publish(t, "two")
				m.setAnswer(func(w http.ResponseWriter, r *http.Request) bool {
					base := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
					// trusted_root.json is none of root.json.
					if !strings.HasSuffix(base, "."+file) && base != file {
						return false
					}
					answer(w, r)
					return true
				})
				wantNone(t, m.start(t), "")
				if entries, err := os.ReadDir(m.path("")); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("the cache has %v, %v", entries, err)
				}
				m.cache = good.CacheDir
				m.aDayPasses(t)
				wantState(t, m.start(t), "one")
				if m.warnings() != 1 || strings.Count(m.log.String(), "\n") != 1 || strings.Contains(m.log.String(), "\x1b") {
					t.Errorf("logged %q, want one warning", &m.log)
				}
			})
		}
	}
}

// endless is white space, which is well formed as long as it goes.
type endless struct{}

var spaces = bytes.Repeat([]byte(" "), 1<<16)

func (endless) Read(b []byte) (int, error) { return copy(b, spaces), nil }

func TestTUFFollowsRedirects(t *testing.T) {
	t.Parallel()
	m, _ := newServer(t)
	m.setAnswer(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Has("moved") {
			return false
		}
		http.Redirect(w, r, r.URL.Path+"?moved", http.StatusTemporaryRedirect)
		return true
	})
	wantState(t, m.start(t), "one")
}

func TestTUFTargets(t *testing.T) {
	t.Parallel()
	good := readFile(t, filepath.Join(publicGood, "trusted_root.json"))
	for name, test := range map[string]struct {
		targets map[string][]byte
		reason  string
	}{
		"no targets":      {map[string][]byte{}, "trusted_root.json not found"},
		"no trusted root": {map[string][]byte{signingTarget: []byte("{}")}, "trusted_root.json not found"},
		"junk":            {map[string][]byte{rootTarget: []byte("junk")}, "trusted_root.json: "},
		"null":            {map[string][]byte{rootTarget: []byte("null")}, "trusted_root.json: "},
		"empty":           {map[string][]byte{rootTarget: {}}, "trusted_root.json: "},
		"a signing config": {map[string][]byte{rootTarget: []byte(
			`{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json"}`)}, "trusted_root.json: "},
		"larger than a trusted root":    {map[string][]byte{rootTarget: bytes.Repeat([]byte(" "), 1<<20+1)}, "limit exceeded"},
		"larger than anything":          {map[string][]byte{rootTarget: bytes.Repeat([]byte(" "), 5_000_001)}, "limit exceeded"},
		"a signing config that is huge": {map[string][]byte{rootTarget: good, signingTarget: bytes.Repeat([]byte(" "), 5_000_001)}, "limit exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, _ := newServer(t)
			wantState(t, m.start(t), "one")
			m.publishTargets(t, test.targets)
			elsewhere := m.config()
			elsewhere.CacheDir = t.TempDir()
			wantNone(t, newTUF(t, elsewhere), test.reason)
			m.aDayPasses(t)
			wantState(t, m.start(t), "one")
		})
	}
}

func TestTUFWithoutSigningConfig(t *testing.T) {
	t.Parallel()
	m, server := newServer(t)
	m.publishTargets(t, map[string][]byte{rootTarget: readFile(t, filepath.Join(publicGood, "trusted_root.json"))})
	for range 2 {
		source := m.start(t)
		if _, err := source.TrustedRoot(t.Context()); err != nil {
			t.Error(err)
		}
		_, err := source.SigningConfig(t.Context())
		wantFamily(t, err, verify.ErrMisconfigured)
		server.Close() // and once more from the cache
	}
	elsewhere := m.config()
	elsewhere.CacheDir = t.TempDir()
	_, err := newTUF(t, elsewhere).SigningConfig(t.Context())
	wantFamily(t, err, verify.ErrInconclusive)
}

// TestTUFInitialRoot: the cache of one who trusts a repository is not good for
// one who trusts another.
func TestTUFInitialRoot(t *testing.T) {
	t.Parallel()
	m, _ := newServer(t)
	m.rotate(t, everyRole...)
	m.publish(t, "two")
	wantState(t, m.start(t), "two")
	for name, initial := range map[string][]byte{
		"another repository's":   newMirror(t).initial,
		"of the public instance": verify.PublicInitialRoot(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := m.config()
			config.InitialRoot = initial
			wantNone(t, newTUF(t, config), "")
			config.CacheDir = t.TempDir()
			wantNone(t, newTUF(t, config), "")
			wantState(t, m.start(t), "two")
		})
	}
	t.Run("a later one", func(t *testing.T) {
		t.Parallel()
		config := m.config()
		config.InitialRoot = readFile(t, filepath.Join(m.dir, "3.root.json"))
		wantState(t, newTUF(t, config), "two")
		config.CacheDir = t.TempDir()
		wantState(t, newTUF(t, config), "two")
		wantState(t, m.start(t), "two")
		// Who starts from the first one lacks the roots of that cache.
		m := &mirror{Repo: m.Repo, dir: m.dir, address: m.address, initial: m.initial, transport: m.transport, cache: config.CacheDir, requests: map[string]int{}}
		wantState(t, m.start(t), "two")
	})
}

// TestTUFNames: what a mirror is called does not change what its files are.
func TestTUFNames(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"", "/", "/targets", "/a//b/", "/a/../targets/", "/2.root.json", "/x%2Fy"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			m := newMirror(t)
			m.address = "http://mirror.example" + path
			prefix := strings.TrimRight(path, "/")
			m.setAnswer(func(w http.ResponseWriter, r *http.Request) bool {
				rest, ok := strings.CutPrefix(r.URL.EscapedPath(), prefix)
				if !ok {
					t.Errorf("asked for %s", r.URL)
				}
				r.URL = &url.URL{Path: rest}
				m.Handler().ServeHTTP(w, r)
				return true
			})
			wantState(t, m.start(t), "one")
			m.rotate(t, everyRole...)
			m.publish(t, "two")
			m.aDayPasses(t)
			wantState(t, m.start(t), "two")
			m.down.Store(true)
			m.aDayPasses(t)
			wantState(t, m.start(t), "two")
		})
	}
}

func TestNewTUFMisconfigured(t *testing.T) {
	t.Parallel()
	initial := newMirror(t).initial
	var parsed map[string]any
	if err := json.Unmarshal(initial, &parsed); err != nil {
		t.Fatal(err)
	}
	parsed["signatures"] = []any{}
	for name, config := range map[string]verify.TUFConfig{
		"no URL":              {Mirror: "::", InitialRoot: initial},
		"no scheme":           {Mirror: "mirror.example", InitialRoot: initial},
		"no host":             {Mirror: "https:///path", InitialRoot: initial},
		"opaque":              {Mirror: "https:mirror.example", InitialRoot: initial},
		"a file":              {Mirror: "file:///srv/tuf", InitialRoot: initial},
		"another scheme":      {Mirror: "ftp://mirror.example", InitialRoot: initial},
		"a password":          {Mirror: "https://user:hunter2@mirror.example", InitialRoot: initial},
		"a bad password":      {Mirror: "https://user:hunter2@mirror.example:x", InitialRoot: initial},
		"the cache itself":    {Mirror: "https://.", InitialRoot: initial},
		"above the cache":     {Mirror: "https://..", InitialRoot: initial},
		"a query":             {Mirror: "https://mirror.example?a=b", InitialRoot: initial},
		"a fragment":          {Mirror: "https://mirror.example#a", InitialRoot: initial},
		"a mirror alone":      {Mirror: "https://mirror.example"},
		"an empty root":       {InitialRoot: []byte{}},
		"junk":                {InitialRoot: []byte("junk")},
		"null":                {InitialRoot: []byte("null")},
		"nulls":               {InitialRoot: []byte(`{"signatures":[],"signed":{"_type":"root","roles":{"root":null}}}`)},
		"no signature":        {InitialRoot: marshal(t, parsed)},
		"a trusted root":      {InitialRoot: readFile(t, filepath.Join(publicGood, "trusted_root.json"))},
		"a root that is huge": {InitialRoot: append(bytes.Repeat([]byte(" "), 1<<20), initial...)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config.CacheDir = t.TempDir()
			source, err := verify.NewTUF(config)
			wantFamily(t, err, verify.ErrMisconfigured)
			if source != nil {
				t.Error("a source beside the error")
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error tells a password: %v", err)
			}
		})
	}
	if _, err := verify.NewTUF(verify.TUFConfig{}); err != nil {
		t.Error(err)
	}
}

func TestTUFConfigFromEnvironment(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "root.json"), []byte("root"))
	writeFile(t, filepath.Join(dir, "empty"), nil)
	writeFile(t, filepath.Join(dir, "huge"), make([]byte, 1<<20+1))
	for name, test := range map[string]struct {
		set    map[string]string
		want   verify.TUFConfig
		reason string
	}{
		"nothing": {},
		"all": {
			set:  map[string]string{"TUF_MIRROR": "https://mirror.example", "TUF_ROOT": "cache", "TUF_ROOT_JSON": filepath.Join(dir, "root.json")},
			want: verify.TUFConfig{Mirror: "https://mirror.example", CacheDir: "cache", InitialRoot: []byte("root")},
		},
		"a cache alone":     {set: map[string]string{"TUF_ROOT": "cache"}, want: verify.TUFConfig{CacheDir: "cache"}},
		"an empty mirror":   {set: map[string]string{"TUF_MIRROR": ""}, reason: "TUF_MIRROR: is empty"},
		"an empty cache":    {set: map[string]string{"TUF_MIRROR": "m", "TUF_ROOT": ""}, reason: "TUF_ROOT: is empty"},
		"an empty path":     {set: map[string]string{"TUF_ROOT_JSON": ""}, reason: "TUF_ROOT_JSON: is empty"},
		"no file":           {set: map[string]string{"TUF_ROOT_JSON": filepath.Join(dir, "none")}, reason: "TUF_ROOT_JSON: no such file"},
		"an empty file":     {set: map[string]string{"TUF_ROOT_JSON": filepath.Join(dir, "empty")}, reason: "TUF_ROOT_JSON: is empty"},
		"a directory":       {set: map[string]string{"TUF_ROOT_JSON": dir}, reason: "TUF_ROOT_JSON: is a directory"},
		"a file too large":  {set: map[string]string{"TUF_ROOT_JSON": filepath.Join(dir, "huge")}, reason: "TUF_ROOT_JSON: limit exceeded"},
		"several are empty": {set: map[string]string{"TUF_MIRROR": "", "TUF_ROOT": "", "TUF_ROOT_JSON": ""}, reason: "TUF_MIRROR: is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			setEnvironment(t, []string{"TUF_MIRROR", "TUF_ROOT", "TUF_ROOT_JSON"}, test.set)
			got, err := verify.TUFConfigFromEnvironment()
			if test.reason != "" {
				wantFamily(t, err, verify.ErrMisconfigured)
				if !strings.Contains(err.Error(), test.reason) {
					t.Errorf("error is %q, want one that says %q", err, test.reason)
				}
			} else if err != nil {
				t.Error(err)
			}
			if got.Mirror != test.want.Mirror || got.CacheDir != test.want.CacheDir || !bytes.Equal(got.InitialRoot, test.want.InitialRoot) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

// setEnvironment gives the test these variables, and those of names no more.
func setEnvironment(t *testing.T, names []string, set map[string]string) {
	t.Helper()
	for _, name := range names {
		t.Setenv(name, set[name]) // which also restores what was there
		if _, ok := set[name]; !ok {
			if err := os.Unsetenv(name); err != nil {
				t.Fatal(err)
			}
		}
	}
}
