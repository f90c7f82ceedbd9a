// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package origin_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/cosignkit/cosignkit/internal/origin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func parse(t *testing.T, address string) *url.URL {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestOriginIsSchemeHostAndPort(t *testing.T) {
	t.Parallel()
	const own = "https://Registry.test/v2/"
	for address, same := range map[string]bool{
		"https://registry.test":           true,
		"https://registry.test:443/x?y":   true,
		"https://me:pw@registry.test/":    true,
		"http://registry.test":            false,
		"http://registry.test:443":        false,
		"https://registry.test:8443":      false,
		"https://blobs.registry.test":     false,
		"https://registry.test.evil.test": false,
		"https://registry.test@evil.test": false,
	} {
		if got := origin.Of(parse(t, address)) == origin.Of(parse(t, own)); got != same {
			t.Errorf("%s is the origin of %s: %t", address, own, got)
		}
	}
	if origin.Of(parse(t, "http://[::1]")) != origin.Of(parse(t, "http://[::1]:80/")) {
		t.Error("an IPv6 address has two origins")
	}
}

func TestSecretsGoOverTLSOrToThisMachine(t *testing.T) {
	t.Parallel()
	listed := func(u *url.URL) bool { return u.Host == "listed.test" }
	for address, allowed := range map[string]bool{
		"https://registry.test":       true,
		"http://127.0.0.1:5000":       true,
		"http://[::1]":                true,
		"http://localhost:5000":       true,
		"http://registry.test":        false,
		"http://0.0.0.0:5000":         false,
		"http://localhost.evil.test":  false,
		"http://listed.test":          true,
		"http://listed.test:8080":     false,
		"ftp://listed.test":           false,
		"//listed.test":               false,
		"http://127.0.0.1@evil.test/": false,
	} {
		err := origin.Rule{Plain: listed}.Check(parse(t, address))
		if allowed != (err == nil) || !allowed && !errors.Is(err, origin.ErrPlainHTTP) {
			t.Errorf("%s: %v", address, err)
		}
	}
	if (origin.Rule{}).Check(parse(t, "http://listed.test")) == nil {
		t.Error("the zero rule allows plain HTTP")
	}
}

// confined sends by a rule what goes to any host to one server.
type confined struct {
	rule origin.Rule
	http.Transport
}

func (c *confined) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	if err := c.rule.Confine(req); err != nil {
		return nil, err
	}
	return c.Transport.RoundTrip(req)
}

// redirecting returns a client of a server whose address /0 redirects to the first
// of the hosts, that to the second one, and so on; and what the last one was sent.
func redirecting(t *testing.T, status int, hosts ...string) (*http.Client, <-chan *http.Request) {
	t.Helper()
	last := make(chan *http.Request, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at := int(r.URL.Path[1] - '0')
		if at < len(hosts) {
			http.Redirect(w, r, hosts[at]+"/"+string(rune('1'+at))+"?state=SECRET", status)
			return
		}
		b, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(strings.NewReader(string(b)))
		last <- r
	}))
	t.Cleanup(server.Close)
	transport := &confined{rule: origin.Rule{Header: http.Header{"X-Api-Key": nil}}}
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}, last
}

func post(t *testing.T, contentType string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://own.test/0?state=SECRET", strings.NewReader("password=SECRET"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{
		"Authorization": {"SECRET"}, "Cookie": {"SECRET"}, "X-Api-Key": {"SECRET"}, "Proxy-Authorization": {"SECRET"},
		"Content-Type": {contentType},
	}
	return req
}

const form = "application/x-www-form-urlencoded"

// TestRedirectsTakeNoSecretAlong goes to other ports and subdomains of a host, for
// which net/http keeps credentials, by one step and by several.
func TestRedirectsTakeNoSecretAlong(t *testing.T) {
	t.Parallel()
	for _, hosts := range [][]string{
		{"http://evil.test"}, {"http://sub.own.test"}, {"http://own.test:8080"}, {"", "http://own.test:8080"},
		{"http://own.test:8080", ""}, {"http://own.test:8080", "http://own.test:8081"},
	} {
		for _, status := range []int{301, 302, 303, 307, 308} {
			client, last := redirecting(t, status, hosts...)
			resp, err := client.Do(post(t, "application/octet-stream"))
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			req := <-last
			for _, name := range []string{"Authorization", "Cookie", "X-Api-Key", "Proxy-Authorization", "Referer"} {
				if value := req.Header.Get(name); strings.Contains(value, "SECRET") {
					t.Errorf("%d to %q: %s is %q", status, hosts, name, value)
				}
			}
		}
	}
}

func TestRedirectsWithinAnOriginKeepSecrets(t *testing.T) {
	t.Parallel()
	for _, hosts := range [][]string{{""}, {"http://own.test"}, {"http://own.test:80", ""}} {
		client, last := redirecting(t, http.StatusTemporaryRedirect, hosts...)
		resp, err := client.Do(post(t, form))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		req := <-last
		body, _ := io.ReadAll(req.Body)
		if req.Header.Get("Authorization") != "SECRET" || req.Header.Get("X-Api-Key") != "SECRET" || string(body) != "password=SECRET" {
			t.Errorf("to %q: sent %v, %q", hosts, req.Header, body)
		}
	}
}

// TestRedirectedFormsAreRefused: a form is refused with the statuses that have it
// sent again, and left out with the others.
func TestRedirectedFormsAreRefused(t *testing.T) {
	t.Parallel()
	for _, contentType := range []string{form, form + "; charset=utf-8", "", "bad type;;"} {
		for status, refused := range map[int]bool{301: false, 302: false, 303: false, 307: true, 308: true} {
			client, last := redirecting(t, status, "http://own.test:8080")
			resp, err := client.Do(post(t, contentType))
			if refused {
				if !errors.Is(err, origin.ErrRedirected) || strings.Contains(err.Error(), "password") {
					t.Errorf("%d, %q: %v", status, contentType, err)
				}
				if len(last) > 0 {
					t.Errorf("%d, %q: sent", status, contentType)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if req := <-last; req.Method != http.MethodGet || req.ContentLength > 0 {
				t.Errorf("%d, %q: %s of %d bytes", status, contentType, req.Method, req.ContentLength)
			}
		}
	}
}

// TestAnotherAuthorizationStays: a client may have one for where it is sent.
func TestAnotherAuthorizationStays(t *testing.T) {
	t.Parallel()
	client, last := redirecting(t, http.StatusFound, "http://own.test:8080")
	client.CheckRedirect = func(req *http.Request, _ []*http.Request) error {
		req.Header.Set("Authorization", "ANOTHER")
		return nil
	}
	resp, err := client.Do(post(t, form))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if got := (<-last).Header.Get("Authorization"); got != "ANOTHER" {
		t.Errorf("sent %q", got)
	}
}

func TestHoldsSecret(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*http.Request)
		want   bool
	}{
		"a form":         {func(r *http.Request) { r.Header.Del("Authorization") }, true},
		"credentials":    {func(r *http.Request) { r.Body = http.NoBody }, true},
		"neither":        {func(r *http.Request) { r.Header.Del("Authorization"); r.Body = nil }, false},
		"content":        {func(r *http.Request) { r.Header = http.Header{"Content-Type": {"application/octet-stream"}} }, false},
		"a body unnamed": {func(r *http.Request) { r.Header = http.Header{} }, true},
	} {
		req := post(t, form)
		c.change(req)
		if got := origin.HoldsSecret(req); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
