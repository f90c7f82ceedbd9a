// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	gcrregistry "github.com/google/go-containerregistry/pkg/registry"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/traffic"
	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/registry/hooks"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// tlsRegistry serves a registry over TLS with a certificate that no system
// trusts, and checks every request with check.
func tlsRegistry(t *testing.T, check func(w http.ResponseWriter, r *http.Request) bool) (host string, ca []byte) {
	t.Helper()
	backend := gcrregistry.New(gcrregistry.Logger(log.New(io.Discard, "", 0)), gcrregistry.WithReferrersSupport(true))
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if check(w, r) {
			backend.ServeHTTP(w, r)
		}
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	ca = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return strings.TrimPrefix(server.URL, "https://"), ca
}

// hostsDir writes a hosts.toml for the registry named registry.
func hostsDir(t *testing.T, registry, toml string, files map[string][]byte) string {
	t.Helper()
	root := t.TempDir()
	dir := filepath.Join(root, registry)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "hosts.toml"), []byte(toml), 0o600); err != nil {
		t.Fatal(err)
	}
	return root
}

var insecureHTTPClient = func() *http.Client {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	client := server.Client()
	client.Transport.(*http.Transport).TLSClientConfig.InsecureSkipVerify = true
	return client
}()

func TestCertificatesAreChecked(t *testing.T) {
	t.Parallel()
	host, _ := tlsRegistry(t, func(http.ResponseWriter, *http.Request) bool { return true })
	dir := hostsDir(t, "registry.test", fmt.Sprintf("server = %q\n", "https://"+host), nil)
	c := newClient(t, registry.Config{HostsDirs: []string{dir}})
	_, err := c.Verify(t.Context(), "registry.test/app:v1", verifierOf(t, newKey(t)))
	wantFamily(t, err, verify.ErrInconclusive)
	wantText(t, err, "certificate")
}

// TestOtherInsecureRegistries: that another registry is insecure does not make
// this one so, whose host is not loopback, which containerd treats specially.
func TestOtherInsecureRegistries(t *testing.T) {
	t.Parallel()
	host, _ := tlsRegistry(t, func(http.ResponseWriter, *http.Request) bool {
		t.Error("a registry with an unknown certificate was spoken to")
		return false
	})
	plain := newTestRegistry(t, true)
	for _, host := range []string{host, plain.host} {
		_, port, _ := strings.Cut(host, ":")
		for _, other := range [][]string{nil, {"other.test"}, {proxiedName}, {proxiedName + ":1" + port}} {
			c := newClient(t, registry.Config{InsecureRegistries: other})
			_, err := c.Verify(t.Context(), proxiedName+":"+port+"/app:v1", verifierOf(t, newKey(t)))
			wantFamily(t, err, verify.ErrInconclusive)
		}
	}
	if got := plain.recorded(); len(got) > 0 {
		t.Errorf("asked over plain HTTP: %q", got)
	}
}

// TestInsecureRegistryHasSecureMirrors: the setting is for the registry itself.
func TestInsecureRegistryHasSecureMirrors(t *testing.T) {
	t.Parallel()
	mirror, _ := tlsRegistry(t, func(http.ResponseWriter, *http.Request) bool {
		t.Error("a mirror with an unknown certificate was spoken to")
		return false
	})
	origin := newTestRegistry(t, true)
	_, port, _ := strings.Cut(origin.host, ":")
	name := proxiedName + ":" + port
	_, mirrorPort, _ := strings.Cut(mirror, ":")
	dir := hostsDir(t, proxiedName+"_"+port+"_", fmt.Sprintf("[host.%q]\n", "https://"+proxiedName+":"+mirrorPort), nil)
	c := newClient(t, registry.Config{InsecureRegistries: []string{name}, HostsDirs: []string{dir}})
	cd, ctx := newStore(t)
	pushUnsigned(ctx, t, newClient(t, registry.Config{}), cd, origin.ref("app:v1"), putImage(ctx, t, cd, "image"))
	_, err := c.Verify(ctx, name+"/app:v1", verifierOf(t, newKey(t)))
	// The mirror could not be asked for signatures, so nobody says "unsigned".
	wantFamily(t, err, verify.ErrInconclusive)
}

// TestMirror has a mirror in front of the registry.
func TestMirror(t *testing.T) {
	t.Parallel()
	mirrorConfig := func(t *testing.T, mirror, origin *testRegistry) registry.Config {
		return registry.Config{HostsDirs: []string{hostsDir(t, "registry.test", fmt.Sprintf(
			"server = %q\n[host.%q]\ncapabilities = [\"pull\", \"resolve\", \"referrers\"]\n", origin.url, mirror.url), nil)}}
	}
	t.Run("signatures are written to the origin and found there", func(t *testing.T) {
		t.Parallel()
		mirror, origin := newTestRegistry(t, true), newTestRegistry(t, true)
		c := newClient(t, mirrorConfig(t, mirror, origin))
		cd, ctx := newStore(t)
		key := newKey(t)
		if _, err := hooks.Push(ctx, c, cd.Client, "registry.test/app:v1", putImage(ctx, t, cd, "image"), signerOf(t, key), nil, registry.WithForm(signing.Both)); err != nil {
			t.Fatal(err)
		}
		if got := mirror.recorded(); len(got) > 0 {
			t.Errorf("the push asked the mirror: %q", got)
		}
		result, err := c.Verify(ctx, "registry.test/app:v1", verifierOf(t, key), registry.WithEverySignature())
		if err != nil {
			t.Fatal(err)
		}
		if len(result.Signatures) != 2 || len(mirror.recorded()) == 0 {
			t.Errorf("%d signatures, %d requests to the mirror", len(result.Signatures), len(mirror.recorded()))
		}
	})
	t.Run("the origin is down and the mirror has nothing", func(t *testing.T) {
		t.Parallel()
		mirror, origin := newTestRegistry(t, true), newTestRegistry(t, true)
		cd, ctx := newStore(t)
		plain := newClient(t, registry.Config{})
		image := putImage(ctx, t, cd, "image")
		// The mirror has the image, as mirrors do, and no signature.
		pushUnsigned(ctx, t, plain, cd, mirror.ref("app:v1"), image)
		origin.failing(http.StatusServiceUnavailable, func(*http.Request) bool { return true })
		c := newClient(t, mirrorConfig(t, mirror, origin))
		_, err := c.Verify(ctx, "registry.test/app:v1", verifierOf(t, newKey(t)))
		wantFamily(t, err, verify.ErrInconclusive)
	})
	t.Run("the origin is down and the mirror has all", func(t *testing.T) {
		t.Parallel()
		mirror, origin := newTestRegistry(t, true), newTestRegistry(t, true)
		cd, ctx := newStore(t)
		key := newKey(t)
		plain := newClient(t, registry.Config{})
		if _, err := hooks.Push(ctx, plain, cd.Client, mirror.ref("app:v1"), putImage(ctx, t, cd, "image"), signerOf(t, key), nil); err != nil {
			t.Fatal(err)
		}
		origin.failing(http.StatusServiceUnavailable, func(*http.Request) bool { return true })
		c := newClient(t, mirrorConfig(t, mirror, origin))
		if _, err := c.Verify(ctx, "registry.test/app:v1", verifierOf(t, key)); err != nil {
			t.Fatal(err)
		}
	})
}

func TestTransportsAreShared(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	connections := map[string]bool{}
	reg := newTestRegistry(t, true)
	reg.onRequest(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		mu.Lock()
		connections[r.RemoteAddr] = true
		mu.Unlock()
		next.ServeHTTP(w, r)
	})
	c := newClient(t, registry.Config{})
	cd, ctx := newStore(t)
	key := newKey(t)
	if _, err := hooks.Push(ctx, c, cd.Client, reg.ref("app:v1"), putImage(ctx, t, cd, "image"), signerOf(t, key), nil); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		// With every signature: to give up a request is to end its connection.
		if _, err := c.Verify(ctx, reg.ref("app:v1"), verifierOf(t, key), registry.WithEverySignature()); err != nil {
			t.Fatal(err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if n := len(connections); n > 10 {
		t.Errorf("%d connections", n)
	}
}

func TestConfigThatContradictsItself(t *testing.T) {
	t.Parallel()
	hosts := func(string) ([]docker.RegistryHost, error) { return nil, nil }
	for name, config := range map[string]registry.Config{
		"hosts and directories":      {Hosts: hosts, HostsDirs: []string{"x"}},
		"hosts and insecure":         {Hosts: hosts, InsecureRegistries: []string{"x"}},
		"a resolver and hosts":       {Resolver: registry.RemoteResolver(nil, nil), Hosts: hosts},
		"a resolver and an agent":    {Resolver: registry.RemoteResolver(nil, nil), UserAgent: "x"},
		"a directory of no name":     {HostsDirs: []string{t.TempDir(), ""}},
		"an insecure URL":            {InsecureRegistries: []string{"http://registry.example"}},
		"an insecure network":        {InsecureRegistries: []string{"10.0.0.0/8"}},
		"an insecure nothing":        {InsecureRegistries: []string{""}},
		"a resolver and credentials": {Resolver: registry.RemoteResolver(nil, nil), Credentials: registry.DockerCredentials()},
	} {
		if _, err := registry.New(config); !errors.Is(err, verify.ErrMisconfigured) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHostConfigurationThatCannotBeRead(t *testing.T) {
	t.Parallel()
	dir := hostsDir(t, "registry.test", "server = \"https://127.0.0.1:1\"\nca = \"missing.crt\"\n", nil)
	c := newClient(t, registry.Config{HostsDirs: []string{dir}})
	_, err := c.Verify(t.Context(), "registry.test/app:v1", verifierOf(t, newKey(t)))
	wantFamily(t, err, verify.ErrMisconfigured)
	wantText(t, err, "missing.crt")
}

// TestThrottledMirrorListIsInconclusive: what a mirror does not answer counts as not known,
// whatever the registry itself lists.
func TestThrottledMirrorListIsInconclusive(t *testing.T) {
	t.Parallel()
	for _, place := range []string{"referrers API", "referrers tag", "signature tag"} {
		t.Run(place, func(t *testing.T) {
			t.Parallel()
			origin, _, verifier, _ := signedImage(t, true, signing.Bundle)
			mirror := newTestRegistry(t, true)
			mirror.failing(http.StatusTooManyRequests, lookUps[place])
			c := mirrored(t, origin, mirror)
			if _, err := c.Verify(t.Context(), "registry.test/app:v1", verifier); err != nil {
				t.Errorf("the signature at the origin is not found: %v", err)
			}
			_, err := c.Verify(t.Context(), "registry.test/app:v1", verifierOf(t, newKey(t)))
			wantFamily(t, err, verify.ErrInconclusive)
			wantText(t, err, "429")
		})
	}
}

// TestMirrorListsJunk: signatures are looked for at the origin also when the
// mirror has an answer.
func TestMirrorListsJunk(t *testing.T) {
	t.Parallel()
	for _, form := range forms {
		t.Run(string(form), func(t *testing.T) {
			t.Parallel()
			origin, _, verifier, desc := signedImage(t, true, form)
			mirror := newTestRegistry(t, true)
			plain := newClient(t, registry.Config{})
			cd, ctx := newStore(t)
			// The same image, signed there by somebody else.
			if _, err := hooks.Push(ctx, plain, cd.Client, mirror.ref("app:v1"), putImage(ctx, t, cd, "image"), signerOf(t, newKey(t)), nil, registry.WithForm(form)); err != nil {
				t.Fatal(err)
			}
			if got := mirror.digestOf(t, "app", "v1"); got != desc.Digest {
				t.Fatalf("the mirror has %s", got)
			}
			c := mirrored(t, origin, mirror)
			if _, err := c.Verify(ctx, "registry.test/app:v1", verifier); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestMirrorsAreToldWhomTheyStandFor: one that stands for several registries
// goes by the parameter ns, also for docker.io, whose own host has another name.
func TestMirrorsAreToldWhomTheyStandFor(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"docker.io", "registry.test"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			origin, _, verifier, desc := signedImage(t, true, signing.Both)
			mirror := newTestRegistry(t, true)
			c := newClient(t, registry.Config{HostsDirs: []string{hostsDir(t, name, fmt.Sprintf(
				"server = %q\n[host.%q]\n", origin.url, mirror.url), nil)}})
			// No reference to docker.io is to a repository of one element.
			origin.onRequest(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				r.URL.Path = strings.Replace(r.URL.Path, "/v2/library/", "/v2/", 1)
				next.ServeHTTP(w, r)
			})
			if _, err := c.VerifyImage(t.Context(), verify.Image{Name: name + "/library/app:v1", Target: desc}, verifier, registry.WithEverySignature()); err != nil {
				t.Fatal(err)
			}
			requests := mirror.recorded()
			for _, want := range []string{"/referrers/", ".sig", "/manifests/" + tagOf(desc.Digest)} {
				if !strings.Contains(strings.Join(requests, "\n"), want) {
					t.Errorf("the mirror was not asked for %s", want)
				}
			}
			for _, r := range requests {
				if !strings.HasSuffix(r, "?ns="+name) {
					t.Errorf("the mirror was asked %q", r)
				}
			}
		})
	}
}

// TestListedAndNotThere: the one host that there is has answered; of several, any
// may have kept back what is listed.
func TestListedAndNotThere(t *testing.T) {
	t.Parallel()
	origin, _, verifier, desc := signedImage(t, true, signing.Bundle)
	origin.failing(http.StatusNotFound, func(r *http.Request) bool {
		return strings.Contains(r.URL.Path, "/manifests/sha256:") && !strings.HasSuffix(r.URL.Path, desc.Digest.String())
	})
	mirror := newTestRegistry(t, true)
	for hosts, family := range map[string]error{
		"":                                     verify.ErrRejected,
		fmt.Sprintf("[host.%q]\n", mirror.url): verify.ErrInconclusive,
	} {
		c := newClient(t, registry.Config{HostsDirs: []string{hostsDir(t, "registry.test", fmt.Sprintf("server = %q\n", origin.url)+hosts, nil)}})
		_, err := c.VerifyImage(t.Context(), verify.Image{Name: "registry.test/app:v1", Target: desc}, verifier)
		wantFamily(t, err, family)
	}
}

// TestMirrorThatPassesLinksOn: a mirror may give the link to the next page as the
// registry gave it, and has to be told again whom it stands for.
func TestMirrorThatPassesLinksOn(t *testing.T) {
	t.Parallel()
	mirror, _, verifier, desc := signedImage(t, true, signing.Bundle)
	mirror.onRequest(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		switch query := r.URL.Query(); {
		case query.Get("ns") != "registry.test":
			w.WriteHeader(http.StatusNotFound)
		case strings.Contains(r.URL.Path, "/referrers/") && query.Get("page") == "":
			w.Header().Set("Link", `<`+r.URL.Path+`?page=2>; rel="next"`)
			writeIndex(w, ocispec.Index{})
		default:
			next.ServeHTTP(w, r)
		}
	})
	c := newClient(t, registry.Config{HostsDirs: []string{hostsDir(t, "registry.test", fmt.Sprintf("server = %q\n", mirror.url), nil)}})
	if _, err := c.VerifyImage(t.Context(), verify.Image{Name: "registry.test/app:v1", Target: desc}, verifier); err != nil {
		t.Error(err)
	}
}

// TestHostsWithoutTheReferrersCapability: capabilities in a hosts.toml are often
// written down from before there were referrers.
func TestHostsWithoutTheReferrersCapability(t *testing.T) {
	t.Parallel()
	t.Run("of no host, and so all that resolve are asked", func(t *testing.T) {
		t.Parallel()
		origin, _, verifier, _ := signedImage(t, true, signing.Bundle)
		c := newClient(t, registry.Config{HostsDirs: []string{hostsDir(t, "registry.test", fmt.Sprintf(
			"server = %q\ncapabilities = [\"pull\", \"resolve\", \"push\"]\n", origin.url), nil)}})
		if _, err := c.Verify(t.Context(), "registry.test/app:v1", verifier); err != nil {
			t.Error(err)
		}
		origin.failing(http.StatusTooManyRequests, lookUps["referrers API"])
		_, err := c.Verify(t.Context(), "registry.test/app:v1", verifier)
		wantFamily(t, err, verify.ErrInconclusive)
		if _, err := c.Sign(t.Context(), "registry.test/app:v1", signerOf(t, newKey(t))); err == nil {
			t.Error("signed without knowing where")
		}
	})
	t.Run("of the mirror, which is not asked", func(t *testing.T) {
		t.Parallel()
		origin, _, verifier, _ := signedImage(t, true, signing.Bundle)
		mirror := newTestRegistry(t, true)
		c := newClient(t, registry.Config{HostsDirs: []string{hostsDir(t, "registry.test", fmt.Sprintf(
			"server = %q\n[host.%q]\ncapabilities = [\"pull\", \"resolve\"]\n", origin.url, mirror.url), nil)}})
		if _, err := c.Verify(t.Context(), "registry.test/app:v1", verifier); err != nil {
			t.Error(err)
		}
		for _, r := range mirror.recorded() {
			if strings.Contains(r, "/referrers/") {
				t.Errorf("the mirror was asked %q", r)
			}
		}
	})
	t.Run("nor any other, is misconfigured", func(t *testing.T) {
		t.Parallel()
		origin, _, verifier, desc := signedImage(t, true, signing.Bundle)
		c := newClient(t, registry.Config{HostsDirs: []string{hostsDir(t, "registry.test", fmt.Sprintf(
			"server = %q\ncapabilities = [\"push\"]\n", origin.url), nil)}})
		_, err := c.VerifyImage(t.Context(), verify.Image{Name: "registry.test/app:v1", Target: desc}, verifier)
		wantFamily(t, err, verify.ErrMisconfigured)
	})
}

// TestBrokenHostsTOMLIsMisconfigured: containerd passes over such a file, and
// asks the registry itself in the place of the mirror that is named there.
func TestBrokenHostsTOMLIsMisconfigured(t *testing.T) {
	t.Parallel()
	reg, _, verifier, _ := signedImage(t, true, signing.Bundle)
	reg.record()
	for name, toml := range map[string]string{
		"an open list":      "[host.\"http://mirror.test\"]\ncapabilities = [\n",
		"no TOML":           "<html>",
		"a name twice":      "server = \"http://a.test\"\nserver = \"http://b.test\"\n",
		"a server not text": "server = 1x\n",
		// These are TOML.
		"a capability misspelt":     "[host.\"http://mirror.test\"]\ncapabilities = [\"pul\"]\n",
		"capabilities not a list":   "[host.\"http://mirror.test\"]\ncapabilities = \"pull\"\n",
		"a server of two":           "server = [\"http://a.test\", \"http://b.test\"]\n",
		"a server that is no URL":   "server = \"http://[::1\"\n",
		"an authority that is true": "[host.\"http://mirror.test\"]\nca = true\n",
		"authorities of a mapping":  "[host.\"http://mirror.test\"]\nca = [{file = \"ca.pem\"}]\n",
		"a client of three files":   "[host.\"http://mirror.test\"]\nclient = [[\"a\", \"b\", \"c\"]]\n",
		"a header that is a number": "[host.\"http://mirror.test\".header]\nx = 1\n",
		"a check that is text":      "[host.\"http://mirror.test\"]\nskip_verify = \"true\"\n",
		"a time of no unit":         "[host.\"http://mirror.test\"]\ndial_timeout = \"5\"\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, registry.Config{HostsDirs: []string{hostsDir(t, strings.Replace(reg.host, ":", "_", 1)+"_", toml, nil)}})
			_, err := c.Verify(t.Context(), reg.ref("app:v1"), verifier)
			wantFamily(t, err, verify.ErrMisconfigured)
			wantText(t, err, "hosts.toml")
			_, err = c.Sign(t.Context(), reg.ref("app:v1"), signerOf(t, newKey(t)))
			wantFamily(t, err, verify.ErrMisconfigured)
		})
	}
	t.Cleanup(func() { // after the subtests
		if got := reg.recorded(); len(got) > 0 {
			t.Errorf("the registry itself was asked: %q", got)
		}
	})
}

// TestSecretsAreNotInLogsOrErrors has secrets in headers of hosts.toml, in
// credentials, in a token and in the address of a blob store.
func TestSecretsAreNotInLogsOrErrors(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusOK, http.StatusForbidden} {
		t.Run(fmt.Sprintf("the blob store answers %d", status), func(t *testing.T) {
			t.Parallel()
			reg, _, verifier, _ := signedImage(t, true, signing.Both)
			reg.onRequest(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				switch {
				case r.URL.Path == "/token":
					_, _ = io.WriteString(w, `{"token":"TOPSECRET-token","access_token":"TOPSECRET-token","expires_in":300}`)
				case r.URL.Query().Get("X-Amz-Signature") != "" && status != http.StatusOK:
					w.WriteHeader(status)
				case r.URL.Query().Get("X-Amz-Signature") != "":
					next.ServeHTTP(w, r)
				case r.Header.Get("Authorization") != "Bearer TOPSECRET-token":
					w.Header().Set("WWW-Authenticate", `Bearer realm="`+reg.url+`/token",service="test"`)
					w.WriteHeader(http.StatusUnauthorized)
				case r.Method == http.MethodGet && lookUps["signature blobs"](r):
					http.Redirect(w, r, r.URL.Path+"?X-Amz-Date=10:00&X-Amz-Signature=TOPSECRET-signature", http.StatusTemporaryRedirect)
				default:
					next.ServeHTTP(w, r)
				}
			})
			var mu sync.Mutex
			var said strings.Builder
			c := newClient(t, registry.Config{
				HostsDirs: []string{hostsDir(t, "registry.test", fmt.Sprintf(
					"server = %q\n[header]\nX-Api-Key = \"TOPSECRET-key\"\n", reg.url), nil)},
				Credentials: func(string) (string, string, error) { return "me", "TOPSECRET-password", nil },
				Logger: slog.New(slog.NewTextHandler(writerFunc(func(b []byte) (int, error) {
					mu.Lock()
					defer mu.Unlock()
					return said.Write(b)
				}), &slog.HandlerOptions{Level: slog.LevelDebug})),
			})
			cd, ctx := newStore(t)
			_, _, err := hooks.Pull(ctx, c, cd.Client, "registry.test/app:v1", verifier, nil)
			if status == http.StatusOK && err != nil {
				t.Error(err)
			}
			if status != http.StatusOK {
				wantFamily(t, err, verify.ErrInconclusive)
			}
			mu.Lock()
			defer mu.Unlock()
			if !strings.Contains(said.String(), "do request") {
				t.Errorf("the logger was told: %.500s", said.String())
			}
			for line := range strings.Lines(said.String() + fmt.Sprint(err)) {
				if strings.Contains(line, "TOPSECRET") {
					t.Errorf("a secret is in: %s", line)
				}
			}
		})
	}
}

// TestHeadersAreNotSentToARedirectTarget: headers of hosts.toml can be
// credentials, and a list of signatures has no reason to be elsewhere.
func TestHeadersAreNotSentToARedirectTarget(t *testing.T) {
	t.Parallel()
	for _, place := range []string{"referrers API", "referrers tag", "signature tag"} {
		t.Run(place, func(t *testing.T) {
			t.Parallel()
			api, form := theSignature(place)
			reg, _, verifier, _ := signedImage(t, api, form)
			other := newTestRegistry(t, true)
			reg.onRequest(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if lookUps[place](r) {
					http.Redirect(w, r, other.url+r.URL.Path, http.StatusTemporaryRedirect)
					return
				}
				next.ServeHTTP(w, r)
			})
			c := newClient(t, registry.Config{HostsDirs: []string{hostsDir(t, "registry.test", fmt.Sprintf(
				"server = %q\n[header]\nX-Api-Key = \"SECRET\"\nAuthorization = \"Basic SECRET\"\n", reg.url), nil)}})
			_, err := c.Verify(t.Context(), "registry.test/app:v1", verifier)
			// Nor does the other host's 404 mean that there is no signature.
			wantFamily(t, err, verify.ErrInconclusive)
			wantText(t, err, "307")
			if got := other.recorded(); len(got) > 0 {
				t.Errorf("the other host was asked: %q", got)
			}
		})
	}
}

// TestHeadersAreNotSentToABlobStore: a registry may well keep its blobs
// elsewhere. There, its configuration's headers have no business.
func TestHeadersAreNotSentToABlobStore(t *testing.T) {
	t.Parallel()
	reg, _, verifier, _ := signedImage(t, true, signing.Bundle)
	asked := make(chan http.Header, 16)
	store := newTestRegistry(t, true)
	store.onRequest(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		asked <- r.Header.Clone()
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	reg.onRequest(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Header.Get("X-Api-Key") != "SECRET" {
			t.Errorf("%s %s without the header", r.Method, r.URL)
		}
		if lookUps["signature blobs"](r) {
			http.Redirect(w, r, store.url+r.URL.Path, http.StatusTemporaryRedirect)
			return
		}
		next.ServeHTTP(w, r)
	})
	c := newClient(t, registry.Config{HostsDirs: []string{hostsDir(t, "registry.test", fmt.Sprintf(
		"server = %q\n[header]\nX-Api-Key = \"SECRET\"\n", reg.url), nil)}})
	_, err := c.Verify(t.Context(), "registry.test/app:v1", verifier)
	wantFamily(t, err, verify.ErrInconclusive)
	if len(asked) == 0 {
		t.Error("the blob store was not asked")
	}
	close(asked)
	for header := range asked {
		if header.Get("X-Api-Key") != "" {
			t.Error("the blob store was sent the header")
		}
	}
}

// TestCloseIdleConnections: for loopback hosts containerd wraps the transport in
// one that tries TLS first, and does not pass the call on.
func TestCloseIdleConnections(t *testing.T) {
	t.Parallel()
	server := traffic.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	c := newClient(t, registry.Config{})
	for range 2 { // the client stays usable
		_, err := c.Verify(t.Context(), strings.TrimPrefix(server.URL, "http://")+"/app:v1", verifierOf(t, newKey(t)))
		wantFamily(t, err, verify.ErrInconclusive)
		err = returns(t, func() error {
			c.CloseIdleConnections()
			return server.WaitClosed()
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestTrackerKeepsNoContentFromASecondRepository: a tracker remembers by digest
// alone what was uploaded, wherever that was.
func TestTrackerKeepsNoContentFromASecondRepository(t *testing.T) {
	t.Parallel()
	for _, form := range forms {
		t.Run(string(form), func(t *testing.T) {
			t.Parallel()
			reg := newTestRegistry(t, true)
			told := docker.NewInMemoryTracker()
			c := newClient(t, registry.Config{Tracker: told})
			cd, ctx := newStore(t)
			key := newKey(t)
			// Of an index, since the registry keeps manifests by repository.
			desc := putIndex(ctx, t, cd, putImage(ctx, t, cd, "image"))
			for _, repo := range []string{"a", "b"} {
				if _, err := hooks.Push(ctx, c, cd.Client, reg.ref(repo+":v1"), desc, signerOf(t, key), nil, registry.WithForm(form)); err != nil {
					t.Fatal(err)
				}
				other, ctx := newStore(t)
				if _, _, err := hooks.Pull(ctx, newClient(t, registry.Config{}), other.Client, reg.ref(repo+":v1"), verifierOf(t, key), nil); err != nil {
					t.Errorf("the image in %s is incomplete: %v", repo, err)
				}
			}
			if _, err := told.GetStatus("index-" + desc.Digest.String()); err != nil {
				t.Errorf("the tracker was not told: %v", err)
			}
		})
	}
}

func TestDockerCredentials(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("DOCKER_CONFIG", dir)
	t.Setenv("HOME", t.TempDir())
	auth := base64.StdEncoding.EncodeToString([]byte("me:s3cret"))
	hub := base64.StdEncoding.EncodeToString([]byte("hub:pw"))
	config := fmt.Sprintf(`{"auths":{"registry.test:5000":{"auth":%q},"https://index.docker.io/v1/":{"auth":%q},"token.test":{"identitytoken":"t0ken"}}}`, auth, hub)
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	credentials := registry.DockerCredentials()
	for _, test := range []struct{ host, user, secret string }{
		{"registry.test:5000", "me", "s3cret"},
		{"registry-1.docker.io", "hub", "pw"},
		{"docker.io", "hub", "pw"},
		{"token.test", "", "t0ken"},
		{"unknown.test", "", ""},
	} {
		user, secret, err := credentials(test.host)
		if err != nil || user != test.user || secret != test.secret {
			t.Errorf("%s: %q, %q, %v", test.host, user, secret, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := credentials("registry.test:5000"); err == nil {
		t.Error("a damaged configuration is no error")
	}
}

// TestLibraryIsQuiet runs with containerd's default logger, which writes to
// stderr, and checks that what containerd says goes to the client's logger.
func TestLibraryIsQuiet(t *testing.T) {
	var said strings.Builder
	var mu sync.Mutex
	logger := slog.New(slog.NewTextHandler(writerFunc(func(b []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return said.Write(b)
	}), &slog.HandlerOptions{Level: slog.LevelDebug}))

	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, stderr := os.Stdout, os.Stderr
	os.Stdout, os.Stderr = writer, writer
	func() {
		defer func() { os.Stdout, os.Stderr = stdout, stderr }()
		reg := newTestRegistry(t, false)
		for _, config := range []registry.Config{{}, {Logger: logger}} {
			c := newClient(t, config)
			cd, ctx := newStore(t)
			key := newKey(t)
			if _, err := hooks.Push(ctx, c, cd.Client, reg.ref("app:v1"), putImage(ctx, t, cd, "image"), signerOf(t, key), nil, registry.WithForm(signing.Both)); err != nil {
				t.Error(err)
			}
			if _, _, err := hooks.Pull(ctx, c, cd.Client, reg.ref("app:v1"), verifierOf(t, newKey(t)), nil); err == nil {
				t.Error("pulled")
			}
			if _, _, err := hooks.Pull(ctx, c, cd.Client, reg.ref("app:v1"), verifierOf(t, key), nil); err != nil {
				t.Error(err)
			}
		}
	}()
	_ = writer.Close()
	if out, _ := io.ReadAll(reader); len(out) > 0 {
		t.Errorf("written to stdout or stderr: %s", out)
	}
	if !strings.Contains(said.String(), "attached signature") || !strings.Contains(said.String(), "do request") {
		t.Errorf("the logger was told: %.500s", said.String())
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// mirrored is a client for registry.test, which is origin behind mirror.
func mirrored(t *testing.T, origin, mirror *testRegistry) *registry.Client {
	t.Helper()
	return newClient(t, registry.Config{HostsDirs: []string{hostsDir(t, "registry.test", fmt.Sprintf(
		"server = %q\n[host.%q]\n", origin.url, mirror.url), nil)}})
}
