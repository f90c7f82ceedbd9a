// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package compose_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	gcrregistry "github.com/google/go-containerregistry/pkg/registry"
	"github.com/opencontainers/go-digest"

	"github.com/cosignkit/cosignkit"
	"github.com/cosignkit/cosignkit/compose"
	"github.com/cosignkit/cosignkit/internal/embedded"
	"github.com/cosignkit/cosignkit/internal/testimage"
	"github.com/cosignkit/cosignkit/internal/traffic"
	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/registry/hooks"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/signing/keyfile"
	"github.com/cosignkit/cosignkit/verify"
)

// scene is a registry, an image store, and a directory with a Compose project and
// the key pairs good and other.
type scene struct {
	t   testing.TB
	ctx context.Context
	dir string
	// host is the registry's, which Compose files name as $R.
	host   string
	server *traffic.Server
	cd     *embedded.Client

	mu       sync.Mutex
	requests []string
	// hangs and lies are parts of the paths that are not answered, and that are
	// answered with something else. Empty is none.
	hangs, lies string
}

// testKeys are made once: encrypting one takes scrypt its quarter of a second.
var testKeys = sync.OnceValues(func() (map[string]*keyfile.Pair, error) {
	pairs := map[string]*keyfile.Pair{}
	for _, name := range []string{"good", "other"} {
		pair, err := keyfile.Generate(keyfile.DefaultAlgorithm, []byte("secret"))
		if err != nil {
			return nil, err
		}
		pairs[name] = pair
	}
	return pairs, nil
})

func newScene(t testing.TB) *scene {
	t.Helper()
	s := &scene{t: t, dir: t.TempDir(), ctx: namespaces.WithNamespace(t.Context(), "test")}
	backend := gcrregistry.New(gcrregistry.Logger(log.New(io.Discard, "", 0)), gcrregistry.WithReferrersSupport(true))
	s.server = traffic.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, r.Method+" "+r.URL.Path)
		hangs, lies := s.hangs, s.lies
		s.mu.Unlock()
		if hangs != "" && strings.Contains(r.URL.Path, hangs) {
			<-r.Context().Done()
			return
		}
		if lies != "" && r.Method == http.MethodGet && strings.Contains(r.URL.Path, lies) {
			_, _ = io.WriteString(w, strings.Repeat("something else ", 100))
			return
		}
		backend.ServeHTTP(w, r)
	}))
	t.Cleanup(s.server.Close)
	s.host = strings.TrimPrefix(s.server.URL, "http://")
	pairs, err := testKeys()
	if err != nil {
		t.Fatal(err)
	}
	for name, pair := range pairs {
		if err := pair.WriteFiles(filepath.Join(s.dir, name), false); err != nil {
			t.Fatal(err)
		}
	}
	s.cd = s.newStore()
	return s
}

func (s *scene) newStore() *embedded.Client {
	s.t.Helper()
	cd, err := embedded.Open(s.t.TempDir())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = cd.Close() })
	return cd
}

// write writes a file of the project, with the registry's host for $R.
func (s *scene) write(name, content string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(content, "$R/", s.host+"/")), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// load loads a project as a tool does, of one file or of those that are there.
func (s *scene) load(content string, opts ...cli.ProjectOptionsFn) *types.Project {
	s.t.Helper()
	project, err := loadProject(s.ctx, s.dir, []string{s.write("compose.yaml", content)}, opts...)
	if err != nil {
		s.t.Fatal(err)
	}
	return project
}

func loadProject(ctx context.Context, dir string, files []string, opts ...cli.ProjectOptionsFn) (*types.Project, error) {
	options, err := cli.NewProjectOptions(files, append([]cli.ProjectOptionsFn{cli.WithWorkingDirectory(dir), cli.WithName("demo")}, opts...)...)
	if err != nil {
		return nil, err
	}
	return options.LoadProject(ctx)
}

// adapter is that of a process of its own.
func (s *scene) adapter() *cosignkit.Adapter {
	s.t.Helper()
	a, err := cosignkit.New(cosignkit.Config{KeyFile: keyfile.Open, Environ: []string{"COSIGN_PASSWORD=secret", "COSIGN_TLOG_UPLOAD=false"}})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(a.CloseIdleConnections)
	return a
}

func (s *scene) plan(project *types.Project, config compose.Config, services ...string) *compose.Plan {
	s.t.Helper()
	if config.Adapter == nil {
		config.Adapter = s.adapter()
	}
	plan, err := compose.NewPlan(project, config, services...)
	if err != nil {
		s.t.Fatal(err)
	}
	return plan
}

// put puts an image into the store, under a name in the registry.
func (s *scene) put(cd *embedded.Client, name, content string) digest.Digest {
	s.t.Helper()
	var archive bytes.Buffer
	if err := testimage.WriteArchive(&archive, testimage.Image{Name: s.host + "/" + name, Content: content}); err != nil {
		s.t.Fatal(err)
	}
	images, err := cd.Import(s.ctx, &archive)
	if err != nil {
		s.t.Fatal(err)
	}
	return images[0].Target.Digest
}

// push puts an image into the registry, signed by a key pair of the scene unless
// that is empty.
func (s *scene) push(name, content, pair string) digest.Digest {
	s.t.Helper()
	cd := s.newStore()
	want := s.put(cd, name, content)
	client, err := registry.New(registry.Config{})
	if err != nil {
		s.t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	image, err := cd.GetImage(s.ctx, s.host+"/"+name)
	if err != nil {
		s.t.Fatal(err)
	}
	if pair == "" {
		if err := cd.Push(s.ctx, image.Name(), image.Target(), containerd.WithResolver(client.Resolver())); err != nil {
			s.t.Fatal(err)
		}
		return want
	}
	if _, err := hooks.Push(s.ctx, client, cd.Client, image.Name(), image.Target(), s.signer(pair), nil); err != nil {
		s.t.Fatal(err)
	}
	return want
}

func (s *scene) signer(pair string) signing.Signer {
	s.t.Helper()
	key, err := keyfile.Open(s.ctx, filepath.Join(s.dir, pair+".key"), func(context.Context, string) ([]byte, error) {
		return []byte("secret"), nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	signer, err := signing.NewKeySigner(signing.KeySignerConfig{Key: key, SkipTransparencyLog: true})
	if err != nil {
		s.t.Fatal(err)
	}
	return signer
}

// asked counts the requests since the last call whose method and path contain all
// of parts.
func (s *scene) asked(parts ...string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, r := range s.requests {
		all := true
		for _, part := range parts {
			all = all && strings.Contains(r, part)
		}
		if all {
			n++
		}
	}
	return n
}

// hang has no answer for paths with part in them, from now on.
func (s *scene) hang(part string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hangs = part
}

// lie has another answer for paths with part in them, from now on.
func (s *scene) lie(part string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lies = part
}

// forget forgets the requests so far, and those that are on their way.
func (s *scene) forget() {
	s.t.Helper()
	if err := s.server.HangUp(); err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = nil
}

// stored is what a name stands for in the store, or empty.
func (s *scene) stored(name string) digest.Digest {
	image, err := s.cd.ImageService().Get(s.ctx, s.host+"/"+name)
	if err != nil {
		return ""
	}
	return image.Target.Digest
}

// family is the name of the family of err.
func family(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, verify.ErrMisconfigured):
		return "misconfigured"
	case errors.Is(err, verify.ErrInconclusive):
		return "inconclusive"
	case errors.Is(err, verify.ErrRejected):
		return "rejected"
	}
	return "no family"
}

// beside is another project for the same registry.
func (s *scene) beside(t testing.TB) *scene {
	t.Helper()
	other := &scene{t: t, ctx: namespaces.WithNamespace(t.Context(), "test"), dir: t.TempDir(), host: s.host}
	for _, name := range []string{"good.key", "good.pub", "other.key", "other.pub"} {
		content, err := os.ReadFile(filepath.Join(s.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		other.write(name, string(content))
	}
	return other
}
