// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/containerd/v2/core/remotes/docker/auth"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/internal/origin"
	"github.com/cosignkit/cosignkit/verify"
)

// server is the one that a host's configuration is for, and to which the secrets of
// that configuration go.
type server struct {
	host string
	// name is its origin, and plain the one that it has where it speaks plain HTTP.
	name, plain string
	// header is what the configuration adds to requests. It can be credentials.
	header http.Header
	// insecure are the hosts that may be spoken to over plain HTTP.
	insecure []string
	// isPlain is set where it may itself: where it is said to be insecure, and where
	// containerd has gone over to plain HTTP, as it does on loopback.
	isPlain atomic.Bool
}

func newServer(host docker.RegistryHost, insecure []string) *server {
	s := &server{
		host: host.Host, name: originOf(host.Scheme, host.Host), plain: originOf("http", host.Host),
		header: host.Header, insecure: insecure,
	}
	s.isPlain.Store(host.Scheme == "http")
	return s
}

func originOf(scheme, host string) string {
	return origin.Of(&url.URL{Scheme: scheme, Host: host})
}

// note keeps whether an answer came over plain HTTP that was asked for over TLS.
func (s *server) note(req *http.Request, resp *http.Response) {
	if origin.Of(req.URL) == s.name && resp.Request != nil && resp.Request.URL.Scheme != req.URL.Scheme {
		s.isPlain.Store(true)
	}
}

// nameOf is the origin of u, but that the server has one, however it is spoken to.
func (s *server) nameOf(u *url.URL) string {
	name := origin.Of(u)
	if name == s.plain && s.isPlain.Load() {
		return s.name
	}
	return name
}

// rule is that of the server's secrets.
func (s *server) rule() origin.Rule {
	return origin.Rule{Of: s.nameOf, Plain: s.mayBePlain, Header: s.header}
}

// mayBePlain reports whether the user has the server's secrets go over plain HTTP
// to u: to the server itself where it is spoken to so, on any port, since it may
// serve its tokens on another one; and to hosts that are listed as insecure.
func (s *server) mayBePlain(u *url.URL) bool {
	own := url.URL{Host: s.host}
	return s.isPlain.Load() && strings.EqualFold(own.Hostname(), u.Hostname()) || slices.Contains(s.insecure, u.Host)
}

// keepSecrets takes from a request to another server what is for the host alone.
// Headers of a host's configuration can be credentials: containerd takes them along
// to wherever it has uploads go. For containerd's authorizers, the same host by
// another scheme is the same.
func (s *server) keepSecrets(req *http.Request) error {
	if s.nameOf(req.URL) != s.name {
		for key := range s.header {
			req.Header.Del(key)
		}
	}
	rule := s.rule()
	if rule.Check(req.URL) != nil {
		req.Header.Del("Authorization")
	}
	return rule.Confine(req)
}

// credentials are those for the server alone: a host that it redirects to, or has an
// upload go to, can ask for credentials as well, and not every function looks at
// the host that it is asked about.
func (s *server) credentials(all func(string) (string, string, error)) func(string) (string, string, error) {
	if all == nil {
		return nil
	}
	return func(host string) (string, string, error) {
		if scheme, _, _ := strings.Cut(s.name, ":"); originOf(scheme, host) != s.name {
			return "", "", nil
		}
		return all(s.host)
	}
}

// checkRealm refuses a challenge that has credentials go where they must not. The
// token server may be another host, as it is for Docker Hub.
func (s *server) checkRealm(header http.Header) error {
	for _, challenge := range auth.ParseAuthHeader(header) {
		if challenge.Scheme != auth.BearerAuth {
			continue
		}
		realm, err := url.Parse(challenge.Parameters["realm"])
		if err != nil {
			return errors.New("the registry names a token server that is no URL")
		}
		if err := s.checkTokenServer(realm); err != nil {
			return err
		}
	}
	return nil
}

func (s *server) checkTokenServer(u *url.URL) error {
	if err := s.rule().Check(u); err != nil {
		return fmt.Errorf("token server: %w; if that is meant, list the host as an insecure registry", err)
	}
	return nil
}

// tokenClient is for an authorizer of server to ask token servers with. Which these
// are, the server says; they get its configured headers from the authorizer.
func tokenClient(client *http.Client, server *server) *http.Client {
	guarded := *client
	guarded.Transport = tokenTransport{guardedTransport{client.Transport, server.note, server.keepForTokens, &rank{}}}
	return &guarded
}

// keepForTokens is keepSecrets for requests to token servers, which hold credentials.
func (s *server) keepForTokens(req *http.Request) error {
	if err := s.checkTokenServer(req.URL); err != nil {
		return err
	}
	return s.rule().Confine(req)
}

type tokenTransport struct{ guardedTransport }

// RoundTrip reads no more than a token, also for what moves an image.
func (t tokenTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.guardedTransport.RoundTrip(req.WithContext(own(req.Context(), limits.Token)))
	if err != nil {
		return nil, noToken(err)
	}
	resp.Body = tokenBody{resp.Body}
	return resp, nil
}

type tokenBody struct{ io.ReadCloser }

func (b tokenBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // which readers return as it is
		err = noToken(err)
	}
	return n, err
}

// noToken is about an image that nobody has looked at yet.
func noToken(err error) error {
	return fault.New(verify.ErrInconclusive, "fetch token", "", "", redacted{err})
}

// closed ends a request that is not sent, whose body somebody may be writing.
func closed(req *http.Request, err error) error {
	if req.Body != nil {
		_ = req.Body.Close()
	}
	return err
}
