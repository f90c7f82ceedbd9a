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
func withPatience(ctx context.Context, patience time.Duration) context.Context {
	return context.WithValue(ctx, patienceKey{}, patience)
}

var errNoAnswer = errors.New("no answer in time, and there are others to ask")

// rank is what a host can do, and what each of those can that are asked after it.
type rank struct {
	own    docker.HostCapabilities
	behind []docker.HostCapabilities
}

func rankOf(host docker.RegistryHost, behind []docker.RegistryHost) rank {
	r := rank{own: host.Capabilities}
	for _, other := range behind {
		r.behind = append(r.behind, other.Capabilities)
	}
	return r
}

// patience is how long req may wait, or false where there is nobody else to ask.
func (r rank) patience(ctx context.Context, req *http.Request) (time.Duration, bool) {
	patience, ok := ctx.Value(patienceKey{}).(time.Duration)
	needed := r.needed(req.URL.Path)
	return patience, ok && slices.ContainsFunc(r.behind, func(c docker.HostCapabilities) bool { return c.Has(needed) })
}

// needed is the capability of the hosts that are asked for a path: see
// repository.hostsWith, and containerd's resolver, for which a digest is to be
// pulled and a tag to be resolved.
func (r rank) needed(p string) docker.HostCapabilities {
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
func (r rank) within(ctx context.Context, req *http.Request, f func(context.Context) error) error {
	patience, ok := r.patience(ctx, req)
	if !ok {
		return f(ctx)
	}
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := f(limited)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("%w: %v", errNoAnswer, patience)
	}
	return err
}

// patiently sends req, and gives up as the context says if there are others.
func (t guardedTransport) patiently(req *http.Request) (*http.Response, error) {
	patience, ok := t.rank.patience(req.Context(), req)
	if !ok {
		return t.next.RoundTrip(req)
	}
	ctx, cancel := context.WithCancel(req.Context())
	body := patientBody{timer: time.AfterFunc(patience, cancel), cancel: cancel}
	body.explain = func(err error) error {
		if ctx.Err() != nil && req.Context().Err() == nil {
			return fmt.Errorf("%w: %v", errNoAnswer, patience)
		}
		return err
	}
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
	timer   *time.Timer
	cancel  context.CancelFunc
	explain func(error) error
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
	b.cancel()
}
