// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/containerd/v2/pkg/reference"
	"github.com/containerd/containerd/v2/version"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/origin"
)

// endpoint is a resource of a repository, as one host serves it.
func endpoint(host docker.RegistryHost, spec reference.Spec, resource, name string) *url.URL {
	registry := spec.Hostname()
	u := &url.URL{
		Scheme: host.Scheme,
		Host:   host.Host,
		Path:   path.Join("/", host.Path, strings.TrimPrefix(spec.Locator, registry+"/"), resource, name),
	}
	if host.Host != registry && (registry != "docker.io" || host.Host != "registry-1.docker.io") {
		u.RawQuery = url.Values{"ns": {registry}}.Encode() // as containerd tells mirrors whom they stand for
	}
	return u
}

// get sends one GET with the settings of host: its client, headers and
// authorizer. It answers challenges, and waits once if the registry says for how
// long.
func (s source) get(ctx context.Context, host docker.RegistryHost, u *url.URL, accept string) (*http.Response, error) {
	var past []*http.Response
	var waited bool
	for {
		resp, err := s.getOnce(ctx, host, u, accept)
		if err != nil {
			return nil, err
		}
		past = append(past, resp)
		again := false
		switch {
		case len(past) == maxAttempts:
		case resp.StatusCode == http.StatusUnauthorized && host.Authorizer != nil:
			// If it has no use for the challenge, the 401 itself is the answer.
			refused := host.Authorizer.AddResponses(ctx, past)
			if again = refused == nil; fault.Family(refused) != nil {
				err = refused // of this package
			}
		case resp.StatusCode == http.StatusTooManyRequests && !waited:
			var delay time.Duration
			if delay, again = retryAfter(resp.Header); again {
				waited = true
				err = sleep(ctx, delay)
			}
		}
		if err != nil || again {
			done(resp)
		}
		if err != nil {
			return nil, err
		}
		if !again {
			return resp, nil
		}
	}
}

// maxAttempts is the number of requests that one answer may cost: a challenge, a
// stale token, and one wait.
const maxAttempts = 4

func (s source) getOnce(ctx context.Context, host docker.RegistryHost, u *url.URL, accept string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	for _, header := range []http.Header{s.header, host.Header} {
		for key, values := range header {
			req.Header[key] = append(req.Header[key], values...)
		}
	}
	req.Header.Set("Accept", accept)
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", "containerd/"+version.Version)
	}
	if host.Authorizer != nil {
		if err := host.Authorizer.Authorize(ctx, req); err != nil {
			return nil, err
		}
	}
	client := *host.Client
	client.CheckRedirect = func(next *http.Request, via []*http.Request) error {
		// The headers of a host's configuration can be credentials, and an
		// answer from elsewhere has no authority over what does not exist.
		if hostOf(next.URL) != hostOf(u) || len(via) >= maxAttempts {
			return http.ErrUseLastResponse
		}
		return nil
	}
	return client.Do(req)
}

// hostOf is the host and port of u.
func hostOf(u *url.URL) string { return strings.TrimPrefix(origin.Of(u), u.Scheme) }

// done ends an answer so that its connection can be used again, if there is
// little left of it.
func done(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, 4<<10)
	_ = resp.Body.Close()
}

// maxRetryAfter is how long a registry may make a look-up wait.
const maxRetryAfter = 5 * time.Second

func retryAfter(header http.Header) (time.Duration, bool) {
	seconds, err := strconv.Atoi(header.Get("Retry-After"))
	delay := time.Duration(seconds) * time.Second
	return delay, err == nil && delay >= 0 && delay <= maxRetryAfter
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
