// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package traffic_test

import (
	"context"
	"net"
	"net/http"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/cosignkit/cosignkit/internal/traffic"
)

// TestHangUp: a request that its caller gave up is handled before the server has
// hung up, however late its handler is.
func TestHangUp(t *testing.T) {
	t.Parallel()
	asked, late := make(chan struct{}), make(chan struct{})
	var handled atomic.Bool
	server := traffic.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/late" {
			return
		}
		close(asked)
		<-late
		handled.Store(true)
	}))
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	get := func(ctx context.Context, path string) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+path, nil)
		if err != nil {
			return err
		}
		resp, err := server.Client().Do(r)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	}
	if err := get(ctx, "/late"); err == nil {
		t.Fatal("answered")
	}
	idle, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	hungUp := make(chan error, 1)
	go func() { hungUp <- server.HangUp() }()
	if n, err := idle.Read(make([]byte, 1)); err == nil {
		t.Errorf("read %d bytes", n)
	}
	for range 1000 { // one that does not wait returns meanwhile
		runtime.Gosched()
	}
	if len(hungUp) > 0 {
		t.Error("hung up while a handler was running")
	}
	close(late)
	if err := <-hungUp; err != nil || !handled.Load() {
		t.Errorf("hung up with %v, handled is %t", err, handled.Load())
	}
	if err := get(t.Context(), "/"); err != nil {
		t.Errorf("after hanging up: %v", err)
	}
}
