// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package daemon_test

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
)

// testRegistry is a registry on loopback that remembers what it was asked.
type testRegistry struct {
	address string

	mu       sync.Mutex
	requests []string // method and path
	before   func(*http.Request)
}

func newRegistry(t *testing.T, opts ...ggcr.Option) *testRegistry {
	t.Helper()
	opts = append([]ggcr.Option{ggcr.Logger(log.New(io.Discard, "", 0)), ggcr.WithReferrersSupport(true)}, opts...)
	handler := ggcr.New(opts...)
	r := &testRegistry{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		r.mu.Lock()
		r.requests = append(r.requests, request.Method+" "+request.URL.Path)
		before := r.before
		r.mu.Unlock()
		if before != nil {
			before(request)
		}
		handler.ServeHTTP(w, request)
	}))
	t.Cleanup(server.Close)
	r.address = server.Listener.Addr().String()
	return r
}

// intercept has f called before each request from now on.
func (r *testRegistry) intercept(f func(*http.Request)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.before = f
}

// asked returns the requests since the last call.
func (r *testRegistry) asked() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	requests := r.requests
	r.requests = nil
	return requests
}
