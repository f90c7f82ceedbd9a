// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/errdefs"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/verify"
)

// guard puts checks in the way of everything that goes to and comes from a
// host, after which the hosts of behind are asked. fresh makes the host's
// authorizer anew; nil keeps the one that it has.
func guard(host docker.RegistryHost, behind []docker.RegistryHost, fresh func() docker.Authorizer) docker.RegistryHost {
	client := http.Client{}
	if host.Client != nil {
		client = *host.Client
	}
	transport := client.Transport
	if transport == nil {
		transport = http.DefaultTransport
	}
	server, rank := newServer(host), rankOf(host, behind)
	client.Transport = guardedTransport{transport, server, host.Header, rank}
	host.Client = &client
	if fresh == nil && host.Authorizer != nil {
		kept := host.Authorizer
		fresh = func() docker.Authorizer { return kept }
	}
	if fresh != nil {
		host.Authorizer = &guardedAuthorizer{fresh: fresh, server: server, rank: rank}
	}
	return host
}

// tokenClient is for an authorizer of a host to ask token servers with. Which these
// are, the host says; they get what configured headers there are from the authorizer.
func tokenClient(client *http.Client) *http.Client {
	guarded := *client
	guarded.Transport = tokenTransport{guardedTransport{client.Transport, &server{}, nil, &rank{}}}
	return &guarded
}

type tokenTransport struct{ guardedTransport }

// RoundTrip reads no more than a token, also for what moves an image.
func (t tokenTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.guardedTransport.RoundTrip(req.WithContext(own(req.Context(), limits.Token)))
	if err != nil {
		return nil, noToken(err)
	}
	resp.Body = tokenBody{resp.Body}
	return resp, nil
}

type tokenBody struct{ io.ReadCloser }

func (b tokenBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // which readers return as it is
		err = noToken(err)
	}
	return n, err
}

// noToken is about an image that nobody has looked at yet.
func noToken(err error) error {
	return fault.New(verify.ErrInconclusive, "fetch token", "", "", redacted{err})
}

// guardedAuthorizer makes an authorizer fit to be kept and shared: it forgets
// failures, serves one caller at a time, and returns when the caller's context
// ends, also where credentials are returned by a function that knows of none.
type guardedAuthorizer struct {
	fresh  func() docker.Authorizer
	server *server
	rank   *rank

	mu      sync.Mutex
	current *oneAtATime
}

// oneAtATime is an authorizer that serves one caller at a time.
type oneAtATime struct {
	docker.Authorizer
	turn chan struct{}
}

func (a *guardedAuthorizer) get() *oneAtATime {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.current == nil {
		a.current = &oneAtATime{a.fresh(), make(chan struct{}, 1)}
	}
	return a.current
}

// forget has the next caller start anew, also if somebody still hangs in the
// authorizer that failed.
func (a *guardedAuthorizer) forget(failed *oneAtATime) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.current == failed {
		a.current = nil
	}
}

func (a *guardedAuthorizer) Authorize(ctx context.Context, req *http.Request) error {
	// A request of its own: it may still be written to after ctx has ended.
	probe := &http.Request{URL: req.URL, Header: http.Header{}}
	err := a.do(ctx, req, func(ctx context.Context, inner docker.Authorizer) error { return inner.Authorize(ctx, probe) })
	if err != nil {
		if req.Body != nil {
			// The uploader writes to a body that will now not be sent.
			_ = req.Body.Close()
		}
		return err
	}
	maps.Copy(req.Header, probe.Header)
	return nil
}

func (a *guardedAuthorizer) AddResponses(ctx context.Context, responses []*http.Response) error {
	if len(responses) == 0 || responses[0].Request == nil {
		return errdefs.ErrNotImplemented
	}
	if a.server.isAbove(responses[len(responses)-1].Request.URL) {
		return fmt.Errorf("%w: credentials are asked for over plain HTTP", errdefs.ErrNotImplemented)
	}
	return a.do(ctx, responses[0].Request, func(ctx context.Context, inner docker.Authorizer) error {
		return inner.AddResponses(ctx, responses)
	})
}

// do has the authorizer do f, on behalf of req.
func (a *guardedAuthorizer) do(ctx context.Context, req *http.Request, f func(context.Context, docker.Authorizer) error) error {
	inner := a.get()
	err := a.rank.within(ctx, req, func(ctx context.Context) error {
		return inner.do(ctx, func() error { return f(ctx, inner.Authorizer) })
	})
	if err != nil {
		a.forget(inner)
	}
	return err
}

// do returns when f does or when ctx ends. An f that ignores ctx, such as a
// credential helper that hangs, keeps its goroutine.
func (o *oneAtATime) do(ctx context.Context, f func() error) error {
	select {
	case o.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	done := make(chan error, 1)
	go func() {
		defer func() { <-o.turn }()
		done <- recovered(f) // it parses challenges
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

type ownKey struct{}

// own marks the requests that this package makes for itself, as opposed to those
// that move an image. Their answers are read into memory.
func own(ctx context.Context, limit int64) context.Context {
	return context.WithValue(ctx, ownKey{}, limit)
}

// guardedTransport refuses answers that no honest registry gives, and keeps to a
// host what its configuration says about it.
type guardedTransport struct {
	next   http.RoundTripper
	server *server
	header http.Header
	rank   *rank
}

func (t guardedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	limit, isOwn := req.Context().Value(ownKey{}).(int64)
	req = req.Clone(req.Context())
	if isOwn {
		req.Header.Set("Accept-Encoding", "identity")
	}
	t.keepSecrets(req)
	resp, err := t.patiently(req)
	if err != nil {
		return nil, err
	}
	t.server.note(req, resp)
	err = checkHeader(resp.Header)
	if err == nil {
		err = checkLocation(resp.Header.Get("Location"))
	}
	if err != nil {
		_ = resp.Body.Close()
		return nil, err
	}
	if isOwn {
		// A few bytes can decompress to any number of them.
		if e := resp.Header.Get("Content-Encoding"); e != "" && e != "identity" {
			_ = resp.Body.Close()
			return nil, fmt.Errorf("%w: content encoding %.32q", errContent, e)
		}
		resp.Body = &limitedBody{ReadCloser: resp.Body, limit: limit, left: limit + 1}
	}
	return resp, nil
}

// keepSecrets takes from a request to another server what is for the host alone.
// Headers of a host's configuration can be credentials; net/http takes them along
// to wherever the host redirects to, and containerd to wherever it has uploads go.
// net/http keeps Authorization on the way to another port and to a subdomain, and to
// plain HTTP, too. One that the authorizer has for the other server is another, and
// stays; but for authorizers, the same host by another scheme is the same.
func (t guardedTransport) keepSecrets(req *http.Request) {
	to := t.server.nameOf(req.URL)
	if to != t.server.name {
		for key := range t.header {
			req.Header.Del(key)
		}
	}
	first := req
	for first.Response != nil && first.Response.Request != nil {
		first = first.Response.Request
	}
	redirected := t.server.nameOf(first.URL) != to && slices.Equal(first.Header["Authorization"], req.Header["Authorization"])
	if redirected || t.server.isAbove(req.URL) {
		req.Header.Del("Authorization")
	}
}

// serverOf is what a URL leads to, by its scheme and port.
func serverOf(scheme, host string) string { return scheme + "://" + portOf(scheme, host) }

// portOf is the port of a host that a URL leads to.
func portOf(scheme, host string) string {
	u := url.URL{Scheme: scheme, Host: host}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[scheme]
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// server is the one that a host's configuration is for.
type server struct {
	// name is its own, and plain what it has where it speaks plain HTTP.
	name, plain string
	// isPlain is set where it may: where it is said to be insecure, and where
	// containerd has gone over to plain HTTP, as it does on loopback.
	isPlain atomic.Bool
}

func newServer(host docker.RegistryHost) *server {
	return &server{name: serverOf(host.Scheme, host.Host), plain: serverOf("http", host.Host)}
}

// note keeps whether an answer came over plain HTTP that was asked for over TLS.
func (s *server) note(req *http.Request, resp *http.Response) {
	if serverOf(req.URL.Scheme, req.URL.Host) == s.name && resp.Request != nil && resp.Request.URL.Scheme != req.URL.Scheme {
		s.isPlain.Store(true)
	}
}

// nameOf is serverOf, but that the server has one name, however it is spoken to.
func (s *server) nameOf(u *url.URL) string {
	name := serverOf(u.Scheme, u.Host)
	if name == s.plain && s.isPlain.Load() {
		return s.name
	}
	return name
}

// isAbove reports whether a URL to which the server leads is of plain HTTP, and the
// server is not: there, anybody on the way could answer, and read. There is no way to
// this machine.
func (s *server) isAbove(u *url.URL) bool {
	local, err := docker.MatchLocalhost(u.Host)
	return strings.HasPrefix(s.name, "https:") && u.Scheme != "https" && !s.isPlain.Load() && (err != nil || !local)
}

// CloseIdleConnections is what http.Client.CloseIdleConnections calls.
func (t guardedTransport) CloseIdleConnections() {
	if c, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// checkLocation refuses an address for an upload that is no address once its
// path is decoded.
func checkLocation(location string) error {
	if location == "" {
		return nil
	}
	u, err := url.Parse(location)
	if err == nil {
		_, err = url.Parse("https://host/" + u.Path)
	}
	if err != nil {
		return fmt.Errorf("%w: address of an upload", errContent)
	}
	return nil
}

// limitedBody fails where io.LimitReader would end.
type limitedBody struct {
	io.ReadCloser
	limit, left int64
}

func (b *limitedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, limits.Exceeded("answer in bytes", b.limit)
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	return n, err
}
