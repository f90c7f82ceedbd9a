// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"flag"
	"fmt"
	"net/http/httptest"
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
	proxy := httptest.NewServer(traffic.Proxy(proxied))
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

func proxied(host string) bool {
	return strings.HasSuffix("."+host, "."+proxiedName) || "["+host+"]" == proxiedIPv6
}
