// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/cosignkit/cosignkit/internal/traffic"
)

// TestMain fails when a test leaves a goroutine behind. The same binary is the
// other processes of TestConcurrentSigners.
func TestMain(m *testing.M) {
	flag.Parse()
	if ref := os.Getenv(signerProcessVariable); ref != "" {
		if err := signerProcess(ref); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	// net/http reads these once for the process, and uses no proxy for loopback.
	proxy := httptest.NewServer(http.HandlerFunc(serveProxy))
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY"} {
		if err := os.Setenv(name, proxy.URL); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		proxy.Close()
		os.Exit(code)
	}), goleak.IgnoreCurrent())
}

// proxiedName and proxiedIPv6 are hosts that the proxy takes for loopback, with
// the subdomains of the first.
const (
	proxiedName = "registry.proxied.test"
	proxiedIPv6 = "[2001:db8::1]"
)

// serveProxy is an HTTP proxy that knows those hosts.
func serveProxy(w http.ResponseWriter, r *http.Request) {
	host, port, err := net.SplitHostPort(r.Host)
	if err != nil || !strings.HasSuffix("."+host, "."+proxiedName) && "["+host+"]" != proxiedIPv6 {
		http.Error(w, "unknown host "+r.Host, http.StatusBadGateway)
		return
	}
	address := net.JoinHostPort("127.0.0.1", port)
	if r.Method != http.MethodConnect {
		(&httputil.ReverseProxy{ErrorLog: log.New(io.Discard, "", 0), Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host, p.Out.Host = "http", address, address
			p.Out.Header.Set(traffic.ProxiedHeader, "yes")
		}}).ServeHTTP(w, r)
		return
	}
	server, err := net.Dial("tcp", address)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	client, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	_, _ = io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n")
	go func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	}()
	_, _ = io.Copy(client, server)
	_ = client.Close()
}
