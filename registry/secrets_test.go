// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/cosignkit/cosignkit/internal/traffic"
	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// stranger is a server for which nobody's secrets are.
type stranger struct {
	url string

	mu    sync.Mutex
	heard []string
}

// newStranger answers with answer what it is sent, over TLS or not.
func newStranger(t *testing.T, overTLS bool, answer http.HandlerFunc) *stranger {
	t.Helper()
	s := &stranger{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		dump, err := httputil.DumpRequest(r, true)
		if err != nil {
			t.Error(err)
		}
		s.mu.Lock()
		s.heard = append(s.heard, string(dump))
		s.mu.Unlock()
		answer(w, r)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	if overTLS {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	// A name, since go-containerregistry goes to no address of loopback.
	s.url = strings.Replace(server.URL, "127.0.0.1", "stranger.test", 1)
	return s
}

// strangerTo is one that the clients of config would go to with what they have:
// net/http keeps Authorization on the way to another port, and go-containerregistry
// forwards bodies over TLS.
func strangerTo(t *testing.T, config registry.Config, answer http.HandlerFunc) *stranger {
	t.Helper()
	if config.Resolver != nil {
		return newStranger(t, true, answer)
	}
	s := newStranger(t, false, answer)
	s.url = strings.Replace(s.url, "stranger.test", "127.0.0.1", 1)
	return s
}

// wantNoSecret returns how many requests it heard.
func (s *stranger) wantNoSecret(t *testing.T) int {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, request := range s.heard {
		for _, secret := range []string{"s3cret", base64.StdEncoding.EncodeToString([]byte("me:s3cret"))} {
			if strings.Contains(request, secret) {
				t.Errorf("a secret is in:\n%s", request)
			}
		}
	}
	return len(s.heard)
}

// anyHost is a transport by which every name is on this machine.
func anyHost(t *testing.T) *http.Transport {
	t.Helper()
	transport := insecureHTTPClient.Transport.(*http.Transport).Clone()
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
	}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// containerdHosts are those of a tool for one registry over plain HTTP, with
// containerd's own authorizer. Its token client is the tool's.
func containerdHosts(t *testing.T, reg *testRegistry, user, secret string) docker.RegistryHosts {
	t.Helper()
	client := &http.Client{Transport: anyHost(t)}
	return func(string) ([]docker.RegistryHost, error) {
		return []docker.RegistryHost{{
			Client: client, Host: reg.host, Scheme: "http", Path: "/v2",
			Authorizer: docker.NewDockerAuthorizer(docker.WithAuthClient(client),
				docker.WithAuthCreds(func(string) (string, string, error) { return user, secret, nil })),
			Capabilities: docker.HostCapabilityPull | docker.HostCapabilityResolve | docker.HostCapabilityPush | docker.HostCapabilityReferrers,
		}}, nil
	}
}

// secretKinds are the clients of each kind with each kind of secret.
func secretKinds(t *testing.T) map[string]registry.Config {
	t.Helper()
	kinds := map[string]registry.Config{}
	for name, user := range map[string]string{"password": "me", "refresh token": ""} {
		kinds["containerd, "+name] = registry.Config{
			Credentials: func(string) (string, string, error) { return user, "s3cret", nil },
		}
	}
	for name, auth := range map[string]authn.AuthConfig{
		"password":       {Username: "me", Password: "s3cret"},
		"identity token": {IdentityToken: "s3cret"},
		"registry token": {RegistryToken: "s3cret"},
	} {
		kinds["go-containerregistry, "+name] = registry.Config{
			Resolver: registry.RemoteResolver(anyHost(t), nil, remote.WithAuth(authn.FromConfig(auth))),
		}
	}
	return kinds
}

// TestTokenServersRedirectTakesNoSecret: the password is in the body of a POST, or in
// the Authorization of a GET, and a redirect with the right status takes along both.
func TestTokenServersRedirectTakesNoSecret(t *testing.T) {
	t.Parallel()
	for kind, config := range secretKinds(t) {
		for _, status := range []int{301, 302, 303, 307, 308} {
			for _, method := range []string{http.MethodPost, http.MethodGet} {
				t.Run(fmt.Sprintf("%s, %d for %s", kind, status, method), func(t *testing.T) {
					t.Parallel()
					reg, _, verifier, _ := signedImage(t, true, signing.Bundle)
					other := strangerTo(t, config, grantToken)
					withTokens(reg, func(w http.ResponseWriter, r *http.Request) {
						if r.Method != method {
							w.WriteHeader(http.StatusNotFound) // and GET is tried
							return
						}
						http.Redirect(w, r, other.url+"/token", status)
					})
					_, err := newClient(t, config).Verify(t.Context(), reg.ref("app:v1"), verifier)
					heard := other.wantNoSecret(t)
					if config.Resolver == nil && method == http.MethodPost && status >= 307 {
						wantFamily(t, err, verify.ErrInconclusive)
						wantText(t, err, "a redirect to another server is refused")
						if heard > 0 {
							t.Error("the other server was asked")
						}
					}
				})
			}
		}
	}
}

// TestConfiguredHeadersTakeNoTokenServersRedirect: the token server that the registry
// names has the headers of hosts.toml, and nobody that it redirects to.
func TestConfiguredHeadersTakeNoTokenServersRedirect(t *testing.T) {
	t.Parallel()
	reg, _, verifier, _ := signedImage(t, true, signing.Bundle)
	other := strangerTo(t, registry.Config{}, grantToken)
	asked := make(chan string, 16)
	withTokens(reg, func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Header.Get("X-Api-Key")
		http.Redirect(w, r, other.url+"/token", http.StatusFound)
	})
	c := newClient(t, registry.Config{HostsDirs: []string{hostsDir(t, "registry.test", fmt.Sprintf(
		"server = %q\n[header]\nX-Api-Key = \"s3cret\"\n", reg.url), nil)}})
	if _, err := c.Verify(t.Context(), "registry.test/app:v1", verifier); err != nil {
		t.Error(err)
	}
	if got := <-asked; got != "s3cret" {
		t.Errorf("the token server was sent %q", got)
	}
	if other.wantNoSecret(t) == 0 {
		t.Error("the other server was not asked")
	}
}

// TestTokenServerOverPlainHTTPIsRefused: neither a registry over TLS nor one over
// plain HTTP has credentials go to another machine in the clear.
func TestTokenServerOverPlainHTTPIsRefused(t *testing.T) {
	t.Parallel()
	realmOf := func(s *stranger) string { // which a proxy leads to
		return strings.Replace(s.url, "stranger.test", proxiedName, 1) + "/token"
	}
	challenge := func(w http.ResponseWriter, realm string) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+realm+`",service="test"`)
		w.WriteHeader(http.StatusUnauthorized)
	}
	credentials := func(string) (string, string, error) { return "me", "s3cret", nil }
	t.Run("of a registry over TLS", func(t *testing.T) {
		t.Parallel()
		other := newStranger(t, false, grantToken)
		host, ca := tlsRegistry(t, func(w http.ResponseWriter, _ *http.Request) bool { challenge(w, realmOf(other)); return false })
		dir := hostsDir(t, "registry.test", fmt.Sprintf("server = %q\nca = \"ca.crt\"\n", "https://"+host), map[string][]byte{"ca.crt": ca})
		for _, listed := range [][]string{nil, {proxiedName}} {
			c := newClient(t, registry.Config{HostsDirs: []string{dir}, Credentials: credentials, InsecureRegistries: listed})
			_, err := c.Verify(t.Context(), "registry.test/app:v1", verifierOf(t, newKey(t)))
			wantFamily(t, err, verify.ErrInconclusive)
			wantText(t, err, "token server: plain HTTP to another machine is refused")
		}
		if other.wantNoSecret(t) > 0 {
			t.Error("the token server was asked")
		}
	})
	t.Run("that one over TLS redirects to", func(t *testing.T) {
		t.Parallel()
		other := newStranger(t, false, grantToken)
		host, ca := tlsRegistry(t, func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/token" {
				http.Redirect(w, r, realmOf(other), http.StatusFound)
			} else {
				challenge(w, "https://"+r.Host+"/token")
			}
			return false
		})
		dir := hostsDir(t, "registry.test", fmt.Sprintf("server = %q\nca = \"ca.crt\"\n", "https://"+host), map[string][]byte{"ca.crt": ca})
		c := newClient(t, registry.Config{HostsDirs: []string{dir}, Credentials: credentials})
		_, err := c.Verify(t.Context(), "registry.test/app:v1", verifierOf(t, newKey(t)))
		wantFamily(t, err, verify.ErrInconclusive)
		wantText(t, err, "token server: plain HTTP to another machine is refused")
		if other.wantNoSecret(t) > 0 {
			t.Error("the other server was asked")
		}
	})
	t.Run("unless its host is listed", func(t *testing.T) {
		t.Parallel()
		other := newStranger(t, false, grantToken)
		reg, _, verifier, _ := signedImage(t, true, signing.Bundle)
		reg.onRequest(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if r.Header.Get("Authorization") != "Bearer good" {
				challenge(w, realmOf(other))
				return
			}
			next.ServeHTTP(w, r)
		})
		host := strings.TrimSuffix(strings.TrimPrefix(realmOf(other), "http://"), "/token")
		c := newClient(t, registry.Config{Credentials: credentials, InsecureRegistries: []string{host}})
		if _, err := c.Verify(t.Context(), reg.ref("app:v1"), verifier); err != nil {
			t.Error(err)
		}
		if !strings.Contains(strings.Join(other.heard, ""), "password=s3cret") {
			t.Error("the token server was not sent the password")
		}
	})
	for name, config := range map[string]func(reg *testRegistry) registry.Config{
		"of a registry over plain HTTP": func(*testRegistry) registry.Config { return registry.Config{Credentials: credentials} },
		"where the authorizer is the tool's": func(reg *testRegistry) registry.Config {
			return registry.Config{Hosts: containerdHosts(t, reg, "me", "s3cret")}
		},
		"where the transport is another": func(*testRegistry) registry.Config {
			return remoteConfig(t, authn.AuthConfig{Username: "me", Password: "s3cret"})
		},
		"where the secret is an identity token": func(*testRegistry) registry.Config { return remoteConfig(t, authn.AuthConfig{IdentityToken: "s3cret"}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			other := newStranger(t, false, grantToken)
			reg, _, verifier, _ := signedImage(t, true, signing.Bundle)
			reg.onRequest(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { challenge(w, other.url+"/token") })
			_, err := newClient(t, config(reg)).Verify(t.Context(), reg.ref("app:v1"), verifier)
			wantFamily(t, err, verify.ErrInconclusive)
			wantText(t, err, "plain HTTP to another machine is refused")
			if other.wantNoSecret(t) > 0 {
				t.Error("the token server was asked")
			}
		})
	}
}

func remoteConfig(t *testing.T, auth authn.AuthConfig) registry.Config {
	t.Helper()
	return registry.Config{Resolver: registry.RemoteResolver(anyHost(t), nil, remote.WithAuth(authn.FromConfig(auth)))}
}

// TestTokenServerOnAnotherHost: over TLS, it gets what the user configured for the
// registry, as that of Docker Hub does.
func TestTokenServerOnAnotherHost(t *testing.T) {
	t.Parallel()
	token, ca := tlsRegistry(t, func(w http.ResponseWriter, r *http.Request) bool {
		if r.PostFormValue("password") != "s3cret" {
			t.Error("the token server was not sent the password")
		}
		grantToken(w, r)
		return false
	})
	reg, _, verifier, _ := signedImage(t, true, signing.Bundle)
	reg.onRequest(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Header.Get("Authorization") == "Bearer good" {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="https://`+token+`/token",service="test"`)
		w.WriteHeader(http.StatusUnauthorized)
	})
	dir := hostsDir(t, "registry.test", fmt.Sprintf("server = %q\nca = \"ca.crt\"\n", reg.url), map[string][]byte{"ca.crt": ca})
	c := newClient(t, registry.Config{HostsDirs: []string{dir}, Credentials: func(string) (string, string, error) { return "me", "s3cret", nil }})
	if _, err := c.Verify(t.Context(), "registry.test/app:v1", verifier); err != nil {
		t.Error(err)
	}
}

// TestCredentialsAreForTheRegistryAlone: a blob store can ask for some as well, and
// the function that has them may look at no host.
func TestCredentialsAreForTheRegistryAlone(t *testing.T) {
	t.Parallel()
	for _, challenge := range []string{`Basic realm="store"`, `Bearer realm="URL/token",service="store"`} {
		for kind, config := range secretKinds(t) {
			t.Run(challenge[:6]+", "+kind, func(t *testing.T) {
				t.Parallel()
				reg, _, verifier, _ := signedImage(t, true, signing.Bundle)
				var other *stranger
				other = strangerTo(t, config, func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/token" {
						grantToken(w, r)
						return
					}
					w.Header().Set("WWW-Authenticate", strings.Replace(challenge, "URL", other.url, 1))
					w.WriteHeader(http.StatusUnauthorized)
				})
				reg.onRequest(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
					if lookUps["signature blobs"](r) {
						http.Redirect(w, r, other.url+r.URL.Path, http.StatusTemporaryRedirect)
						return
					}
					next.ServeHTTP(w, r)
				})
				_, err := newClient(t, config).Verify(t.Context(), reg.ref("app:v1"), verifier)
				wantFamily(t, err, verify.ErrInconclusive)
				if other.wantNoSecret(t) == 0 {
					t.Error("the blob store was not asked")
				}
			})
		}
	}
}

// TestUploadsElsewhereTakeNoCredentials: a registry names another server for what is
// uploaded.
func TestUploadsElsewhereTakeNoCredentials(t *testing.T) {
	t.Parallel()
	for kind, config := range secretKinds(t) {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			reg, _, _, _ := signedImage(t, true, signing.Bundle)
			other := strangerTo(t, config, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
			withTokens(reg, grantToken)
			authorized := reg.intercept
			reg.onRequest(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if strings.HasPrefix(kind, "go-containerregistry, registry token") && r.Header.Get("Authorization") == "Bearer s3cret" {
					r.Header.Set("Authorization", "Bearer good")
				}
				if r.Method == http.MethodPost && strings.Contains(r.URL.Path, "/uploads/") && r.Header.Get("Authorization") != "" {
					w.Header().Set("Location", other.url+r.URL.Path+"1")
					w.WriteHeader(http.StatusAccepted)
					return
				}
				authorized(w, r, next)
			})
			_, err := newClient(t, config).Sign(t.Context(), reg.ref("app:v1"), signerOf(t, newKey(t)))
			wantFamily(t, err, verify.ErrInconclusive)
			if other.wantNoSecret(t) == 0 {
				t.Error("the other server was not asked")
			}
		})
	}
}

// TestProxySeesItsOwnCredentialsAlone, and the registry behind it sees none of the
// proxy's.
func TestProxySeesItsOwnCredentialsAlone(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var proxied, served []http.Header
	forward := traffic.Proxy(func(string) bool { return true })
	proxy := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		proxied = append(proxied, r.Header.Clone())
		mu.Unlock()
		if r.Method != http.MethodConnect {
			t.Errorf("the proxy was asked to %s", r.Method)
		}
		forward.ServeHTTP(w, r)
	}))
	proxy.Config.ErrorLog = log.New(io.Discard, "", 0)
	proxy.Start()
	t.Cleanup(proxy.Close)
	host, _ := tlsRegistry(t, func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		served = append(served, r.Header.Clone())
		mu.Unlock()
		if _, _, ok := r.BasicAuth(); !ok {
			w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			w.WriteHeader(http.StatusUnauthorized)
			return false
		}
		return true
	})
	transport := insecureHTTPClient.Transport.(*http.Transport).Clone()
	transport.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: strings.TrimPrefix(proxy.URL, "http://"), User: url.UserPassword("proxy", "pr0xy")})
	t.Cleanup(transport.CloseIdleConnections)
	c := newClient(t, registry.Config{Hosts: func(string) ([]docker.RegistryHost, error) {
		return []docker.RegistryHost{{
			Client: &http.Client{Transport: transport}, Host: host, Scheme: "https", Path: "/v2",
			Authorizer:   docker.NewDockerAuthorizer(docker.WithAuthCreds(func(string) (string, string, error) { return "me", "s3cret", nil })),
			Capabilities: docker.HostCapabilityPull | docker.HostCapabilityResolve,
		}}, nil
	}})
	_, err := c.Verify(t.Context(), "registry.test/app:v1", verifierOf(t, newKey(t)))
	wantFamily(t, err, verify.ErrInconclusive) // there is no such image
	mu.Lock()
	defer mu.Unlock()
	if len(proxied) == 0 || len(served) < 2 || served[len(served)-1].Get("Authorization") == "" {
		t.Fatalf("the proxy had %d requests, and the registry %v", len(proxied), served)
	}
	for _, header := range proxied {
		if header.Get("Authorization") != "" || header.Get("Proxy-Authorization") == "" {
			t.Errorf("the proxy was sent %v", header)
		}
	}
	for _, header := range served {
		if header.Get("Proxy-Authorization") != "" {
			t.Errorf("the registry was sent %v", header)
		}
	}
}

// TestUserInformationInHostsTOMLIsNotSent, as containerd has it, and is in no error.
func TestUserInformationInHostsTOMLIsNotSent(t *testing.T) {
	t.Parallel()
	other := strangerTo(t, registry.Config{}, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	host := strings.TrimPrefix(other.url, "http://")
	for toml, family := range map[string]error{
		"server = \"http://me:s3cret@" + host + "\"\n": verify.ErrInconclusive,
		"server = \"http://me:s3cret@[::1\"\n":         verify.ErrMisconfigured,
		"[host.\"http://me:s3cret@[::1\"]\n":           verify.ErrMisconfigured,
		"server = \"http://me:s3cret@a b\"\n":          verify.ErrMisconfigured,
	} {
		c := newClient(t, registry.Config{HostsDirs: []string{hostsDir(t, "registry.test", toml, nil)}})
		_, err := c.Verify(t.Context(), "registry.test/app:v1", verifierOf(t, newKey(t)))
		wantFamily(t, err, family)
		_, signErr := c.Sign(t.Context(), "registry.test/app:v1", signerOf(t, newKey(t)))
		wantFamily(t, signErr, family)
		_, _, resolveErr := c.Resolver().Resolve(t.Context(), "registry.test/app:v1")
		for _, err := range []error{err, signErr, resolveErr} {
			if err == nil || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the password is in: %v", err)
			}
		}
	}
	if other.wantNoSecret(t) == 0 {
		t.Error("the server was not asked")
	}
}
