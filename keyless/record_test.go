// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/internal/merkle"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// ServeHTTP is RFC 3161, section 3.4.
func (a *stampAuthority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var query struct {
		Version int
		Imprint struct {
			Algorithm asn1.RawValue
			Hash      []byte
		}
	}
	if _, err := asn1.Unmarshal(must(io.ReadAll(r.Body)), &query); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write(a.stamp(query.Imprint.Hash, time.Now()))
}

type object = map[string]any

func marshalled(v any) []byte { return must(json.Marshal(v)) }

// checkpoint is a signed note about a tree.
func (l *logKey) checkpoint(origin string, leaves [][]byte) string {
	body := fmt.Sprintf("%s\n%d\n%s\n", origin, len(leaves), base64.StdEncoding.EncodeToString(merkle.Root(leaves)))
	sig := append(append([]byte{}, l.id[:4]...), l.sign([]byte(body))...)
	return fmt.Sprintf("%s\n\u2014 %s %s\n", body, l.host, base64.StdEncoding.EncodeToString(sig))
}

// logV1 is a Rekor v1. Its entries are in the order in which they came.
type logV1 struct {
	*logKey
	// location is what a conflict says, if not where the entry is.
	location func(id string) string

	mu      sync.Mutex
	ids     []string
	bodies  [][]byte
	fetched []string
}

func (l *logV1) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.Method == http.MethodGet {
		id := strings.TrimPrefix(r.URL.Path, "/api/v1/log/entries/")
		l.fetched = append(l.fetched, id)
		for i := range l.ids {
			if l.ids[i] == id {
				l.reply(w, http.StatusOK, i)
				return
			}
		}
		http.NotFound(w, r)
		return
	}
	var proposed struct {
		Kind string `json:"kind"`
		Spec struct {
			object
			Content struct {
				Envelope  string   `json:"envelope"`
				Verifiers [][]byte `json:"verifiers"`
			} `json:"proposedContent"`
			Data      any `json:"data"`
			Signature any `json:"signature"`
		} `json:"spec"`
	}
	if err := json.NewDecoder(r.Body).Decode(&proposed); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	spec := object{"data": proposed.Spec.Data, "signature": proposed.Spec.Signature}
	if proposed.Kind == "dsse" {
		var envelope struct {
			Payload    []byte
			Signatures []struct{ Sig string }
		}
		if err := json.Unmarshal([]byte(proposed.Spec.Content.Envelope), &envelope); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		sha := func(b []byte) object {
			return object{"algorithm": "sha256", "value": fmt.Sprintf("%x", sha256.Sum256(b))}
		}
		spec = object{
			"envelopeHash": sha([]byte(proposed.Spec.Content.Envelope)), "payloadHash": sha(envelope.Payload),
			"signatures": []any{object{"signature": envelope.Signatures[0].Sig, "verifier": proposed.Spec.Content.Verifiers[0]}},
		}
	}
	body := marshalled(object{"apiVersion": "0.0.1", "kind": proposed.Kind, "spec": spec})
	for i, id := range l.ids {
		if bytes.Equal(l.bodies[i], body) {
			w.Header().Set("Content-Type", "application/json")
			location := "/api/v1/log/entries/" + id
			if l.location != nil {
				location = l.location(id)
			}
			if location != "" {
				w.Header().Set("Location", location)
			}
			w.WriteHeader(http.StatusConflict)
			_, _ = io.WriteString(w, `{"code":409,"message":"an equivalent entry already exists"}`)
			return
		}
	}
	l.ids, l.bodies = append(l.ids, hex.EncodeToString(merkle.Leaf(body))), append(l.bodies, body)
	l.reply(w, http.StatusCreated, len(l.ids)-1)
}

func (l *logV1) reply(w http.ResponseWriter, code, at int) {
	var leaves [][]byte
	for _, body := range l.bodies {
		leaves = append(leaves, merkle.Leaf(body))
	}
	hashes := []string{}
	for _, hash := range merkle.Path(at, leaves) {
		hashes = append(hashes, hex.EncodeToString(hash))
	}
	promised := object{
		"body": l.bodies[at], "integratedTime": time.Now().Unix(), "logID": hex.EncodeToString(l.id[:]), "logIndex": at,
	}
	set := l.sign(marshalled(promised))
	promised["verification"] = object{"signedEntryTimestamp": set, "inclusionProof": object{
		"logIndex": at, "treeSize": len(leaves), "rootHash": hex.EncodeToString(merkle.Root(leaves)), "hashes": hashes,
		"checkpoint": l.checkpoint(l.host+" - 1193050959916656506", leaves),
	}}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("ETag", l.ids[at])
	w.WriteHeader(code)
	_, _ = w.Write(marshalled(object{l.ids[at]: promised}))
}

// logV2 is a Rekor v2, with the tiles of https://c2sp.org/tlog-tiles.
type logV2 struct {
	*logKey
	// index is the name of the header that says where an equal entry is, if not
	// that of the real one.
	index string
	// alter changes what it serves: the checkpoint, a tile or a page.
	alter func(path string, b []byte) []byte

	mu     sync.Mutex
	bodies [][]byte
	served []string
}

func (l *logV2) leaves() (all [][]byte) {
	for _, body := range l.bodies {
		all = append(all, merkle.Leaf(body))
	}
	return all
}

func (l *logV2) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.Method == http.MethodGet {
		l.read(w, r)
		return
	}
	var request struct {
		Record struct {
			Digest    []byte `json:"digest"`
			Signature any    `json:"signature"` // with its members sorted, when it is written
		} `json:"hashedRekordRequestV002"`
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	body := marshalled(object{"apiVersion": "0.0.2", "kind": "hashedrekord", "spec": object{"hashedRekordV002": object{
		"data":      object{"algorithm": fmt.Sprintf("SHA2_%d", 8*len(request.Record.Digest)), "digest": request.Record.Digest},
		"signature": request.Record.Signature,
	}}})
	for i := range l.bodies {
		if bytes.Equal(l.bodies[i], body) {
			header := l.index
			if header == "" {
				header = "X-Log-Index"
			}
			w.Header().Set(header, fmt.Sprint(i))
			w.WriteHeader(http.StatusConflict)
			_, _ = io.WriteString(w, `{"code":6, "message":"an equivalent entry already exists"}`)
			return
		}
	}
	l.bodies = append(l.bodies, body)
	at, leaves := len(l.bodies)-1, l.leaves()
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write(marshalled(object{
		"logIndex": fmt.Sprint(at), "logId": object{"keyId": l.id[:]},
		"kindVersion": object{"kind": "hashedrekord", "version": "0.0.2"}, "canonicalizedBody": body,
		"inclusionProof": object{
			"logIndex": fmt.Sprint(at), "treeSize": fmt.Sprint(len(leaves)), "rootHash": merkle.Root(leaves),
			"hashes": merkle.Path(at, leaves), "checkpoint": object{"envelope": l.checkpoint(l.host, leaves)},
		},
	}))
}

func (l *logV2) read(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/api/v2/")
	l.served = append(l.served, path)
	var b []byte
	switch {
	case path == "checkpoint":
		b = []byte(l.checkpoint(l.host, l.leaves()))
	case strings.HasPrefix(path, "tile/0/000"):
		b = bytes.Join(l.leaves(), nil)
	case strings.HasPrefix(path, "tile/entries/000"):
		for _, body := range l.bodies {
			b = append(append(b, byte(len(body)>>8), byte(len(body))), body...)
		}
	}
	if l.alter != nil {
		b = l.alter(path, b)
	}
	if b == nil {
		http.NotFound(w, r)
		return
	}
	_, _ = w.Write(b)
}

func theRequest(form signing.Form) signing.Request {
	return signing.Request{Digest: digest.FromString("image"), Repository: "registry.test/app", Form: form}
}

// record signs with key and records, as signers do.
func record(ctx context.Context, t testing.TB, log signing.Log, key crypto.Signer, form signing.Form) ([]signing.Signature, error) {
	t.Helper()
	signer, err := signing.NewKeySigner(signing.KeySignerConfig{Key: key, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	return signer.Sign(ctx, theRequest(form))
}

// wantVerified holds that the signature passes, with as many log entries and
// timestamps as were asked for.
func wantVerified(t testing.TB, signature signing.Signature, policy verify.Policy) {
	t.Helper()
	v, err := verify.New(policy)
	if err != nil {
		t.Fatal(err)
	}
	image := verify.Image{Name: "registry.test/app"}
	image.Target.Digest = theRequest("").Digest
	candidate := verify.Candidate{Bundle: signature.Bundle, Payload: signature.Payload, Annotations: signature.Annotations}
	if result, err := v.Verify(t.Context(), image, []verify.Candidate{candidate}); err != nil {
		t.Errorf("%v: %+v", err, result)
	}
}

func TestRecordWithKeys(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		key   crypto.Signer
		urls  ServiceURLs
		forms []signing.Form
		stamp int
		log   bool
	}{
		"Rekor v1":                 {newP256(), ServiceURLs{Rekor: v1URL}, []signing.Form{signing.Bundle, signing.Legacy}, 0, true},
		"Rekor v1 and timestamp":   {newP256(), ServiceURLs{Rekor: v1URL, Timestamp: stampURL}, []signing.Form{signing.Bundle, signing.Legacy}, 1, true},
		"Rekor v2":                 {newP256(), ServiceURLs{Rekor: v2URL, RekorVersion: 2}, []signing.Form{signing.Bundle}, 0, true},
		"Rekor v2 and timestamp":   {newP256(), ServiceURLs{Rekor: v2URL, RekorVersion: 2, Timestamp: stampURL}, []signing.Form{signing.Bundle}, 1, true},
		"timestamp alone":          {newP256(), ServiceURLs{Timestamp: stampURL}, []signing.Form{signing.Bundle, signing.Legacy}, 1, false},
		"Rekor v1, with RSA":       {rsaKey, ServiceURLs{Rekor: v1URL}, []signing.Form{signing.Bundle, signing.Legacy}, 0, true},
		"Rekor v2, with RSA":       {rsaKey, ServiceURLs{Rekor: v2URL, RekorVersion: 2}, []signing.Form{signing.Bundle}, 0, true},
		"Rekor v1, with Ed25519":   {ed, ServiceURLs{Rekor: v1URL}, []signing.Form{signing.Bundle}, 0, true},
		"Rekor v2, with P-384":     {p384, ServiceURLs{Rekor: v2URL, RekorVersion: 2}, []signing.Form{signing.Bundle}, 0, true},
		"timestamp, with Ed25519":  {ed, ServiceURLs{Timestamp: stampURL}, []signing.Form{signing.Bundle}, 1, false},
		"Rekor v1, slash at end":   {newP256(), ServiceURLs{Rekor: v1URL + "/"}, []signing.Form{signing.Bundle}, 0, true},
		"Rekor v2, slash at end":   {newP256(), ServiceURLs{Rekor: v2URL + "/", RekorVersion: 2}, []signing.Form{signing.Bundle}, 0, true},
		"Rekor v1, its whole path": {newP256(), ServiceURLs{Rekor: v1URL + "/"}, []signing.Form{signing.Bundle}, 0, true},
	} {
		for _, form := range c.forms {
			t.Run(name+" "+string(form), func(t *testing.T) {
				t.Parallel()
				d := newDeployment()
				signatures, err := record(t.Context(), t, d.client(t, c.urls), c.key, form)
				if err != nil {
					t.Fatal(err)
				}
				wantVerified(t, signatures[0], verify.Policy{
					Keys: []crypto.PublicKey{c.key.Public()}, TrustedRoots: d.trusted(t),
					TimestampThreshold: c.stamp, InsecureIgnoreTransparencyLog: !c.log,
				})
			})
		}
	}
}

// TestRecordTwice: a log has an entry already. What it says of it is found, and
// verified as if it were new.
func TestRecordTwice(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048) // of which two signatures are equal
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		urls ServiceURLs
		form signing.Form
	}{
		"Rekor v1":                    {ServiceURLs{Rekor: v1URL}, signing.Bundle},
		"Rekor v1, legacy":            {ServiceURLs{Rekor: v1URL}, signing.Legacy},
		"Rekor v2":                    {ServiceURLs{Rekor: v2URL, RekorVersion: 2}, signing.Bundle},
		"Rekor v2 with slash at end":  {ServiceURLs{Rekor: v2URL + "/", RekorVersion: 2}, signing.Bundle},
		"Rekor v2 and timestamp":      {ServiceURLs{Rekor: v2URL, RekorVersion: 2, Timestamp: stampURL}, signing.Bundle},
		"Rekor v1, legacy, timestamp": {ServiceURLs{Rekor: v1URL, Timestamp: stampURL}, signing.Legacy},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDeployment()
			client := d.client(t, c.urls)
			for range 3 {
				// Others write to the log in the meantime.
				if _, err := record(t.Context(), t, client, newP256(), c.form); err != nil {
					t.Fatal(err)
				}
				signatures, err := record(t.Context(), t, client, key, c.form)
				if err != nil {
					t.Fatal(err)
				}
				wantVerified(t, signatures[0], verify.Policy{Keys: []crypto.PublicKey{key.Public()}, TrustedRoots: d.trusted(t)})
			}
		})
	}
}

// TestRecordConflictElsewhere: where a Rekor v1 says that an equal entry is, only
// its own entries are asked for, and only the true one passes.
func TestRecordConflictElsewhere(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		location func(id string) string
		found    bool
	}{
		"on this host, absolute":    {func(id string) string { return v1URL + "/api/v1/log/entries/" + id }, true},
		"on another host":           {func(id string) string { return "https://evil.test/api/v1/log/entries/" + id }, true},
		"on this machine":           {func(id string) string { return "http://127.0.0.1:1/api/v1/log/entries/" + id }, true},
		"another entry":             {func(string) string { return "/api/v1/log/entries/other" }, false},
		"not said":                  {func(string) string { return "" }, false},
		"no entry":                  {func(string) string { return "/api/v1/log/entries/" + strings.Repeat("0", 64) }, false},
		"outside of the entries":    {func(string) string { return "/api/v1/log/entries/.." }, false},
		"a query":                   {func(string) string { return "/?x" }, false},
		"no URL":                    {func(string) string { return "\x7f" }, false},
		"a host and no path at all": {func(string) string { return "https://evil.test" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDeployment()
			client := d.client(t, ServiceURLs{Rekor: v1URL})
			if _, err := record(t.Context(), t, client, newP256(), signing.Legacy); err != nil {
				t.Fatal(err)
			}
			if _, err := record(t.Context(), t, client, key, signing.Legacy); err != nil {
				t.Fatal(err)
			}
			d.v1.location = func(id string) string {
				return strings.ReplaceAll(c.location(id), "/other", "/"+d.v1.ids[0])
			}
			signatures, err := record(t.Context(), t, client, key, signing.Legacy)
			if !c.found {
				if errors.Is(err, verify.ErrMisconfigured) {
					// The log answered that there is no such entry.
					wantFault(t, err, verify.ErrMisconfigured, "transparency log", v1URL)
				} else {
					wantFault(t, err, verify.ErrInconclusive, "record signature")
				}
				if signatures != nil {
					t.Error("a signature beside an error")
				}
			} else if err != nil {
				t.Error(err)
			}
			d.mu.Lock()
			defer d.mu.Unlock()
			if len(d.requests) != 1 {
				t.Errorf("hosts that were asked: %v", d.requests)
			}
		})
	}
}

// TestRecordLies: a service vouches for something else than it was asked for.
func TestRecordLies(t *testing.T) {
	t.Parallel()
	all := ServiceURLs{Rekor: v1URL, Timestamp: stampURL}
	v2 := ServiceURLs{Rekor: v2URL, RekorVersion: 2, Timestamp: stampURL}
	replay := func(host string) func(t *testing.T, d *deployment) {
		return func(t *testing.T, d *deployment) {
			t.Helper()
			var kept *http.Response
			var content []byte
			service := d.handlers[host]
			d.handle(host, func(w http.ResponseWriter, r *http.Request) {
				if kept == nil {
					kept = must(serve(service, r)) //nolint:bodyclose // it is in memory
					content = must(io.ReadAll(kept.Body))
				}
				for name, values := range kept.Header {
					w.Header()[name] = values
				}
				w.WriteHeader(kept.StatusCode)
				_, _ = w.Write(content)
			})
			for _, urls := range []ServiceURLs{{Rekor: v1URL}, {Rekor: v2URL, RekorVersion: 2}, {Timestamp: stampURL}} {
				if strings.Contains(urls.Rekor+urls.Timestamp, host) {
					if _, err := record(t.Context(), t, d.client(t, urls), newP256(), signing.Bundle); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	}
	for name, c := range map[string]struct {
		urls ServiceURLs
		lie  func(t *testing.T, d *deployment)
	}{
		"Rekor v1 returns another entry":      {all, replay("rekor.test")},
		"Rekor v2 returns another entry":      {v2, replay("tiles.test")},
		"the authority returns another stamp": {all, replay("tsa.test")},
		"Rekor v1 of another key":             {all, func(_ *testing.T, d *deployment) { d.v1.logKey = &logKey{newP256(), d.v1.id, d.v1.host} }},
		"Rekor v2 of another key":             {v2, func(_ *testing.T, d *deployment) { d.v2.logKey = &logKey{newP256(), d.v2.id, d.v2.host} }},
		"Rekor v1 that nobody knows":          {all, func(_ *testing.T, d *deployment) { d.v1.logKey = newLogKey("rekor.test") }},
		"an authority that nobody knows":      {all, func(_ *testing.T, d *deployment) { d.stamps.leaf = newStampAuthority(time.Now()).leaf }},
		"a stamp of long ago": {all, func(_ *testing.T, d *deployment) {
			d.handle("tsa.test", func(w http.ResponseWriter, r *http.Request) {
				q := must(io.ReadAll(r.Body))
				_, _ = w.Write(d.stamps.stamp(q[len(q)-sha256.Size:], time.Now().Add(-48*time.Hour)))
			})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDeployment()
			client := d.client(t, c.urls)
			c.lie(t, d)
			signatures, err := record(t.Context(), t, client, newP256(), signing.Bundle)
			wantFault(t, err, verify.ErrInconclusive, "check of ")
			if signatures != nil {
				t.Error("a signature beside an error")
			}
		})
	}
}

// TestRecordGarbage: whatever a service answers with success is an error that
// names it, and never a panic.
func TestRecordGarbage(t *testing.T) {
	t.Parallel()
	answers := map[string]string{
		"nothing": "", "HTML": "<html>\n<b>\x1b[31mWelcome</b></html>", "null": "null", "an empty object": "{}", "an empty list": "[]",
		"cut short": `{"logIndex":"1", "logI`, "of wrong types": `{"a":{"body":1,"logID":[],"verification":7},"logIndex":{},"logId":"x"}`,
		"another object": `{"mediaType":"application/vnd.oci.image.manifest.v1+json","layers":[]}`,
		"an empty entry": `{"a":{}}`, "a null entry": `{"a":null}`,
		"an entry without proof": `{"a":{"body":"e30=","integratedTime":1,"logID":"aa","logIndex":1}}`,
		"an entry of nothing":    `{"a":{"body":"e30=","integratedTime":1,"logID":"aa","logIndex":1,"verification":{"inclusionProof":{"logIndex":0,"treeSize":1,"rootHash":"aa","hashes":[],"checkpoint":"x"},"signedEntryTimestamp":"aa=="}}}`,
		"a promise alone":        `{"logIndex":"1","canonicalizedBody":"e30="}`,
		"deep":                   strings.Repeat("[", 10000),
		"binary":                 "\x30\x82\xff\xff\x00\x01",
	}
	for service, c := range map[string]struct {
		urls  ServiceURLs
		host  string
		stage string
	}{
		"Rekor v1":            {ServiceURLs{Rekor: v1URL}, "rekor.test", "transparency log"},
		"Rekor v2":            {ServiceURLs{Rekor: v2URL, RekorVersion: 2}, "tiles.test", "transparency log"},
		"timestamp authority": {ServiceURLs{Timestamp: stampURL}, "tsa.test", "timestamp authority"},
	} {
		for kind, answer := range answers {
			t.Run(service+" "+kind, func(t *testing.T) {
				t.Parallel()
				d := newDeployment()
				client := d.client(t, c.urls)
				d.handle(c.host, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", "application/json")
					w.Header().Set("ETag", "a")
					w.WriteHeader(http.StatusCreated)
					_, _ = io.WriteString(w, answer)
				})
				signatures, err := record(t.Context(), t, client, newP256(), signing.Bundle)
				wantFault(t, err, verify.ErrInconclusive, "record signature")
				if signatures != nil {
					t.Error("a signature beside an error")
				}
				if d.asked(c.host) != 1 {
					t.Errorf("asked %d times", d.asked(c.host))
				}
			})
		}
	}
}

// TestRecordRefused: each service and status, on a clock of the test's own.
func TestRecordRefused(t *testing.T) {
	t.Parallel()
	for service, c := range map[string]struct {
		urls  ServiceURLs
		host  string
		stage string
	}{
		"Rekor v1":            {ServiceURLs{Rekor: v1URL}, "rekor.test", "transparency log"},
		"Rekor v2":            {ServiceURLs{Rekor: v2URL, RekorVersion: 2}, "tiles.test", "transparency log"},
		"timestamp authority": {ServiceURLs{Timestamp: stampURL}, "tsa.test", "timestamp authority"},
	} {
		for code, want := range map[int]struct {
			family error
			asked  int
		}{
			301: {verify.ErrInconclusive, 1},
			400: {verify.ErrMisconfigured, 1},
			401: {verify.ErrMisconfigured, 1},
			403: {verify.ErrMisconfigured, 1},
			404: {verify.ErrMisconfigured, 1},
			408: {verify.ErrInconclusive, 1},
			429: {verify.ErrInconclusive, limits.ServiceAttempts},
			500: {verify.ErrInconclusive, limits.ServiceAttempts},
			503: {verify.ErrInconclusive, limits.ServiceAttempts},
		} {
			t.Run(fmt.Sprint(service, " ", code), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					d := newDeployment()
					client := d.client(t, c.urls)
					d.handle(c.host, func(w http.ResponseWriter, _ *http.Request) {
						w.WriteHeader(code)
						_, _ = io.WriteString(w, "no\nway\x1b[31m")
					})
					_, err := record(t.Context(), t, client, newP256(), signing.Bundle)
					wantFault(t, err, want.family, c.stage, c.host)
					if d.asked(c.host) != want.asked {
						t.Errorf("asked %d times, want %d", d.asked(c.host), want.asked)
					}
				})
			})
		}
	}
}

// TestRecordEnds: with the caller's context, and with the budget.
func TestRecordEnds(t *testing.T) {
	t.Parallel()
	for service, c := range map[string]struct {
		urls ServiceURLs
		host string
	}{
		"Rekor v1":            {ServiceURLs{Rekor: v1URL}, "rekor.test"},
		"Rekor v2":            {ServiceURLs{Rekor: v2URL, RekorVersion: 2}, "tiles.test"},
		"timestamp authority": {ServiceURLs{Timestamp: stampURL}, "tsa.test"},
	} {
		for _, form := range []string{"cancelled", "out of budget", "cancelled before"} {
			t.Run(service+" "+form, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					d := newDeployment()
					client := d.client(t, c.urls, func(config *Config) { config.Budget = 40 * time.Second })
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					want := context.DeadlineExceeded
					d.handle(c.host, func(_ http.ResponseWriter, r *http.Request) {
						if form == "cancelled" {
							cancel()
						}
						<-r.Context().Done()
					})
					if form != "out of budget" {
						want = context.Canceled
					}
					if form == "cancelled before" {
						cancel()
					}
					began := time.Now()
					_, err := record(ctx, t, client, newP256(), signing.Bundle)
					wantFault(t, err, verify.ErrInconclusive)
					if !errors.Is(err, want) {
						t.Errorf("error is %v, want %v", err, want)
					}
					if took := time.Since(began); form == "out of budget" && took != 40*time.Second || form != "out of budget" && took != 0 {
						t.Errorf("it took %v", took)
					}
				})
			})
		}
	}
}

func TestRecordPlainHTTP(t *testing.T) {
	t.Parallel()
	for name, urls := range map[string]ServiceURLs{
		"Rekor v1":            {Rekor: "http://rekor.test"},
		"Rekor v2":            {Rekor: "http://tiles.test", RekorVersion: 2},
		"timestamp authority": {Timestamp: "http://tsa.test/api/v1/timestamp"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDeployment()
			_, err := record(t.Context(), t, d.client(t, urls), newP256(), signing.Bundle)
			wantFault(t, err, verify.ErrMisconfigured, "plain HTTP")
			if len(d.requests) != 0 {
				t.Errorf("asked %v", d.requests)
			}
			allowed := d.client(t, urls, func(c *Config) { c.InsecureAllowHTTP = true })
			if _, err := record(t.Context(), t, allowed, newP256(), signing.Bundle); err != nil {
				t.Errorf("allowed: %v", err)
			}
		})
	}
}

// brokenRoots has none.
type brokenRoots struct{ err error }

func (b brokenRoots) TrustedRoot(context.Context) (*verify.TrustedRoot, error) { return nil, b.err }

func TestRecordWithoutATrustedRoot(t *testing.T) {
	t.Parallel()
	d := newDeployment()
	broken := errors.New("the mirror is down")
	client := d.client(t, ServiceURLs{Rekor: v1URL}, func(c *Config) { c.TrustedRoots = brokenRoots{broken} })
	_, err := record(t.Context(), t, client, newP256(), signing.Bundle)
	wantFault(t, err, verify.ErrInconclusive, "trusted root", "the mirror is down")
	if !errors.Is(err, broken) || len(d.requests) != 0 {
		t.Errorf("%v; asked %v", err, d.requests)
	}
}

// TestRecordSurvivesPanics: of the packages that parse replies.
func TestRecordSurvivesPanics(t *testing.T) {
	t.Parallel()
	d := newDeployment()
	client := d.client(t, ServiceURLs{Rekor: v1URL}, func(c *Config) {
		c.Transport = roundTrip(func(*http.Request) (*http.Response, error) { panic("index out of range") })
	})
	_, err := record(t.Context(), t, client, newP256(), signing.Bundle)
	wantFault(t, err, verify.ErrInconclusive, "panic: index out of range")
}

func TestRecordWhatIsNoSignature(t *testing.T) {
	t.Parallel()
	d := newDeployment()
	for name, b := range map[string]*protobundle.Bundle{"nil": nil, "empty": {}} {
		for service, urls := range map[string]ServiceURLs{
			"Rekor v1": {Rekor: v1URL}, "Rekor v2": {Rekor: v2URL, RekorVersion: 2}, "timestamp": {Timestamp: stampURL},
		} {
			if err := d.client(t, urls).Record(t.Context(), b, newP256().Public()); err == nil {
				t.Errorf("%s, %s: no error", name, service)
			} else {
				wantFault(t, err, verify.ErrMisconfigured, "check of the signature")
			}
		}
	}
	err := d.client(t, ServiceURLs{Rekor: v1URL}).Record(t.Context(), &protobundle.Bundle{}, "no key")
	wantFault(t, err, verify.ErrMisconfigured, "check of the signature")
}

func TestCanRecord(t *testing.T) {
	t.Parallel()
	d := newDeployment()
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p256 := newP256().Public()
	v1, v2 := ServiceURLs{Rekor: v1URL}, ServiceURLs{Rekor: v2URL, RekorVersion: 2}
	v1Stamped, v2Stamped := ServiceURLs{Rekor: v1URL, Timestamp: stampURL}, ServiceURLs{Rekor: v2URL, RekorVersion: 2, Timestamp: stampURL}
	for name, c := range map[string]struct {
		urls      ServiceURLs
		form      signing.Form
		key       crypto.PublicKey
		certified bool
		want      string // empty if it can
	}{
		"v1":                               {urls: v1, form: signing.Bundle, key: p256},
		"v1, legacy":                       {urls: v1, form: signing.Legacy, key: p256},
		"v1, certificate":                  {urls: v1, form: signing.Bundle, key: p256, certified: true},
		"v1, legacy, certificate":          {urls: v1, form: signing.Legacy, key: p256, certified: true},
		"v1, Ed25519":                      {urls: v1, form: signing.Bundle, key: ed},
		"v1, Ed25519, legacy":              {urls: v1, form: signing.Legacy, key: ed, want: "Ed25519ph"},
		"timestamp alone, Ed25519, legacy": {urls: ServiceURLs{Timestamp: stampURL}, form: signing.Legacy, key: ed, want: "Ed25519ph"},
		"v2":                               {urls: v2, form: signing.Bundle, key: p256},
		"v2, legacy":                       {urls: v2, form: signing.Legacy, key: p256, want: "has only Rekor v2"},
		"v2 with timestamp, legacy":        {urls: v2Stamped, form: signing.Legacy, key: p256, want: "has only Rekor v2"},
		"v1, both":                         {urls: v1, form: signing.Both, key: p256},
		"v2, both":                         {urls: v2, form: signing.Both, key: p256, want: "has only Rekor v2"},
		"v2 stamped, both, certificate":    {urls: v2Stamped, form: signing.Both, key: p256, certified: true, want: "has only Rekor v2"},
		"v2, certificate":                  {urls: v2, form: signing.Bundle, key: p256, certified: true, want: "vouches for no time"},
		"v2 with timestamp, certificate":   {urls: v2Stamped, form: signing.Bundle, key: p256, certified: true},
		"v2, Ed25519":                      {urls: v2, form: signing.Bundle, key: ed, want: "has no Rekor v1"},
		"v1 with timestamp":                {urls: v1Stamped, form: signing.Legacy, key: p256, certified: true},
		"timestamp alone":                  {urls: ServiceURLs{Timestamp: stampURL}, form: signing.Bundle, key: p256},
		"timestamp alone, certificate":     {urls: ServiceURLs{Timestamp: stampURL}, form: signing.Legacy, key: p256, certified: true},
		"nothing":                          {urls: ServiceURLs{Fulcio: fulcioURL}, form: signing.Bundle, key: p256, want: "names no transparency log and no timestamp authority"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := d.client(t, c.urls)
			err := client.CanRecord(c.form, c.key)
			if c.certified {
				err = certified{client}.CanRecord(c.form, c.key)
			}
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error is %v, want %q", err, c.want)
			}
		})
	}
	if len(d.requests) != 0 {
		t.Errorf("asked %v", d.requests)
	}
}

// TestWhatCannotBeRecordedIsNotSigned: a key that is in a machine elsewhere, or
// costs a touch, is not asked.
func TestWhatCannotBeRecordedIsNotSigned(t *testing.T) {
	t.Parallel()
	d := newDeployment()
	signer, err := signing.NewKeySigner(signing.KeySignerConfig{
		Key: untouchable{newP256(), t}, Log: d.client(t, ServiceURLs{Rekor: v2URL, RekorVersion: 2}),
	})
	if err != nil {
		t.Fatal(err)
	}
	wantFault(t, signer.Preflight(t.Context(), theRequest(signing.Legacy)), verify.ErrMisconfigured, "Rekor v2")
	_, err = signer.Sign(t.Context(), theRequest(signing.Both))
	wantFault(t, err, verify.ErrMisconfigured, "Rekor v2")
	if len(d.requests) != 0 {
		t.Errorf("asked %v", d.requests)
	}
	if err := d.client(t, ServiceURLs{Rekor: v2URL, RekorVersion: 2}).Record(t.Context(), &protobundle.Bundle{
		Content: &protobundle.Bundle_MessageSignature{},
	}, newP256().Public()); err == nil {
		t.Error("no error")
	}
}

type untouchable struct {
	crypto.Signer
	t *testing.T
}

func (u untouchable) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	u.t.Error("the key was asked to sign")
	return nil, errors.New("no")
}

// TestKeyOfAServiceIsInNoError: a timestamp authority may take its API key in the
// query of its address.
func TestKeyOfAServiceIsInNoError(t *testing.T) {
	t.Parallel()
	d := newDeployment()
	for name, answer := range map[string]roundTrip{
		"no answer": func(*http.Request) (*http.Response, error) { return nil, errors.New("no route") },
		"refused":   func(r *http.Request) (*http.Response, error) { return serve(http.NotFoundHandler(), r) },
	} {
		client := d.client(t, ServiceURLs{Timestamp: stampURL + "?key=s3cret"}, func(c *Config) { c.Transport = answer })
		_, err := record(t.Context(), t, client, newP256(), signing.Bundle)
		if err == nil || strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), stampURL) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
