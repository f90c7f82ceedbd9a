// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package daemon_test

import (
	"bytes"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/traffic"
)

// testRegistry is a registry on loopback that remembers what it was asked.
type testRegistry struct {
	address string
	handler http.Handler
	server  *traffic.Server

	mu       sync.Mutex
	requests []string // method and path
	before   func(*http.Request)
}

func newRegistry(t *testing.T, opts ...ggcr.Option) *testRegistry {
	t.Helper()
	opts = append([]ggcr.Option{ggcr.Logger(log.New(io.Discard, "", 0)), ggcr.WithReferrersSupport(true)}, opts...)
	r := &testRegistry{handler: ggcr.New(opts...)}
	r.server = traffic.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		r.mu.Lock()
		r.requests = append(r.requests, request.Method+" "+request.URL.Path)
		before := r.before
		r.mu.Unlock()
		if before != nil {
			before(request)
		}
		if request.Method == http.MethodConnect { // it is no proxy
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		// Half a manifest, of a client that was killed, is none. The handler
		// would take it, as no registry does.
		body, err := io.ReadAll(request.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		request.Body = io.NopCloser(bytes.NewReader(body))
		r.handler.ServeHTTP(w, request)
	}))
	t.Cleanup(r.server.Close)
	r.address = r.server.Listener.Addr().String()
	return r
}

// hangUp closes all connections, and waits for what was asked over them.
func (r *testRegistry) hangUp(t *testing.T) {
	t.Helper()
	if err := r.server.HangUp(); err != nil {
		t.Fatal(err)
	}
}

// intercept has f called before each request from now on.
func (r *testRegistry) intercept(f func(*http.Request)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.before = f
}

// asked returns the requests since the last call. Those that a client gave up may
// have been on their way.
func (r *testRegistry) asked(t *testing.T) []string {
	t.Helper()
	r.hangUp(t)
	r.mu.Lock()
	defer r.mu.Unlock()
	requests := r.requests
	r.requests = nil
	return requests
}

// tag has the registry call what it has under digest by the tag of ref, and
// tells nobody.
func (r *testRegistry) tag(t *testing.T, ref string, target ocispec.Descriptor) {
	t.Helper()
	_, path, _ := strings.Cut(ref, "/")
	repository, tag, _ := strings.Cut(path, ":")
	manifests := "/v2/" + repository + "/manifests/"
	got := httptest.NewRecorder()
	r.handler.ServeHTTP(got, httptest.NewRequest(http.MethodGet, manifests+target.Digest.String(), nil))
	put := httptest.NewRequest(http.MethodPut, manifests+tag, got.Body)
	put.Header.Set("Content-Type", target.MediaType)
	done := httptest.NewRecorder()
	r.handler.ServeHTTP(done, put)
	if got.Code != http.StatusOK || done.Code != http.StatusCreated {
		t.Errorf("tag %s: status %d, %d", ref, got.Code, done.Code)
	}
}

// has reports whether the registry has something at a path.
func (r *testRegistry) has(path string) bool {
	answer := httptest.NewRecorder()
	r.handler.ServeHTTP(answer, httptest.NewRequest(http.MethodHead, path, nil))
	return answer.Code == http.StatusOK
}
