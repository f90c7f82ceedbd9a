// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
)

// Request is what a server was asked.
type Request struct {
	Way
	Method string
	URL    *url.URL
	Header http.Header
	Status int

	// about is what an upload was of, which only the request that ends it says.
	about digest.Digest
	// upload is the path at which the upload that this begins goes on.
	upload string
}

// Way is how a request came to a server. Those for signatures have the ways of
// those for images.
type Way struct {
	Server      string // as the test calls it
	TLS         bool
	Certificate string // common name of the client's
	User        string // of basic authentication
	Bearer      bool
	Agent       string
	Proxied     bool
}

// Log keeps requests in the order in which they arrive. It is safe for concurrent
// use.
type Log struct {
	mu       sync.Mutex
	requests []*Request
}

// Handler keeps the requests to next, which are those to server.
func (l *Log) Handler(server string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request := newRequest(server, r)
		l.mu.Lock()
		l.requests = append(l.requests, request)
		l.mu.Unlock()
		answer := &answer{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(answer, r)
		l.mu.Lock()
		defer l.mu.Unlock()
		request.Status = answer.status
		if to, err := r.URL.Parse(answer.Header().Get("Location")); err == nil && r.Method == http.MethodPost {
			request.upload = to.Path
		}
		if d := r.URL.Query().Get("digest"); r.Method == http.MethodPut && d != "" {
			l.ended(r.URL.Path, digest.Digest(d))
		}
	})
}

// ProxiedHeader is set by a proxy of a test.
const ProxiedHeader = "X-Test-Proxied"

func newRequest(server string, r *http.Request) *Request {
	request := &Request{Method: r.Method, URL: r.URL, Header: r.Header.Clone()}
	request.Way = Way{Server: server, TLS: r.TLS != nil, Agent: r.UserAgent(), Proxied: r.Header.Get(ProxiedHeader) != ""}
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		request.Certificate = r.TLS.PeerCertificates[0].Subject.CommonName
	}
	request.User, _, _ = r.BasicAuth()
	request.Bearer = strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ")
	return request
}

// Add keeps a request that a server has logged itself, with what is known of its
// way.
func (l *Log) Add(way Way, method string, u *url.URL, status int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests = append(l.requests, &Request{Way: way, Method: method, URL: u, Status: status})
	if d := u.Query().Get("digest"); method == http.MethodPut && d != "" {
		l.ended(u.Path, digest.Digest(d))
	}
}

// ended tells what an upload was of from the request that ended it.
func (l *Log) ended(at string, d digest.Digest) {
	for _, r := range l.requests {
		if r.upload == at || r.URL.Path == at {
			r.about = d
		}
	}
}

// Requests returns those so far.
func (l *Log) Requests() []*Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.requests)
}

// answer remembers its status.
type answer struct {
	http.ResponseWriter
	status int
}

func (a *answer) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// Kinds of request.
const (
	Resolve   = "resolve" // a tag of the image
	Manifest  = "manifest"
	Blob      = "blob"
	Upload    = "upload"
	Referrers = "referrers"
	Tag       = "tag" // a referrers tag or signature tag
)

// Kind returns what a request is for, and whether that is the image, of which
// these are the parts. It is empty for a request for neither, such as a token.
func (r *Request) Kind(image []digest.Digest) (kind string, ofImage bool) {
	dir, name := path.Split(r.URL.Path)
	in := path.Base(dir)
	isWrite := r.Method != http.MethodGet && r.Method != http.MethodHead
	switch {
	case in == "referrers":
		return Referrers, false
	case in == "manifests" && strings.HasPrefix(name, "sha256-"):
		return Tag, false
	case in == "manifests" && !strings.HasPrefix(name, "sha256:"):
		return Resolve, true
	case in == "manifests" && isWrite:
		return Upload, slices.Contains(image, digest.Digest(name))
	case in == "manifests":
		return Manifest, slices.Contains(image, digest.Digest(name))
	case r.about != "":
		return Upload, slices.Contains(image, r.about)
	case in == "blobs" || strings.HasPrefix(name, "sha256:"):
		return Blob, slices.Contains(image, digest.Digest(name))
	default:
		return "", false
	}
}

// Check returns an error unless the requests for signatures, of the kinds that
// are wanted beside blobs and uploads, took the ways of those for the image and
// no other. What was answered by a challenge is on its way still.
func (l *Log) Check(image []digest.Digest, lookUps ...string) error {
	ways := map[bool]map[Way]bool{true: {}, false: {}}
	kinds := map[bool]map[string]bool{true: {}, false: {}}
	for _, r := range l.Requests() {
		kind, ofImage := r.Kind(image)
		if kind == "" || r.Status == http.StatusUnauthorized {
			continue
		}
		ways[ofImage][r.Way] = true
		kinds[ofImage][kind] = true
	}
	var errs []error
	for _, want := range []string{Resolve, Manifest, Blob, Upload} {
		if !kinds[true][want] {
			errs = append(errs, fmt.Errorf("no request for the image of kind %s", want))
		}
	}
	for _, want := range append([]string{Blob, Upload}, lookUps...) {
		if !kinds[false][want] {
			errs = append(errs, fmt.Errorf("no request for signatures of kind %s", want))
		}
	}
	if !maps.Equal(ways[true], ways[false]) {
		errs = append(errs, fmt.Errorf("for the image %+v, and for signatures %+v", slices.Collect(maps.Keys(ways[true])), slices.Collect(maps.Keys(ways[false]))))
	}
	return errors.Join(errs...)
}
