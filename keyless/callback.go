// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless

import (
	"cmp"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"html"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/internal/origin"
)

// callback is the server on loopback that a browser comes back to.
type callback struct {
	redirectURL string
	// answers has the one answer that counts: the first.
	answers chan answer

	path, state, issuer, page string

	taken  atomic.Bool
	result chan string // the page for the browser; closed for that of failure
	server *http.Server
	serves sync.WaitGroup
}

// answer is what the issuer had the browser bring.
type answer struct {
	code string
	err  error
}

// parseRedirect parses the URL to be sent back to.
func parseRedirect(redirectURL string) (*url.URL, error) {
	u, err := url.Parse(redirectURL)
	switch {
	case err != nil || u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, humanError{fmt.Errorf("redirect URL %s is not a plain http URL", quote(redirectURL))}
	case !origin.IsLoopback(u):
		return nil, humanError{fmt.Errorf("redirect URL %s is not of this machine: the login would be somebody else's", quote(redirectURL))}
	}
	return u, nil
}

// listen serves redirect, at the port that it has or a free one.
func listen(ctx context.Context, redirect *url.URL, state, issuer, page string) (*callback, error) {
	listeners, port, err := listenLoopback(ctx, redirect.Hostname(), cmp.Or(redirect.Port(), "0"))
	if err != nil {
		return nil, err
	}
	served := *redirect
	served.Host, served.Path = net.JoinHostPort(redirect.Hostname(), port), cmp.Or(redirect.Path, "/")
	s := &callback{
		redirectURL: served.String(), answers: make(chan answer, 1),
		path: served.Path, state: state, issuer: issuer, page: page, result: make(chan string, 1),
	}
	s.server = &http.Server{
		Handler:           s,
		ReadHeaderTimeout: limits.LoginPage * 10,
		MaxHeaderBytes:    limits.Token,
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	for _, listener := range listeners {
		s.serves.Go(func() { _ = s.server.Serve(listener) })
	}
	return s, nil
}

// listenLoopback listens at a port of host. That of localhost is of both
// families, as the browser may try either first: another program must not be
// there.
func listenLoopback(ctx context.Context, host, port string) (_ []net.Listener, _ string, err error) {
	var config net.ListenConfig
	if host != "localhost" {
		listener, err := config.Listen(ctx, "tcp", net.JoinHostPort(host, port))
		if err != nil {
			return nil, "", err
		}
		return []net.Listener{listener}, portOf(listener), nil
	}
	for range 16 { // The port that is free in one family may be taken in the other.
		var listeners []net.Listener
		if listeners, err = listenBoth(ctx, port); err == nil {
			return listeners, portOf(listeners[0]), nil
		}
		if port != "0" {
			break
		}
	}
	return nil, "", err
}

func listenBoth(ctx context.Context, port string) ([]net.Listener, error) {
	var config net.ListenConfig
	four, err := config.Listen(ctx, "tcp4", "127.0.0.1:"+port)
	if err != nil {
		return nil, err
	}
	if probe, err := config.Listen(ctx, "tcp6", "[::1]:0"); err != nil {
		return []net.Listener{four}, nil // This machine has no IPv6.
	} else {
		_ = probe.Close()
	}
	six, err := config.Listen(ctx, "tcp6", "[::1]:"+portOf(four))
	if err != nil {
		_ = four.Close()
		return nil, err
	}
	return []net.Listener{four, six}, nil
}

func portOf(listener net.Listener) string {
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return port
}

// ServeHTTP takes the issuer's answer from the browser. Whatever else comes, such
// as a request for an icon, is turned away and changes nothing.
func (s *callback) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path != s.path:
		writePage(w, http.StatusNotFound, notFoundPage)
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", http.MethodGet)
		writePage(w, http.StatusMethodNotAllowed, notFoundPage)
	case !s.taken.CompareAndSwap(false, true):
		writePage(w, http.StatusConflict, answeredPage)
	default:
		s.answers <- s.read(r.URL.Query())
		page, ok := <-s.result
		if !ok {
			writePage(w, http.StatusBadRequest, failurePage)
			return
		}
		writePage(w, http.StatusOK, page)
	}
}

// read reads the redirect of RFC 6749, section 4.1.2. A redirect with another
// state ends the login: either somebody tries to have the program log in as
// somebody else, or the issuer cannot be relied on.
func (s *callback) read(query url.Values) answer {
	if subtle.ConstantTimeCompare([]byte(query.Get("state")), []byte(s.state)) != 1 {
		return answer{err: errors.New("the state does not match: the browser brought an answer to another login")}
	}
	// RFC 9207: an answer of another issuer must not be taken for this one's.
	if issuer := query.Get("iss"); issuer != "" && issuer != s.issuer {
		return answer{err: fmt.Errorf("the browser brought an answer of another issuer, %s", quote(issuer))}
	}
	if code := query.Get("error"); code != "" {
		return answer{err: &oauthError{Code: code, Description: query.Get("error_description")}}
	}
	if query.Get("code") == "" {
		return answer{err: errors.New("the browser brought no code")}
	}
	return answer{code: query.Get("code")}
}

// succeed lets the browser show that the login succeeded, and for whom.
func (s *callback) succeed(token *oidc.IDToken) {
	var person struct {
		Email string `json:"email"`
	}
	_ = token.Claims(&person) // The page is as good without.
	s.result <- strings.ReplaceAll(s.page, identityPlace, html.EscapeString(cmp.Or(person.Email, token.Subject)))
}

// close lets the browser show that the login failed, unless it succeeded; waits
// until it has its page; and ends the server.
func (s *callback) close() {
	close(s.result)
	ctx, cancel := context.WithTimeout(context.Background(), limits.LoginPage)
	defer cancel()
	if s.server.Shutdown(ctx) != nil {
		_ = s.server.Close()
	}
	s.serves.Wait()
}
