// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package trust_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/sync/errgroup"

	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/trust"
)

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
		config := trust.TUFConfig{
			Mirror: fields[0], InitialRoot: readFile(t, fields[1]), CacheDir: fields[2],
			Transport: &http.Transport{DisableKeepAlives: true},
		}
		var g errgroup.Group
		for range 4 {
			g.Go(func() error {
				for range 5 {
					source, err := trust.NewTUF(config)
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
		for _, source := range []*trust.TUF{first, m.start(t)} {
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

// mirrorFiles are in the order in which a client asks for them.
var mirrorFiles = []string{"root.json", "timestamp.json", "snapshot.json", "targets.json", rootTarget, signingTarget}

func cacheName(file string) string {
	switch file {
	case "root.json":
		return "roots"
	case rootTarget, signingTarget:
		return "targets/" + file
	}
	return file
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
	for i, file := range mirrorFiles {
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
					// The suffix root.json does not mean trusted_root.json.
					if !strings.HasSuffix(base, "."+file) && base != file {
						return false
					}
					answer(w, r)
					return true
				})
				wantNone(t, m.start(t), "")
				for _, later := range mirrorFiles[i:] {
					if _, err := os.Stat(m.path(cacheName(later))); !errors.Is(err, fs.ErrNotExist) {
						t.Errorf("the cache has %s, %v", later, err)
					}
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
