// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	gcrregistry "github.com/google/go-containerregistry/pkg/registry"

	"github.com/cosignkit/cosignkit/internal/traffic"
	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/signing"
)

// field is a registry as somebody has configured it.
type field struct {
	t   *testing.T
	log *traffic.Log

	config     registry.Config
	repository string // "registry.test/team/app" unless set
	// want says which way each request that was let in must have come.
	want func(traffic.Way) bool
	// then is run after the flows.
	then func(*traffic.Image)
}

// fields are the settings, one at a time, each of which all flows must obey, with
// the requests for signatures as with those for images.
var fields = []struct {
	name  string
	setUp func(*field)
}{
	{"plain HTTP by hosts.toml", func(f *field) {
		f.toml("server = %q\n", "http://"+f.serve("origin", newBackend(), nil, proxiedName))
		f.want = func(w traffic.Way) bool { return !w.TLS && w.Proxied }
	}},
	{"a private certificate authority by hosts.toml", func(f *field) {
		server, ca := f.serveTLS(false, newBackend())
		f.hostsDir("registry.test", map[string][]byte{"hosts.toml": fmt.Appendf(nil, "server = %q\nca = \"own.pem\"\n", "https://"+server), "own.pem": ca.PEM})
		f.want = func(w traffic.Way) bool { return w.TLS }
	}},
	{"a private certificate authority by a file as Docker has them", func(f *field) {
		server, ca := f.serveTLS(false, newBackend())
		f.repository = server + "/team/app"
		f.hostsDir(strings.Replace(server, ":", "_", 1)+"_", map[string][]byte{"own.crt": ca.PEM})
		f.want = func(w traffic.Way) bool { return w.TLS }
	}},
	{"a client certificate by hosts.toml", func(f *field) {
		server, ca := f.serveTLS(true, newBackend())
		pair := ok(ca.Issue("me"))
		f.hostsDir("registry.test", map[string][]byte{
			"hosts.toml": fmt.Appendf(nil, "server = %q\nca = \"own.pem\"\nclient = [[\"me.pem\", \"me-key.pem\"]]\n", "https://"+server),
			"own.pem":    ca.PEM, "me.pem": pair.Certificate, "me-key.pem": pair.Key,
		})
		f.want = func(w traffic.Way) bool { return w.Certificate == "me" }
	}},
	{"lists in hosts.toml", func(f *field) {
		server, ca := f.serveTLS(true, demanding("X-Tenant", "blue", newBackend()))
		pair, other := ok(ca.Issue("me")), ok(traffic.NewAuthority())
		f.hostsDir("registry.test", map[string][]byte{
			"hosts.toml": fmt.Appendf(nil, "server = %q\nca = [\"other.pem\", \"own.pem\"]\nclient = [\"both.pem\"]\n[header]\nX-Tenant = [\"blue\"]\n", "https://"+server),
			"own.pem":    ca.PEM, "other.pem": other.PEM, "both.pem": append(pair.Certificate, pair.Key...),
		})
		f.want = func(w traffic.Way) bool { return w.Certificate == "me" }
	}},
	{"several mirrors", func(f *field) {
		down := f.serve("down", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }), nil, proxiedName)
		lacks, origin := f.serve("lacks", http.NotFoundHandler(), nil, proxiedName), f.serve("origin", newBackend(), nil, proxiedName)
		f.toml("server = %q\n[host.%q]\ncapabilities = [\"pull\", \"resolve\"]\n[host.%q]\ncapabilities = [\"pull\"]\n", "http://"+origin, "http://"+down, "http://"+lacks)
		f.then = func(*traffic.Image) {
			for _, r := range f.log.Requests() {
				if r.Server == "lacks" && !strings.Contains(r.URL.Path, "sha256:") {
					f.t.Errorf("a mirror for digests was asked %s %s", r.Method, r.URL)
				}
			}
		}
	}},
	{"a client certificate by files as Docker has them", func(f *field) {
		server, ca := f.serveTLS(true, newBackend())
		pair := ok(ca.Issue("me"))
		f.repository = server + "/team/app"
		f.hostsDir(strings.Replace(server, ":", "_", 1)+"_", map[string][]byte{"own.crt": ca.PEM, "me.cert": pair.Certificate, "me.key": pair.Key})
		f.want = func(w traffic.Way) bool { return w.Certificate == "me" }
	}},
	{"a certificate that is not checked by hosts.toml", func(f *field) {
		server, _ := f.serveTLS(false, newBackend())
		f.toml("server = %q\nskip_verify = true\n", "https://"+server)
		f.want = func(w traffic.Way) bool { return w.TLS }
	}},
	{"a header by hosts.toml", func(f *field) {
		server, _ := f.serveTLS(false, demanding("X-Tenant", "blue", newBackend()))
		f.toml("server = %q\nskip_verify = true\n[header]\nX-Tenant = \"blue\"\n", "https://"+server)
	}},
	{"a user agent", func(f *field) {
		f.toml("server = %q\n", "http://"+f.serve("origin", newBackend(), nil, proxiedName))
		f.config.UserAgent = "tool/1.0"
		f.want = func(w traffic.Way) bool { return w.Agent == "tool/1.0" }
	}},
	{"a registry under a path prefix", func(f *field) {
		server, _ := f.serveTLS(false, under("/under/here", newBackend()))
		f.toml("server = %q\nskip_verify = true\noverride_path = true\n", "https://"+server+"/under/here/v2")
	}},
	{"hosts of the caller's", func(f *field) {
		ca := ok(traffic.NewAuthority())
		server := f.serve("origin", newBackend(), ok(ca.ServerTLS(false)), "127.0.0.1")
		f.want = func(w traffic.Way) bool { return w.TLS }
		f.config.Hosts = func(string) ([]docker.RegistryHost, error) {
			return []docker.RegistryHost{{
				Client: insecureHTTPClient, Host: server, Scheme: "https", Path: "/v2",
				Capabilities: docker.HostCapabilityPull | docker.HostCapabilityResolve | docker.HostCapabilityPush | docker.HostCapabilityReferrers,
			}}, nil
		}
	}},
	{"an insecure registry with plain HTTP", func(f *field) {
		server := f.serve("origin", newBackend(), nil, proxiedName)
		f.repository, f.config.InsecureRegistries = server+"/team/app", []string{server}
		f.want = func(w traffic.Way) bool { return !w.TLS && w.Proxied }
	}},
	{"an insecure registry with an unknown certificate", func(f *field) {
		server, _ := f.serveTLS(false, newBackend())
		f.repository, f.config.InsecureRegistries = server+"/team/app", []string{server}
		f.want = func(w traffic.Way) bool { return w.TLS }
	}},
	{"basic authentication", func(f *field) {
		server, _ := f.serveTLS(false, demandingUser(newBackend()))
		f.toml("server = %q\nskip_verify = true\n", "https://"+server)
		f.config.Credentials = f.credentialsFor(server)
		f.want = func(w traffic.Way) bool { return w.User == "me" }
	}},
	{"a token server", func(f *field) {
		tokens := f.withTokens()
		f.then = func(*traffic.Image) {
			if got := tokens.Asked(); !slices.ContainsFunc(got, has("repository:team/app:pull")) || !slices.ContainsFunc(got, has("repository:team/app:pull,push")) {
				f.t.Errorf("asked for %q", got)
			}
		}
	}},
	{"a token server, and signatures in another repository", func(f *field) {
		tokens := f.withTokens()
		f.config.SignatureRepository = "registry.test/team/signatures"
		f.then = func(*traffic.Image) {
			for _, repository := range []string{"app", "signatures"} {
				for _, actions := range []string{"pull", "pull,push"} {
					if scope := "repository:team/" + repository + ":" + actions; !slices.ContainsFunc(tokens.Asked(), has(scope)) {
						f.t.Errorf("nobody asked for %s, only for %q", scope, tokens.Asked())
					}
				}
			}
		}
	}},
	{"an insecure registry and its token server with unknown certificates", func(f *field) {
		ca := ok(traffic.NewAuthority())
		tokens := ok(traffic.NewTokenServer(ca, "me", "s3cret"))
		tokens.Realm = "https://" + f.serve("tokens", tokens, ok(ca.ServerTLS(false, "elsewhere.test")), "tokens."+proxiedName) + "/token"
		server, _ := f.serveTLS(false, tokens.Require(newBackend()))
		f.repository, f.config.InsecureRegistries = server+"/team/app", []string{server}
		f.config.Credentials = f.credentialsFor(server)
		f.want = func(w traffic.Way) bool { return w.TLS && (w.Bearer || w.Server == "tokens") }
	}},
	{"an IPv6 address with plain HTTP", func(f *field) {
		server := f.serve("origin", newBackend(), nil, proxiedIPv6)
		f.repository, f.config.InsecureRegistries = server+"/team/app", []string{server}
		f.want = func(w traffic.Way) bool { return !w.TLS && w.Proxied }
	}},
	{"an IPv6 address with a private certificate authority", func(f *field) {
		ca := ok(traffic.NewAuthority())
		server := f.serve("origin", newBackend(), ok(ca.ServerTLS(false, strings.Trim(proxiedIPv6, "[]"))), proxiedIPv6)
		f.hostsDir("registry.test", map[string][]byte{"hosts.toml": fmt.Appendf(nil, "server = %q\nca = \"own.pem\"\n", "https://"+server), "own.pem": ca.PEM})
		f.want = func(w traffic.Way) bool { return w.TLS }
	}},
	{"a blob store on another port", func(f *field) { f.redirecting("127.0.0.1", "127.0.0.1") }},
	{"a blob store on a subdomain", func(f *field) { f.redirecting(proxiedName, "blobs."+proxiedName) }},
	{"a blob store on another host", func(f *field) { f.redirecting(proxiedName, "localhost") }},
	{"a mirror that has nothing", func(f *field) { f.mirrored(http.NotFoundHandler()) }},
	{"a mirror that fails", func(f *field) {
		f.mirrored(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
	}},
	{"a mirror that has all", func(f *field) {
		backend := newBackend()
		origin := f.serve("origin", backend, nil, proxiedName)
		mirror := f.serve("mirror", backend, nil, proxiedName)
		f.toml("server = %q\n[host.%q]\ncapabilities = [\"pull\", \"resolve\", \"referrers\"]\n", "http://"+origin, "http://"+mirror)
		f.then = func(image *traffic.Image) {
			for _, r := range f.log.Requests() {
				// What is pushed is read back from where it was pushed to.
				if kind, _ := r.Kind(image.Parts); kind == traffic.Upload && r.Server != "origin" {
					f.t.Errorf("%s %s at the mirror", r.Method, r.URL)
				}
			}
		}
	}},
}

// TestRegistriesInTheField goes through all flows with each setting.
func TestRegistriesInTheField(t *testing.T) {
	t.Parallel()
	for _, test := range fields {
		for _, form := range []signing.Form{signing.Bundle, signing.Legacy} {
			t.Run(test.name+", "+string(form), func(t *testing.T) {
				t.Parallel()
				f := &field{t: t, log: &traffic.Log{}, repository: "registry.test/team/app"}
				test.setUp(f)
				flows := traffic.Flows{Config: f.config, Ref: f.repository + ":v1", Form: form, Dir: t.TempDir()}
				image, err := flows.Run(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if err := f.log.Check(image.Parts, traffic.Referrers, traffic.Tag); err != nil {
					t.Error(err)
				}
				for _, r := range f.log.Requests() {
					if f.want != nil && r.Status != http.StatusUnauthorized && !f.want(r.Way) {
						t.Errorf("%s %s came as %+v", r.Method, r.URL, r.Way)
					}
				}
				if f.then != nil {
					f.then(image)
				}
			})
		}
	}
}

func ok[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// has is whether the scopes of a token have one.
func has(scope string) func([]string) bool {
	return func(scopes []string) bool { return slices.Contains(scopes, scope) }
}

func newBackend() http.Handler {
	return gcrregistry.New(gcrregistry.Logger(log.New(io.Discard, "", 0)), gcrregistry.WithReferrersSupport(true))
}

// serve serves a registry, which is called name in the log, and returns the port
// of host that it is found at. Any host but loopback is one of the proxy's.
func (f *field) serve(name string, handler http.Handler, config *tls.Config, host string) string {
	f.t.Helper()
	server := httptest.NewUnstartedServer(f.log.Handler(name, handler))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	if config == nil {
		server.Start()
	} else {
		server.TLS = config
		server.StartTLS()
	}
	f.t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		f.t.Fatal(err)
	}
	return host + ":" + port
}

// serveTLS serves the origin behind a certificate of an authority of its own.
func (f *field) serveTLS(clientsNeedOne bool, handler http.Handler) (server string, ca *traffic.Authority) {
	f.t.Helper()
	ca = ok(traffic.NewAuthority())
	return f.serve("origin", handler, ok(ca.ServerTLS(clientsNeedOne, proxiedName)), proxiedName), ca
}

func (f *field) hostsDir(name string, files map[string][]byte) {
	f.t.Helper()
	root := f.t.TempDir()
	dir := filepath.Join(root, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		f.t.Fatal(err)
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			f.t.Fatal(err)
		}
	}
	// The first directory knows no registry.
	f.config.HostsDirs = []string{f.t.TempDir(), root}
}

// toml writes a hosts.toml for registry.test.
func (f *field) toml(format string, args ...any) {
	f.t.Helper()
	f.hostsDir("registry.test", map[string][]byte{"hosts.toml": fmt.Appendf(nil, format, args...)})
}

// under serves a registry below a prefix.
func under(prefix string, next http.Handler) http.Handler {
	return http.StripPrefix(prefix, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := newRecorder()
		next.ServeHTTP(rec, r)
		if location := rec.header.Get("Location"); location != "" {
			rec.header.Set("Location", prefix+location)
		}
		maps.Copy(w.Header(), rec.header)
		w.WriteHeader(rec.status)
		_, _ = w.Write(rec.body.Bytes())
	}))
}

// demanding answers only requests that have a header.
func demanding(key, value string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(key) != value {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// demandingUser answers only one user.
func demandingUser(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, secret, ok := r.BasicAuth(); !ok || user != "me" || secret != "s3cret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// credentialsFor has the credentials of one host, and is asked for no other's.
func (f *field) credentialsFor(host string) func(string) (string, string, error) {
	return func(asked string) (string, string, error) {
		if asked != host {
			f.t.Errorf("asked for the credentials of %s", asked)
		}
		return "me", "s3cret", nil
	}
}

// withTokens serves the origin to who has a token of a server that is elsewhere. The
// token server wants to see all that is configured for the registry, too.
func (f *field) withTokens() *traffic.TokenServer {
	f.t.Helper()
	ca := ok(traffic.NewAuthority())
	config := ok(ca.ServerTLS(true, proxiedName, "tokens."+proxiedName))
	tokens := ok(traffic.NewTokenServer(ca, "me", "s3cret"))
	tokens.Realm = "https://" + f.serve("tokens", demanding("X-Tenant", "blue", tokens), config, "tokens."+proxiedName) + "/token"
	server := f.serve("origin", demanding("X-Tenant", "blue", tokens.Require(newBackend())), config, proxiedName)
	pair := ok(ca.Issue("me"))
	f.hostsDir("registry.test", map[string][]byte{
		"hosts.toml": fmt.Appendf(nil, "server = %q\nca = \"own.pem\"\nclient = [[\"me.pem\", \"me-key.pem\"]]\n[header]\nX-Tenant = \"blue\"\n", "https://"+server),
		"own.pem":    ca.PEM, "me.pem": pair.Certificate, "me-key.pem": pair.Key,
	})
	f.config.Credentials = f.credentialsFor(server)
	f.config.UserAgent = "tool/1.0"
	f.want = func(w traffic.Way) bool {
		return w.Certificate == "me" && w.Agent == "tool/1.0" && (w.Bearer || w.Server == "tokens")
	}
	return tokens
}

// redirecting serves a registry on host that keeps its blobs at another server,
// which must not see what the registry itself gets to see.
func (f *field) redirecting(host, storeHost string) {
	f.t.Helper()
	backend := newBackend()
	store := "http://" + f.serve("store", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, key := range []string{"Authorization", "X-Api-Key"} {
			if got := r.Header.Get(key); got != "" {
				f.t.Errorf("%s %s at the blob store with %s: %s", r.Method, r.URL, key, got)
			}
		}
		backend.ServeHTTP(w, r)
	}), nil, storeHost)
	server := f.serve("origin", demanding("X-Api-Key", "SECRET", demandingUser(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/"):
			http.Redirect(w, r, store+r.URL.RequestURI(), http.StatusTemporaryRedirect)
		case r.Method == http.MethodPost:
			rec := newRecorder()
			backend.ServeHTTP(rec, r)
			w.Header().Set("Location", store+rec.header.Get("Location"))
			w.WriteHeader(rec.status)
		default:
			backend.ServeHTTP(w, r)
		}
	}))), nil, host)
	f.toml("server = %q\n[header]\nX-Api-Key = \"SECRET\"\n", "http://"+server)
	f.config.Credentials = f.credentialsFor(server)
	f.then = func(image *traffic.Image) {
		kinds := map[string]bool{}
		for _, r := range f.log.Requests() {
			if kind, ofImage := r.Kind(image.Parts); r.Server == "store" {
				kinds[fmt.Sprint(kind, ofImage, r.Method)] = true
			}
		}
		for _, want := range []string{"blobtrueGET", "blobfalseGET", "uploadtruePUT", "uploadfalsePUT"} {
			if !kinds[want] {
				f.t.Errorf("the blob store got %v, and no %s", kinds, want)
			}
		}
	}
}

// mirrored serves an origin behind a mirror that answers as told.
func (f *field) mirrored(mirror http.Handler) {
	f.t.Helper()
	origin := f.serve("origin", newBackend(), nil, proxiedName)
	f.toml("server = %q\n[host.%q]\ncapabilities = [\"pull\", \"resolve\", \"referrers\"]\n",
		"http://"+origin, "http://"+f.serve("mirror", mirror, nil, proxiedName))
}
