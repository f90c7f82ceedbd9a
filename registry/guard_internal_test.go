// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/errdefs"
)

// roundTripper answers requests, and keeps what they were.
type roundTripper struct {
	answer func(*http.Request) *http.Response
	got    []*http.Request
}

func (r *roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	r.got = append(r.got, req)
	resp := r.answer(req)
	if resp.Body == nil {
		resp.Body = io.NopCloser(strings.NewReader(""))
	}
	if resp.Request == nil {
		resp.Request = req
	}
	return resp, nil
}

func guarded(next http.RoundTripper, scheme, host string) docker.RegistryHost {
	h := docker.RegistryHost{
		Client: &http.Client{Transport: next}, Scheme: scheme, Host: host, Header: http.Header{"X-Api-Key": {"SECRET"}},
	}
	return guard(h, nil, newServer(h, nil), func() docker.Authorizer {
		return docker.NewDockerAuthorizer(docker.WithAuthCreds(func(string) (string, string, error) { return "me", "SECRET", nil }))
	})
}

func request(t *testing.T, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"X-Api-Key": {"SECRET"}, "Authorization": {"Basic SECRET"}}
	return req
}

// TestSecretsAreNotSentInTheClear: a host that is spoken to over TLS redirects to
// plain HTTP, or has an upload go there, on its own port too.
func TestSecretsAreNotSentInTheClear(t *testing.T) {
	t.Parallel()
	for from, to := range map[string]string{
		"https://registry.test":      "http://registry.test",
		"https://registry.test:5000": "http://registry.test:5000",
		"https://Registry.test":      "http://registry.test:443",
	} {
		for _, redirected := range []bool{true, false} {
			next := &roundTripper{answer: func(req *http.Request) *http.Response {
				if req.URL.Scheme == "https" {
					return &http.Response{StatusCode: http.StatusTemporaryRedirect, Header: http.Header{"Location": {to + "/blob"}}}
				}
				return &http.Response{StatusCode: http.StatusOK}
			}}
			first := to
			if redirected {
				first = from
			}
			resp, err := guarded(next, "https", strings.TrimPrefix(from, "https://")).Client.Do(request(t, first+"/blob"))
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			last := next.got[len(next.got)-1]
			if last.URL.Scheme != "http" {
				t.Fatalf("the last request is to %s", last.URL)
			}
			if secrets := last.Header.Get("Authorization") + last.Header.Get("X-Api-Key"); secrets != "" {
				t.Errorf("%s has %s, redirected %t: it is sent %q", from, to, redirected, secrets)
			}
			if redirected && next.got[0].Header.Get("Authorization") == "" {
				t.Error("the host itself is not sent its own")
			}
		}
	}
}

// TestSecretsAreSentWhereContainerdSpeaksPlainHTTP: an insecure host may speak TLS or
// not. If it does not, its own address is no redirection, however it writes it.
func TestSecretsAreSentWhereContainerdSpeaksPlainHTTP(t *testing.T) {
	t.Parallel()
	next := &roundTripper{answer: func(req *http.Request) *http.Response {
		plain := req.Clone(req.Context())
		plain.URL.Scheme = "http"
		if req.URL.Path == "/v2" {
			return &http.Response{StatusCode: http.StatusTemporaryRedirect, Request: plain, Header: http.Header{"Location": {"http://registry.test:5000/v2/"}}}
		}
		return &http.Response{StatusCode: http.StatusUnauthorized, Request: plain, Header: http.Header{"Www-Authenticate": {"Basic"}}}
	}}
	host := guarded(next, "https", "registry.test:5000")
	var last *http.Response
	for _, url := range []string{"https://registry.test:5000/v2", "http://registry.test:5000/upload"} {
		resp, err := host.Client.Do(request(t, url))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		last = resp
	}
	for _, req := range next.got {
		if req.Header.Get("Authorization") == "" || req.Header.Get("X-Api-Key") == "" {
			t.Errorf("%s is sent %v", req.URL, req.Header)
		}
	}
	if err := host.Authorizer.AddResponses(t.Context(), []*http.Response{last}); err != nil {
		t.Errorf("the challenge is refused: %v", err)
	}
}

// TestPlainHTTPOnThisMachine: there is nobody on the way to it.
func TestPlainHTTPOnThisMachine(t *testing.T) {
	t.Parallel()
	for _, to := range []string{"http://127.0.0.1:5000", "http://localhost", "http://[::1]:5000"} {
		next := &roundTripper{answer: func(*http.Request) *http.Response {
			return &http.Response{StatusCode: http.StatusUnauthorized, Header: http.Header{"Www-Authenticate": {"Basic"}}}
		}}
		host := guarded(next, "https", "registry.test:5000")
		resp, err := host.Client.Do(request(t, to+"/upload"))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if next.got[0].Header.Get("Authorization") == "" || next.got[0].Header.Get("X-Api-Key") != "" {
			t.Errorf("%s is sent %v", to, next.got[0].Header)
		}
		if err := host.Authorizer.AddResponses(t.Context(), []*http.Response{resp}); err != nil {
			t.Errorf("%s: the challenge is refused: %v", to, err)
		}
	}
}

// TestPlainHTTPOfAnInsecureRegistry, before anything is known of it.
func TestPlainHTTPOfAnInsecureRegistry(t *testing.T) {
	t.Parallel()
	for insecure, config := range map[bool]Config{true: {InsecureRegistries: []string{"registry.test:5000"}}, false: {}} {
		config.Credentials = func(string) (string, string, error) { return "me", "SECRET", nil }
		c, err := New(config)
		if err != nil {
			t.Fatal(err)
		}
		hosts, err := c.registryHosts("registry.test:5000")
		if err != nil {
			t.Fatal(err)
		}
		err = hosts[0].Authorizer.AddResponses(t.Context(), []*http.Response{{
			StatusCode: http.StatusUnauthorized, Request: request(t, "http://registry.test:5000/v2/"), Header: http.Header{"Www-Authenticate": {"Basic"}},
		}})
		if insecure != (err == nil) {
			t.Errorf("insecure is %t: %v", insecure, err)
		}
	}
}

// TestCredentialsAreNotAskedForInTheClear: anybody on the way can answer there, and
// name the token server that is to get them.
func TestCredentialsAreNotAskedForInTheClear(t *testing.T) {
	t.Parallel()
	for _, to := range []string{"http://registry.test:5000/blob", "http://other.test/blob"} {
		host := guarded(&roundTripper{}, "https", "registry.test:5000")
		err := host.Authorizer.AddResponses(t.Context(), []*http.Response{{
			StatusCode: http.StatusUnauthorized, Request: request(t, to),
			Header: http.Header{"Www-Authenticate": {`Bearer realm="https://token.test/token"`}},
		}})
		if !errors.Is(err, errdefs.ErrNotImplemented) {
			t.Errorf("%s: %v, want a refusal", to, err)
		}
	}
}
