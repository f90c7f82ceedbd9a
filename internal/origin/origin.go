// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package origin

import (
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

var (
	// ErrPlainHTTP is the cause when what is to be private would go over plain HTTP.
	ErrPlainHTTP = errors.New("plain HTTP to another machine is refused, since others can read it")
	// ErrRedirected is the cause when a server redirects a body with secrets.
	ErrRedirected = errors.New("a redirect to another server is refused for a request with a secret")
)

// Of returns the origin that u leads to: scheme, host and port (RFC 6454, section 4).
func Of(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// IsLoopback reports whether u is on this machine: by its address, or by the name
// that RFC 6761, section 6.3, reserves for that.
func IsLoopback(u *url.URL) bool {
	host := u.Hostname()
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// Rule says where the secrets of a client's requests may go. The zero Rule is the
// strict one.
type Rule struct {
	// Of names origins. Nil means [Of].
	Of func(*url.URL) string
	// Plain reports whether the user allowed secrets to go over plain HTTP to a URL
	// of another machine. Nil means that nothing is allowed.
	Plain func(*url.URL) bool
	// Header has the headers that are secrets besides the usual ones.
	Header http.Header
}

// Check returns [ErrPlainHTTP] unless secrets may go to u: over TLS, to this machine,
// or as Plain says.
func (r Rule) Check(u *url.URL) error {
	if u.Scheme == "https" || u.Scheme == "http" && (IsLoopback(u) || r.Plain != nil && r.Plain(u)) {
		return nil
	}
	return fmt.Errorf("%w: %.256q", ErrPlainHTTP, u.Scheme+"://"+u.Host)
}

// Confine takes from req, which the caller owns, the secrets that a redirect carried
// along from another origin. net/http keeps Authorization on the way to another port,
// to a subdomain and to plain HTTP, keeps other headers on the way to anywhere, names
// the last address with its query in Referer, and sends a body again on the statuses
// 307 and 308. An Authorization that the client has for the new origin is another one,
// and stays. A body that holds secrets cannot be left out: that is [ErrRedirected].
func (r Rule) Confine(req *http.Request) error {
	of := r.Of
	if of == nil {
		of = Of
	}
	to, left := of(req.URL), false
	for past := before(req); past != nil; past = before(past) {
		if of(past.URL) == to {
			continue
		}
		left = true
		if slices.Equal(past.Header["Authorization"], req.Header["Authorization"]) {
			req.Header.Del("Authorization")
		}
	}
	if !left {
		return nil
	}
	for _, name := range []string{"Cookie", "Referer", "Proxy-Authorization"} {
		req.Header.Del(name)
	}
	for name := range r.Header {
		req.Header.Del(name)
	}
	if isForm(req) {
		return fmt.Errorf("%w: %.256q", ErrRedirected, to)
	}
	return nil
}

// before returns the request whose answer redirected to req, or nil.
func before(req *http.Request) *http.Request {
	if req.Response == nil {
		return nil
	}
	return req.Response.Request
}

// HoldsSecret reports whether req has a secret in a usual place.
func HoldsSecret(req *http.Request) bool { return req.Header.Get("Authorization") != "" || isForm(req) }

// isForm reports whether req has the kind of body in which OAuth 2.0 has passwords,
// codes and refresh tokens (RFC 6749, appendix B), or one of no known kind. Content
// for a registry has another.
func isForm(req *http.Request) bool {
	mediaType, _, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
	return req.Body != nil && req.Body != http.NoBody && (err != nil || mediaType == "application/x-www-form-urlencoded")
}
