// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package compose_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	imagestore "github.com/containerd/containerd/v2/core/images"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/compose"
)

// rich uses images in every place that Compose has for them.
const rich = `
services:
  web:
    image: $R/web:v1
    build: .
    pull_policy: build
    command: [serve]` + good + `
    pre_start:
      - image: $R/init:v1
        command: [migrate]
      - command: [check]
    volumes:
      - {type: image, source: "$R/data:v1", target: /data}
      - {type: tmpfs, target: /tmp}
  plain:
    image: $R/plain:v1
  other:
    image: $R/other:v1
    profiles: [other]
`

// images are all that a service starts with.
func images(s types.ServiceConfig) string {
	all := []string{s.Image}
	for _, hook := range s.PreStart {
		all = append(all, hook.Image)
	}
	for _, v := range s.Volumes {
		if v.Type == types.VolumeTypeImage {
			all = append(all, v.Source)
		}
	}
	return strings.Join(all, "\n")
}

// TestEveryImageOfAServiceIsPinned, in the project and by the override, which
// compose-go reads.
func TestEveryImageOfAServiceIsPinned(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	pin := func(name, pair string) string {
		return s.host + "/" + name + ":v1@" + s.push(name+":v1", name, pair).String()
	}
	web, setup, data, plain := pin("web", "good"), pin("init", "good"), pin("data", "good"), pin("plain", "")
	project := s.load(rich)
	result, err := s.plan(project, compose.Config{}).Pull(s.ctx, s.puller())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"web": strings.Join([]string{web, setup, web, data}, "\n"), "plain": plain}
	check := func(t *testing.T, got *types.Project) {
		for service, want := range want {
			if got := images(got.Services[service]); got != want {
				t.Errorf("%s starts\n%s\nwant\n%s", service, got, want)
			}
		}
		s := got.Services["web"]
		if s.Build != nil || s.PullPolicy != types.PullPolicyMissing || strings.Join(s.Command, " ") != "serve" || len(s.Volumes) != 2 || len(s.PreStart) != 2 {
			t.Errorf("web is %+v", s)
		}
		if got := strings.Join(s.PreStart[0].Command, " "); got != "migrate" {
			t.Errorf("the hook runs %q", got)
		}
	}
	pinned, err := result.Project()
	if err != nil {
		t.Fatal(err)
	}
	check(t, pinned)
	if got := project.Services["web"]; got.Build == nil || strings.Contains(got.Image+got.PreStart[0].Image+got.Volumes[0].Source, "@") {
		t.Errorf("the project of the caller has changed: %+v", got)
	}

	// An override cannot pin the hook that has an image of its own.
	_, err = result.Override()
	if problems := compose.Problems(err); family(err) != "misconfigured" || len(problems) != 1 || problems[0].Service != "web" || problems[0].Line != 13 ||
		problems[0].Error() != "compose.yaml:13: service web: pre_start.0: found "+s.host+"/init:v1; expected here "+setup+", which an override cannot say" {
		t.Errorf("got %v", err)
	}
	project = s.load(strings.Replace(rich, "$R/init:v1", setup, 1))
	if result, err = s.plan(project, compose.Config{}).Pull(s.ctx, s.puller()); err != nil {
		t.Fatal(err)
	}
	override, err := result.Override()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", override)
	again, err := loadProject(s.ctx, s.dir, []string{s.dir + "/compose.yaml", s.write("pinned.yaml", string(override))}, cli.WithProfiles([]string{"other"}))
	if err != nil {
		t.Fatal(err)
	}
	check(t, again)
	if got := again.Services["other"].Image; strings.Contains(got, "@") {
		t.Errorf("a service that is not of the plan is %s", got)
	}
	// What was pinned is verified as it was.
	if _, err := s.plan(again, compose.Config{}, "web").Verify(s.ctx); err != nil {
		t.Error(err)
	}
}

// TestTheOverrideSaysNothingOfVariables: people commit it.
func TestTheOverrideSaysNothingOfVariables(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.push("web:v1", "web", "good")
	s.push("data:v1", "data", "good")
	s.write("service.env", "A=s3cret-1\n")
	s.write("hook.env", "B=s3cret-2\n")
	project := s.load(`
services:
  web:
    image: $R/web:v1`+good+`
    env_file: service.env
    environment: {C: "${SECRET}"}
    labels: {d: "${SECRET}"}
    command: [serve, "--token=${SECRET}"]
    pre_start:
      - {command: [migrate, "--token=${SECRET}"], env_file: hook.env}
    post_start:
      - {command: [warm], environment: {E: "${SECRET}"}}
    pre_stop:
      - {command: [drain], environment: {F: "${SECRET}"}}
    volumes:
      - {type: image, source: "$R/data:v1", target: /data}
      - {type: bind, source: "/s3cret-4", target: /host}
`, cli.WithEnv([]string{"SECRET=s3cret-3"}))
	if hook := project.Services["web"].PreStart[0]; hook.Environment["A"] == nil || hook.Environment["B"] == nil {
		t.Fatalf("compose-go has not resolved the files of variables: %v", hook.Environment)
	}
	result, err := s.plan(project, compose.Config{}).Verify(s.ctx)
	if err != nil {
		t.Fatal(err)
	}
	override, err := result.Override()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(override), "s3cret") || strings.Count(string(override), "@sha256:") != 2 {
		t.Errorf("got\n%s", override)
	}
}

// TestHooksInAnOverride: one without an image is pinned with its service, also by an
// override; one that names an image is not, though it be the same.
func TestHooksInAnOverride(t *testing.T) {
	t.Parallel()
	const service = "services:\n  web:\n    image: $R/web:v1" + good
	s := newScene(t)
	d := s.push("web:v1", "web", "good")
	for name, c := range map[string]struct {
		files map[string]string
		hooks int
		want  string
	}{
		"no image":               {map[string]string{"1.yaml": service + "    pre_start: [{command: [a]}, {command: [b]}]\n"}, 2, "ok"},
		"of another service":     {map[string]string{"1.yaml": service + "  base:\n    image: $R/web:v1\n    pre_start: [{command: [a]}]\n", "2.yaml": "services: {web: {extends: {service: base, file: 1.yaml}}}"}, 1, "ok"},
		"of an anchor":           {map[string]string{"1.yaml": "x-hooks: &hooks [{command: [a]}]\n" + service + "    pre_start: *hooks\n"}, 1, "ok"},
		"the same image":         {map[string]string{"1.yaml": service + "    pre_start: [{command: [a], image: $R/web:v1}]\n"}, 1, "misconfigured"},
		"the same image, merged": {map[string]string{"1.yaml": "x-hook: &hook {image: $R/web:v1}\n" + service + "    pre_start: [{<<: *hook, command: [a]}]\n"}, 1, "misconfigured"},
		"another one has it":     {map[string]string{"1.yaml": service + "    pre_start: [{command: [a]}, {command: [b], image: $R/web:v1}]\n"}, 2, "misconfigured"},
		"one of a digest":        {map[string]string{"1.yaml": service + "    pre_start: [{command: [a]}, {command: [b], image: $R/web:v1@$D}]\n"}, 2, "ok"},
		"in another file":        {map[string]string{"1.yaml": service + "    pre_start: [{command: [a]}]\n", "2.yaml": "services: {web: {pre_start: [{command: [b], image: $R/web:v1}]}}"}, 2, "misconfigured"},
		"that nobody finds":      {map[string]string{"1.yaml": service + "    pre_start: [{command: [a]}]\n", "2.yaml": "services: {web: {pre_start: [{command: [b]}]}}"}, 2, "misconfigured"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := s.beside(t)
			var files []string
			for file, content := range c.files {
				files = append(files, s.write(file, strings.ReplaceAll(content, "$D", d.String())))
			}
			slices.Sort(files)
			project, err := loadProject(s.ctx, s.dir, files)
			if err != nil {
				t.Fatal(err)
			}
			result, err := s.plan(project, compose.Config{}, "web").Verify(s.ctx)
			if err != nil {
				t.Fatal(err)
			}
			override, err := result.Override()
			if family(err) != c.want {
				t.Fatalf("got %v, want %s", err, c.want)
			}
			if n := len(project.Services["web"].PreStart); n != c.hooks {
				t.Errorf("%d hooks", n)
			}
			if err != nil {
				return
			}
			again, err := loadProject(s.ctx, s.dir, append(files, s.write("pinned.yaml", string(override))))
			if err != nil {
				t.Fatal(err)
			}
			for _, hook := range again.Services["web"].PreStart {
				if !strings.HasSuffix(hook.Image, "@"+d.String()) {
					t.Errorf("a hook starts %s", hook.Image)
				}
			}
		})
	}
	t.Run("files that are not known", func(t *testing.T) {
		t.Parallel()
		s := s.beside(t)
		project := s.load(service + "    pre_start: [{command: [a]}]\n")
		project.ComposeFiles = nil
		result, err := s.plan(project, compose.Config{}).Verify(s.ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := result.Override(); family(err) != "misconfigured" {
			t.Errorf("got %v", err)
		}
	})
}

// TestAnOverrideReplacesMountsAsTheyAreWritten: compose-go cleans targets after it
// compares them.
func TestAnOverrideReplacesMountsAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.push("web:v1", "web", "good")
	s.push("data:v1", "data", "good")
	for _, target := range []string{"/data", "/data/", "/data//", "/x/../data", "/d$$ata"} {
		project := s.load("services:\n  web:\n    image: $R/web:v1" + good + "    volumes:\n      - {type: tmpfs, target: /tmp}\n      - {type: image, source: '$R/data:v1', target: '" + target + "'}\n")
		result, err := s.plan(project, compose.Config{}).Verify(s.ctx)
		if err != nil {
			t.Fatal(err)
		}
		override, err := result.Override()
		if err != nil {
			t.Fatal(err)
		}
		again, err := loadProject(s.ctx, s.dir, []string{s.dir + "/compose.yaml", s.write("pinned.yaml", string(override))})
		if err != nil {
			t.Errorf("%s: %v\n%s", target, err, override)
			continue
		}
		volumes := again.Services["web"].Volumes
		if len(volumes) != 2 || !strings.Contains(volumes[1].Source, "@sha256:") {
			t.Errorf("%s: mounts %+v", target, volumes)
		}
	}
}

// TestAnImageOfAHookOrAMountCanRefuseTheService.
func TestAnImageOfAHookOrAMountCanRefuseTheService(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"init", "data"} {
		t.Run(bad, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			for _, name := range []string{"web", "init", "data"} {
				pair := "good"
				if name == bad {
					pair = "other"
				}
				s.push(name+":v1", name, pair)
			}
			_, err := s.plan(s.load(rich), compose.Config{}, "web").Verify(s.ctx)
			if family(err) != "rejected" || !strings.Contains(err.Error(), "service web: verify "+s.host+"/"+bad) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestTheOverrideIsNotInterpolatedAgain: a hook would run something else, and an
// image would be mounted beside the one that was verified.
func TestTheOverrideIsNotInterpolatedAgain(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.push("web:v1", "web", "good")
	s.push("data:v1", "data", "good")
	result, err := s.plan(s.load("services:\n  web:\n    image: $R/web:v1"+good+`
    pre_start:
      - command: [sh, -c, 'echo $$HOME $${X}']
        environment: {$$A: $$B}
    volumes:
      - {type: image, source: "$R/data:v1", target: /d$$ata}
`), compose.Config{}).Verify(s.ctx)
	if err != nil {
		t.Fatal(err)
	}
	override, err := result.Override()
	if err != nil {
		t.Fatal(err)
	}
	again, err := loadProject(s.ctx, s.dir, []string{s.dir + "/compose.yaml", s.write("pinned.yaml", string(override))})
	if err != nil {
		t.Fatal(err)
	}
	pinned, err := result.Project()
	if err != nil {
		t.Fatal(err)
	}
	got, want := again.Services["web"], pinned.Services["web"]
	if !reflect.DeepEqual(got.PreStart, want.PreStart) || !reflect.DeepEqual(got.Volumes, want.Volumes) {
		t.Errorf("got %+v\n%+v\nwant %+v\n%+v", got.PreStart, got.Volumes, want.PreStart, want.Volumes)
	}
}

// TestVerifyPinsWhatItVerified and leaves the rest as it is.
func TestVerifyPinsWhatItVerified(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	d := s.push("a:v1", "a", "good")
	project := s.load("services:\n  a:\n    image: $R/a:v1" + good + "  b:\n    image: local-only\n")
	result, err := s.plan(project, compose.Config{}).Verify(s.ctx)
	if err != nil {
		t.Fatal(err)
	}
	override, err := result.Override()
	if want := "services:\n  a:\n    image: " + s.host + "/a:v1@" + d.String() + "\n"; err != nil || string(override) != want {
		t.Errorf("got %s, want %s, %v", override, want, err)
	}
	// The tool pulls by digest, and has the names recorded.
	cd := s.cd
	name := s.host + "/a:v1"
	if _, err := cd.Fetch(s.ctx, name); err != nil {
		t.Fatal(err)
	}
	s.put(cd, "a:v1", "evil")
	if err := result.Pin(s.ctx, cd.ImageService()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a:v1", "a:v1@" + d.String()} {
		if got := s.stored(name); got != d {
			t.Errorf("%s is recorded as %q, want %s", name, got, d)
		}
	}
}

// TestAnImageThatFailedIsNotPinned: one that was verified, and then not pulled, is
// not what a service is to start, whatever is known of its digest.
func TestAnImageThatFailedIsNotPinned(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	d := s.push("a:v1", "a", "good")
	project := s.load("services:\n  a:\n    image: $R/a:v1" + good)
	down := errors.New("disk full")
	result, err := s.plan(project, compose.Config{}).Pull(s.ctx, func(context.Context, compose.Image) (ocispec.Descriptor, error) {
		return ocispec.Descriptor{}, down
	})
	if o := result.Outcomes[0]; !errors.Is(err, down) || !errors.Is(o.Err, down) || o.Target.Digest != d {
		t.Fatalf("%+v, %v", o, err)
	}
	pinned, err := result.Project()
	if err != nil || images(pinned.Services["a"]) != s.host+"/a:v1" {
		t.Errorf("the project has %q, %v", images(pinned.Services["a"]), err)
	}
	override, err := result.Override()
	if err != nil || string(override) != "services: {}\n" {
		t.Errorf("the override is %q, %v", override, err)
	}
	if err := result.Pin(s.ctx, s.cd.ImageService()); err != nil || s.stored("a:v1") != "" {
		t.Errorf("recorded as %q, %v", s.stored("a:v1"), err)
	}
}

// full is an image store that takes nothing.
type full struct{ imagestore.Store }

var errFull = errors.New("disk full")

func (full) Create(context.Context, imagestore.Image) (imagestore.Image, error) {
	return imagestore.Image{}, errFull
}

// TestPinSaysWhatItCouldNotRecord: a tool that goes on would start what the name stood
// for before.
func TestPinSaysWhatItCouldNotRecord(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.push("a:v1", "a", "good")
	result, err := s.plan(s.load("services:\n  a:\n    image: $R/a:v1"+good), compose.Config{}).Verify(s.ctx)
	if err != nil {
		t.Fatal(err)
	}
	err = result.Pin(s.ctx, full{s.cd.ImageService()})
	if family(err) != "inconclusive" || !errors.Is(err, errFull) || !strings.Contains(err.Error(), "service a") {
		t.Errorf("got %v", err)
	}
}
