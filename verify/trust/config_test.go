// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package trust_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/trust"
)

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
		"of the public instance": trust.PublicInitialRoot(),
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
	for name, config := range map[string]trust.TUFConfig{
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
			source, err := trust.NewTUF(config)
			wantFamily(t, err, verify.ErrMisconfigured)
			if source != nil {
				t.Error("a source beside the error")
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error tells a password: %v", err)
			}
		})
	}
	if _, err := trust.NewTUF(trust.TUFConfig{}); err != nil {
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
		want   trust.TUFConfig
		reason string
	}{
		"nothing": {},
		"all": {
			set:  map[string]string{"TUF_MIRROR": "https://mirror.example", "TUF_ROOT": "cache", "TUF_ROOT_JSON": filepath.Join(dir, "root.json")},
			want: trust.TUFConfig{Mirror: "https://mirror.example", CacheDir: "cache", InitialRoot: []byte("root")},
		},
		"a cache alone":     {set: map[string]string{"TUF_ROOT": "cache"}, want: trust.TUFConfig{CacheDir: "cache"}},
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
			got, err := trust.TUFConfigFromEnvironment()
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
