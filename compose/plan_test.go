// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package compose_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/compose"
)

const good = `
    x-nerdctl-verify: cosign
    x-nerdctl-cosign-public-key: good.pub
    x-nerdctl-cosign-insecure-ignore-tlog: true
`

// three has a service that is signed, one that somebody else signed, and one that
// says nothing.
const three = `
services:
  a:
    image: $R/a:v1` + good + `
  b:
    image: $R/b:v1` + good + `
  c:
    image: $R/c:v1
    x-nerdctl-verify: none
`

// puller pulls into the store of the scene.
func (s *scene) puller() compose.Mover { return compose.PullWith(s.cd.Client) }

// starter notes what is started.
type starter struct{ started []string }

func (s *starter) start(_ context.Context, service types.ServiceConfig, outcome compose.Outcome) error {
	s.started = append(s.started, service.Name+" "+outcome.Target.Digest.String())
	return nil
}

func TestGoodRefusedAndUnverifiedServices(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		services []string
		want     string
		pulled   []string
	}{
		"the good one":       {[]string{"a"}, "ok", []string{"a"}},
		"the wrong key":      {[]string{"b"}, "rejected", nil},
		"the one with none":  {[]string{"c"}, "ok", []string{"c"}},
		"the good with none": {[]string{"c", "a"}, "ok", []string{"a", "c"}},
		"all":                {nil, "rejected", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			digests := map[string]string{
				"a": s.push("a:v1", "a", "good").String(),
				"b": s.push("b:v1", "b", "other").String(),
				"c": s.push("c:v1", "c", "").String(),
			}
			plan := s.plan(s.load(three), compose.Config{}, c.services...)

			result, err := plan.Verify(s.ctx)
			if got := family(err); got != c.want {
				t.Errorf("Verify: %s, want %s: %v", got, c.want, err)
			}
			for _, o := range result.Outcomes {
				if verified := o.Verification != nil; verified != (o.Service == "a" && o.Err == nil) {
					t.Errorf("Verify: %s is verified: %t, %v", o.Service, verified, o.Err)
				}
			}
			if _, err = plan.Pull(s.ctx, s.puller()); family(err) != c.want {
				t.Errorf("Pull: %v, want %s", err, c.want)
			}
			var pulled []string
			for _, service := range []string{"a", "b", "c"} {
				switch got := s.stored(service + ":v1"); got.String() {
				case "":
				case digests[service]:
					pulled = append(pulled, service)
				default:
					t.Errorf("%s is stored as %s", service, got)
				}
			}
			if !slices.Equal(pulled, c.pulled) {
				t.Errorf("pulled %v, want %v", pulled, c.pulled)
			}
			var starter starter
			if _, err = plan.Start(s.ctx, s.puller(), starter.start); family(err) != c.want {
				t.Errorf("Start: %v, want %s", err, c.want)
			}
			var want []string
			for _, service := range c.pulled {
				want = append(want, service+" "+digests[service])
			}
			if !slices.Equal(starter.started, want) {
				t.Errorf("started %v, want %v", starter.started, want)
			}
		})
	}
}

func TestFailuresNameTheirServices(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.push("app:v1", "app", "other")
	project := s.load(`
services:
  web: &app
    image: $R/app:v1` + good + `
  worker: *app
`)
	result, err := s.plan(project, compose.Config{}).Verify(s.ctx)
	if family(err) != "rejected" || !strings.Contains(err.Error(), "services web, worker: ") || strings.Count(err.Error(), s.host) != 1 {
		t.Errorf("want one rejection of both services, got %v", err)
	}
	for _, o := range result.Outcomes {
		if family(o.Err) != "rejected" {
			t.Errorf("%s: %v", o.Service, o.Err)
		}
	}
}

// TestDependenciesAreVerified: also when nobody asked for them by name.
func TestDependenciesAreVerified(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.push("a:v1", "a", "good")
	s.push("db:v1", "db", "other")
	project := s.load(`
services:
  web:
    image: $R/a:v1` + good + `
    depends_on: [cache]
  cache:
    image: $R/a:v1
    depends_on: [db]
  db:
    image: $R/db:v1` + good + `
  other:
    image: $R/missing:v1` + good)
	var starter starter
	_, err := s.plan(project, compose.Config{}, "web").Start(s.ctx, s.puller(), starter.start)
	if family(err) != "rejected" || !strings.Contains(err.Error(), "service db") || len(starter.started) > 0 {
		t.Errorf("started %v, %v", starter.started, err)
	}
}

func TestServicesStartAfterThoseThatTheyDependOn(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.push("a:v1", "a", "")
	project := s.load(`
services:
  a: {image: $R/a:v1, depends_on: [z, m]}
  m: {image: $R/a:v1, network_mode: "service:z"}
  z: {image: $R/a:v1}
  b: {image: $R/a:v1}
`)
	var starter starter
	if _, err := s.plan(project, compose.Config{}, "a").Start(s.ctx, s.puller(), starter.start); err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, started := range starter.started {
		order = append(order, started[:1])
	}
	if want := []string{"z", "m", "a"}; !slices.Equal(order, want) {
		t.Errorf("started %v, want %v", order, want)
	}
}

// TestATagThatMovesMovesNothing: between the verification and the pull.
func TestATagThatMovesMovesNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	want := s.push("a:v1", "a", "good")
	project := s.load("services:\n  a:\n    image: $R/a:v1" + good)
	pull := func(ctx context.Context, image compose.Image) (ocispec.Descriptor, error) {
		s.push("a:v1", "evil", "")
		return s.puller()(ctx, image)
	}
	result, err := s.plan(project, compose.Config{}).Pull(s.ctx, pull)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.stored("a:v1"); got != want || result.Outcomes[0].Target.Digest != want {
		t.Errorf("stored %s, reported %s, want %s", got, result.Outcomes[0].Target.Digest, want)
	}
}

// TestALocalImageOfTheNameIsNotWhatStarts, and is replaced.
func TestALocalImageOfTheNameIsNotWhatStarts(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	want := s.push("a:v1", "a", "good")
	s.put(s.cd, "a:v1", "evil")
	project := s.load("services:\n  a:\n    image: $R/a:v1" + good)
	var starter starter
	if _, err := s.plan(project, compose.Config{}).Start(s.ctx, s.puller(), starter.start); err != nil {
		t.Fatal(err)
	}
	if got := s.stored("a:v1"); got != want || starter.started[0] != "a "+want.String() {
		t.Errorf("stored %s, started %v, want %s", got, starter.started, want)
	}
}

// TestAProjectThatWasNotLoaded: its services need not say their names twice.
func TestAProjectThatWasNotLoaded(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	want := s.push("a:v1", "a", "good")
	project := s.load("services:\n  a:\n    image: $R/a:v1" + good)
	service := project.Services["a"]
	service.Name = ""
	project.Services["a"] = service
	var started []string
	_, err := s.plan(project, compose.Config{}).Start(s.ctx, s.puller(), func(_ context.Context, service types.ServiceConfig, outcome compose.Outcome) error {
		started = append(started, outcome.Service, service.Image)
		return nil
	})
	if err != nil || !slices.Equal(started, []string{"a", s.host + "/a:v1@" + want.String()}) {
		t.Errorf("started %v, %v", started, err)
	}
}

// TestAPullerThatPullsSomethingElseIsRefused: what was pulled is compared.
func TestAPullerThatPullsSomethingElseIsRefused(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.push("a:v1", "a", "good")
	evil := s.put(s.cd, "a:v1", "evil")
	project := s.load("services:\n  a:\n    image: $R/a:v1" + good)
	var starter starter
	_, err := s.plan(project, compose.Config{}).Start(s.ctx, func(ctx context.Context, image compose.Image) (ocispec.Descriptor, error) {
		local, err := s.cd.ImageService().Get(ctx, image.Ref)
		return local.Target, err
	}, starter.start)
	if family(err) != "rejected" || !strings.Contains(err.Error(), "pulled "+evil.String()) || len(starter.started) > 0 {
		t.Errorf("started %v, %v", starter.started, err)
	}
}

func TestRequireVerified(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	project := s.load(three)
	_, err := compose.NewPlan(project, compose.Config{Adapter: s.adapter(), RequireVerified: true})
	problems := compose.Problems(err)
	if family(err) != "misconfigured" || len(problems) != 1 || problems[0].Service != "c" || problems[0].Line == 0 {
		t.Errorf("want a problem of c, got %v", err)
	}
	if _, err := compose.NewPlan(project, compose.Config{Adapter: s.adapter(), RequireVerified: true}, "a"); err != nil {
		t.Errorf("of what was not asked for: %v", err)
	}
}

// TestImagesOfNoRegistryAreNotMoved: what is no reference to a registry has no
// resolver, and containerd would use one of its own.
func TestImagesOfNoRegistryAreNotMoved(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.push("a:v1", "a", "good")
	s.put(s.cd, "a:v1", "a")
	s.forget()
	for name, move := range map[string]compose.Mover{"pull": compose.PullWith(s.cd.Client), "push": compose.PushWith(s.cd.Client)} {
		got, err := move(s.ctx, compose.Image{Ref: s.host + "/a:v1"})
		if family(err) != "misconfigured" || !strings.Contains(err.Error(), "no resolver") || got.Digest != "" {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if n := s.asked(); n > 0 {
		t.Errorf("%d requests", n)
	}
}

// TestRequireVerifiedRefusesWhatIsNoImage: nobody verifies a model, or what a
// provider does. Without it they are the tool's.
func TestRequireVerifiedRefusesWhatIsNoImage(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.push("a:v1", "a", "good")
	project := s.load(`
models: {llm: {model: registry.example/llm}}
services:
  web:
    image: $R/a:v1` + good + `
    models: [llm]
    depends_on: [llm]
  llm:
    provider: {type: model}
`)
	_, err := compose.NewPlan(project, compose.Config{Adapter: s.adapter(), RequireVerified: true})
	if want := "read project demo: 2 problems\n" +
		"compose.yaml:13: service llm: provider: found one, which has no image; expected none, since every service must be verified\n" +
		"compose.yaml:10: service web: models: found some, which are not verified; expected none, since every service must be verified"; err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
	var starter starter
	result, err := s.plan(project, compose.Config{}).Start(s.ctx, s.puller(), starter.start)
	if err != nil || len(starter.started) != 2 || !strings.HasPrefix(starter.started[0], "llm ") || len(result.Outcomes) != 1 {
		t.Errorf("started %v, %v", starter.started, err)
	}
}

// TestRequireVerifiedRefusesTheModelsOfAHook, which has those of its service and its
// own.
func TestRequireVerifiedRefusesTheModelsOfAHook(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	project := s.load(`
models: {llm: {model: registry.example/llm}}
services:
  web:
    image: $R/a:v1` + good + `
    pre_start:
      - command: [check]
        models: [llm]
`)
	_, err := compose.NewPlan(project, compose.Config{Adapter: s.adapter(), RequireVerified: true})
	problems := compose.Problems(err)
	if family(err) != "misconfigured" || len(problems) != 1 || problems[0].Field != "models" || problems[0].Service != "web" {
		t.Errorf("want a problem of the models, got %v", err)
	}
	if _, err := compose.NewPlan(project, compose.Config{Adapter: s.adapter()}); err != nil {
		t.Errorf("where not all must be verified: %v", err)
	}
}

// TestOneImageOfSeveralPolicies: one may accept it and another not.
func TestOneImageOfSeveralPolicies(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.push("a:v1", "a", "good")
	project := s.load(`
services:
  strict:
    image: $R/a:v1
    x-nerdctl-verify: cosign
    x-nerdctl-cosign-public-key: other.pub
    x-nerdctl-cosign-insecure-ignore-tlog: true
  easy:
    image: $R/a:v1` + good + `
  free:
    image: $R/a:v1
`)
	s.forget()
	result, err := s.plan(project, compose.Config{Parallel: 1}).Verify(s.ctx)
	if family(err) != "rejected" || !strings.Contains(err.Error(), "service strict: ") {
		t.Errorf("got %v", err)
	}
	if n := s.asked("HEAD", "/manifests/v1"); n != 1 {
		t.Errorf("resolved %d times", n)
	}
	if o, _ := result.Service("free"); o.Verification != nil {
		t.Error("a service without fields is verified, because another is")
	}
	result, err = s.plan(project, compose.Config{}, "easy", "free").Verify(s.ctx)
	if err != nil {
		t.Fatal(err)
	}
	easy, _ := result.Service("easy")
	free, _ := result.Service("free")
	if easy.Pinned() != free.Pinned() || easy.Verification == nil || free.Verification != nil {
		t.Errorf("easy is %s, free is %s", easy.Pinned(), free.Pinned())
	}
}

// TestADigestThatIsNotWhatTheRegistryHasIsRefused: Compose files name digests.
func TestReferencesWithADigest(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	d := s.push("a:v1", "a", "good")
	other := s.push("b:v1", "b", "other")
	for name, c := range map[string]struct{ image, want string }{
		"tag and digest":           {s.host + "/a:v1@" + d.String(), "ok"},
		"a digest alone":           {s.host + "/a@" + d.String(), "ok"},
		"the digest counts":        {s.host + "/a:v9@" + d.String(), "ok"},
		"somebody else's":          {s.host + "/b:v1@" + other.String(), "rejected"},
		"one that is not there":    {s.host + "/a:v1@sha256:" + strings.Repeat("a", 64), "inconclusive"},
		"a tag that is not there":  {s.host + "/a:v9", "inconclusive"},
		"another image's with tag": {s.host + "/a:v1@" + other.String(), "inconclusive"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := s.beside(t)
			project := s.load("services:\n  a:\n    image: " + c.image + good)
			result, err := s.plan(project, compose.Config{}).Pull(s.ctx, compose.PullWith(s.newStore().Client))
			if family(err) != c.want {
				t.Fatalf("got %v, want %s", err, c.want)
			}
			if o := result.Outcomes[0]; err == nil && (!strings.HasSuffix(o.Pinned(), "@"+d.String()) || strings.Count(o.Pinned(), "@") != 1) {
				t.Errorf("pinned as %s", o.Pinned())
			}
		})
	}
}

// TestWhatIsNoRegistrysIsLeftAlone unless it is to be verified.
func TestWhatIsNoRegistrysIsLeftAlone(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	const ipfs = "services:\n  a:\n    image: ipfs://bafkrei\n"
	var asked []string
	result, err := s.plan(s.load(ipfs), compose.Config{}).Pull(s.ctx, func(_ context.Context, image compose.Image) (ocispec.Descriptor, error) {
		asked = append(asked, image.Ref)
		if image.Resolver != nil {
			t.Error("there is a resolver for IPFS")
		}
		return ocispec.Descriptor{}, nil
	})
	if err != nil || !slices.Equal(asked, []string{"ipfs://bafkrei"}) || result.Outcomes[0].Pinned() != "ipfs://bafkrei" {
		t.Errorf("asked for %v, %v", asked, err)
	}
	_, err = compose.NewPlan(s.load(strings.TrimSpace(ipfs)+good), compose.Config{Adapter: s.adapter()})
	if family(err) != "misconfigured" || !strings.Contains(err.Error(), `image: found "ipfs://bafkrei"; expected the reference`) {
		t.Errorf("verifying it: %v", err)
	}
}

func TestTheCallersContextEndsAll(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.push("a:v1", "a", "good")
	project := s.load("services:\n  a:\n    image: $R/a:v1" + good)
	ctx, cancel := context.WithCancel(s.ctx)
	plan := s.plan(project, compose.Config{Trace: func(e compose.Event) {
		if e.State == compose.Verifying {
			cancel()
		}
	}})
	_, err := plan.Verify(ctx)
	if family(err) != "inconclusive" || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestAFailureEndsTheOthers, and what it ended is no failure of its own: the error
// is of the family of the one that failed.
func TestAFailureEndsTheOthers(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.push("bad:v1", "bad", "other")
	s.push("slow:v1", "slow", "good")
	project := s.load("services:\n  bad:\n    image: $R/bad:v1" + good + "  slow:\n    image: $R/slow:v1" + good + "  waits:\n    image: $R/slow:v2" + good)
	s.hang("/v2/slow/")
	var stopped []string
	plan := s.plan(project, compose.Config{Parallel: 3, Trace: func(e compose.Event) {
		if e.State == compose.Stopped {
			stopped = append(stopped, e.Service)
		}
	}})
	result, err := plan.Verify(s.ctx)
	if family(err) != "rejected" || !strings.Contains(err.Error(), "service bad: ") || strings.Contains(err.Error(), "slow") {
		t.Errorf("got %v", err)
	}
	slices.Sort(stopped)
	if want := []string{"slow", "waits"}; !slices.Equal(stopped, want) {
		t.Errorf("stopped %v, want %v", stopped, want)
	}
	for _, name := range stopped {
		o, _ := result.Service(name)
		if family(o.Err) != "inconclusive" || !strings.Contains(o.Err.Error(), "because another image failed") {
			t.Errorf("%s: %v", name, o.Err)
		}
	}
}

// TestEveryFailureThatBeganIsReported: also those that come after the first.
func TestEveryFailureThatBeganIsReported(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	project := s.load("services: {a: {image: $R/a}, b: {image: $R/b}, c: {image: $R/c}}")
	broken := map[string]error{}
	for _, name := range []string{"a", "b"} {
		broken[s.host+"/"+name+":latest"] = errors.New(name + " is broken")
	}
	var both sync.WaitGroup
	both.Add(len(broken))
	_, err := s.plan(project, compose.Config{Parallel: 3}).Pull(s.ctx, func(ctx context.Context, image compose.Image) (ocispec.Descriptor, error) {
		if err := broken[image.Ref]; err != nil {
			both.Done()
			both.Wait()
			return ocispec.Descriptor{}, err
		}
		<-ctx.Done()
		return ocispec.Descriptor{}, ctx.Err()
	})
	for _, cause := range broken {
		if !errors.Is(err, cause) {
			t.Errorf("%v is not reported in %v", cause, err)
		}
	}
	if family(err) != "inconclusive" || !strings.Contains(err.Error(), "service a: a is broken\nservice b: b is broken") || strings.Contains(err.Error(), "service c") {
		t.Errorf("got %v", err)
	}
}

// TestContentThatIsNotOfItsDigestIsRefused: a signature says nothing of bytes that
// a registry sends in the place of the image's.
func TestContentThatIsNotOfItsDigestIsRefused(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.push("a:v1", "a", "good")
	project := s.load("services:\n  a:\n    image: $R/a:v1" + good)
	s.lie("/v2/a/blobs/")
	plan := s.plan(project, compose.Config{})
	var starter starter
	result, err := plan.Start(s.ctx, s.puller(), starter.start)
	// The signature is a blob as well: whichever is read first, nothing starts.
	if family(err) != "rejected" || len(starter.started) > 0 || result.Outcomes[0].Err == nil {
		t.Errorf("started %v, %v", starter.started, err)
	}
	s.lie("")
	if _, err := plan.Verify(s.ctx); err != nil {
		t.Fatal(err)
	}
	verified := false
	plan = s.plan(project, compose.Config{Trace: func(e compose.Event) {
		if e.State == compose.Pulling {
			verified = true
			s.lie("/v2/a/blobs/")
		}
	}})
	if _, err := plan.Start(s.ctx, s.puller(), starter.start); family(err) != "rejected" || !verified || len(starter.started) > 0 {
		t.Errorf("after the verification: started %v, %v", starter.started, err)
	}
	if got := s.stored("a:v1"); got != "" {
		t.Errorf("recorded as %s", got)
	}
}

// TestAServiceThatDoesNotStartEndsTheRest, and the error is the runner's.
func TestAServiceThatDoesNotStartEndsTheRest(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.push("a:v1", "a", "")
	project := s.load("services:\n  a: {image: $R/a:v1}\n  b: {image: $R/a:v1}\n  c: {image: $R/a:v1}\n")
	broken := errors.New("no such device")
	var started []string
	result, err := s.plan(project, compose.Config{}).Start(s.ctx, s.puller(), func(_ context.Context, service types.ServiceConfig, _ compose.Outcome) error {
		started = append(started, service.Name)
		if service.Name == "b" {
			return broken
		}
		return nil
	})
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "service b: no such device") || !slices.Equal(started, []string{"a", "b"}) {
		t.Errorf("started %v, %v", started, err)
	}
	if o, ok := result.Service("b"); !ok || !errors.Is(o.Err, broken) {
		t.Errorf("b is %+v", o)
	}
	if _, ok := result.Service("d"); ok {
		t.Error("there is a service d")
	}
}

func TestEventsTellHowFarEachServiceIs(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.push("a:v1", "a", "good")
	s.push("c:v1", "c", "")
	var events bytes.Buffer
	plan := s.plan(s.load(three), compose.Config{Parallel: 1, Trace: func(e compose.Event) {
		events.WriteString(e.Service + " " + string(e.State) + "\n")
	}}, "a", "c")
	if _, err := plan.Start(s.ctx, s.puller(), (&starter{}).start); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"a verifying", "a verified", "a pulling", "a pulled", "c pulling", "c pulled", "a starting", "a started", "c starting", "c started",
	} {
		if strings.Count(events.String(), line+"\n") != 1 {
			t.Errorf("%q is not told once:\n%s", line, &events)
		}
	}
}
