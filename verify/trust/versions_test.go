// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package trust_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// missing has the mirror answer 404 for a file.
func (m *mirror) missing(name string) {
	m.setAnswer(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/"+name) {
			return false
		}
		w.WriteHeader(http.StatusNotFound)
		return true
	})
}

func snapshotOf(signed any) *metadata.SnapshotType   { return signed.(*metadata.SnapshotType) }
func timestampOf(signed any) *metadata.TimestampType { return signed.(*metadata.TimestampType) }

// TestTUFOffers takes what a mirror offers after a first refresh, which left
// version 1 of everything but the root. Each is with and without hashes.
func TestTUFOffers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		offer        func(t *testing.T, m *mirror)
		reason, kept string
	}{
		"nothing new":      {func(*testing.T, *mirror) {}, "", "5 5 5"},
		"the next of each": {func(t *testing.T, m *mirror) { m.publish(t, "new") }, "", "6 6 6"},
		"a gap":            {func(t *testing.T, m *mirror) { m.SetVersion(metadata.TARGETS, 50); m.publish(t, "new") }, "", "6 6 50"},

		"an older timestamp": {func(t *testing.T, m *mirror) {
			m.SetVersion(metadata.TIMESTAMP, 4)
			must(t, m.PublishTimestamp())
		}, "new timestamp version 4 must be >= 5", "5 5 5"},
		"an older snapshot": {func(t *testing.T, m *mirror) {
			m.SetVersion(metadata.SNAPSHOT, 4)
			must(t, m.PublishSnapshot())
			must(t, m.PublishTimestamp())
		}, "new snapshot version 4 must be >= 5", "5 5 5"},
		"older targets": {func(t *testing.T, m *mirror) {
			m.SetVersion(metadata.TARGETS, 4)
			m.publish(t, "old")
		}, "bad version number", "6 5 5"},
		"an older delegated role": {func(t *testing.T, m *mirror) {
			m.SetVersion("delegated", 4)
			m.publish(t, "old")
		}, "bad version number", "6 5 5"},
		"a snapshot without a role that it had": {func(t *testing.T, m *mirror) {
			m.Alter(metadata.SNAPSHOT, func(signed any) { delete(snapshotOf(signed).Meta, "delegated.json") })
			m.publish(t, "new")
		}, "missing info for delegated.json", "6 5 5"},

		"another timestamp of the same version": {func(t *testing.T, m *mirror) {
			m.Alter(metadata.TIMESTAMP, func(signed any) { timestampOf(signed).Meta["snapshot.json"].Version = 100 })
			m.SetVersion(metadata.TIMESTAMP, 5)
			must(t, m.PublishTimestamp())
		}, "", "5 5 5"},

		"no timestamp": {func(_ *testing.T, m *mirror) { m.missing("timestamp.json") }, "404", "5 5 5"},
		"no snapshot":  {func(t *testing.T, m *mirror) { m.publish(t, "new"); m.missing("6.snapshot.json") }, "404", "6 5 5"},
		"no targets":   {func(t *testing.T, m *mirror) { m.publish(t, "new"); m.missing("6.targets.json") }, "404", "6 6 5"},
		"no snapshot of the version that it should be": {func(t *testing.T, m *mirror) {
			m.Alter(metadata.SNAPSHOT, func(signed any) { snapshotOf(signed).Version = 7 })
			m.publish(t, "new")
		}, "bad version number", "6 5 5"},
		"no targets of the version that they should be": {func(t *testing.T, m *mirror) {
			m.Alter(metadata.TARGETS, func(signed any) { signed.(*metadata.TargetsType).Version = 7 })
			m.publish(t, "new")
		}, "bad version number", "6 6 5"},
		"a root of the version that is known": {func(t *testing.T, m *mirror) {
			m.Alter(metadata.ROOT, func(signed any) { signed.(*metadata.RootType).Version = 1 })
			must(t, m.PublishRoot())
		}, "bad version number", "5 5 5"},
		"a root of a later version": {func(t *testing.T, m *mirror) {
			m.Alter(metadata.ROOT, func(signed any) { signed.(*metadata.RootType).Version = 3 })
			must(t, m.PublishRoot())
		}, "bad version number", "5 5 5"},
		"a root after the next": {func(t *testing.T, m *mirror) {
			m.SetVersion(metadata.ROOT, 3)
			must(t, m.PublishRoot())
		}, "", "5 5 5"},

		"another snapshot than the hash says": {func(t *testing.T, m *mirror) {
			m.Alter(metadata.TIMESTAMP, func(signed any) { wrong(timestampOf(signed).Meta["snapshot.json"]) })
			m.publish(t, "new")
		}, "hash verification failed", "6 5 5"},
		"other targets than the hash says": {func(t *testing.T, m *mirror) {
			m.Alter(metadata.SNAPSHOT, func(signed any) { wrong(snapshotOf(signed).Meta["targets.json"]) })
			m.publish(t, "new")
		}, "hash verification failed", "6 6 5"},
		"a snapshot that is longer": {func(t *testing.T, m *mirror) {
			m.Alter(metadata.TIMESTAMP, func(signed any) { timestampOf(signed).Meta["snapshot.json"].Length = 10 })
			m.publish(t, "new")
		}, "limit exceeded: snapshot.json", "6 5 5"},
		"a snapshot that is shorter": {func(t *testing.T, m *mirror) {
			m.Alter(metadata.TIMESTAMP, func(signed any) { timestampOf(signed).Meta["snapshot.json"].Length = 1 << 40 })
			m.publish(t, "new")
		}, "length verification failed", "6 5 5"},
		"targets that are shorter": {func(t *testing.T, m *mirror) {
			m.Alter(metadata.SNAPSHOT, func(signed any) { snapshotOf(signed).Meta["targets.json"].Length = 1 << 40 })
			m.publish(t, "new")
		}, "length verification failed", "6 6 5"},
		"another snapshot of the same version and another hash": {func(t *testing.T, m *mirror) {
			m.Hashes = true
			m.SetVersion(metadata.SNAPSHOT, 5)
			m.Expire(metadata.SNAPSHOT, time.Now().Add(100*time.Hour))
			must(t, m.PublishSnapshot())
			must(t, m.PublishTimestamp())
			m.missing("5.snapshot.json") // the old one is not taken for it
		}, "404", "6 5 5"},

		"a timestamp that names no snapshot": {func(t *testing.T, m *mirror) {
			m.Alter(metadata.TIMESTAMP, func(signed any) { clear(timestampOf(signed).Meta) })
			m.publish(t, "new")
		}, "names no snapshot", "5 5 5"},
		"a snapshot that names no targets": {func(t *testing.T, m *mirror) {
			m.Alter(metadata.SNAPSHOT, func(signed any) { snapshotOf(signed).Meta["targets.json"] = nil })
			m.publish(t, "new")
		}, "says nothing about", "6 5 5"},
		"a snapshot in place of the timestamp": {func(t *testing.T, m *mirror) {
			m.SignWith(metadata.SNAPSHOT, append(m.Keys(metadata.SNAPSHOT), m.Keys(metadata.TIMESTAMP)...)...)
			m.Alter(metadata.SNAPSHOT, func(signed any) {
				snapshotOf(signed).Meta = map[string]*metadata.MetaFiles{"snapshot.json": metadata.MetaFile(9)}
			})
			must(t, m.PublishSnapshot())
			m.setAnswer(func(w http.ResponseWriter, r *http.Request) bool {
				if strings.HasSuffix(r.URL.Path, "/timestamp.json") {
					_, _ = w.Write(readFile(t, m.dir, "6.snapshot.json"))
					return true
				}
				return false
			})
		}, "expected metadata type timestamp", "5 5 5"},
	} {
		for _, hashes := range []string{"", ", hashes"} {
			t.Run(name+hashes, func(t *testing.T) {
				t.Parallel()
				m := newMirror(t)
				m.Hashes = hashes != ""
				m.Delegate(metadata.TARGETS, metadata.DelegatedRole{Name: "delegated", Paths: []string{"other/*"}}, m.Keys(metadata.TARGETS)[0], nil)
				for _, role := range append(everyRole[1:], "delegated") {
					m.SetVersion(role, 5)
				}
				m.publish(t, "one")
				m.takes(t, "5 5 5")
				test.offer(t, m)
				for range 2 {
					if test.reason != "" {
						m.refuses(t, test.reason, test.kept)
						continue
					}
					m.takes(t, test.kept)
				}
			})
		}
	}
}

func wrong(meta *metadata.MetaFiles) {
	meta.Hashes = metadata.Hashes{"sha256": make([]byte, 32)}
}

// TestTUFRecovery: after lost keys signed versions that are far ahead, new keys
// count anew (TUF 1.0.34, section 5.3.11).
func TestTUFRecovery(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		ahead, rotate []string
	}{
		"timestamp":                         {[]string{metadata.TIMESTAMP}, []string{metadata.TIMESTAMP}},
		"snapshot":                          {[]string{metadata.SNAPSHOT}, []string{metadata.SNAPSHOT, metadata.TIMESTAMP}},
		"snapshot, with its own key alone":  {[]string{metadata.SNAPSHOT}, []string{metadata.SNAPSHOT}},
		"timestamp, with the other's alone": {[]string{metadata.TIMESTAMP}, []string{metadata.SNAPSHOT}},
		"targets":                           {[]string{metadata.TARGETS}, []string{metadata.SNAPSHOT}},
		"all":                               {everyRole[1:], everyRole[1:]},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMirror(t)
			for _, role := range test.ahead {
				m.SetVersion(role, 1<<40)
			}
			m.publish(t, "far ahead")
			if err := m.refresh(t); err != nil {
				t.Fatal(err)
			}
			for _, role := range test.ahead {
				m.SetVersion(role, 3)
			}
			m.publish(t, "refused")
			if err := m.refresh(t); err == nil {
				t.Error("went back without new keys")
			}
			m.rotate(t, test.rotate...)
			m.publish(t, "recovered")
			if err := m.refresh(t); err != nil {
				t.Error(err)
			}
			wantState(t, m.start(t), "recovered")
		})
	}
}

// TestTUFExpiredCopyIsMeasure: what has expired in the cache does not keep the next
// version out, and an older one does not come in.
func TestTUFExpiredCopyIsMeasure(t *testing.T) {
	t.Parallel()
	for _, role := range everyRole {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newMirror(t)
				m.Expire(role, time.Now().Add(time.Hour))
				must(t, m.PublishRoot())
				for _, other := range everyRole[1:] {
					m.SetVersion(other, 5)
				}
				m.publish(t, "new")
				m.takes(t, "2 5 5 5")
				<-time.After(2 * time.Hour)
				m.refuses(t, "expired", "2 5 5 5")

				m.Expire(role, time.Now().Add(10*time.Hour))
				must(t, m.PublishRoot())
				m.SetVersion(metadata.TIMESTAMP, 4)
				m.publish(t, "old")
				m.refuses(t, "bad version number", "2 3 5 5 5")
				m.SetVersion(metadata.TIMESTAMP, 6)
				m.publish(t, "newest")
				m.takes(t, "2 3 6 7 7")
			})
		})
	}
}
