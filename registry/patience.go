// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

type patienceKey struct{}

// withPatience bounds how long a host may take to answer while there are others to
// ask, so that a mirror that hangs does not keep the registry behind it from being
// asked. What moves an image only has to begin in that time.
func withPatience(ctx context.Context, patience time.Duration) context.Context {
	return context.WithValue(ctx, patienceKey{}, patience)
}

var errNoAnswer = errors.New("no answer in time, and there are others to ask")

// patiently sends req, and gives up as the context says unless the host is the
// last one.
func (t guardedTransport) patiently(req *http.Request) (*http.Response, error) {
	patience, ok := req.Context().Value(patienceKey{}).(time.Duration)
	if !ok || t.last {
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
