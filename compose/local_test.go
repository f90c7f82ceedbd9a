// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package compose_test

import (
	"testing"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/compose"
)

// TestPullPolicyNeverIsVerifiedInTheStore, with the signatures that are kept there,
// and asks no registry.
func TestPullPolicyNeverIsVerifiedInTheStore(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	want := s.push("a:v1", "a", "good")
	pull := s.load("services:\n  a:\n    image: $R/a:v1" + good)
	if _, err := s.plan(pull, compose.Config{}).Pull(s.ctx, s.puller()); err != nil {
		t.Fatal(err)
	}
	never := s.load("services:\n  a:\n    image: $R/a:v1\n    pull_policy: never" + good + "  b:\n    image: $R/b:v1\n    pull_policy: never" + good)
	start := func(services ...string) (string, []string) {
		var starter starter
		_, err := s.plan(never, compose.Config{Store: s.cd.Client}, services...).Start(s.ctx, s.puller(), starter.start)
		return family(err), starter.started
	}
	s.forget()
	if got, started := start("a"); got != "ok" || len(started) != 1 || started[0] != "a "+want.String() {
		t.Errorf("%s, started %v", got, started)
	}
	if n := s.asked(); n > 0 {
		t.Errorf("%d requests", n)
	}
	if got, started := start("b"); got != "misconfigured" || started != nil {
		t.Errorf("one that is not there: %s, started %v", got, started)
	}
	s.put(s.cd, "a:v1", "evil")
	if got, started := start("a"); got != "rejected" || started != nil {
		t.Errorf("one that nobody signed: %s, started %v", got, started)
	}
	if n := s.asked("/blobs/"); n > 0 {
		t.Errorf("%d blobs pulled", n)
	}
	// Without a store, registries say what counts.
	result, err := s.plan(never, compose.Config{}, "a").Verify(s.ctx)
	if err != nil || result.Outcomes[0].Target.Digest != want {
		t.Errorf("got %+v, %v", result, err)
	}
}

// TestPullPolicyNeverFindsWhatADigestNames, under each name that tools record it by.
func TestPullPolicyNeverFindsWhatADigestNames(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	d := s.push("a:v1", "a", "good")
	if _, err := s.plan(s.load("services:\n  a:\n    image: $R/a:v1"+good), compose.Config{}).Pull(s.ctx, s.puller()); err != nil {
		t.Fatal(err)
	}
	store := s.cd.ImageService()
	image, err := store.Get(s.ctx, s.host+"/a:v1")
	if err != nil {
		t.Fatal(err)
	}
	evil := s.put(s.cd, "evil:v1", "evil")
	moved, err := store.Get(s.ctx, s.host+"/evil:v1")
	if err != nil {
		t.Fatal(err)
	}
	target := map[bool]ocispec.Descriptor{false: image.Target, true: moved.Target}
	at := "@" + d.String()
	for name, c := range map[string]struct {
		wanted, recorded string
		moved            bool
		want             string
	}{
		"both, as both":              {"a:v1" + at, "a:v1" + at, false, "ok"},
		"both, by its tag":           {"a:v1" + at, "a:v1", false, "ok"},
		"both, by its digest":        {"a:v1" + at, "a" + at, false, "ok"},
		"a digest, by itself":        {"a" + at, "a" + at, false, "ok"},
		"a tag that has moved on":    {"a:v1" + at, "a:v1", true, "misconfigured"},
		"a record that lies":         {"a:v1" + at, "a:v1" + at, true, "rejected"},
		"another record that lies":   {"a:v1" + at, "a" + at, true, "rejected"},
		"another image's digest":     {"a:v1@" + evil.String(), "a:v1", false, "misconfigured"},
		"a tag alone, by its digest": {"a:v1", "a" + at, false, "misconfigured"},
	} {
		for _, record := range []string{"a:v1", "a" + at, "a:v1" + at} {
			if err := store.Delete(s.ctx, s.host+"/"+record); err != nil && !errdefs.IsNotFound(err) {
				t.Fatal(err)
			}
		}
		image.Name, image.Target = s.host+"/"+c.recorded, target[c.moved]
		if _, err := store.Create(s.ctx, image); err != nil {
			t.Fatal(err)
		}
		project := s.load("services:\n  a:\n    image: $R/" + c.wanted + "\n    pull_policy: never" + good)
		s.forget()
		_, err := s.plan(project, compose.Config{Store: s.cd.Client}).Verify(s.ctx)
		if family(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
		if n := s.asked(); n > 0 {
			t.Errorf("%s: %d requests", name, n)
		}
	}
}
