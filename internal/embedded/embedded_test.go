// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package embedded_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/google/go-containerregistry/pkg/registry"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.uber.org/goleak"

	"github.com/cosignkit/cosignkit/internal/embedded"
	"github.com/cosignkit/cosignkit/internal/testimage"
	"github.com/cosignkit/cosignkit/verify"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, root string) *embedded.Client {
	t.Helper()
	c, err := embedded.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func testContext(t *testing.T) context.Context {
	return namespaces.WithNamespace(t.Context(), "test")
}

func load(ctx context.Context, t *testing.T, c *embedded.Client, image testimage.Image) images.Image {
	t.Helper()
	var archive bytes.Buffer
	if err := testimage.WriteArchive(&archive, image); err != nil {
		t.Fatal(err)
	}
	loaded, err := c.Import(ctx, &archive, containerd.WithAllPlatforms(true))
	if err != nil {
		t.Fatal(err)
	}
	if len(loaded) != 1 || loaded[0].Name != image.Name {
		t.Fatalf("imported %v, want one image named %s", loaded, image.Name)
	}
	return loaded[0]
}

// testRegistry returns the host name of a registry on loopback.
func testRegistry(t *testing.T) string {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func resolver(t *testing.T) containerd.RemoteOpt {
	return containerd.WithResolver(docker.NewResolver(docker.ResolverOptions{
		Hosts: docker.ConfigureDefaultRegistries(docker.WithPlainHTTP(docker.MatchLocalhost)),
	}))
}

func TestImagesOutliveTheClient(t *testing.T) {
	ctx, root := testContext(t), t.TempDir()
	c := open(t, root)
	image := load(ctx, t, c, testimage.Image{Name: "registry.example/app:v1", Content: "one"})
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}

	c = open(t, root)
	got, err := c.ImageService().Get(ctx, image.Name)
	if err != nil {
		t.Fatal(err)
	}
	if got.Target.Digest != image.Target.Digest {
		t.Errorf("reopened target is %s, want %s", got.Target.Digest, image.Target.Digest)
	}
	if _, err := content.ReadBlob(ctx, c.ContentStore(), got.Target); err != nil {
		t.Errorf("content is lost: %v", err)
	}
	if _, err := c.ImageService().Get(namespaces.WithNamespace(ctx, "other"), image.Name); !errdefs.IsNotFound(err) {
		t.Errorf("another namespace: %v, want not found", err)
	}
}

func TestSecondOpenSaysThatTheDirectoryIsInUse(t *testing.T) {
	root := t.TempDir()
	c := open(t, root)
	_, err := embedded.Open(root)
	if !errors.Is(err, embedded.ErrInUse) || !errors.Is(err, verify.ErrInconclusive) {
		t.Errorf("second open: %v, want in use and inconclusive", err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, root)
}

func TestOpenErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	damaged := t.TempDir()
	if err := os.WriteFile(filepath.Join(damaged, "meta.db"), bytes.Repeat([]byte("x"), 1<<15), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, root := range map[string]string{"no directory": "", "a file": file, "damaged database": damaged} {
		t.Run(name, func(t *testing.T) {
			_, err := embedded.Open(root)
			if !errors.Is(err, verify.ErrMisconfigured) {
				t.Errorf("got %v, want misconfigured", err)
			}
			t.Log(err)
		})
	}
}

func TestPushThenPullWithoutUnpacking(t *testing.T) {
	ctx := testContext(t)
	name := testRegistry(t) + "/app:v1"
	source, target := open(t, t.TempDir()), open(t, t.TempDir())
	image := load(ctx, t, source, testimage.Image{Name: name, Content: "one", Platforms: []string{"linux/amd64", "linux/arm64"}})
	if err := source.Push(ctx, name, image.Target, resolver(t)); err != nil {
		t.Fatal(err)
	}

	one, err := target.Pull(ctx, name, resolver(t), containerd.WithPlatformMatcher(platforms.OnlyStrict(platforms.MustParse("linux/arm64"))))
	if err != nil {
		t.Fatal(err)
	}
	if one.Target().Digest != image.Target.Digest {
		t.Errorf("pulled %s, want %s", one.Target().Digest, image.Target.Digest)
	}
	if n := manifests(ctx, t, target, image.Target); n != 1 {
		t.Errorf("pull brought %d manifests, want 1", n)
	}
	if unpacked, err := one.IsUnpacked(ctx, embedded.Snapshotter); err != nil || unpacked {
		t.Errorf("unpacked = %v, %v, want false", unpacked, err)
	}

	if _, err := target.Fetch(ctx, name, resolver(t)); err != nil {
		t.Fatal(err)
	}
	if n := manifests(ctx, t, target, image.Target); n != 2 {
		t.Errorf("fetch brought %d manifests, want 2", n)
	}
}

// manifests counts the manifests of an index that are in the content store.
func manifests(ctx context.Context, t *testing.T, c *embedded.Client, index ocispec.Descriptor) (n int) {
	t.Helper()
	children, err := images.Children(ctx, c.ContentStore(), index)
	if err != nil {
		t.Fatal(err)
	}
	for _, child := range children {
		if _, err := c.ContentStore().Info(ctx, child.Digest); err == nil {
			n++
		}
	}
	return n
}

func TestNamespaces(t *testing.T) {
	ctx := testContext(t)
	store := open(t, t.TempDir()).NamespaceService()
	if err := store.Create(ctx, "one", map[string]string{"a": "b"}); err != nil {
		t.Fatal(err)
	}
	if err := store.SetLabel(ctx, "one", "c", "d"); err != nil {
		t.Fatal(err)
	}
	labels, err := store.Labels(ctx, "one")
	if err != nil || labels["a"] != "b" || labels["c"] != "d" {
		t.Errorf("labels are %v, %v", labels, err)
	}
	names, err := store.List(ctx)
	if err != nil || !slices.Equal(names, []string{"one"}) {
		t.Errorf("namespaces are %v, %v", names, err)
	}
	if err := store.Delete(ctx, "one"); err != nil {
		t.Fatal(err)
	}
	if names, _ = store.List(ctx); len(names) != 0 {
		t.Errorf("namespaces are %v after delete", names)
	}
}
