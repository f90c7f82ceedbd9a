// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package nerdctl_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	composetypes "github.com/compose-spec/compose-go/v2/types"

	"github.com/cosignkit/cosignkit/examples/nerdctl/composer"
	"github.com/cosignkit/cosignkit/verify"
)

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
			if err := c.StartProject(clean.ctx, test.command, test.services...); !errors.Is(err, test.fails) {
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
	h.must(c.StartProject(clean.ctx, "run", "web"))
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
	if err := c.StartProject(h.ctx, "run"); !errors.Is(err, verify.ErrMisconfigured) || len(*ran) > 0 {
		t.Errorf("got %v, ran %q", err, *ran)
	}
}
