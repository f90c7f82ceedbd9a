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

// withPatience bounds how long a host may take to begin an answer while there are
// others to ask, so that a mirror that hangs does not keep the registry behind it
// from being asked.
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
	timer := time.AfterFunc(patience, cancel)
	resp, err := t.next.RoundTrip(req.WithContext(ctx))
	expired := !timer.Stop()
	if err == nil && !expired {
		resp.Body = cancelledBody{resp.Body, cancel}
		return resp, nil
	}
	cancel()
	if err == nil { // the answer came as the time ran out, and its body is no use
		_ = resp.Body.Close()
		err = ctx.Err()
	}
	if expired && req.Context().Err() == nil {
		err = fmt.Errorf("%w: %v", errNoAnswer, patience)
	}
	return nil, err
}

// cancelledBody ends the context of its request.
type cancelledBody struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (b cancelledBody) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}
