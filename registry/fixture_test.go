// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"io"
	"log"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	gcrregistry "github.com/google/go-containerregistry/pkg/registry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/embedded"
	"github.com/cosignkit/cosignkit/internal/fault/faulttest"
	"github.com/cosignkit/cosignkit/internal/traffic"
	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// testRegistry is a real registry on loopback that records requests, and in
// whose way a test can put itself.
type testRegistry struct {
	host   string
	url    string
	server *traffic.Server

	mu        sync.Mutex
	requests  []string
	intercept func(w http.ResponseWriter, r *http.Request, next http.Handler)
}

func newTestRegistry(t testing.TB, referrersAPI bool) *testRegistry {
	t.Helper()
	backend := gcrregistry.New(
		gcrregistry.Logger(log.New(io.Discard, "", 0)),
		gcrregistry.WithReferrersSupport(referrersAPI),
	)
	reg := &testRegistry{}
	server := traffic.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reg.mu.Lock()
		reg.requests = append(reg.requests, r.Method+" "+r.URL.RequestURI())
		intercept := reg.intercept
		reg.mu.Unlock()
		if intercept != nil {
			intercept(w, r, backend)
			return
		}
		backend.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	reg.server, reg.url = server, server.URL
	reg.host = strings.TrimPrefix(server.URL, "http://")
	return reg
}

// onRequest has f answer every request from now on.
func (r *testRegistry) onRequest(f func(w http.ResponseWriter, req *http.Request, next http.Handler)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.intercept = f
}

// failing answers requests that match with status, and serves the others.
func (r *testRegistry) failing(status int, match func(*http.Request) bool) {
	r.onRequest(func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		if match(req) {
			w.WriteHeader(status)
			return
		}
		next.ServeHTTP(w, req)
	})
}

// hangUp ends the connections, and has late requests come before what follows.
func (r *testRegistry) hangUp(t testing.TB) {
	t.Helper()
	if err := r.server.HangUp(); err != nil {
		t.Fatal(err)
	}
}

// record forgets the requests so far.
func (r *testRegistry) record() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = nil
}

func (r *testRegistry) recorded() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.requests)
}

func (r *testRegistry) ref(name string) string { return r.host + "/" + name }

// digestOf asks the registry, past everything under test, what a tag is.
func (r *testRegistry) digestOf(t *testing.T, repo, tag string) digest.Digest {
	t.Helper()
	resp, err := http.Head(r.url + "/v2/" + repo + "/manifests/" + tag)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound {
		return ""
	}
	return digest.Digest(resp.Header.Get("Docker-Content-Digest"))
}

func newClient(t testing.TB, config registry.Config) *registry.Client {
	t.Helper()
	c, err := registry.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// newStore opens an empty image store, and the context to use it with.
func newStore(t *testing.T) (*embedded.Client, context.Context) {
	t.Helper()
	cd, err := embedded.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cd.Close(); err != nil {
			t.Error(err)
		}
	})
	return cd, namespaces.WithNamespace(t.Context(), "test")
}

// putImage makes a small image of one platform, different for each text, in the
// content store of cd.
func putImage(ctx context.Context, t *testing.T, cd *embedded.Client, text string) ocispec.Descriptor {
	t.Helper()
	layer := putBlob(ctx, t, cd, ocispec.MediaTypeImageLayer, []byte("layer of "+text))
	config := putJSON(ctx, t, cd, ocispec.MediaTypeImageConfig, fmt.Sprintf(
		`{"architecture":"amd64","os":"linux","config":{"Labels":{"text":%q}},"rootfs":{"type":"layers","diff_ids":[%q]}}`, text, layer.Digest))
	return putJSON(ctx, t, cd, ocispec.MediaTypeImageManifest, fmt.Sprintf(
		`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]}`, ocispec.MediaTypeImageManifest, descJSON(config), descJSON(layer)))
}

// putIndex makes an index of images, for linux/amd64 and linux/arm64 in turn.
func putIndex(ctx context.Context, t *testing.T, cd *embedded.Client, manifests ...ocispec.Descriptor) ocispec.Descriptor {
	t.Helper()
	var entries []string
	for i, m := range manifests {
		arch := []string{"amd64", "arm64"}[i%2]
		entries = append(entries, strings.TrimSuffix(descJSON(m), "}")+fmt.Sprintf(`,"platform":{"os":"linux","architecture":%q}}`, arch))
	}
	return putJSON(ctx, t, cd, ocispec.MediaTypeImageIndex, fmt.Sprintf(
		`{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, ocispec.MediaTypeImageIndex, strings.Join(entries, ",")))
}

func descJSON(d ocispec.Descriptor) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, d.MediaType, d.Digest, d.Size)
}

func putJSON(ctx context.Context, t *testing.T, cd *embedded.Client, mediaType, text string) ocispec.Descriptor {
	t.Helper()
	return putBlob(ctx, t, cd, mediaType, []byte(text))
}

func putBlob(ctx context.Context, t *testing.T, cd *embedded.Client, mediaType string, b []byte) ocispec.Descriptor {
	t.Helper()
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))}
	if err := content.WriteBlob(ctx, cd.ContentStore(), desc.Digest.String(), bytes.NewReader(b), desc); err != nil {
		t.Fatal(err)
	}
	return desc
}

// pushUnsigned puts an image into the registry the way that a tool without this
// library does.
func pushUnsigned(ctx context.Context, t *testing.T, c *registry.Client, cd *embedded.Client, ref string, desc ocispec.Descriptor) {
	t.Helper()
	if err := cd.Push(ctx, ref, desc, withResolver(c.Resolver())); err != nil {
		t.Fatal(err)
	}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func signerOf(t testing.TB, key crypto.Signer) signing.Signer {
	t.Helper()
	s, err := signing.NewKeySigner(signing.KeySignerConfig{Key: key, SkipTransparencyLog: true})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func verifierOf(t testing.TB, keys ...crypto.Signer) verify.Verifier {
	t.Helper()
	p := verify.Policy{InsecureIgnoreTransparencyLog: true}
	for _, key := range keys {
		p.Keys = append(p.Keys, key.Public())
	}
	v, err := verify.New(p)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// wantFamily wants an error of a family, and of no other.
var wantFamily = faulttest.Want

func wantText(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("error is %v, want one with %q", err, text)
	}
	if err != nil && strings.Contains(err.Error(), "\n") {
		t.Errorf("error is of several lines: %q", err)
	}
}

// hasContent reports whether a store has any content.
func hasContent(ctx context.Context, t *testing.T, cd *embedded.Client) bool {
	t.Helper()
	var has bool
	if err := cd.ContentStore().Walk(ctx, func(content.Info) error { has = true; return nil }); err != nil {
		t.Fatal(err)
	}
	return has
}

func imageNames(ctx context.Context, t *testing.T, cd *embedded.Client) []string {
	t.Helper()
	list, err := cd.ImageService().List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, image := range list {
		names = append(names, image.Name)
	}
	return names
}

var _ images.Store // the image store of an embedded client is containerd's own
