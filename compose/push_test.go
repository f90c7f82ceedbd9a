// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package compose_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	containerd "github.com/containerd/containerd/v2/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit"
	"github.com/cosignkit/cosignkit/compose"
	"github.com/cosignkit/cosignkit/signing/keyfile"
)

const signed = `
    x-nerdctl-sign: cosign
    x-nerdctl-cosign-private-key: good.key
    x-nerdctl-verify: cosign
    x-nerdctl-cosign-public-key: good.pub
    x-nerdctl-cosign-insecure-ignore-tlog: true
`

// pusher pushes from the store of the scene.
func (s *scene) pusher() compose.Mover { return compose.PushWith(s.cd.Client) }

func TestWhatIsPushedSignedIsPulledVerified(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	project := s.load("services:\n  a:\n    image: $R/a:v1" + signed + "  b:\n    image: $R/b:v1\n")
	a, b := s.put(s.cd, "a:v1", "a"), s.put(s.cd, "b:v1", "b")
	result, err := s.plan(project, compose.Config{Push: true}).Push(s.ctx, s.pusher())
	if err != nil {
		t.Fatal(err)
	}
	if o, _ := result.Service("a"); o.Target.Digest != a || len(o.Signatures) != 1 || o.Signatures[0].Subject != a {
		t.Errorf("a: %+v", o)
	}
	if o, _ := result.Service("b"); o.Target.Digest != b || len(o.Signatures) != 0 {
		t.Errorf("b: %+v", o)
	}
	s.cd = s.newStore()
	result, err = s.plan(project, compose.Config{}).Pull(s.ctx, s.puller())
	if err != nil {
		t.Fatal(err)
	}
	if o, _ := result.Service("a"); s.stored("a:v1") != a || o.Verification == nil {
		t.Errorf("a: stored %s, %+v", s.stored("a:v1"), o)
	}
	if o, _ := result.Service("b"); s.stored("b:v1") != b || o.Verification != nil || !strings.HasSuffix(o.Pinned(), "@"+b.String()) {
		t.Errorf("b: stored %s, %+v", s.stored("b:v1"), o)
	}
}

// TestDependenciesAreNotPushed: they are often somebody else's images.
func TestDependenciesAreNotPushed(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	project := s.load("services:\n  a:\n    image: $R/a:v1\n    depends_on: [db]\n  db:\n    image: $R/db:v1\n    x-nerdctl-sign: cosign\n    x-nerdctl-cosign-private-key: missing.key\n")
	s.put(s.cd, "a:v1", "a")
	result, err := s.plan(project, compose.Config{Push: true}, "a").Push(s.ctx, s.pusher())
	if err != nil || len(result.Outcomes) != 1 || result.Outcomes[0].Service != "a" {
		t.Errorf("got %+v, %v", result, err)
	}
}

// TestAnImageOfSeveralServicesIsPushedOnce, with the signatures of all before its
// tag.
func TestAnImageOfSeveralServicesIsPushedOnce(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	project := s.load(`
services:
  a: &a
    image: $R/app:v1
    x-nerdctl-sign: cosign
    x-nerdctl-cosign-private-key: good.key
    x-nerdctl-cosign-annotations: {team: a}
  a2: *a
  b:
    image: $R/app:v1
    x-nerdctl-sign: cosign
    x-nerdctl-cosign-private-key: other.key
    x-nerdctl-cosign-signature-format: both
  c:
    image: $R/app:v1
`)
	s.put(s.cd, "app:v1", "app")
	s.forget()
	result, err := s.plan(project, compose.Config{Push: true}).Push(s.ctx, s.pusher())
	if err != nil {
		t.Fatal(err)
	}
	for service, want := range map[string]int{"a": 1, "a2": 1, "b": 2, "c": 0} {
		if o, _ := result.Service(service); len(o.Signatures) != want {
			t.Errorf("%s has %d signatures, want %d", service, len(o.Signatures), want)
		}
	}
	tag := slices.IndexFunc(s.requests, func(r string) bool { return r == "PUT /v2/app/manifests/v1" })
	last := len(s.requests) - 1
	if tag < 0 || slices.ContainsFunc(s.requests[tag+1:], func(r string) bool { return strings.HasPrefix(r, "PUT ") }) {
		t.Errorf("request %d of %d wrote the tag:\n%s", tag, last, strings.Join(s.requests, "\n"))
	}
	verifying := s.load(`
services:
  a:
    image: $R/app:v1
    x-nerdctl-verify: cosign
    x-nerdctl-cosign-public-key: good.pub
    x-nerdctl-cosign-annotations: {team: a}
    x-nerdctl-cosign-insecure-ignore-tlog: true
  b:
    image: $R/app:v1
    x-nerdctl-verify: cosign
    x-nerdctl-cosign-public-key: other.pub
    x-nerdctl-cosign-insecure-ignore-tlog: true
`)
	if _, err := s.plan(verifying, compose.Config{}).Verify(s.ctx); err != nil {
		t.Error(err)
	}
}

// TestNothingIsPushedBeforeAllCanSign, and all that cannot are named.
func TestNothingIsPushedBeforeAllCanSign(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.write("bad.key", "no key")
	project := s.load(`
services:
  a:
    image: $R/a:v1
    x-nerdctl-sign: cosign
    x-nerdctl-cosign-private-key: good.key
  b:
    image: $R/b:v1
    x-nerdctl-sign: cosign
    x-nerdctl-cosign-private-key: bad.key
  c:
    image: $R/c:v1
    x-nerdctl-sign: cosign
`)
	for _, name := range []string{"a", "b", "c"} {
		s.put(s.cd, name+":v1", name)
	}
	s.forget()
	_, err := s.plan(project, compose.Config{Push: true}).Push(s.ctx, s.pusher())
	problems := compose.Problems(err)
	if family(err) != "misconfigured" || len(problems) != 2 || problems[0].Service != "b" || problems[1].Service != "c" || problems[0].Line != 10 {
		t.Errorf("got %v", err)
	}
	if n := s.asked(); n > 0 {
		t.Errorf("%d requests", n)
	}
}

// TestAKeyIsOpenedOnce: its passphrase is asked for once in a project.
func TestAKeyIsOpenedOnce(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	var asked atomic.Int64
	a, err := cosignkit.New(cosignkit.Config{
		KeyFile: keyfile.Open,
		Environ: []string{"COSIGN_TLOG_UPLOAD=false"},
		Passphrase: func(context.Context, string) ([]byte, error) {
			asked.Add(1)
			return []byte("secret"), nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer a.CloseIdleConnections()
	var b strings.Builder
	b.WriteString("services:\n")
	for _, name := range []string{"a", "b", "c", "d"} {
		s.put(s.cd, name+":v1", name)
		b.WriteString("  " + name + ":\n    image: $R/" + name + ":v1\n    x-nerdctl-sign: cosign\n    x-nerdctl-cosign-private-key: good.key\n    x-nerdctl-cosign-annotations: {service: " + name + "}\n")
	}
	if _, err := s.plan(s.load(b.String()), compose.Config{Adapter: a, Push: true}).Push(s.ctx, s.pusher()); err != nil {
		t.Fatal(err)
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times for the passphrase", n)
	}
}

// TestAPusherThatDoesNotSignIsFoundOut: a tool that forgets the resolver.
func TestAPusherThatDoesNotSignIsFoundOut(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	project := s.load("services:\n  a:\n    image: $R/a:v1" + signed)
	s.put(s.cd, "a:v1", "a")
	var mu sync.Mutex
	var images []compose.Image
	_, err := s.plan(project, compose.Config{Push: true}).Push(s.ctx, func(ctx context.Context, image compose.Image) (ocispec.Descriptor, error) {
		mu.Lock()
		defer mu.Unlock()
		images = append(images, image)
		record, err := s.cd.ImageService().Get(ctx, image.Ref)
		if err == nil {
			err = s.cd.Push(ctx, image.Ref, record.Target)
		}
		return record.Target, err
	})
	if family(err) != "misconfigured" || !strings.Contains(err.Error(), "nothing was pushed with the resolver that signs") || len(images) != 1 {
		t.Errorf("got %v", err)
	}
}

// TestAPusherOfSomethingElseIsFoundOut: of another image than the reference names,
// or than it says.
func TestAPusherOfSomethingElseIsFoundOut(t *testing.T) {
	t.Parallel()
	for want, push := range map[string]func(s *scene, image compose.Image, named, other ocispec.Descriptor) (ocispec.Descriptor, error){
		"another digest was pushed than the reference names": func(s *scene, image compose.Image, named, other ocispec.Descriptor) (ocispec.Descriptor, error) {
			return named, s.cd.Push(s.ctx, image.Ref+"@"+named.Digest.String(), other, containerd.WithResolver(image.Resolver))
		},
		"was pushed and not signed": func(s *scene, image compose.Image, named, other ocispec.Descriptor) (ocispec.Descriptor, error) {
			return named, s.cd.Push(s.ctx, image.Ref, other, containerd.WithResolver(image.Resolver))
		},
	} {
		s := newScene(t)
		s.put(s.cd, "a:v1", "a")
		s.put(s.cd, "b:v1", "b")
		project := s.load("services:\n  a:\n    image: $R/a:v1" + signed)
		_, err := s.plan(project, compose.Config{Push: true}).Push(s.ctx, func(ctx context.Context, image compose.Image) (ocispec.Descriptor, error) {
			named, err := s.cd.ImageService().Get(ctx, image.Ref)
			if err != nil {
				return ocispec.Descriptor{}, err
			}
			other, err := s.cd.ImageService().Get(ctx, strings.Replace(image.Ref, "/a:", "/b:", 1))
			if err != nil {
				return ocispec.Descriptor{}, err
			}
			return push(s, image, named.Target, other.Target)
		})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestAnImageThatIsNotInTheStoreIsNotPushed(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	project := s.load("services:\n  a:\n    image: $R/a:v1" + signed)
	_, err := s.plan(project, compose.Config{Push: true}).Push(s.ctx, s.pusher())
	if family(err) != "misconfigured" || !strings.Contains(err.Error(), "service a: push "+s.host+"/a:v1: not in the image store") {
		t.Errorf("got %v", err)
	}
}

// TestOnlyTheKeysThatAreNeededMustBeThere: who pulls has no private key.
func TestOnlyTheKeysThatAreNeededMustBeThere(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	const fields = "services:\n  a:\n    image: registry.example/a" + signed
	for name, c := range map[string]struct {
		content string
		push    bool
		want    string
	}{
		"pull without the private key": {strings.Replace(fields, "good.key", "missing.key", 1), false, ""},
		"pull without the public key":  {strings.Replace(fields, "good.pub", "missing.pub", 1), false, "x-nerdctl-cosign-public-key"},
		"push without the private key": {strings.Replace(fields, "good.key", "missing.key", 1), true, "x-nerdctl-cosign-private-key"},
		"push without the public key":  {strings.Replace(fields, "good.pub", "missing.pub", 1), true, ""},
	} {
		_, err := compose.NewPlan(s.load(c.content), compose.Config{Adapter: s.adapter(), Push: c.push})
		problems := compose.Problems(err)
		if c.want == "" && err != nil || c.want != "" && (len(problems) != 1 || problems[0].Field != c.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
