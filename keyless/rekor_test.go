// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/binary"
	"net/http"
	"strings"
	"testing"

	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"

	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// TestFind: where a Rekor v2 says that an equal entry is, and what its tiles
// hold, is not believed.
func TestFind(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048) // of which two signatures are equal
	if err != nil {
		t.Fatal(err)
	}
	only := func(prefix string, change func(b []byte) []byte) func(d *deployment) {
		return func(d *deployment) {
			d.v2.alter = func(path string, b []byte) []byte {
				if strings.HasPrefix(path, prefix) {
					return change(b)
				}
				return b
			}
		}
	}
	missing := func([]byte) []byte { return nil }
	for name, c := range map[string]struct {
		lie  func(d *deployment)
		want string // empty if it is found
	}{
		"as it is":                      {func(*deployment) {}, ""},
		"under no header":               {func(d *deployment) { d.v2.index = "X-Other" }, "does not say where"},
		"no checkpoint":                 {only("checkpoint", missing), "the log has this entry already"},
		"a checkpoint of nothing":       {only("checkpoint", func([]byte) []byte { return []byte("<html>\n\x1b[31m") }), "the log has this entry already"},
		"a checkpoint of a small tree":  {only("checkpoint", func([]byte) []byte { return []byte("tiles.test\n1\nAAAA\n") }), "is not in a log of 1"},
		"a checkpoint of a huge tree":   {only("checkpoint", func([]byte) []byte { return []byte("tiles.test\n18446744073709551615\nAAAA\n") }), "is not in a log of"},
		"a checkpoint of a large tree":  {only("checkpoint", func([]byte) []byte { return []byte("tiles.test\n70000\nAAAA\n\n\u2014 tiles.test AAAA\n") }), "the log has this entry already"},
		"a checkpoint of no size":       {only("checkpoint", func([]byte) []byte { return []byte("tiles.test\n-1\nAAAA\n") }), "the log has this entry already"},
		"no tile":                       {only("tile/0", missing), "the log has this entry already"},
		"half a tile":                   {only("tile/0", func(b []byte) []byte { return b[:len(b)/2] }), "the log has this entry already"},
		"a tile of nothing":             {only("tile/0", func([]byte) []byte { return []byte{} }), "the log has this entry already"},
		"a tile of zeros":               {only("tile/0", func(b []byte) []byte { return make([]byte, len(b)) }), "check of what was recorded"},
		"no page":                       {only("tile/entries", missing), "the log has this entry already"},
		"half a page":                   {only("tile/entries", func(b []byte) []byte { return b[:len(b)/2] }), "the log has this entry already"},
		"an empty page":                 {only("tile/entries", func([]byte) []byte { return []byte{} }), "is not in its page"},
		"an entry that is no JSON":      {only("tile/entries", zeroEntries), "the log has this entry already"},
		"an entry of another kind":      {only("tile/entries", func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("hashedrekord"), []byte("hashedRekord")) }), "not a recognizable type"},
		"another entry":                 {only("tile/entries", swapEntries), "check of what was recorded"},
		"a checkpoint of another's key": {func(d *deployment) { other := newLogKey("tiles.test"); other.id = d.v2.id; d.v2.logKey = other }, "check of what was recorded"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDeployment()
			client := d.client(t, ServiceURLs{Rekor: v2URL, RekorVersion: 2})
			for range 2 {
				if _, err := record(t.Context(), t, client, newP256(), signing.Bundle); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := record(t.Context(), t, client, key, signing.Bundle); err != nil {
				t.Fatal(err)
			}
			c.lie(d)
			signatures, err := record(t.Context(), t, client, key, signing.Bundle)
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantFault(t, err, verify.ErrInconclusive, "record signature", c.want)
			if signatures != nil {
				t.Error("a signature beside an error")
			}
			if len(d.requests) != 1 {
				t.Errorf("asked %v", d.requests)
			}
		})
	}
}

// entriesOf takes a page apart: lengths of two bytes, and entries.
func entriesOf(page []byte) (all [][]byte) {
	for len(page) > 2 {
		n := 2 + int(binary.BigEndian.Uint16(page))
		all, page = append(all, page[:n]), page[n:]
	}
	return all
}

func zeroEntries(page []byte) []byte {
	all := entriesOf(page)
	for _, entry := range all {
		clear(entry[2:])
	}
	return bytes.Join(all, nil)
}

func swapEntries(page []byte) []byte {
	all := entriesOf(page)
	all[0], all[len(all)-1] = all[len(all)-1], all[0]
	return bytes.Join(all, nil)
}

// TestFindSignsAgain: a log that has an entry and cannot show it gets another
// signature of a key that makes another one.
func TestFindSignsAgain(t *testing.T) {
	t.Parallel()
	d := newDeployment()
	posts := 0
	d.handle("tiles.test", func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			if posts++; posts == 1 {
				w.Header().Set("X-Log-Index", "0")
				w.WriteHeader(http.StatusConflict)
				return
			}
		}
		d.v2.ServeHTTP(w, r)
	})
	d.v2.alter = func(string, []byte) []byte { return nil }
	key := newP256()
	if _, err := record(t.Context(), t, d.client(t, ServiceURLs{Rekor: v2URL, RekorVersion: 2}), key, signing.Bundle); err != nil {
		t.Fatal(err)
	}
	if posts != 2 {
		t.Errorf("sent %d entries, want 2", posts)
	}
}

// TestFindAfterALostAnswer: the log has the entry, its answer was an error, and
// the same entry is sent again.
func TestFindAfterALostAnswer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		urls    ServiceURLs
		host    string
		service func(d *deployment) http.Handler
	}{
		"Rekor v1": {ServiceURLs{Rekor: v1URL}, "rekor.test", func(d *deployment) http.Handler { return d.v1 }},
		"Rekor v2": {ServiceURLs{Rekor: v2URL, RekorVersion: 2}, "tiles.test", func(d *deployment) http.Handler { return d.v2 }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDeployment()
			posts := 0
			d.handle(c.host, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					if posts++; posts == 1 {
						_ = must(serve(c.service(d), r)).Body.Close() //nolint:bodyclose // it is
						w.WriteHeader(http.StatusBadGateway)
						return
					}
				}
				c.service(d).ServeHTTP(w, r)
			})
			if _, err := record(t.Context(), t, d.client(t, c.urls), newP256(), signing.Bundle); err != nil {
				t.Fatal(err)
			}
			if posts != 2 || max(len(d.v1.bodies), len(d.v2.bodies)) != 1 {
				t.Errorf("sent %d times, %d entries", posts, max(len(d.v1.bodies), len(d.v2.bodies)))
			}
		})
	}
}

func TestFindInALogThatIsNotTrusted(t *testing.T) {
	t.Parallel()
	d := newDeployment()
	for _, base := range []string{"https://other.test", v2URL + "/v2", "https://tiles.test.evil.test", ""} {
		r := &rekorV2{base: base, transport: newTransport(t.Context(), d), trusted: d.trusted(t)}
		if _, err := r.find(t.Context(), http.Header{"X-Log-Index": {"0"}}); err == nil || !strings.Contains(err.Error(), "no log of this address") {
			t.Errorf("%s: %v", base, err)
		}
	}
	if len(d.requests) != 0 {
		t.Errorf("asked %v", d.requests)
	}
}

func TestFindIndex(t *testing.T) {
	t.Parallel()
	d := newDeployment()
	r := &rekorV2{base: v2URL, transport: newTransport(t.Context(), d), trusted: d.trusted(t)}
	for _, index := range []string{"", "-1", "x", "1.0", "0x0", "4611686018427387904", "18446744073709551616"} {
		if _, err := r.find(t.Context(), http.Header{"X-Log-Index": {index}}); err == nil || !strings.Contains(err.Error(), "does not say where") {
			t.Errorf("%q: %v", index, err)
		}
	}
	if len(d.requests) != 0 {
		t.Errorf("asked %v", d.requests)
	}
}

func TestAddOfWhatRekorV2DoesNotTake(t *testing.T) {
	t.Parallel()
	d := newDeployment()
	r := &rekorV2{base: v2URL, transport: newTransport(t.Context(), d), trusted: d.trusted(t)}
	if _, err := r.Add(context.Background(), &protorekor.TransparencyLogEntry{}); err == nil {
		t.Error("no error")
	}
}
