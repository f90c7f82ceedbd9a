// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
)

// Server is an HTTP server at loopback that can hang up.
type Server struct {
	*httptest.Server

	mu      sync.Mutex
	open    map[string]bool // by the caller's address
	changed *sync.Cond
}

// NewServer starts a server, which the caller closes.
func NewServer(handler http.Handler) *Server {
	s := &Server{Server: httptest.NewUnstartedServer(handler), open: map[string]bool{}}
	s.changed = sync.NewCond(&s.mu)
	s.Config.ConnState = func(c net.Conn, state http.ConnState) {
		s.mu.Lock()
		defer s.mu.Unlock()
		switch state {
		case http.StateNew:
			s.open[c.RemoteAddr().String()] = true
		case http.StateClosed, http.StateHijacked:
			delete(s.open, c.RemoteAddr().String())
		}
		s.changed.Broadcast()
	}
	s.Start()
	return s
}

// HangUp ends the connections there are, and returns once their requests have
// been handled. Who counts what is asked from now on needs it: a verification gives
// up its other look-ups when one was enough, and those may be on their way.
//
// What is asked next over a connection that the caller did not yet see end may fail,
// unless it can be asked twice.
func (s *Server) HangUp() error {
	// Connections are accepted in the order in which they were made, this one last.
	last, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		return err
	}
	defer func() { _ = last.Close() }()
	s.wait(func() bool { return s.open[last.LocalAddr().String()] })
	s.mu.Lock()
	before := slices.Collect(maps.Keys(s.open))
	s.mu.Unlock()
	s.CloseClientConnections()
	s.wait(func() bool {
		return !slices.ContainsFunc(before, func(address string) bool { return s.open[address] })
	})
	return nil
}

// WaitClosed returns once no connection is open.
func (s *Server) WaitClosed() {
	s.wait(func() bool { return len(s.open) == 0 })
}

// wait returns once is, which is called with mu, says so.
func (s *Server) wait(is func() bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !is() {
		s.changed.Wait()
	}
}
