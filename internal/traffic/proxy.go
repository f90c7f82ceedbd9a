// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
)

// Proxy is an HTTP proxy that leads from the hosts that it knows to the same port
// of loopback, and nowhere else.
func Proxy(knows func(host string) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, port, err := net.SplitHostPort(r.Host)
		if err != nil || !knows(host) {
			http.Error(w, "unknown host "+r.Host, http.StatusBadGateway)
			return
		}
		address := net.JoinHostPort("127.0.0.1", port)
		if r.Method == http.MethodConnect {
			tunnel(w, address)
			return
		}
		(&httputil.ReverseProxy{ErrorLog: log.New(io.Discard, "", 0), Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host = "http", address
			p.Out.Header.Set(ProxiedHeader, "yes")
		}}).ServeHTTP(w, r)
	})
}

func tunnel(w http.ResponseWriter, address string) {
	server, err := net.Dial("tcp", address) //nolint:gosec // it is a port of loopback, and a test
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer func() { _ = server.Close() }()
	client, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n")
	go func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	}()
	_, _ = io.Copy(client, server)
	_ = client.Close()
}
