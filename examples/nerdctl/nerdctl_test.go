// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package nerdctl_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	composetypes "github.com/compose-spec/compose-go/v2/types"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs"
	"github.com/containerd/log"
	gcrregistry "github.com/google/go-containerregistry/pkg/registry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/examples/nerdctl/composer"
	"github.com/cosignkit/cosignkit/examples/nerdctl/container"
	"github.com/cosignkit/cosignkit/examples/nerdctl/image"
	"github.com/cosignkit/cosignkit/examples/nerdctl/types"
	"github.com/cosignkit/cosignkit/internal/embedded"
	"github.com/cosignkit/cosignkit/internal/traffic"
	"github.com/cosignkit/cosignkit/signing/keyfile"
	"github.com/cosignkit/cosignkit/verify"
)

const password = "correct horse"

// global are the flags that every command has, as they are by default.
var global = types.GlobalCommandOptions{Experimental: true}

// logged is what nerdctl's user sees.
var logged struct {
	sync.Mutex
	bytes.Buffer
}

type loggedWriter struct{}

func (loggedWriter) Write(b []byte) (int, error) {
	logged.Lock()
	defer logged.Unlock()
	return logged.Buffer.Write(b)
}

// TestMain sets what the commands read of the process: they are nerdctl's, which
// has one environment.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "docker")
	if err != nil {
		panic(err)
	}
	for name, value := range map[string]string{
		"DOCKER_CONFIG": dir, "COSIGN_PASSWORD": password, "COSIGN_TLOG_UPLOAD": "false", "COSIGN_INSECURE_IGNORE_TLOG": "true",
	} {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	log.L.Logger.SetOutput(loggedWriter{})
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// host is a machine with nerdctl, and a registry that it reaches.
type host struct {
	t        *testing.T
	ctx      context.Context
	cd       *embedded.Client
	server   *traffic.Server
	registry string
	dir      string // with a key pair

	mu       *sync.Mutex
	requests *[]string
}

// Key pairs are made once: to encrypt a key takes a quarter of a second.
var keyPair, otherPair = sync.OnceValues(generate), sync.OnceValues(generate)

func generate() (*keyfile.Pair, error) { return keyfile.Generate("", []byte(password)) }

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{t: t, dir: t.TempDir(), mu: &sync.Mutex{}, requests: &[]string{}}
	backend := gcrregistry.New(gcrregistry.Logger(stdlog.New(io.Discard, "", 0)), gcrregistry.WithReferrersSupport(true))
	h.server = traffic.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		*h.requests = append(*h.requests, r.Method+" "+r.URL.Path)
		h.mu.Unlock()
		backend.ServeHTTP(w, r)
	}))
	t.Cleanup(h.server.Close)
	h.registry = strings.TrimPrefix(h.server.URL, "http://")
	for name, pair := range map[string]func() (*keyfile.Pair, error){"cosign": keyPair, "other": otherPair} {
		made, err := pair()
		if err == nil {
			err = made.WriteFiles(filepath.Join(h.dir, name), false)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return h.cleanHost()
}

// cleanHost is another machine, with an empty image store.
func (h *host) cleanHost() *host {
	h.t.Helper()
	other := *h
	cd, err := embedded.Open(h.t.TempDir())
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		if err := cd.Close(); err != nil {
			h.t.Error(err)
		}
	})
	other.cd, other.ctx = cd, namespaces.WithNamespace(h.t.Context(), "default")
	return &other
}

func (h *host) ref(name string) string { return h.registry + "/" + name }

// taken returns the requests so far, with those that are on their way, and forgets
// them.
func (h *host) taken() []string {
	h.t.Helper()
	h.must(h.server.HangUp())
	h.mu.Lock()
	defer h.mu.Unlock()
	requests := *h.requests
	*h.requests = nil
	return requests
}

// image makes an image under a name in the store.
func (h *host) image(name, text string) ocispec.Descriptor {
	h.t.Helper()
	layer := h.put(ocispec.MediaTypeImageLayer, "layer of "+text)
	config := h.put(ocispec.MediaTypeImageConfig, fmt.Sprintf(`{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[%q]}}`, layer.Digest))
	manifest := h.put(ocispec.MediaTypeImageManifest, fmt.Sprintf(
		`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":%d},"layers":[{"mediaType":%q,"digest":%q,"size":%d}]}`,
		ocispec.MediaTypeImageManifest, config.MediaType, config.Digest, config.Size, layer.MediaType, layer.Digest, layer.Size))
	h.record(name, manifest)
	return manifest
}

func (h *host) put(mediaType, text string) ocispec.Descriptor {
	h.t.Helper()
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromString(text), Size: int64(len(text))}
	h.must(content.WriteBlob(h.ctx, h.cd.ContentStore(), desc.Digest.String(), strings.NewReader(text), desc))
	return desc
}

func (h *host) record(name string, target ocispec.Descriptor) {
	h.t.Helper()
	store, record := h.cd.ImageService(), images.Image{Name: name, Target: target}
	_, err := store.Create(h.ctx, record)
	if errdefs.IsAlreadyExists(err) {
		_, err = store.Update(h.ctx, record)
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) recorded(name string) digest.Digest {
	h.t.Helper()
	record, err := h.cd.ImageService().Get(h.ctx, name)
	if err != nil && !errdefs.IsNotFound(err) {
		h.t.Fatal(err)
	}
	return record.Target.Digest
}

func (h *host) push(name, key string, tags ...string) error {
	h.t.Helper()
	options := types.ImagePushOptions{GOptions: global, AllTags: tags, SignOptions: types.ImageSignOptions{Provider: "none"}}
	if key != "" {
		options.SignOptions = types.ImageSignOptions{Provider: "cosign", CosignKey: filepath.Join(h.dir, key)}
	}
	return image.Push(h.ctx, h.cd.Client, h.ref(name), options)
}

func (h *host) verify(mode string) types.ImagePullOptions {
	return types.ImagePullOptions{GOptions: global, Mode: mode, VerifyOptions: types.ImageVerifyOptions{Provider: "cosign", CosignKey: filepath.Join(h.dir, "cosign.pub")}}
}

// unverified are the options of a command without --verify.
func (h *host) unverified(mode string) types.ImagePullOptions {
	return types.ImagePullOptions{GOptions: global, Mode: mode, VerifyOptions: types.ImageVerifyOptions{Provider: "none"}}
}

func (h *host) create(ref string, options types.ContainerCreateOptions) ([]ocispec.Descriptor, error) {
	used, _, err := container.Create(h.ctx, h.cd.Client, ref, options)
	return used, err
}

func (h *host) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// 1. The image that runs is the image that was verified.

func TestRunRunsWhatWasVerified(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	signed := h.image(h.ref("app:v1"), "signed")
	h.must(h.push("app:v1", "cosign.key"))
	for name, c := range map[string]struct {
		before func(*host)
		mode   string
		fails  error
	}{
		"a clean host":                        {func(*host) {}, "missing", nil},
		"a clean host, always":                {func(*host) {}, "always", nil},
		"another image bears the tag":         {func(h *host) { h.image(h.ref("app:v1"), "other") }, "missing", verify.ErrRejected},
		"another image bears the tag, always": {func(h *host) { h.image(h.ref("app:v1"), "other") }, "always", nil},
		"another image bears the tag, never":  {func(h *host) { h.image(h.ref("app:v1"), "other") }, "never", verify.ErrRejected},
		"another image bears the digest": {func(h *host) {
			h.record(h.ref("app:v1@"+signed.Digest.String()), h.image(h.ref("other:v1"), "other"))
		}, "missing", verify.ErrRejected},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := h.cleanHost()
			c.before(h)
			used, err := h.create(h.ref("app:v1"), types.ContainerCreateOptions{ImagePullOpt: h.verify(c.mode)})
			if c.fails != nil {
				if !errors.Is(err, c.fails) {
					t.Errorf("got %v, want %v", err, c.fails)
				}
				return
			}
			if err != nil || len(used) != 1 || used[0].Digest != signed.Digest {
				t.Errorf("runs %v with %v, want %s", used, err, signed.Digest)
			}
		})
	}
}

// project is a Compose project of one service on h, whose commands are h's own.
func (h *host) project(fields map[string]any) (*composer.Composer, *composer.Service, *[]ocispec.Descriptor) {
	h.t.Helper()
	var ran []ocispec.Descriptor
	c := &composer.Composer{Client: h.cd.Client, Options: global, Run: func(ctx context.Context, args ...string) error {
		name, options := args[len(args)-1], types.ContainerCreateOptions{ImagePullOpt: h.unverified("missing")}
		push := types.ImagePushOptions{GOptions: global}
		for _, flag := range args[1 : len(args)-1] {
			switch key, value, _ := strings.Cut(flag, "="); key {
			case "--verify":
				options.ImagePullOpt.VerifyOptions.Provider = value
			case "--sign":
				push.SignOptions.Provider = value
			case "--cosign-key":
				options.ImagePullOpt.VerifyOptions.CosignKey, push.SignOptions.CosignKey = value, value
			case "--pull":
				options.ImagePullOpt.Mode = value
			case "--workdir":
			case "--mount":
				options.ImageMounts = append(options.ImageMounts, strings.TrimPrefix(value, "type=image,source="))
			default:
				return fmt.Errorf("unknown flag %s", flag)
			}
		}
		if args[0] == "push" {
			return image.Push(ctx, h.cd.Client, name, push)
		}
		used, _, err := container.Create(ctx, h.cd.Client, name, options)
		ran = append(ran, used...)
		return err
	}}
	ps, err := composer.Parse(&composer.Project{WorkingDir: h.dir}, h.service("web", "app:v1", fields))
	h.must(err)
	return c, ps, &ran
}

var keyFields = map[string]any{
	"x-nerdctl-sign": "cosign", "x-nerdctl-cosign-private-key": "cosign.key",
	"x-nerdctl-verify": "cosign", "x-nerdctl-cosign-public-key": "cosign.pub",
}

func TestComposeRunsWhatWasVerified(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	signed := h.image(h.ref("app:v1"), "signed")
	c, ps, _ := h.project(keyFields)
	h.must(c.PushServiceImage(h.ctx, ps))

	clean := h.cleanHost()
	c, ps, ran := clean.project(keyFields)
	h.must(c.EnsureServiceImage(clean.ctx, ps))
	h.taken()
	h.must(c.UpServiceContainer(clean.ctx, ps.Containers[0]))
	if len(*ran) != 1 || (*ran)[0].Digest != signed.Digest {
		t.Errorf("runs %v, want %s", *ran, signed.Digest)
	}
	if requests := h.taken(); len(requests) > 0 {
		t.Errorf("the container is verified again, with requests: %q", requests)
	}

	// Between the two steps another image gets the tag.
	c, ps, ran = clean.project(keyFields)
	h.must(c.EnsureServiceImage(clean.ctx, ps))
	clean.image(h.ref("app:v1"), "other")
	if err := c.UpServiceContainer(clean.ctx, ps.Containers[0]); !errors.Is(err, verify.ErrRejected) || len(*ran) > 0 {
		t.Errorf("runs %v with %v", *ran, err)
	}

	wrong := h.cleanHost()
	c, ps, _ = wrong.project(map[string]any{"x-nerdctl-verify": "cosign", "x-nerdctl-cosign-public-key": "other.pub"})
	for name, err := range map[string]error{"up": c.EnsureServiceImage(wrong.ctx, ps), "pull": c.PullServiceImage(wrong.ctx, ps)} {
		if !errors.Is(err, verify.ErrRejected) {
			t.Errorf("%s with a wrong key: %v", name, err)
		}
	}
	if got := wrong.recorded(h.ref("app:v1")); got != "" {
		t.Errorf("an image that was refused is recorded: %s", got)
	}
}

// A directory of the container's says nothing of who must have signed.
func TestComposeRunFindsKeysInTheProject(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	signed := h.image(h.ref("app:v1"), "signed")
	h.must(h.push("app:v1", "cosign.key"))
	other, err := os.ReadFile(filepath.Join(h.dir, "other.pub"))
	h.must(err)
	elsewhere := t.TempDir()
	h.must(os.WriteFile(filepath.Join(elsewhere, "cosign.pub"), other, 0o600))
	for _, dir := range []string{"", elsewhere, "/data"} {
		clean := h.cleanHost()
		c, _, ran := clean.project(nil)
		c.Project = &composer.Project{WorkingDir: h.dir, Services: composetypes.Services{"web": h.service("web", "app:v1", keyFields)}}
		if err := c.RunService(clean.ctx, composer.RunOptions{ServiceName: "web", WorkDir: dir}); err != nil {
			t.Errorf("--workdir=%s: %v", dir, err)
		}
		if len(*ran) != 1 || (*ran)[0].Digest != signed.Digest {
			t.Errorf("--workdir=%s: ran %v", dir, *ran)
		}
	}
}

// 2. The name that was pulled stands for what was verified.

func TestPullRecordsTheTag(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	signed := h.image(h.ref("app:v1"), "signed")
	h.must(h.push("app:v1", "cosign.key"))
	clean := h.cleanHost()
	clean.image(h.ref("app:v1"), "other")
	_, err := image.EnsureImage(clean.ctx, clean.cd.Client, h.ref("app:v1"), h.verify("always"))
	h.must(err)
	for _, name := range []string{h.ref("app:v1"), h.ref("app:v1@" + signed.Digest.String())} {
		if got := clean.recorded(name); got != signed.Digest {
			t.Errorf("%s is %q, want %s", name, got, signed.Digest)
		}
	}
	// It starts with no registry.
	h.taken()
	_, err = clean.create(h.ref("app:v1"), types.ContainerCreateOptions{ImagePullOpt: h.verify("never")})
	h.must(err)
	if requests := h.taken(); len(requests) > 0 {
		t.Errorf("requests: %q", requests)
	}
}

func TestARecordOfAnotherDigestIsRefused(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	signed, other := h.image(h.ref("app:v1"), "signed"), h.image(h.ref("other:v1"), "other")
	h.must(h.push("app:v1", "cosign.key"))
	name := h.ref("app:v1@" + signed.Digest.String())
	h.record(name, other)
	for _, mode := range []string{"missing", "never"} {
		if _, err := h.create(name, types.ContainerCreateOptions{ImagePullOpt: h.verify(mode)}); !errors.Is(err, verify.ErrRejected) {
			t.Errorf("--pull=%s: %v", mode, err)
		}
	}
}

// 3. The fields of Compose are read strictly, and only where they are needed.

func TestComposeFields(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.image(h.ref("app:v1"), "image")
	for name, c := range map[string]struct {
		fields map[string]any
		want   string // of the commands that verify, which the others do not give
	}{
		"a wrong type":               {map[string]any{"x-nerdctl-verify": 1}, "service web: x-nerdctl-verify: found the number 1, want cosign"},
		"a misspelt name":            {map[string]any{"x-nerdctl-verfy": "cosign"}, "service web: x-nerdctl-verfy: found an unknown field, want x-nerdctl-verify"},
		"a key without its provider": {map[string]any{"x-nerdctl-cosign-public-key": "cosign.pub"}, "service web: x-nerdctl-cosign-public-key: found it without its provider"},
		"an empty value":             {map[string]any{"x-nerdctl-verify": ""}, "service web: x-nerdctl-verify: found an empty value"},
		"a missing file":             {map[string]any{"x-nerdctl-verify": "cosign", "x-nerdctl-cosign-public-key": "no.pub"}, "service web: x-nerdctl-cosign-public-key: found"},
		"what no flag says":          {map[string]any{"x-nerdctl-verify": "cosign", "x-nerdctl-cosign-public-key": "cosign.pub", "x-nerdctl-cosign-annotations": map[string]any{"a": "b"}}, "x-nerdctl-cosign-annotations"},
	} {
		t.Run(name, func(t *testing.T) {
			c2, ps, ran := h.project(c.fields) // as down and stop do
			h.taken()
			for command, err := range map[string]error{"up": c2.EnsureServiceImage(h.ctx, ps), "pull": c2.PullServiceImage(h.ctx, ps)} {
				if !errors.Is(err, verify.ErrMisconfigured) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%s: got %v, want %s", command, err, c.want)
				}
			}
			if requests := h.taken(); len(requests)+len(*ran) > 0 {
				t.Errorf("requests: %q, and runs %v", requests, *ran)
			}
		})
	}
}

// 4. What no registry has is refused, and image mounts are verified.

func TestWhatCannotBeVerifiedIsRefused(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	signed := h.image(h.ref("app:v1"), "signed")
	h.must(h.push("app:v1", "cosign.key"))
	h.image(h.ref("data:v1"), "unsigned")
	h.must(h.push("data:v1", ""))
	options := types.ContainerCreateOptions{ImagePullOpt: h.verify("missing")}
	// Nor does a provider that there is not let one through.
	for _, provider := range []string{"cosign", "Cosign", "notary", "notation", ""} {
		options := options
		options.ImagePullOpt.VerifyOptions.Provider = provider
		for _, ref := range []string{"ipfs://bafybeih", "oci-archive:///tmp/image.tar"} {
			if _, err := h.create(ref, options); err == nil || !strings.Contains(err.Error(), "--verify") {
				t.Errorf("--verify=%s %s: %v", provider, ref, err)
			}
		}
		options.Rootfs = true
		if _, err := h.create("rootfs", options); err == nil || !strings.Contains(err.Error(), "--verify") {
			t.Errorf("--verify=%s --rootfs: %v", provider, err)
		}
	}
	for ref, want := range map[string]string{"/tmp/image.tar": "invalid reference format", h.ref("App:v1"): "must be lowercase"} {
		if _, err := h.create(ref, options); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", ref, err, want)
		}
	}
	mounts := options
	mounts.ImageMounts = []string{h.ref("data:v1")}
	if _, err := h.create(h.ref("app:v1"), mounts); !errors.Is(err, verify.ErrRejected) {
		t.Errorf("an unsigned image mount: %v", err)
	}
	mounts.ImageMounts = []string{h.ref("app:v1")}
	used, err := h.create(h.ref("app:v1"), mounts)
	if err != nil || len(used) != 2 || used[1].Digest != signed.Digest {
		t.Errorf("mounts %v with %v", used, err)
	}
	if err := image.Push(h.ctx, h.cd.Client, "ipfs://bafybeih", types.ImagePushOptions{GOptions: global, SignOptions: types.ImageSignOptions{Provider: "cosign", CosignKey: filepath.Join(h.dir, "cosign.key")}}); err == nil || !strings.Contains(err.Error(), "--sign") {
		t.Errorf("--sign on IPFS: %v", err)
	}
}

// 5. All that can be known to be wrong is, before any upload and any request.

func TestValidationComesFirst(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.image(h.ref("app:v1"), "image")
	key := filepath.Join(h.dir, "cosign.key")
	for name, o := range map[string]types.ImageSignOptions{
		"an unknown provider":      {Provider: "notary"},
		"a provider of upper case": {Provider: "Cosign"},
		"no key there":             {Provider: "cosign", CosignKey: key + "s"},
		"a public key":             {Provider: "cosign", CosignKey: filepath.Join(h.dir, "cosign.pub")},
		"a key and no provider":    {CosignKey: key},
		"no identity":              {Provider: "cosign"},
	} {
		if err := image.Push(h.ctx, h.cd.Client, h.ref("app:v1"), types.ImagePushOptions{GOptions: global, SignOptions: o}); !errors.Is(err, verify.ErrMisconfigured) {
			t.Errorf("push, %s: %v", name, err)
		}
	}
	for name, o := range map[string]types.ImageVerifyOptions{
		"no key and no identity":     {Provider: "cosign"},
		"an identity without issuer": {Provider: "cosign", CosignCertificateIdentity: "name@example.com"},
		"a private key":              {Provider: "cosign", CosignKey: key},
		"a key and no provider":      {Provider: "none", CosignKey: key},
	} {
		if _, err := image.EnsureImage(h.ctx, h.cd.Client, h.ref("app:v1"), types.ImagePullOptions{GOptions: global, Mode: "always", VerifyOptions: o}); !errors.Is(err, verify.ErrMisconfigured) {
			t.Errorf("pull, %s: %v", name, err)
		}
	}
	off := types.GlobalCommandOptions{}
	signs := types.ImageSignOptions{Provider: "cosign", CosignKey: key}
	if err := image.Push(h.ctx, h.cd.Client, h.ref("app:v1"), types.ImagePushOptions{GOptions: off, SignOptions: signs}); !errors.Is(err, verify.ErrMisconfigured) {
		t.Errorf("push --experimental=false: %v", err)
	}
	verifies := h.verify("always")
	verifies.GOptions = off
	if _, err := image.EnsureImage(h.ctx, h.cd.Client, h.ref("app:v1"), verifies); !errors.Is(err, verify.ErrMisconfigured) {
		t.Errorf("pull --experimental=false: %v", err)
	}
	if requests := h.taken(); len(requests) > 0 {
		t.Errorf("requests: %q", requests)
	}
	logged.Lock()
	defer logged.Unlock()
	if strings.Contains(logged.String(), password) {
		t.Error("the password is logged")
	}
}

// 6. All tags of a digest, one signature; and the tag comes last.

func TestAllTagsAreSignedOnce(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	signed := h.image(h.ref("app:v1"), "signed")
	h.record(h.ref("app:v2"), signed)
	h.taken()
	h.must(h.push("app", "cosign.key", "v1", "v2"))
	manifests := slices.DeleteFunc(h.taken(), func(r string) bool { return !strings.HasPrefix(r, "PUT /v2/app/manifests/") })
	signatures := slices.DeleteFunc(slices.Clone(manifests), func(r string) bool {
		return !strings.Contains(r, "sha256:") || strings.HasSuffix(r, signed.Digest.String())
	})
	if len(signatures) != 1 {
		t.Errorf("%d signatures are written: %q", len(signatures), manifests)
	}
	first := slices.Index(manifests, "PUT /v2/app/manifests/v1")
	if first < slices.Index(manifests, signatures[0]) || !slices.Contains(manifests, "PUT /v2/app/manifests/v2") {
		t.Errorf("the tags are not after the signature: %q", manifests)
	}
	clean := h.cleanHost()
	for _, tag := range []string{"app:v1", "app:v2"} {
		_, err := image.EnsureImage(clean.ctx, clean.cd.Client, h.ref(tag), h.verify("always"))
		h.must(err)
	}
	logged.Lock()
	defer logged.Unlock()
	for _, want := range []string{"cosign: signed ", "cosign: verified ", "level=warning msg=\"cosign: COSIGN_INSECURE_IGNORE_TLOG=true: "} {
		if !strings.Contains(logged.String(), want) {
			t.Errorf("no line with %q", want)
		}
	}
}
