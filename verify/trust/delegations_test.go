// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package trust_test

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/cosignkit/cosignkit/internal/tufrepo"
)

// edge is a delegation: for every target, unless it has paths.
type edge struct {
	parent, role string
	paths        []string
	terminating  bool
}

func (m *mirror) delegate(t *testing.T, e edge, targets map[string][]byte) *tufrepo.Key {
	t.Helper()
	if e.paths == nil {
		e.paths = []string{"*"}
	}
	key := newKey(t, tufrepo.Ed25519)
	m.Delegate(e.parent, metadata.DelegatedRole{Name: e.role, Paths: e.paths, Terminating: e.terminating}, key, targets)
	return key
}

// visits records the delegated roles that a client asks for.
func (m *mirror) visits() *[]string {
	var all []string
	m.setAnswer(func(_ http.ResponseWriter, r *http.Request) bool {
		file := path.Base(r.URL.EscapedPath())
		_, role, _ := strings.Cut(strings.TrimSuffix(file, ".json"), ".")
		if role, err := url.PathUnescape(role); err == nil && role != "" && !slices.Contains(everyRole, role) && !strings.Contains(r.URL.Path, "/targets/") {
			all = append(all, role)
		}
		return false
	})
	return &all
}

// TestTUFDelegationsInOrder searches for a target that nobody has.
func TestTUFDelegationsInOrder(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		edges []edge
		want  string
	}{
		"none":                        {nil, ""},
		"one":                         {[]edge{{parent: "targets", role: "A"}}, "A"},
		"in the order of the role":    {[]edge{{parent: "targets", role: "B"}, {parent: "targets", role: "A"}}, "B A"},
		"depth first":                 {[]edge{{parent: "targets", role: "A"}, {parent: "targets", role: "B"}, {parent: "A", role: "C"}, {parent: "A", role: "D"}, {parent: "C", role: "E"}}, "A C E D B"},
		"a role that ends the search": {[]edge{{parent: "targets", role: "A"}, {parent: "targets", role: "B", terminating: true}, {parent: "targets", role: "C"}, {parent: "B", role: "D"}}, "A B D"},
		"an end below":                {[]edge{{parent: "targets", role: "A"}, {parent: "targets", role: "B"}, {parent: "A", role: "C", terminating: true}, {parent: "A", role: "D"}}, "A C"},
		"another target's":            {[]edge{{parent: "targets", role: "A", paths: []string{"*.py"}}, {parent: "targets", role: "B"}}, "B"},
		"another target's, which would end the search": {[]edge{{parent: "targets", role: "A", paths: []string{"*.py"}, terminating: true}, {parent: "targets", role: "B"}}, "B"},
		"another target's below":                       {[]edge{{parent: "targets", role: "A"}, {parent: "A", role: "B", paths: []string{"*.py"}}, {parent: "B", role: "C"}}, "A"},
		"in a circle":                                  {[]edge{{parent: "targets", role: "A"}, {parent: "A", role: "B"}, {parent: "B", role: "A"}, {parent: "B", role: "targets"}}, "A B"},
		"to itself":                                    {[]edge{{parent: "targets", role: "A"}, {parent: "A", role: "A"}}, "A"},
		"two to one":                                   {[]edge{{parent: "targets", role: "A"}, {parent: "targets", role: "B"}, {parent: "A", role: "C"}, {parent: "B", role: "C"}}, "A C B"},
		"two to one, one for another target":           {[]edge{{parent: "targets", role: "A"}, {parent: "targets", role: "B"}, {parent: "A", role: "C", paths: []string{"*.py"}}, {parent: "B", role: "C"}}, "A B C"},
		"a pattern of one character":                   {[]edge{{parent: "targets", role: "A", paths: []string{"trusted?root.json"}}, {parent: "targets", role: "B", paths: []string{"trusted?.json"}}}, "A"},
		"a pattern with a directory":                   {[]edge{{parent: "targets", role: "A", paths: []string{"*/*"}}, {parent: "targets", role: "B", paths: []string{"TRUSTED_ROOT.JSON"}}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMirror(t)
			keys := map[string][]*tufrepo.Key{}
			for _, e := range test.edges {
				keys[e.role] = append(keys[e.role], m.delegate(t, e, nil))
				if e.role != "targets" {
					m.SignWith(e.role, keys[e.role]...)
				}
			}
			visited := m.visits()
			m.publishTargets(t, nil)
			if err := m.refresh(t); err == nil || !strings.Contains(err.Error(), "trusted_root.json not found") {
				t.Errorf("error is %v", err)
			}
			if got := strings.Join(*visited, " "); got != test.want {
				t.Errorf("visited %q, want %q", got, test.want)
			}
		})
	}
}

// TestTUFDelegatedTargets: a role may offer what is delegated to it, by whatever
// name, and the copy in the cache is as good.
func TestTUFDelegatedTargets(t *testing.T) {
	t.Parallel()
	root := readFile(t, filepath.Join(publicGood, "trusted_root.json"))
	for _, role := range []string{"sigstore", "?", "#", "/delegated", "../delegated", "..", "%2e", "a b", "Timestamp", "1.root", "é"} {
		for _, plain := range []bool{false, true} {
			t.Run(fmt.Sprintf("%q, plain names %v", role, plain), func(t *testing.T) {
				t.Parallel()
				m := newMirror(t)
				m.PlainNames = plain
				if plain {
					must(t, m.PublishRoot())
				}
				m.delegate(t, edge{parent: "targets", role: role}, map[string][]byte{rootTarget: root, signingTarget: []byte("two")})
				m.publishTargets(t, nil)
				wantState(t, m.start(t), "two")
				if got := m.kept(t); !strings.HasSuffix(got, "2 2 2") {
					t.Errorf("the cache has versions %s", got)
				}
				m.down.Store(true)
				wantState(t, m.start(t), "two")
				m.aDayPasses(t)
				wantState(t, m.start(t), "two")
			})
		}
	}
}

// TestTUFDelegatedKeys: a role is verified for whoever delegates to it, and counts
// for nothing if the snapshot does not name it.
func TestTUFDelegatedKeys(t *testing.T) {
	t.Parallel()
	root := readFile(t, filepath.Join(publicGood, "trusted_root.json"))
	both := map[string][]byte{rootTarget: root, signingTarget: []byte("two")}
	for name, test := range map[string]struct {
		prepare func(t *testing.T, m *mirror)
		reason  string
	}{
		"by two roles, for a target each": {func(t *testing.T, m *mirror) {
			m.delegate(t, edge{parent: "targets", role: "A", paths: []string{rootTarget}}, nil)
			m.delegate(t, edge{parent: "targets", role: "B", paths: []string{signingTarget}}, nil)
			a := m.delegate(t, edge{parent: "A", role: "C"}, both)
			b := m.delegate(t, edge{parent: "B", role: "C"}, both)
			m.SignWith("C", a, b)
		}, ""},
		"by two roles, and signed for one of them": {func(t *testing.T, m *mirror) {
			m.delegate(t, edge{parent: "targets", role: "A", paths: []string{rootTarget}}, nil)
			m.delegate(t, edge{parent: "targets", role: "B", paths: []string{signingTarget}}, nil)
			m.delegate(t, edge{parent: "A", role: "C"}, both)
			m.delegate(t, edge{parent: "B", role: "C"}, both)
		}, "not enough signatures"},
		"signed by another role's key": {func(t *testing.T, m *mirror) {
			m.delegate(t, edge{parent: "targets", role: "A"}, both)
			m.SignWith("A", m.Keys(metadata.TARGETS)...)
		}, "not enough signatures"},
		"not in the snapshot": {func(t *testing.T, m *mirror) {
			m.delegate(t, edge{parent: "targets", role: "A"}, both)
			m.Alter(metadata.SNAPSHOT, func(signed any) { delete(snapshotOf(signed).Meta, "A.json") })
		}, "says nothing about"},
		"not of the version in the snapshot": {func(t *testing.T, m *mirror) {
			m.delegate(t, edge{parent: "targets", role: "A"}, both)
			m.Alter("A", func(signed any) { signed.(*metadata.TargetsType).Version = 9 })
		}, "bad version number"},
		"missing": {func(t *testing.T, m *mirror) {
			m.delegate(t, edge{parent: "targets", role: "A"}, both)
			m.missing("1.A.json")
		}, "404"},
		// A mirror that hides a role does not make of that "there is none".
		"missing, for the signing config": {func(t *testing.T, m *mirror) {
			m.delegate(t, edge{parent: "targets", role: "A", paths: []string{signingTarget}}, both)
			m.Set(map[string][]byte{rootTarget: root})
			m.missing("1.A.json")
		}, "404"},
		"as many as may be": {func(t *testing.T, m *mirror) {
			for i := range 31 {
				m.delegate(t, edge{parent: "targets", role: fmt.Sprint(i)}, nil)
			}
			m.delegate(t, edge{parent: "targets", role: "last"}, both)
		}, ""},
		"one more": {func(t *testing.T, m *mirror) {
			for i := range 32 {
				m.delegate(t, edge{parent: "targets", role: fmt.Sprint(i)}, nil)
			}
			m.delegate(t, edge{parent: "targets", role: "last"}, both)
		}, "limit exceeded: delegated roles"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMirror(t)
			m.Set(nil)
			test.prepare(t, m)
			must(t, m.Publish())
			if test.reason != "" {
				wantNone(t, m.start(t), test.reason)
				return
			}
			wantState(t, m.start(t), "two")
		})
	}
}

// TestTUFHashesOfTargets: any of the hashes in use is enough, and one that nobody
// knows is not.
func TestTUFHashesOfTargets(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		hashes []string
		change func(*metadata.TargetFiles)
		reason string
	}{
		"SHA-256":        {hashes: []string{"sha256"}},
		"SHA-512":        {hashes: []string{"sha512"}},
		"both":           {hashes: []string{"sha256", "sha512"}},
		"one is wrong":   {hashes: []string{"sha256", "sha512"}, change: func(f *metadata.TargetFiles) { f.Hashes["sha512"] = make([]byte, 64) }, reason: "hash verification failed"},
		"unknown":        {hashes: []string{"sha256"}, change: func(f *metadata.TargetFiles) { f.Hashes = metadata.Hashes{"new": f.Hashes["sha256"]} }, reason: "hash verification failed"},
		"none":           {hashes: []string{"sha256"}, change: func(f *metadata.TargetFiles) { clear(f.Hashes) }, reason: "hashes must not be empty"},
		"a wrong length": {hashes: []string{"sha256"}, change: func(f *metadata.TargetFiles) { f.Length++ }, reason: "length verification failed"},
		"a length of -1": {hashes: []string{"sha256"}, change: func(f *metadata.TargetFiles) { f.Length = -1 }, reason: "length verification failed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMirror(t)
			content := readFile(t, filepath.Join(publicGood, "trusted_root.json"))
			m.Alter(metadata.TARGETS, func(signed any) {
				file, err := metadata.TargetFile().FromBytes(rootTarget, content, test.hashes...)
				must(t, err)
				if test.change != nil {
					test.change(file)
				}
				signed.(*metadata.TargetsType).Targets[rootTarget] = file
			})
			m.publishTargets(t, map[string][]byte{rootTarget: content, signingTarget: []byte("two")})
			m.setAnswer(func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.HasSuffix(r.URL.Path, rootTarget) {
					return false
				}
				_, _ = bytes.NewReader(content).WriteTo(w)
				return true
			})
			if test.reason != "" {
				wantNone(t, m.start(t), test.reason)
				return
			}
			wantState(t, m.start(t), "two")
		})
	}
}

// TestTUFPlainNames: without consistent snapshots no name has a version or a hash.
func TestTUFPlainNames(t *testing.T) {
	t.Parallel()
	m := newMirror(t)
	m.PlainNames = true
	must(t, m.PublishRoot())
	m.publish(t, "two")
	m.takes(t, "2 2 2 2")
	wantState(t, m.start(t), "two")
	var names []string
	for _, name := range slices.Sorted(maps.Keys(m.requests)) {
		names = append(names, path.Base(name))
	}
	if want := []string{"2.root.json", "3.root.json", "snapshot.json", "targets.json", signingTarget, rootTarget, "timestamp.json"}; !slices.Equal(names, want) {
		t.Errorf("requests are %q, want %q", names, want)
	}
	m.PlainNames = false
	must(t, m.PublishRoot())
	m.publish(t, "three")
	m.takes(t, "2 3 3 3 3")
}
