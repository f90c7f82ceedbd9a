// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"sync"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/errdefs"

	"github.com/cosignkit/cosignkit/internal/leash"
	"github.com/cosignkit/cosignkit/internal/limits"
)

// guard puts checks in the way of everything that goes to and comes from a
// host, after which the hosts of behind are asked. fresh makes the host's
// authorizer anew; nil keeps the one that it has.
func guard(host docker.RegistryHost, behind []docker.RegistryHost, server *server, fresh func() docker.Authorizer) docker.RegistryHost {
	client := http.Client{}
	if host.Client != nil {
		client = *host.Client
	}
	transport := client.Transport
	if transport == nil {
		transport = http.DefaultTransport
	}
	rank := rankOf(host, behind)
	client.Transport = guardedTransport{transport, server.note, server.keepSecrets, rank}
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

// guardedAuthorizer makes an authorizer fit to be kept and shared: it forgets
// failures, serves one caller at a time, and returns when the caller's context ends,
// even if the function for credentials has no context.
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
	// forgotten is closed when another one takes its place.
	forgotten chan struct{}
}

// errForgotten sends a caller who waited for a turn to the next authorizer.
var errForgotten = errors.New("the authorizer was forgotten")

func (a *guardedAuthorizer) get() *oneAtATime {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.current == nil {
		a.current = &oneAtATime{a.fresh(), make(chan struct{}, 1), make(chan struct{})}
	}
	return a.current
}

// forget has the next caller, and those who wait, start anew, even if somebody still
// hangs in the authorizer that failed.
func (a *guardedAuthorizer) forget(failed *oneAtATime) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.current == failed {
		a.current = nil
		close(failed.forgotten)
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
	last := responses[len(responses)-1]
	if err := a.server.rule().Check(last.Request.URL); err != nil {
		return fmt.Errorf("%w: credentials are asked for: %w", errdefs.ErrNotImplemented, err)
	}
	if err := a.server.checkRealm(last.Header); err != nil {
		return noToken(err)
	}
	return a.do(ctx, responses[0].Request, func(ctx context.Context, inner docker.Authorizer) error {
		return inner.AddResponses(ctx, responses)
	})
}

// do has the authorizer do f, on behalf of req.
func (a *guardedAuthorizer) do(ctx context.Context, req *http.Request, f func(context.Context, docker.Authorizer) error) error {
	return a.rank.within(ctx, req, func(ctx context.Context) error {
		for {
			inner := a.get()
			err := inner.do(ctx, func() error { return f(ctx, inner.Authorizer) })
			if errors.Is(err, errForgotten) {
				continue
			}
			if err != nil {
				a.forget(inner)
			}
			return err
		}
	})
}

// do returns when f does or when ctx ends. An f that ignores ctx, such as a
// credential helper that hangs, keeps its turn until it returns.
func (o *oneAtATime) do(ctx context.Context, f func() error) error {
	_, err := leash.Call(ctx, func(ctx context.Context) (none struct{}, err error) {
		select {
		case o.turn <- struct{}{}:
			defer func() { <-o.turn }()
			return none, f() // it parses challenges
		case <-o.forgotten: // somebody hangs in it
			return none, errForgotten
		case <-ctx.Done():
			return none, ctx.Err()
		}
	})
	return err
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
	next http.RoundTripper
	note func(*http.Request, *http.Response)
	// keep takes from a request the secrets that are not for where it goes.
	keep func(*http.Request) error
	rank *rank
}

func (t guardedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	limit, isOwn := req.Context().Value(ownKey{}).(int64)
	req = req.Clone(req.Context())
	if isOwn {
		req.Header.Set("Accept-Encoding", "identity")
	}
	if err := t.keep(req); err != nil {
		return nil, closed(req, err)
	}
	resp, err := t.patiently(req)
	if err != nil {
		return nil, err
	}
	t.note(req, resp)
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
