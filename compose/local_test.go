// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package compose_test

import (
	"testing"

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
