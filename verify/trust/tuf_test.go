// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package trust_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sigstore/sigstore-go/pkg/tuf"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/cosignkit/cosignkit/internal/tufrepo"
	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/trust"
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

	published int

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
	m.published++
	m.publishTargets(t, map[string][]byte{
		// Another file for each state, so that none is that of another.
		rootTarget:    append(readFile(t, filepath.Join(publicGood, "trusted_root.json")), strings.Repeat(" ", m.published)...),
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

func (m *mirror) config() trust.TUFConfig {
	return trust.TUFConfig{Mirror: m.address, InitialRoot: m.initial, CacheDir: m.cache, Transport: m.transport, Logger: m.logger}
}

// start is what a process does when it starts.
func (m *mirror) start(t *testing.T) *trust.TUF {
	t.Helper()
	return newTUF(t, m.config())
}

func newTUF(t *testing.T, config trust.TUFConfig) *trust.TUF {
	t.Helper()
	source, err := trust.NewTUF(config)
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

// wantState holds that source has the state of that name, whole.
func wantState(t *testing.T, source *trust.TUF, want string) {
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
func wantNone(t *testing.T, source *trust.TUF, reason string) {
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

// TestTUFFailsHalfWay: the last good copy stays, whatever file of a new state is
// missing.
func TestTUFFailsHalfWay(t *testing.T) {
	t.Parallel()
	for _, broken := range []string{"3.root.json", "timestamp.json", "2.snapshot.json", "2.targets.json", rootTarget, signingTarget} {
		for _, how := range []string{"status", "junk"} {
			t.Run(broken+" "+how, func(t *testing.T) {
				t.Parallel()
				m, server := newServer(t)
				wantState(t, m.start(t), "one")
				m.rotate(t, metadata.ROOT, metadata.ROOT)
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
				for range 2 {
					wantState(t, m.start(t), "one")
				}
				m.answer.Store(nil)
				running := m.start(t)
				wantState(t, running, "two")
				if _, err := os.Stat(m.path("aside")); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("the old copy is still there: %v", err)
				}
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
			if role == metadata.ROOT {
				// It counts nevertheless (TUF 1.0.34, section 5.3.10): nothing is good
				// until the next one.
				wantNone(t, m.start(t), "final root.json is expired")
				m.Expire(role, time.Now().Add(time.Hour))
				m.rotate(t, role)
				wantState(t, m.start(t), "two")
				return
			}
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
					starts := []*trust.TUF{running}
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
