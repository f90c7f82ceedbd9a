// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/remotes/docker/auth"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/cosignkit/cosignkit/internal/limits"
)

const escapedParameter = `a="\"",`

// longChallenge has as many escaped characters as fit into size bytes.
func longChallenge(size int) string {
	const scheme = "Bearer "
	return scheme + strings.Repeat(escapedParameter, (size-len(scheme))/len(escapedParameter))
}

func TestHeadersAreBounded(t *testing.T) {
	t.Parallel()
	half := longChallenge(limits.Challenge/2 + len(escapedParameter) + len("Bearer "))
	for name, c := range map[string]struct {
		header http.Header
		refuse bool
	}{
		"nothing":                {http.Header{}, false},
		"a challenge":            {http.Header{"Www-Authenticate": {`Bearer realm="https://auth.test/token",service="test",scope="repository:app:pull"`}}, false},
		"a long challenge":       {http.Header{"Www-Authenticate": {longChallenge(limits.Challenge)}}, false},
		"a challenge too long":   {http.Header{"Www-Authenticate": {strings.Repeat("a", limits.Challenge+1)}}, true},
		"challenges too long":    {http.Header{"Www-Authenticate": {half, half}}, true},
		"a long header":          {http.Header{"X": {strings.Repeat("a", limits.Header-1)}}, false},
		"a header too long":      {http.Header{"X": {strings.Repeat("a", limits.Header)}}, true},
		"too many short headers": {http.Header{"X": make([]string, limits.Header+1)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for where, transport := range map[string]func(http.RoundTripper) http.RoundTripper{
				"of a host": func(next http.RoundTripper) http.RoundTripper {
					return guarded(next, "https", "registry.test").Client.Transport
				},
				"of a token server": func(next http.RoundTripper) http.RoundTripper {
					return tokenClient(&http.Client{Transport: next}, &server{}).Transport
				},
				"of go-containerregistry": func(next http.RoundTripper) http.RoundTripper { return headerTransport{next} },
			} {
				next := &roundTripper{answer: func(*http.Request) *http.Response {
					return &http.Response{StatusCode: http.StatusUnauthorized, Header: c.header.Clone()}
				}}
				resp, err := transport(next).RoundTrip(request(t, "https://registry.test/v2/"))
				if c.refuse != errors.Is(err, limits.ErrExceeded) || c.refuse == (err == nil) {
					t.Errorf("%s: error is %v, want one: %t", where, err, c.refuse)
				}
				if err == nil {
					_ = resp.Body.Close()
				}
			}
		})
	}
}

// TestRemoteResolverBoundsHeaders holds that the transport of go-containerregistry is
// bounded, whoever made it.
func TestRemoteResolverBoundsHeaders(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", longChallenge(2*limits.Challenge))
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(server.Close)
	ref := strings.TrimPrefix(server.URL, "http://") + "/app:v1"
	for _, transport := range []http.RoundTripper{nil, server.Client().Transport} {
		// The option is replaced.
		_, _, err := RemoteResolver(transport, nil, remote.WithTransport(http.DefaultTransport)).Resolve(t.Context(), ref)
		if !errors.Is(err, limits.ErrExceeded) {
			t.Errorf("error is %v, want one of a limit", err)
		}
	}
}

// TestChallengeCostsLittle counts what the parser of containerd allocates for the
// worst challenge that passes. It counts for the whole process, and so runs alone.
func TestChallengeCostsLittle(t *testing.T) {
	const most = 512 // bytes per byte
	header := http.Header{"Www-Authenticate": {longChallenge(limits.Challenge)}}
	if err := checkHeader(header); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	challenges := auth.ParseAuthHeader(header)
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > most*limits.Challenge {
		t.Errorf("%d bytes for %d challenges in %d bytes", got, len(challenges), limits.Challenge)
	}
}
