// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"net"
	"net/http"
	"net/http/httptest"
)

// Server is an HTTP server at loopback of which the connections can be waited for.
type Server struct {
	*httptest.Server
	connections Connections
}

// NewServer starts a server, which the caller closes.
func NewServer(handler http.Handler) *Server {
	s := &Server{Server: httptest.NewUnstartedServer(handler)}
	s.Config.ConnState = func(conn net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			s.connections.Begin(conn)
		case http.StateClosed, http.StateHijacked:
			s.connections.End(conn)
		}
	}
	s.Start()
	return s
}

// HangUp ends the connections there are, see [Connections.HangUp].
func (s *Server) HangUp() error {
	return s.connections.wait("tcp", s.Listener.Addr().String(), true)
}

// WaitClosed returns when clients have ended the connections there are.
func (s *Server) WaitClosed() error {
	return s.connections.wait("tcp", s.Listener.Addr().String(), false)
}
