// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package nerdctl_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"

	composetypes "github.com/compose-spec/compose-go/v2/types"
	"github.com/containerd/containerd/v2/core/content"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/examples/nerdctl/composer"
	"github.com/cosignkit/cosignkit/examples/nerdctl/signutil"
	"github.com/cosignkit/cosignkit/verify"
)

// index makes an image of several architectures under a name in the store.
func (h *host) index(name string, architectures []string) {
	h.t.Helper()
	index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex}
	index.SchemaVersion = 2
	for _, architecture := range architectures {
		manifest := h.image(h.ref("part:"+architecture), architecture)
		manifest.Platform = &ocispec.Platform{OS: "linux", Architecture: architecture}
		index.Manifests = append(index.Manifests, manifest)
	}
	b, err := json.Marshal(index)
	h.must(err)
	h.record(h.ref(name), h.put(ocispec.MediaTypeImageIndex, string(b)))
}

// architectures are those of an index in the store.
func (h *host) architectures(desc ocispec.Descriptor) []string {
	h.t.Helper()
	b, err := content.ReadBlob(h.ctx, h.cd.ContentStore(), desc)
	h.must(err)
	var index ocispec.Index
	h.must(json.Unmarshal(b, &index))
	var all []string
	for _, manifest := range index.Manifests {
		all = append(all, manifest.Platform.Architecture)
	}
	return all
}

func (h *host) service(name, image string, fields map[string]any) composer.ServiceConfig {
	return composer.ServiceConfig{Name: name, Extensions: fields, ContainerSpec: composetypes.ContainerSpec{Image: h.ref(image)}}
}

// whole is a project of web, which depends on db, whose public key is given; and
// the commands that it has run. A child finds the image that it is to run.
func (h *host) whole(dbKey string) (*composer.Composer, *[]string) {
	h.t.Helper()
	c, _, _ := h.project(nil)
	var ran []string
	run := c.Run
	c.Run = func(ctx context.Context, args ...string) error {
		ran = append(ran, strings.Join(args, " "))
		return run(ctx, args...)
	}
	dbFields := maps.Clone(keyFields)
	dbFields["x-nerdctl-cosign-public-key"] = dbKey
	web := h.service("web", "app:v1", keyFields)
	web.DependsOn = composetypes.DependsOnConfig{"db": {Condition: composetypes.ServiceConditionStarted, Required: true}}
	c.Project = &composer.Project{Name: "demo", WorkingDir: h.dir, Services: composetypes.Services{
		"db":    h.service("db", "db:v1", dbFields),
		"other": h.service("other", "other:v1", nil),
		"web":   web,
	}}
	return c, &ran
}

func TestAProjectStartsWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	app, db, other := h.image(h.ref("app:v1"), "app"), h.image(h.ref("db:v1"), "db"), h.image(h.ref("other:v1"), "other")
	c, _ := h.whole("cosign.pub")
	h.must(c.PushProject(h.ctx))
	line := func(command, name string, d interface{ String() string }) string {
		return command + " --pull=never " + h.ref(name) + "@" + d.String()
	}
	for name, test := range map[string]struct {
		dbKey, command string
		services, want []string
		fails          error
	}{
		"up":                          {"cosign.pub", "run", nil, []string{line("run", "db:v1", db.Digest), line("run", "other:v1", other.Digest), line("run", "app:v1", app.Digest)}, nil},
		"run takes what is needed":    {"cosign.pub", "run", []string{"web"}, []string{line("run", "db:v1", db.Digest), line("run", "app:v1", app.Digest)}, nil},
		"create":                      {"cosign.pub", "create", []string{"db"}, []string{line("create", "db:v1", db.Digest)}, nil},
		"up, one is not acceptable":   {"other.pub", "run", nil, nil, verify.ErrRejected},
		"run, a dependency is not":    {"other.pub", "run", []string{"web"}, nil, verify.ErrRejected},
		"up, a key is missing":        {"no.pub", "run", nil, nil, verify.ErrMisconfigured},
		"create, it is not":           {"other.pub", "create", []string{"db"}, nil, verify.ErrRejected},
		"run of one that needs no db": {"other.pub", "run", []string{"other"}, []string{line("run", "other:v1", other.Digest)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			clean := h.cleanHost()
			c, ran := clean.whole(test.dbKey)
			if err := c.StartProject(clean.ctx, test.command, "", test.services...); !errors.Is(err, test.fails) {
				t.Fatalf("got %v, want %v", err, test.fails)
			}
			// What does not depend on another may come before it or after.
			slices.Sort(*ran)
			want := slices.Sorted(slices.Values(test.want))
			if !slices.Equal(*ran, want) {
				t.Errorf("ran %q, want %q", *ran, want)
			}
			records, err := clean.cd.ImageService().List(clean.ctx)
			clean.must(err)
			if test.fails != nil && len(records) > 0 {
				t.Errorf("pulled %d images", len(records))
			}
		})
	}
}

func TestAProjectIsPulledWholeAndStartsWhatItPulled(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	app := h.image(h.ref("app:v1"), "app")
	h.image(h.ref("db:v1"), "db")
	h.image(h.ref("other:v1"), "other")
	c, _ := h.whole("cosign.pub")
	h.must(c.PushProject(h.ctx))
	wrong := h.cleanHost()
	c, _ = wrong.whole("other.pub")
	if err := c.PullProject(wrong.ctx); !errors.Is(err, verify.ErrRejected) || wrong.recorded(h.ref("app:v1")) != "" {
		t.Errorf("got %v", err)
	}
	clean := h.cleanHost()
	c, ran := clean.whole("cosign.pub")
	h.must(c.PullProject(clean.ctx))
	if got := clean.recorded(h.ref("app:v1@" + app.Digest.String())); got != app.Digest {
		t.Errorf("recorded %s", got)
	}
	h.must(c.StartProject(clean.ctx, "run", "", "web"))
	if len(*ran) != 2 || !strings.HasSuffix((*ran)[1], h.ref("app:v1@"+app.Digest.String())) {
		t.Errorf("ran %q, want db and then web", *ran)
	}
}

// A project that cannot be signed as a whole uploads nothing.
func TestAProjectIsPushedSignedOrNotAtAll(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.image(h.ref("app:v1"), "app")
	h.image(h.ref("db:v1"), "db")
	h.image(h.ref("other:v1"), "other")
	c, _ := h.whole("cosign.pub")
	for _, key := range []string{"no.key", "cosign.pub"} {
		web := c.Project.Services["web"]
		web.Extensions = maps.Clone(keyFields)
		web.Extensions["x-nerdctl-cosign-private-key"] = key
		c.Project.Services["web"] = web
		if err := c.PushProject(h.ctx); !errors.Is(err, verify.ErrMisconfigured) {
			t.Errorf("%s: %v", key, err)
		}
	}
	if requests := h.taken(); len(requests) > 0 {
		t.Errorf("requests: %q", requests)
	}
}

// Notation is the child's: a plan would leave it out.
func TestAPlanRefusesNotation(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	c, ran := h.whole("cosign.pub")
	c.Project.Services["other"] = h.service("other", "other:v1", map[string]any{"x-nerdctl-verify": "notation"})
	if err := c.StartProject(h.ctx, "run", ""); !errors.Is(err, verify.ErrMisconfigured) || len(*ran) > 0 {
		t.Errorf("got %v, ran %q", err, *ran)
	}
}

// An image that a service mounts is verified as the service's own is, and mounted by
// the digest that was verified.
func TestImageMountsOfAProject(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	app, data := h.image(h.ref("app:v1"), "app"), h.image(h.ref("data:v1"), "data")
	h.must(h.push("app:v1", "cosign.key"))
	h.must(h.push("data:v1", ""))
	mounting := func(h *host) (*composer.Composer, *[]string) {
		c, ran := h.whole("cosign.pub")
		web := h.service("web", "app:v1", map[string]any{"x-nerdctl-verify": "cosign", "x-nerdctl-cosign-public-key": "cosign.pub"})
		web.Volumes = []composetypes.ServiceVolumeConfig{{Type: composetypes.VolumeTypeImage, Source: h.ref("data:v1"), Target: "/data"}}
		c.Project.Services = composetypes.Services{"web": web}
		return c, ran
	}
	clean := h.cleanHost()
	c, ran := mounting(clean)
	if err := c.StartProject(clean.ctx, "run", ""); !errors.Is(err, verify.ErrRejected) || len(*ran) > 0 {
		t.Errorf("an unsigned image is mounted: %v, ran %q", err, *ran)
	}
	h.must(h.push("data:v1", "cosign.key"))
	h.must(c.StartProject(clean.ctx, "run", ""))
	want := "run --pull=never --mount=type=image,source=" + h.ref("data:v1@"+data.Digest.String()) + " " + h.ref("app:v1@"+app.Digest.String())
	if !slices.Equal(*ran, []string{want}) {
		t.Errorf("ran %q, want %q", *ran, want)
	}
}

// When to pull is the service's pull_policy, or the flag.
func TestAProjectPullsWhenItsPoliciesSay(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	app, other := h.image(h.ref("app:v1"), "app"), h.image(h.ref("other:v1"), "other")
	h.must(h.push("app:v1", "cosign.key"))
	h.must(h.push("other:v1", ""))
	verified := map[string]any{"x-nerdctl-verify": "cosign", "x-nerdctl-cosign-public-key": "cosign.pub"}
	for name, test := range map[string]struct {
		policy, flag, image string
		fields              map[string]any
		stale, fails        bool // the image here is another; and is it that, or none, that fails
		want                string
	}{
		"missing takes what is here":              {"missing", "", "other:v1", nil, true, false, "stale"},
		"without a policy it is the same":         {"", "", "other:v1", nil, true, false, "stale"},
		"always takes the registry's":             {"always", "", "other:v1", nil, true, false, other.Digest.String()},
		"the flag goes before the policy":         {"missing", "always", "other:v1", nil, true, false, other.Digest.String()},
		"never takes what is here":                {"never", "", "other:v1", nil, true, false, "stale"},
		"never does not pull":                     {"never", "", "other:v1", nil, false, true, ""},
		"the flag never does not pull":            {"always", "never", "other:v1", nil, false, true, ""},
		"verified, the registry's is taken":       {"missing", "", "app:v1", verified, true, false, app.Digest.String()},
		"verified, never refuses what is here":    {"never", "", "app:v1", verified, true, true, ""},
		"verified, the flag never refuses it too": {"missing", "never", "app:v1", verified, true, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := h.cleanHost()
			want := test.want
			if test.stale {
				if stale := h.image(h.ref(test.image), "stale"); want == "stale" {
					want = stale.Digest.String()
				}
			}
			c, ran := h.whole("cosign.pub")
			service := h.service("web", test.image, test.fields)
			service.PullPolicy = test.policy
			c.Project.Services = composetypes.Services{"web": service}
			err := c.StartProject(h.ctx, "run", test.flag)
			if test.fails {
				if err == nil || len(*ran) > 0 {
					t.Errorf("got %v, ran %q", err, *ran)
				}
				return
			}
			h.must(err)
			if len(*ran) != 1 || !strings.HasSuffix((*ran)[0], "@"+want) {
				t.Errorf("ran %q, want %s", *ran, want)
			}
		})
	}
}

// Images of IPFS are nerdctl's to pull and to push, if nobody is to verify or to
// sign them.
func TestIPFSInAProject(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	const ref = "ipfs://bafybeih"
	c, ran := h.whole("cosign.pub")
	service := h.service("web", "", nil)
	service.Image = ref
	c.Project.Services = composetypes.Services{"web": service}
	for command, err := range map[string]error{"push": c.PushProject(h.ctx), "pull": c.PullProject(h.ctx), "up": c.StartProject(h.ctx, "run", "")} {
		if err == nil || !strings.Contains(err.Error(), "this is no nerdctl: it has no IPFS") {
			t.Errorf("%s does not come to nerdctl's own: %v", command, err)
		}
	}
	if !slices.Equal(*ran, []string{"push " + ref}) {
		t.Errorf("ran %q", *ran)
	}
	service.Extensions = keyFields
	c.Project.Services["web"] = service
	for command, err := range map[string]error{"push": c.PushProject(h.ctx), "pull": c.PullProject(h.ctx), "up": c.StartProject(h.ctx, "run", "")} {
		if !errors.Is(err, verify.ErrMisconfigured) {
			t.Errorf("%s: %v", command, err)
		}
	}
}

// As push does, a project pushes the platforms that are asked for, and signs the
// digest that is pushed.
func TestAProjectPushesThePlatformsOfItsServices(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.index("app:v1", slices.Compact(slices.Sorted(slices.Values([]string{"arm64", "s390x", runtime.GOARCH}))))
	for name, test := range map[string]struct {
		platforms, want []string
	}{
		"that of this machine": {[]string{""}, []string{runtime.GOARCH}},
		"one that is named":    {[]string{"linux/arm64"}, []string{"arm64"}},
		"those of two":         {[]string{"linux/arm64", "linux/s390x"}, []string{"arm64", "s390x"}},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := h.whole("cosign.pub")
			c.Project.Services = composetypes.Services{}
			for i, platform := range test.platforms {
				service := h.service(fmt.Sprint("s", i), "app:v1", keyFields)
				service.Platform = platform
				c.Project.Services[service.Name] = service
			}
			h.must(c.PushProject(h.ctx))
			clean := h.cleanHost()
			verified, err := signutil.Cosign(global).Ensure(clean.ctx, clean.cd.Client, h.ref("app:v1"), "always", h.verify("").VerifyOptions)
			h.must(err)
			if got := h.architectures(*verified.Target); !slices.Equal(got, test.want) {
				t.Errorf("pushed %q, want %q", got, test.want)
			}
			if left := h.recorded(h.ref("app:v1-tmp-reduced-platform")); left != "" {
				t.Errorf("left behind: %s", left)
			}
		})
	}
}
