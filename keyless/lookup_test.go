// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless

import (
	"context"
	"crypto"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// asking looks up the entries of a signature that was just made.
type asking struct {
	*LogLookup
	entries int
	err     error
}

func (a *asking) Record(ctx context.Context, b *protobundle.Bundle, key crypto.PublicKey) error {
	a.err = a.Lookup(ctx, b, key)
	a.entries = len(b.GetVerificationMaterial().GetTlogEntries())
	return a.err
}

// search answers look-ups with an entry of the log of d, several times.
func search(d *deployment, body []byte, entries int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		all := []any{}
		for i := range entries {
			all = append(all, object{fmt.Sprintf("%064x", i): object{
				"body": body, "integratedTime": 1, "logIndex": i,
				"logID": fmt.Sprintf("%x", d.v1.id),
				"verification": object{"signedEntryTimestamp": []byte("x"), "inclusionProof": object{
					"logIndex": i, "treeSize": limits.LogEntries + 1, "rootHash": strings.Repeat("0", 64), "hashes": []string{}, "checkpoint": "x",
				}},
			}})
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(marshalled(all))
	}
}

func TestLookUps(t *testing.T) {
	t.Parallel()
	status := func(code int) func(*deployment, []byte) http.HandlerFunc {
		return func(*deployment, []byte) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
		}
	}
	found := func(n int) func(*deployment, []byte) http.HandlerFunc {
		return func(d *deployment, body []byte) http.HandlerFunc { return search(d, body, n) }
	}
	junk := func(d *deployment, _ []byte) http.HandlerFunc {
		return search(d, marshalled(object{"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": object{}}), 1)
	}
	for name, c := range map[string]struct {
		log     func(*deployment, []byte) http.HandlerFunc
		entries int
		want    string // part of the error, or empty
	}{
		"none":             {found(0), 0, ""},
		"one":              {found(1), 1, ""},
		"as many as may":   {found(limits.LogEntries), limits.LogEntries, ""},
		"one more":         {found(limits.LogEntries + 1), 0, "number of log entries"},
		"junk":             {junk, 0, "data in body is required"},
		"refused":          {status(http.StatusForbidden), 0, "https://rekor.test"},
		"unavailable":      {status(http.StatusServiceUnavailable), 0, "status 503"},
		"too many at once": {status(http.StatusTooManyRequests), 0, "status 429"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				for _, form := range []signing.Form{signing.Bundle, signing.Legacy} {
					d := newDeployment()
					if _, err := record(t.Context(), t, d.client(t, ServiceURLs{Rekor: v1URL}), newP256(), form); err != nil {
						t.Fatal(err)
					}
					d.handle("rekor.test", c.log(d, d.v1.bodies[0]))
					l, err := NewLogLookup(LogLookupConfig{URL: v1URL, Transport: d})
					if err != nil {
						t.Fatal(err)
					}
					a := &asking{LogLookup: l}
					_, _ = record(t.Context(), t, a, newP256(), form)
					err = a.err
					if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
						t.Errorf("%s: %v, want %q", form, err, c.want)
					}
					if err != nil && strings.Contains(err.Error(), "\n") {
						t.Errorf("%s: several lines: %q", form, err)
					}
					if a.entries != c.entries {
						t.Errorf("%s: %d entries, want %d", form, a.entries, c.entries)
					}
				}
			})
		})
	}
}

func TestNewLogLookupRefuses(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]LogLookupConfig{
		"no address":           {},
		"a negative budget":    {URL: v1URL, Budget: -1},
		"a file":               {URL: "file:///etc/passwd"},
		"an address with an @": {URL: "https://user@rekor.test"},
	} {
		l, err := NewLogLookup(config)
		wantFault(t, err, verify.ErrMisconfigured)
		if l != nil {
			t.Errorf("%s: a look-up beside the error", name)
		}
	}
}
