// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package policyfile_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/policyfile"
)

const watchedPolicy = "version: 1\nrules:\n- scope: registry.example\n  keys: [key.pub]\n  insecureIgnoreTransparencyLog: true\n"

// replaced writes a file as a careful program does: another one, renamed onto it.
func replaced(t testing.TB, path, content string) {
	t.Helper()
	writeFile(t, path+".new", content)
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// settled makes files look as if they had been written long ago.
func settled(t testing.TB, paths ...string) {
	t.Helper()
	for _, path := range paths {
		then := time.Now().Add(-time.Hour)
		if err := os.Chtimes(path, then, then); err != nil {
			t.Fatal(err)
		}
	}
}

func publicKey(t testing.TB, kind string) string {
	t.Helper()
	b, err := os.ReadFile(testdata(t, "KEYS/"+kind+".pub"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// watching returns a watcher of a policy that accepts the image by key, and how
// often it was loaded.
func watching(t testing.TB) (w *policyfile.Watcher, policy, key string, loads *atomic.Int32) {
	t.Helper()
	dir := t.TempDir()
	policy, key = filepath.Join(dir, "policy.yaml"), filepath.Join(dir, "key.pub")
	writeFile(t, policy, watchedPolicy)
	writeFile(t, key, publicKey(t, "p256"))
	settled(t, policy, key)
	loads = new(atomic.Int32)
	return policyfile.Watch(policy, func(path string, config policyfile.Config) (*policyfile.Policy, error) {
		loads.Add(1)
		return policyfile.Load(path, config)
	}, policyfile.Config{}), policy, key, loads
}

func TestWatch(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(t *testing.T, policy, key string)
		want   error // nil if the image is still accepted
		loads  int32
	}{
		"nothing":                {func(*testing.T, string, string) {}, nil, 1},
		"a time alone":           {func(t *testing.T, policy, _ string) { touch(t, policy) }, nil, 1},
		"the same, by renaming":  {func(t *testing.T, policy, _ string) { replaced(t, policy, watchedPolicy) }, nil, 1},
		"another rule":           {func(t *testing.T, policy, _ string) { replaced(t, policy, rejecting("registry.example")) }, verify.ErrRejected, 2},
		"another rule, in place": {func(t *testing.T, policy, _ string) { writeFile(t, policy, rejecting("registry.example")) }, verify.ErrRejected, 2},
		"another key":            {func(t *testing.T, _, key string) { replaced(t, key, publicKey(t, "ed25519")) }, verify.ErrRejected, 2},
		"a rule of the same size and time": {func(t *testing.T, policy, _ string) {
			other := strings.Replace(rejecting("registry.example"), "\n", "\n#"+strings.Repeat(" ", len(watchedPolicy)-len(rejecting("registry.example"))-2)+"\n", 1)
			if len(other) != len(watchedPolicy) {
				t.Fatalf("%d bytes, want %d", len(other), len(watchedPolicy))
			}
			info, err := os.Stat(policy)
			if err != nil {
				t.Fatal(err)
			}
			replaced(t, policy, other)
			if err := os.Chtimes(policy, info.ModTime(), info.ModTime()); err != nil {
				t.Fatal(err)
			}
		}, verify.ErrRejected, 2},
		"a policy that is gone":  {func(t *testing.T, policy, _ string) { remove(t, policy) }, verify.ErrMisconfigured, 2},
		"a policy that is empty": {func(t *testing.T, policy, _ string) { writeFile(t, policy, "") }, verify.ErrMisconfigured, 2},
		"a policy cut short":     {func(t *testing.T, policy, _ string) { writeFile(t, policy, watchedPolicy[:len(watchedPolicy)/2]) }, verify.ErrMisconfigured, 2},
		"a policy that is a folder": {func(t *testing.T, policy, _ string) {
			remove(t, policy)
			if err := os.Mkdir(policy, 0o700); err != nil {
				t.Fatal(err)
			}
		}, verify.ErrMisconfigured, 2},
		"a key that is gone": {func(t *testing.T, _, key string) { remove(t, key) }, verify.ErrMisconfigured, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, policy, key, loads := watching(t)
			image, candidates := signed(t, byKey, "registry.example/app")
			if loads.Load() != 0 {
				t.Error("read before it was asked")
			}
			for range 3 {
				if _, err := w.Verify(t.Context(), image, candidates); err != nil {
					t.Fatal(err)
				}
			}
			c.change(t, policy, key)
			_, err := w.Verify(t.Context(), image, candidates)
			if c.want == nil {
				if err != nil {
					t.Fatal(err)
				}
			} else {
				wantFamily(t, err, c.want)
			}
			if got := loads.Load(); got != c.loads {
				t.Errorf("loaded %d times, want %d", got, c.loads)
			}
			// Once it is as it was, it holds again.
			if info, err := os.Stat(policy); err == nil && info.IsDir() {
				remove(t, policy)
			}
			replaced(t, policy, watchedPolicy)
			replaced(t, key, publicKey(t, "p256"))
			if _, err := w.Verify(t.Context(), image, candidates); err != nil {
				t.Error(err)
			}
		})
	}
}

func touch(t *testing.T, path string) {
	t.Helper()
	if err := os.Chtimes(path, time.Time{}, time.Now().Add(-time.Minute)); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// TestWatchSeesWhatATimeDoesNotTell: a file that is written twice within the
// resolution of its time looks the same.
func TestWatchSeesWhatATimeDoesNotTell(t *testing.T) {
	t.Parallel()
	w, policy, _, _ := watching(t)
	image, candidates := signed(t, byKey, "registry.example/app")
	accepting, other := watchedPolicy+"# a\n", strings.Replace(watchedPolicy, "key.pub", "bad.pub", 1)+"# a\n"
	var now time.Time
	write := func(content string) {
		writeFile(t, policy, content)
		if err := os.Chtimes(policy, now, now); err != nil {
			t.Fatal(err)
		}
	}
	// A file that was read more than two seconds after its time has settled; such a
	// round shows nothing.
	var shown int
	for range 20 {
		now = time.Now()
		write(accepting)
		if _, err := w.Verify(t.Context(), image, candidates); err != nil {
			t.Fatal(err)
		}
		if time.Since(now) > time.Second {
			continue
		}
		write(other)
		_, err := w.Verify(t.Context(), image, candidates)
		wantFamily(t, err, verify.ErrMisconfigured)
		if shown++; shown == 3 {
			return
		}
	}
	t.Errorf("%d rounds were in time, want 3", shown)
}

func TestWatchFollowsLinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, content := range map[string]string{"one": rejecting("registry.example"), "two": "version: 1\nrules:\n- {scope: registry.example, insecureAcceptAnything: true}\n"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, name, "policy.yaml"), content)
		settled(t, filepath.Join(dir, name, "policy.yaml"))
	}
	link := func(to string) {
		if err := os.Symlink(to, filepath.Join(dir, "new")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "current")); err != nil {
			t.Fatal(err)
		}
	}
	link("one")
	w := policyfile.Watch(filepath.Join(dir, "current", "policy.yaml"), policyfile.Load, policyfile.Config{})
	image := verify.Image{Name: "registry.example/app"}
	_, err := w.Select(t.Context(), image)
	wantFamily(t, err, verify.ErrRejected)
	link("two")
	if s, err := w.Select(t.Context(), image); err != nil || !s.InsecureAcceptAnything {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestWatchConcurrently: while the file is replaced, cut short and removed, nobody
// gets a verdict that no state of the file gives, and never one of an older state.
func TestWatchConcurrently(t *testing.T) {
	t.Parallel()
	w, policy, _, _ := watching(t)
	image, candidates := signed(t, byKey, "registry.example/app")
	closed := func(n int) string { return fmt.Sprintf("%s# %d\n", rejecting("registry.example"), n) }
	var readers sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				s, err := w.Select(t.Context(), image)
				if err == nil && s.Verifier != nil || errors.Is(err, verify.ErrRejected) || errors.Is(err, verify.ErrMisconfigured) {
					continue
				}
				t.Errorf("%+v, %v", s, err)
				return
			}
		})
	}
	for n := range 20 {
		replaced(t, policy, closed(n))
		_, err := w.Verify(t.Context(), image, candidates)
		wantFamily(t, err, verify.ErrRejected)
		writeFile(t, policy, watchedPolicy[:40])
		_, err = w.Verify(t.Context(), image, candidates)
		wantFamily(t, err, verify.ErrMisconfigured)
		replaced(t, policy, watchedPolicy)
		if _, err := w.Verify(t.Context(), image, candidates); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	readers.Wait()
}

// TestWatchOfAnUnreadableFile: it may be there and not be ours to read.
func TestWatchOfAnUnreadableFile(t *testing.T) {
	t.Parallel()
	denied := errors.New("permission denied")
	w := policyfile.Watch("policy.yaml", func(string, policyfile.Config) (*policyfile.Policy, error) { return nil, denied }, policyfile.Config{})
	_, err := w.Policy()
	wantFamily(t, err, verify.ErrMisconfigured)
	if !errors.Is(err, denied) {
		t.Errorf("error is %v", err)
	}
	_, err = w.Select(t.Context(), verify.Image{Name: "registry.example/app"})
	wantFamily(t, err, verify.ErrMisconfigured)
}

// TestWatchOfNoPolicy: a function of the caller's that returns none has no image
// accepted, and nothing crash.
func TestWatchOfNoPolicy(t *testing.T) {
	t.Parallel()
	w := policyfile.Watch("policy.yaml", func(string, policyfile.Config) (*policyfile.Policy, error) { return nil, nil }, policyfile.Config{})
	_, err := w.Select(t.Context(), verify.Image{Name: "registry.example/app"})
	wantFamily(t, err, verify.ErrMisconfigured)
	if err == nil || !strings.Contains(err.Error(), "no policy was loaded") {
		t.Errorf("error is %v", err)
	}
}

func BenchmarkWatch(b *testing.B) {
	w, _, _, _ := watching(b)
	image := verify.Image{Name: "registry.example/app"}
	for b.Loop() {
		if _, err := w.Select(b.Context(), image); err != nil {
			b.Fatal(err)
		}
	}
}
