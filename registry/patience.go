// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/core/remotes/docker"

	"github.com/cosignkit/cosignkit/internal/limits"
)

// withTime bounds an operation, and with it how long it waits for one host.
func withTime(ctx context.Context, timeout time.Duration, what string) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, limits.Exceeded(what, timeout))
	deadline, _ := ctx.Deadline() // which may be the caller's
	return withPatience(ctx, time.Until(deadline)/limits.MirrorShare), cancel
}

type patienceKey struct{}

// withPatience bounds how long a host may take to answer while there are others to
// ask, so that a mirror that hangs does not keep the registry behind it from being
// asked. What moves an image only has to begin in that time. So it does for the
// host's token server.
//
// One that has let that time go by once gets the same part of it from then on: an
// operation asks it half a dozen times, and must have time left for the others.
func withPatience(ctx context.Context, each time.Duration) context.Context {
	return context.WithValue(ctx, patienceKey{}, &patience{each: each})
}

// patience is that of one operation.
type patience struct {
	each time.Duration
	hung sync.Map // by *rank, of each host that has let it go by
}

func (p *patience) with(r *rank) time.Duration {
	if _, ok := p.hung.Load(r); ok {
		return p.each / limits.MirrorShare
	}
	return p.each
}

// ended returns the error for a host that gave no answer in time.
func (p *patience) ended(r *rank, waited time.Duration) error {
	p.hung.Store(r, nil)
	return fmt.Errorf("%w: %v", errNoAnswer, waited)
}

var errNoAnswer = errors.New("no answer in time, and there are others to ask")

// rank is what a host can do, and what each of those can that are asked after it.
type rank struct {
	own    docker.HostCapabilities
	behind []docker.HostCapabilities
}

func rankOf(host docker.RegistryHost, behind []docker.RegistryHost) *rank {
	r := &rank{own: host.Capabilities}
	for _, other := range behind {
		r.behind = append(r.behind, other.Capabilities)
	}
	return r
}

// patience is that which req has with the host, or nil where there is nobody else
// to ask.
func (r *rank) patience(ctx context.Context, req *http.Request) *patience {
	needed := r.needed(req.URL.Path)
	if !slices.ContainsFunc(r.behind, func(c docker.HostCapabilities) bool { return c.Has(needed) }) {
		return nil
	}
	p, _ := ctx.Value(patienceKey{}).(*patience)
	return p
}

// needed is the capability of the hosts that are asked for a path: see
// repository.hostsWith, and containerd's resolver, for which a digest is to be
// pulled and a tag to be resolved.
func (r *rank) needed(p string) docker.HostCapabilities {
	resource, name := path.Base(path.Dir(p)), path.Base(p)
	switch {
	case resource == "referrers" && r.own.Has(docker.HostCapabilityReferrers):
		return docker.HostCapabilityReferrers
	case resource == "referrers":
		return docker.HostCapabilityResolve
	case resource == "manifests" && !strings.Contains(name, ":"):
		return docker.HostCapabilityPull | docker.HostCapabilityResolve
	default:
		return docker.HostCapabilityPull
	}
}

// within runs f, which talks to the host's token server on behalf of req.
func (r *rank) within(ctx context.Context, req *http.Request, f func(context.Context) error) error {
	p := r.patience(ctx, req)
	if p == nil {
		return f(ctx)
	}
	wait := p.with(r)
	limited, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	err := f(limited)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return p.ended(r, wait)
	}
	return err
}

// patiently sends req, and gives up as the context says if there are others.
func (t guardedTransport) patiently(req *http.Request) (*http.Response, error) {
	p := t.rank.patience(req.Context(), req)
	if p == nil {
		return t.next.RoundTrip(req)
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	wait := p.with(t.rank)
	body := patientBody{ctx: ctx, cancel: cancel, timer: time.AfterFunc(wait, func() { cancel(p.ended(t.rank, wait)) })}
	resp, err := t.next.RoundTrip(req.WithContext(ctx))
	if err == nil && ctx.Err() != nil { // the answer came as the time ran out, and its body is no use
		_ = resp.Body.Close()
		err = ctx.Err()
	}
	if err != nil {
		err = body.explain(err)
		body.stop()
		return nil, err
	}
	if _, isOwn := req.Context().Value(ownKey{}).(int64); !isOwn {
		body.timer.Stop()
	}
	body.ReadCloser = resp.Body
	resp.Body = body
	return resp, nil
}

// patientBody ends the context of its request when it is closed, or the time is up.
type patientBody struct {
	io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
}

// explain returns err, or why the request was ended that it is about.
func (b patientBody) explain(err error) error {
	if cause := context.Cause(b.ctx); errors.Is(cause, errNoAnswer) {
		return cause
	}
	return err
}

func (b patientBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // which readers return as it is
		err = b.explain(err)
	}
	return n, err
}

func (b patientBody) Close() error {
	defer b.stop()
	return b.ReadCloser.Close()
}

func (b patientBody) stop() {
	b.timer.Stop()
	b.cancel(nil)
}
