// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package cosignkit_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	gcrregistry "github.com/google/go-containerregistry/pkg/registry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.uber.org/goleak"

	"github.com/cosignkit/cosignkit"
	"github.com/cosignkit/cosignkit/internal/embedded"
	"github.com/cosignkit/cosignkit/internal/fault/faulttest"
	"github.com/cosignkit/cosignkit/internal/traffic"
	"github.com/cosignkit/cosignkit/signing/keyfile"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a tool's surroundings: a registry on loopback that counts requests, an
// image store, a key pair, and what was logged.
type bench struct {
	t        *testing.T
	ctx      context.Context
	cd       *embedded.Client
	backend  http.Handler
	server   *traffic.Server
	host     string
	key, pub string
	env      []string
	once     sync.Once
	plain    *cosignkit.Adapter // with env alone; it opens the key once

	mu       sync.Mutex
	requests []string
	answer   http.HandlerFunc // in the place of the registry
	lines    []string
}

const passphrase = "correct horse"

// keyPair is made once: to open a key takes a quarter of a second.
var keyPair = sync.OnceValues(func() (*keyfile.Pair, error) {
	return keyfile.Generate("", []byte(passphrase))
})

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, ctx: namespaces.WithNamespace(t.Context(), "test")}
	b.backend = gcrregistry.New(gcrregistry.Logger(log.New(io.Discard, "", 0)), gcrregistry.WithReferrersSupport(true))
	b.server = traffic.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		b.requests = append(b.requests, r.Method+" "+r.URL.Path)
		answer := b.answer
		b.mu.Unlock()
		if answer != nil {
			answer(w, r)
			return
		}
		b.backend.ServeHTTP(w, r)
	}))
	t.Cleanup(b.server.Close)
	b.host = strings.TrimPrefix(b.server.URL, "http://")

	var err error
	if b.cd, err = embedded.Open(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.cd.Close(); err != nil {
			t.Error(err)
		}
	})
	pair, err := keyPair()
	if err != nil {
		t.Fatal(err)
	}
	prefix := filepath.Join(t.TempDir(), "cosign")
	if err := pair.WriteFiles(prefix, false); err != nil {
		t.Fatal(err)
	}
	b.key, b.pub = prefix+".key", prefix+".pub"
	b.env = []string{"COSIGN_PASSWORD=" + passphrase, "COSIGN_TLOG_UPLOAD=false", "COSIGN_INSECURE_IGNORE_TLOG=true"}
	return b
}

// adapter returns one with the environment of the bench and more.
func (b *bench) adapter(env ...string) *cosignkit.Adapter {
	b.t.Helper()
	if len(env) > 0 {
		return b.adapterOf(cosignkit.Config{Environ: append(slices.Clone(env), b.env...)})
	}
	b.once.Do(func() { b.plain = b.adapterOf(cosignkit.Config{Environ: b.env}) })
	return b.plain
}

func (b *bench) adapterOf(config cosignkit.Config) *cosignkit.Adapter {
	b.t.Helper()
	config.Log = func(level slog.Level, message string) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.lines = append(b.lines, level.String()+" "+message)
	}
	config.KeyFile = keyfile.Open
	a, err := cosignkit.New(config)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(a.CloseIdleConnections)
	return a
}

func (b *bench) signing(a *cosignkit.Adapter) *cosignkit.Signing {
	b.t.Helper()
	s, err := a.Signing(b.ctx, cosignkit.SignOptions{Provider: "cosign", CosignKey: b.key})
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

func (b *bench) verification(a *cosignkit.Adapter) *cosignkit.Verification {
	b.t.Helper()
	v, err := a.Verification(b.ctx, cosignkit.VerifyOptions{Provider: "cosign", CosignKey: b.pub})
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

func (b *bench) ref(name string) string { return b.host + "/" + name }

// taken returns the requests so far, with those that are on their way, and forgets
// them.
func (b *bench) taken() []string {
	b.t.Helper()
	if err := b.server.HangUp(); err != nil {
		b.t.Fatal(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	requests := b.requests
	b.requests = nil
	return requests
}

// answering has f answer every request in the place of the registry.
func (b *bench) answering(f http.HandlerFunc) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answer = f
}

// logged returns the lines at or above a level, each with its level.
func (b *bench) logged(level slog.Level) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var lines []string
	for _, line := range b.lines {
		var l slog.Level
		name, _, _ := strings.Cut(line, " ")
		if err := l.UnmarshalText([]byte(name)); err != nil {
			b.t.Error(err)
		}
		if l >= level {
			lines = append(lines, line)
		}
	}
	return lines
}

// image makes a small image of one platform, different for each text.
func (b *bench) image(text string) ocispec.Descriptor {
	b.t.Helper()
	layer := b.blob(ocispec.MediaTypeImageLayer, "layer of "+text)
	config := b.blob(ocispec.MediaTypeImageConfig, fmt.Sprintf(
		`{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[%q]}}`, layer.Digest))
	return b.blob(ocispec.MediaTypeImageManifest, fmt.Sprintf(
		`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]}`, ocispec.MediaTypeImageManifest, descJSON(config), descJSON(layer)))
}

func descJSON(d ocispec.Descriptor) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, d.MediaType, d.Digest, d.Size)
}

func (b *bench) blob(mediaType, text string) ocispec.Descriptor {
	b.t.Helper()
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromString(text), Size: int64(len(text))}
	if err := content.WriteBlob(b.ctx, b.cd.ContentStore(), desc.Digest.String(), bytes.NewReader([]byte(text)), desc); err != nil {
		b.t.Fatal(err)
	}
	return desc
}

// tagged asks the registry, past everything under test, what a tag is.
func (b *bench) tagged(repository, tag string) digest.Digest {
	b.t.Helper()
	resp, err := http.Head("http://" + b.host + "/v2/" + repository + "/manifests/" + tag)
	if err != nil {
		b.t.Fatal(err)
	}
	_ = resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	return digest.Digest(resp.Header.Get("Docker-Content-Digest"))
}

// wantFamily wants an error of a family, and of no other.
var wantFamily = faulttest.Want

func wantText(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("error is %v, want one with %q", err, text)
	}
}
