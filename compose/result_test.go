// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package compose_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"

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
