// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package trust_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/cosignkit/cosignkit/internal/limits"
)

// TestTUFForm: metadata is one JSON text that all parsers read alike. The signatures
// are good, as they are of the canonical form.
func TestTUFForm(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change  func([]byte) []byte
		refused bool
	}{
		"white space around": {func(b []byte) []byte { return append(append([]byte(" \n"), b...), " \n"...) }, false},
		"without white space": {func(b []byte) []byte {
			return bytes.ReplaceAll(bytes.ReplaceAll(b, []byte("\n"), nil), []byte("\t"), nil)
		}, false},
		"a field that nobody knows, unsigned": {func(b []byte) []byte { return replaceFirst(b, "{", `{"more":1,`) }, false},

		"something after it":       {func(b []byte) []byte { return append(b, '{') }, true},
		"a second text after it":   {func(b []byte) []byte { return append(b, "{}"...) }, true},
		"nothing":                  {func([]byte) []byte { return nil }, true},
		"half":                     {func(b []byte) []byte { return b[:len(b)/2] }, true},
		"signed twice":             {func(b []byte) []byte { return replaceFirst(b, `"signed"`, `"signed":{"_type":"root"},"signed"`) }, true},
		"a version twice":          {func(b []byte) []byte { return replaceFirst(b, `"version"`, `"version":2,"version"`) }, true},
		"an expiry twice":          {func(b []byte) []byte { return replaceFirst(b, `"expires"`, `"expires":null,"expires"`) }, true},
		"bytes that are not UTF-8": {func(b []byte) []byte { return replaceFirst(b, "{", "{\"\xff\":1,") }, true},
		"too deep":                 {func(b []byte) []byte { return replaceFirst(b, "{", `{"more":`+deep(200)+",") }, true},
		"a very long number":       {func(b []byte) []byte { return replaceFirst(b, "{", `{"more":`+strings.Repeat("9", 1000)+",") }, true},
		"a comment":                {func(b []byte) []byte { return append([]byte("//\n"), b...) }, true},
		"too many signatures": {func(b []byte) []byte {
			more := `"signatures": [`
			for i := range limits.TUFSignatures {
				more += fmt.Sprintf(`{"keyid":"%d","sig":""},`, i)
			}
			return replaceFirst(b, `"signatures": [`, more)
		}, true},
		"a byte order mark": {func(b []byte) []byte { return append([]byte("\ufeff"), b...) }, true},
	} {
		for i, role := range everyRole {
			t.Run(role+", "+name, func(t *testing.T) {
				t.Parallel()
				m := newMirror(t)
				m.Rewrite(role, test.change)
				must(t, m.PublishRoot())
				m.publish(t, "two")
				if test.refused {
					m.refuses(t, "", []string{"- - -", "2 - - -", "2 2 - -", "2 2 2 -"}[i])
				} else {
					m.takes(t, "2 2 2 2")
				}
			})
		}
	}
}

func replaceFirst(b []byte, old, by string) []byte {
	return bytes.Replace(b, []byte(old), []byte(by), 1)
}

func deep(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

// TestTUFFields: what nobody knows is signed with the rest (TUF 1.0.34, section 4).
func TestTUFFields(t *testing.T) {
	t.Parallel()
	more := map[string]any{"custom": map[string]any{"a": 1.0, "b": []any{"c"}}}
	m := newMirror(t)
	m.Alter(metadata.ROOT, func(signed any) {
		root := signed.(*metadata.RootType)
		root.UnrecognizedFields = more
		for _, key := range root.Keys {
			key.UnrecognizedFields = map[string]any{"keyid_hash_algorithms": "md5"}
		}
		for _, role := range root.Roles {
			role.UnrecognizedFields = more
		}
	})
	m.Alter(metadata.TARGETS, func(signed any) { signed.(*metadata.TargetsType).UnrecognizedFields = more })
	m.Alter(metadata.SNAPSHOT, func(signed any) { snapshotOf(signed).UnrecognizedFields = more })
	m.Alter(metadata.TIMESTAMP, func(signed any) { timestampOf(signed).UnrecognizedFields = more })
	must(t, m.PublishRoot())
	m.publish(t, "two")
	m.takes(t, "2 2 2 2")

	m.Rewrite(metadata.TIMESTAMP, edited(t, func(m map[string]any) { delete(m["signed"].(map[string]any), "custom") }))
	m.publish(t, "three")
	m.refuses(t, "not enough signatures", "2 2 2 2")
}

// TestTUFKeepsTheBytes: the cache has a file as the mirror sent it, by which hashes
// in other files hold.
func TestTUFKeepsTheBytes(t *testing.T) {
	t.Parallel()
	m := newMirror(t)
	for _, role := range everyRole {
		m.Rewrite(role, func(b []byte) []byte { return append(b, "\n \n"...) })
	}
	m.Hashes = true
	must(t, m.PublishRoot())
	m.publish(t, "two")
	m.takes(t, "2 2 2 2")
	for cached, published := range map[string]string{
		"roots/2.root.json": "2.root.json", "timestamp.json": "timestamp.json",
		"snapshot.json": "2.snapshot.json", "targets.json": "2.targets.json",
	} {
		if got := readFile(t, m.path(cached)); !bytes.Equal(got, readFile(t, m.dir, published)) {
			t.Errorf("the cache has %s as %s", cached, got)
		}
	}
}
