// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/cosignkit/cosignkit/examples/kms/program"
	"github.com/cosignkit/cosignkit/verify"
)

const token = "hvs.for-tests"

// transit is what sigstore's provider calls of Vault's transit engine.
type transit map[string]crypto.Signer

func (keys transit) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-Vault-Token") != token {
		fail(w, http.StatusForbidden)
		return
	}
	operation, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v1/transit/"), "/")
	id, hash, _ := strings.Cut(path, "/")
	key, ok := keys[id]
	switch {
	case !ok:
		fail(w, http.StatusNotFound)
	case operation == "keys" && r.Method == http.MethodGet:
		answer(w, map[string]any{"latest_version": 1, "keys": map[string]any{"1": describe(key.Public())}})
	case operation == "sign" && r.Method == http.MethodPut:
		keys.sign(w, r, key, hash)
	default:
		fail(w, http.StatusMethodNotAllowed)
	}
}

func describe(public crypto.PublicKey) map[string]any {
	if key, ok := public.(ed25519.PublicKey); ok {
		return map[string]any{"name": "ed25519", "public_key": base64.StdEncoding.EncodeToString(key)}
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil
	}
	return map[string]any{"name": "P-256", "public_key": string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))}
}

func (transit) sign(w http.ResponseWriter, r *http.Request, key crypto.Signer, hash string) {
	var q struct {
		Input     []byte
		Prehashed bool
	}
	if json.NewDecoder(r.Body).Decode(&q) != nil {
		fail(w, http.StatusBadRequest)
		return
	}
	opts := crypto.SHA256
	if _, ok := key.(ed25519.PrivateKey); ok {
		opts = 0
	}
	if q.Prehashed != (opts != 0) || q.Prehashed != (hash == "sha2-256") {
		fail(w, http.StatusBadRequest)
		return
	}
	signature, err := key.Sign(rand.Reader, q.Input, opts)
	if err != nil {
		fail(w, http.StatusInternalServerError)
		return
	}
	answer(w, map[string]any{"signature": "vault:v1:" + base64.StdEncoding.EncodeToString(signature)})
}

func answer(w http.ResponseWriter, data any) {
	_ = json.NewEncoder(w).Encode(map[string]any{"data": data})
}

func fail(w http.ResponseWriter, status int) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string][]string{"errors": {"as the test says"}})
}

// start starts a server with two keys, and a registry with an image.
func start(t *testing.T) (image string) {
	t.Helper()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(transit{"ec": ec, "ed": ed})
	t.Cleanup(server.Close)
	t.Setenv("VAULT_ADDR", server.URL)
	t.Setenv("VAULT_TOKEN", token)
	t.Setenv("TRANSIT_SECRET_ENGINE_PATH", "")

	images := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(images.Close)
	ref, err := name.ParseReference(strings.TrimPrefix(images.URL, "http://") + "/app:1")
	if err != nil {
		t.Fatal(err)
	}
	content, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, content); err != nil {
		t.Fatal(err)
	}
	return ref.String()
}

func run(ctx context.Context, args ...string) (string, error) {
	var out bytes.Buffer
	err := program.Run(ctx, args, &out)
	return out.String(), err
}

func TestSignAndVerify(t *testing.T) {
	image := start(t)
	for _, key := range []string{"hashivault://ec", "hashivault://ed", "openbao://ec"} {
		if out, err := run(t.Context(), "sign", key, image); err != nil || !strings.Contains(out, "signed sha256:") {
			t.Fatalf("signing with %s: %q, %v", key, out, err)
		}
		if out, err := run(t.Context(), "verify", key, image); err != nil || !strings.Contains(out, "verified sha256:") {
			t.Fatalf("verifying with %s: %q, %v", key, out, err)
		}
	}
}

func TestWhatCannotBeUsed(t *testing.T) {
	image := start(t)
	for name, c := range map[string]struct {
		key, token string
		want       error
		text       string
	}{
		// The provider says so by a text alone.
		"no such key":     {"hashivault://none", token, verify.ErrInconclusive, "could not read data"},
		"no name of one":  {"hashivault://a/b", token, verify.ErrMisconfigured, "hashivault://<key>"},
		"a token refused": {"hashivault://ec", "hvs.other", verify.ErrMisconfigured, "403"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("VAULT_TOKEN", c.token)
			_, err := run(t.Context(), "sign", c.key, image)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "hvs.") {
				t.Errorf("error is %v; want the family %v, %q, and no token", err, c.want, c.text)
			}
		})
	}
}

// TestCancelling ends the wait, although the provider takes no context.
func TestCancelling(t *testing.T) {
	asked, release := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(asked)
		<-release
	}))
	defer server.Close()
	defer close(release)
	t.Setenv("VAULT_ADDR", server.URL)
	t.Setenv("VAULT_TOKEN", token)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	_, err := run(ctx, "verify", "hashivault://ec", "registry.example/app:1")
	if !errors.Is(err, verify.ErrInconclusive) || !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want the context's", err)
	}
}
