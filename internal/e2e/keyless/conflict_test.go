// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cosignkit/cosignkit/keyless"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// via is a transport that goes to the service at the address to, under its own
// name, by way of a proxy with a fault.
func via(t *testing.T, f fault, to string) (http.RoundTripper, *atomic.Int64) {
	t.Helper()
	address, requests := proxy(t, f, to)
	from, place := must(url.Parse(to)).Host, must(url.Parse(address)).Host
	transport := http.DefaultTransport.(*http.Transport).Clone()
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, host string) (net.Conn, error) {
		if host == from {
			host = place
		}
		return dial(ctx, network, host)
	}
	t.Cleanup(transport.CloseIdleConnections)
	return transport, requests
}

// reply is what a service answers.
type reply struct {
	path   string // that was asked for
	status int
	header http.Header
	body   []byte
}

// altered passes requests on to the service at the address to, and changes its
// reply.
func altered(to string, change func(*reply)) func(http.ResponseWriter, *http.Request, int64) bool {
	target := must(url.Parse(to))
	return func(w http.ResponseWriter, r *http.Request, _ int64) bool {
		r.RequestURI, r.URL.Scheme, r.URL.Host = "", target.Scheme, target.Host
		response, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return true
		}
		defer func() { _ = response.Body.Close() }()
		said := reply{r.URL.Path, response.StatusCode, response.Header, must(io.ReadAll(response.Body))}
		change(&said)
		for name, values := range said.header {
			w.Header()[name] = values
		}
		w.Header().Del("Content-Length")
		w.WriteHeader(said.status)
		_, _ = w.Write(said.body)
		return true
	}
}

// entryOf is where the log keeps the entry of a signature.
func entryOf(t *testing.T, s signing.Signature) (at string, body []byte) {
	t.Helper()
	var bundle struct {
		VerificationMaterial struct {
			TlogEntries []struct {
				LogIndex          string
				CanonicalizedBody []byte
			}
		}
	}
	if err := json.Unmarshal(s.Bundle, &bundle); err != nil {
		t.Fatal(err)
	}
	entry := bundle.VerificationMaterial.TlogEntries[0]
	return entry.LogIndex, entry.CanonicalizedBody
}

// recordAs signs with key and has a log at the address keep it.
func recordAs(t *testing.T, key *rsa.PrivateKey, urls keyless.ServiceURLs, transport http.RoundTripper, image string) ([]signing.Signature, error) {
	t.Helper()
	client := newClient(t, keyless.Config{SigningConfig: must(keyless.NewSigningConfig(urls)), Transport: transport})
	signer, err := signing.NewKeySigner(signing.KeySignerConfig{Key: key, Log: client})
	if err != nil {
		t.Fatal(err)
	}
	return signer.Sign(limited(t), request(image, signing.Bundle))
}

// TestConflictOfRekorV1: the log says where it has an entry already. It is asked
// itself, whoever else that names, and what it gives has to be the true entry.
func TestConflictOfRekorV1(t *testing.T) {
	t.Parallel()
	asked := &atomic.Int64{}
	foreign := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(func() {
		foreign.Close()
		if asked.Load() != 0 {
			t.Errorf("a foreign address was asked %d times", asked.Load())
		}
	})
	// The path of another entry of the log.
	var other atomic.Value
	urls := keyless.ServiceURLs{Rekor: stack.Rekor}
	if _, err := recordAs(t, must(rsa.GenerateKey(rand.Reader, 2048)), urls, learning{&other}, "other"); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		location func(path string) string
		family   error // nil if the entry is found
		named    string
	}{
		"as it is":             {func(path string) string { return path }, nil, ""},
		"absolute":             {func(path string) string { return stack.Rekor + path }, nil, ""},
		"at a foreign address": {func(path string) string { return foreign.URL + path }, nil, ""},
		"another entry":        {func(string) string { return other.Load().(string) }, verify.ErrInconclusive, "check of what was recorded"},
		"another, elsewhere":   {func(string) string { return foreign.URL + other.Load().(string) }, verify.ErrInconclusive, "check of what was recorded"},
		"no entry":             {func(path string) string { return path[:len(path)-64] + strings.Repeat("0", 64) }, verify.ErrMisconfigured, "transparency log"},
		"nowhere":              {func(string) string { return "" }, verify.ErrMisconfigured, "transparency log"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key := must(rsa.GenerateKey(rand.Reader, 2048)) // whose signatures of one image are equal
			conflicts := 0
			lie := fault{answer: altered(stack.Rekor, func(r *reply) {
				if r.status == http.StatusConflict {
					conflicts++
					location := c.location(r.header.Get("Location"))
					r.header.Del("Location")
					if location != "" {
						r.header.Set("Location", location)
					}
				}
			})}
			transport, _ := via(t, lie, stack.Rekor)
			if _, err := recordAs(t, key, urls, transport, t.Name()); err != nil {
				t.Fatal(err)
			}
			signatures, err := recordAs(t, key, urls, transport, t.Name())
			if conflicts != 1 {
				t.Errorf("%d conflicts", conflicts)
			}
			if c.family != nil {
				wantFault(t, err, c.family, c.named, "no token")
				if signatures != nil {
					t.Error("signatures beside an error")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// learning keeps the path of the entry that a log made.
type learning struct{ path *atomic.Value }

func (l learning) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := http.DefaultTransport.RoundTrip(r)
	if err == nil && response.StatusCode == http.StatusCreated {
		l.path.Store("/api/v1/log/entries/" + response.Header.Get("ETag"))
	}
	return response, err
}

// TestConflictOfRekorV2: the log says which entry it has already. It is put
// together of the log's tiles, and has to be the true one.
func TestConflictOfRekorV2(t *testing.T) {
	t.Parallel()
	urls := keyless.ServiceURLs{Rekor: stack.RekorV2, RekorVersion: 2}
	signatures, err := recordAs(t, must(rsa.GenerateKey(rand.Reader, 2048)), urls, nil, "other")
	if err != nil {
		t.Fatal(err)
	}
	other, _ := entryOf(t, signatures[0])
	const has = "the log has this entry already"
	for name, c := range map[string]struct {
		change func(*reply)
		named  string // empty if the entry is found
	}{
		"as it is":        {func(*reply) {}, ""},
		"another entry":   {index(other), "check of what was recorded"},
		"nowhere":         {func(r *reply) { r.header.Del("X-Log-Index") }, has},
		"no number":       {index("-1"), has},
		"not yet there":   {index("4611686018427387903"), has},
		"a tile of zeros": {in("/tile/0/", func(r *reply) { clear(r.body) }), "check of what was recorded"},
		"no checkpoint":   {in("/checkpoint", func(r *reply) { r.status = http.StatusNotFound }), has},
		"a checkpoint of nobody": {in("/checkpoint", func(r *reply) {
			text, _, _ := bytes.Cut(r.body, []byte("\n\n"))
			r.body = append(text, "\n\n\u2014 127.0.0.1 AAAAAAAA\n"...)
		}), "check of what was recorded"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key := must(rsa.GenerateKey(rand.Reader, 2048))
			first, err := recordAs(t, key, urls, nil, t.Name())
			if err != nil {
				t.Fatal(err)
			}
			transport, _ := via(t, fault{answer: altered(stack.RekorV2, c.change)}, stack.RekorV2)
			again, err := recordAs(t, key, urls, transport, t.Name())
			if c.named != "" {
				wantFault(t, err, verify.ErrInconclusive, c.named, "no token")
				if again != nil {
					t.Error("signatures beside an error")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			at, body := entryOf(t, first[0])
			if gotAt, gotBody := entryOf(t, again[0]); gotAt != at || !bytes.Equal(gotBody, body) {
				t.Errorf("found entry %s, want %s", gotAt, at)
			}
		})
	}
}

// index changes where a conflict points to.
func index(to string) func(*reply) {
	return func(r *reply) {
		if r.status == http.StatusConflict {
			r.header.Set("X-Log-Index", to)
		}
	}
}

// in changes the replies from one place.
func in(place string, change func(*reply)) func(*reply) {
	return func(r *reply) {
		if strings.Contains(r.path, place) {
			change(r)
		}
	}
}
