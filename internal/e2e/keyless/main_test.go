// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.uber.org/goleak"

	"github.com/cosignkit/cosignkit/internal/sigstack"
	"github.com/cosignkit/cosignkit/keyless"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/trust"
)

// stack is set before the first test.
var stack *sigstack.Stack

func TestMain(m *testing.M) {
	code, err := run(m)
	if err == nil && code == 0 {
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		err = goleak.Find()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "keyless: %v\n", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "cosignkit-keyless-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	cache := os.Getenv("COSIGNKIT_CACHE")
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return 0, err
		}
		cache = filepath.Join(user, "cosignkit")
	}
	program, err := sigstack.Build(context.Background(), filepath.Join(cache, "tools"))
	if err != nil {
		return 0, err
	}
	if stack, err = sigstack.Start(context.Background(), program, dir); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, stack.Stop()) }()
	return m.Run(), nil
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

var trusted = sync.OnceValue(func() *verify.TrustedRoot { return must(trust.Load(stack.TrustedRoot)) })

// counter counts the requests that each host gets.
type counter struct {
	mu    sync.Mutex
	hosts map[string]int
}

func (c *counter) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	if c.hosts == nil {
		c.hosts = map[string]int{}
	}
	c.hosts[r.URL.Host]++
	c.mu.Unlock()
	return http.DefaultTransport.RoundTrip(r)
}

func (c *counter) of(address string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.hosts[must(url.Parse(address)).Host]
}

// configure returns a client of the services in a signing config.
func configure(t *testing.T, path string, transport http.RoundTripper) *keyless.Client {
	t.Helper()
	config, err := keyless.LoadSigningConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, keyless.Config{SigningConfig: config, Transport: transport})
}

func newClient(t *testing.T, config keyless.Config) *keyless.Client {
	t.Helper()
	config.TrustedRoots, config.Consent = trusted(), true
	client, err := keyless.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func newSigner(t *testing.T, client *keyless.Client, tokens keyless.TokenSource) *keyless.Signer {
	t.Helper()
	signer, err := keyless.NewSigner(client, keyless.SignerConfig{Tokens: tokens})
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func request(image string, form signing.Form) signing.Request {
	return signing.Request{Digest: digest.FromString(image), Repository: "registry.example/app", Form: form}
}

// verifies wants each signature to be acceptable for the image of name.
func verifies(t *testing.T, policy verify.Policy, name string, signatures []signing.Signature) *verify.Result {
	t.Helper()
	policy.TrustedRoots = trusted()
	verifier, err := verify.New(policy)
	if err != nil {
		t.Fatal(err)
	}
	var last *verify.Result
	for _, s := range signatures {
		last, err = verifier.Verify(t.Context(), image(name), []verify.Candidate{{Bundle: s.Bundle, Payload: s.Payload, Annotations: s.Annotations}})
		if err != nil {
			t.Fatal(err)
		}
	}
	if last == nil {
		t.Fatal("no signature")
	}
	return last
}

func image(name string) verify.Image {
	return verify.Image{Name: "registry.example/app", Target: ocispec.Descriptor{Digest: digest.FromString(name)}}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// unused is the address of a service that is down: nobody listens at this port,
// and no other test may get it.
const unused = "http://127.0.0.1:1"

func person(email string) verify.Policy {
	return verify.Policy{Identities: []verify.Identity{{Subject: email, Issuer: stack.Issuer}}}
}

// limited is a context that ends a test that hangs; nothing is expected of it.
func limited(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}
