// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package registries

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/cosignkit/cosignkit/internal/e2e/distribution"
	"github.com/cosignkit/cosignkit/internal/traffic"
	"github.com/cosignkit/cosignkit/signing"
)

const onLoopback = "http: {addr: \"127.0.0.1:0\"}\n"

func tlsOnLoopback(tls string) string { return "http: {addr: \"127.0.0.1:0\", " + tls + "}\n" }

var settings = []struct {
	name  string
	setUp func(*setting)
}{
	{"plain HTTP by hosts.toml", func(s *setting) {
		s.hostsTOML("registry.test", "server = \"http://"+s.serve("origin", traffic.Way{}, onLoopback)+"\"\n", nil)
	}},
	{"a private certificate authority by hosts.toml", func(s *setting) {
		ca, tls := s.tls(false)
		address := s.serve("origin", traffic.Way{TLS: true}, tlsOnLoopback(tls))
		s.hostsTOML("registry.test", fmt.Sprintf("server = %q\nca = \"ca.pem\"\n", "https://"+address), map[string][]byte{"ca.pem": ca.PEM})
	}},
	{"a client certificate by hosts.toml", func(s *setting) {
		ca, tls := s.tls(true)
		pair := ok(ca.Issue("me"))
		address := s.serve("origin", traffic.Way{TLS: true}, tlsOnLoopback(tls))
		s.hostsTOML("registry.test", fmt.Sprintf("server = %q\nca = \"ca.pem\"\nclient = [[\"me.pem\", \"me-key.pem\"]]\n", "https://"+address),
			map[string][]byte{"ca.pem": ca.PEM, "me.pem": pair.Certificate, "me-key.pem": pair.Key})
	}},
	{"basic authentication, by what docker login writes", func(s *setting) {
		address := s.serve("origin", traffic.Way{}, s.users()+onLoopback)
		s.job.Ref = address + "/team/app:v1"
		s.login(address)
	}},
	{"a credential helper", func(s *setting) {
		address := s.serve("origin", traffic.Way{}, s.users()+onLoopback)
		s.job.Ref = address + "/team/app:v1"
		s.helper(address, "read host\n[ \"$1 $host\" = 'get "+address+"' ] && echo '{\"Username\":\"me\",\"Secret\":\"s3cret\"}'\n")
	}},
	{"a token server", func(s *setting) {
		tokens := s.tokens()
		s.then = func(outcome) { s.wantScopes(tokens, "app") }
	}},
	{"a token server, and signatures in another repository", func(s *setting) {
		tokens := s.tokens()
		s.job.SignatureRepository = "registry.test/team/signatures"
		s.then = func(outcome) { s.wantScopes(tokens, "app", "signatures") }
	}},
	{"a blob store that the registry redirects to", func(s *setting) {
		address := s.serveRedirecting()
		s.hostsTOML("registry.test", fmt.Sprintf("server = %q\n[header]\nX-Api-Key = \"SECRET\"\n", "http://"+address), nil)
		s.login(address)
		s.then = func(o outcome) {
			got := map[bool]bool{}
			for _, r := range s.log.Requests() {
				if r.Server != "store" {
					continue
				}
				for _, key := range []string{"Authorization", "X-Api-Key"} {
					if r.Header.Get(key) != "" {
						s.t.Errorf("%s %s at the blob store with %s", r.Method, r.URL, key)
					}
				}
				if r.Method == http.MethodGet && r.Status == http.StatusOK {
					got[slices.Contains(o.Parts, digest.Digest("sha256:"+filepath.Base(filepath.Dir(r.URL.Path))))] = true
				}
			}
			if !got[true] || !got[false] {
				s.t.Errorf("the store was asked for the image and for signatures: %v and %v", got[true], got[false])
			}
		}
	}},
	{"a proxy, with plain HTTP", func(s *setting) {
		s.viaProxy()
		name := "registry.test:" + portOf(s.serve("origin", traffic.Way{}, onLoopback))
		s.job.Ref, s.job.Insecure = name+"/team/app:v1", []string{name}
	}},
	{"a proxy, with a private certificate authority", func(s *setting) {
		s.viaProxy()
		ca, tls := s.tls(false)
		address := s.serve("origin", traffic.Way{TLS: true}, tlsOnLoopback(tls))
		s.hostsTOML("registry.test", fmt.Sprintf("server = \"https://registry.test:%s\"\nca = \"ca.pem\"\n", portOf(address)), map[string][]byte{"ca.pem": ca.PEM})
		s.then = func(outcome) {
			if !s.asked("proxy", http.MethodConnect, "") {
				s.t.Error("the proxy was not asked")
			}
		}
	}},
	{"an insecure registry that is not on loopback, with plain HTTP", func(s *setting) {
		s.inside("http: {addr: \"192.0.2.10:5000\"}\n")
	}},
	{"an insecure registry that is not on loopback, with an unknown certificate", func(s *setting) {
		_, tls := s.tls(false)
		s.inside(fmt.Sprintf("http: {addr: \"192.0.2.10:5000\", %s}\n", tls))
	}},
	{"an IPv6 address with plain HTTP", func(s *setting) {
		s.job.Ref = s.serve("origin", traffic.Way{}, "http: {addr: \"[::1]:0\"}\n") + "/team/app:v1"
	}},
	{"an IPv6 address with a private certificate authority", func(s *setting) {
		ca, tls := s.tls(false)
		address := s.serve("origin", traffic.Way{TLS: true}, fmt.Sprintf("http: {addr: \"[::1]:0\", %s}\n", tls))
		s.hostsTOML("registry.test", fmt.Sprintf("server = %q\nca = \"ca.pem\"\n", "https://"+address), map[string][]byte{"ca.pem": ca.PEM})
	}},
	{"a registry under a path prefix", func(s *setting) {
		address := s.serve("origin", traffic.Way{}, "http: {addr: \"127.0.0.1:0\", prefix: /under/here/}\n")
		s.hostsTOML("registry.test", fmt.Sprintf("server = \"http://%s/under/here/v2\"\noverride_path = true\n", address), nil)
	}},
	{"a mirror that pulls through", func(s *setting) {
		s.ignoredAgent = "Go-http-client/1.1" // which is the mirror's
		origin := s.serve("origin", traffic.Way{}, onLoopback)
		mirror := s.serve("mirror", traffic.Way{}, fmt.Sprintf("proxy: {remoteurl: \"http://%s\"}\n", origin)+onLoopback)
		s.hostsTOML("registry.test", fmt.Sprintf("server = \"http://%s\"\n[host.\"http://%s\"]\ncapabilities = [\"pull\", \"resolve\"]\n", origin, mirror), nil)
		s.then = func(outcome) {
			if s.asked("mirror", http.MethodPut, "") || !s.asked("mirror", http.MethodGet, ".sig") {
				s.t.Error("the mirror was written to, or not read from")
			}
		}
	}},
}

// TestRegistries goes through all flows with each setting.
func TestRegistries(t *testing.T) {
	t.Parallel()
	for _, test := range settings {
		for _, form := range []signing.Form{signing.Bundle, signing.Legacy} {
			t.Run(test.name+", "+string(form), func(t *testing.T) {
				t.Parallel()
				s := newSetting(t)
				test.setUp(s)
				s.job.Form, s.job.Dir = form, filepath.Join(s.dir, "job")
				o := s.job.do(t, s.env...)
				s.stop()
				if o.Error != "" {
					t.Fatal(o.Error)
				}
				if s.then != nil {
					s.then(o)
				}
				// This registry has no referrers API, and does not log that it was asked.
				if err := s.log.Check(o.Parts, traffic.Tag); err != nil {
					t.Error(err)
				}
				for _, r := range s.log.Requests() {
					if r.Server == "origin" && r.Agent != agent {
						t.Errorf("%s %s came as %+v", r.Method, r.URL, r.Way)
					}
				}
			})
		}
	}
}

// tokens serves an origin to who has tokens of a server of this process, which
// docker-registry checks by itself.
func (s *setting) tokens() *traffic.TokenServer {
	s.t.Helper()
	ca := ok(traffic.NewAuthority())
	tokens := ok(traffic.NewTokenServer(ca, "me", "s3cret"))
	tokens.Realm = s.http("tokens", tokens).URL + "/token"
	address := s.serve("origin", traffic.Way{}, fmt.Sprintf("auth: {token: {realm: %q, service: %q, issuer: %q, rootcertbundle: %q}}\n",
		tokens.Realm, tokens.Service, tokens.Issuer, s.write("tokens.pem", ca.PEM))+onLoopback)
	s.hostsTOML("registry.test", "server = \"http://"+address+"\"\n", nil)
	s.login(address)
	return tokens
}

// wantScopes wants that tokens to read and tokens to write were asked for, for
// each repository.
func (s *setting) wantScopes(tokens *traffic.TokenServer, repositories ...string) {
	s.t.Helper()
	for _, repository := range repositories {
		for _, actions := range []string{"pull", "pull,push"} {
			scope := "repository:team/" + repository + ":" + actions
			if !slices.ContainsFunc(tokens.Asked(), func(scopes []string) bool { return slices.Contains(scopes, scope) }) {
				s.t.Errorf("nobody asked for %s, only for %q", scope, tokens.Asked())
			}
		}
	}
}

// serveRedirecting serves an origin that sends readers of blobs to a store.
func (s *setting) serveRedirecting() string {
	s.t.Helper()
	store := s.http("store", http.FileServer(http.Dir(filepath.Join(s.dir, "origin", "data"))))
	return s.serve("origin", traffic.Way{}, s.users()+fmt.Sprintf("middleware: {storage: [{name: redirect, options: {baseurl: %q}}]}\n", store.URL)+onLoopback)
}

// inside has the job itself start the registry, in a network of its own.
func (s *setting) inside(config string) {
	name := "192.0.2.10:5000"
	s.job.Ref, s.job.Insecure = name+"/team/app:v1", []string{name}
	s.job.Inside = &inside{Binary: dockerRegistry, Address: "192.0.2.10", Config: distribution.Storage(s.dir) + config}
	s.then = func(o outcome) {
		for _, line := range o.Logged {
			s.logged(traffic.Way{Server: "origin"}, []byte(line))
		}
	}
}
