// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package compose_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit"
	"github.com/cosignkit/cosignkit/compose"
	"github.com/cosignkit/cosignkit/signing/keyfile"
)

// large is a project of that many services over ten images and three policies.
func large(services int) string {
	var b strings.Builder
	b.WriteString("services:\n")
	for i := range services {
		key := []string{"good.pub", "copy1.pub", "copy2.pub"}[i/10%3]
		fmt.Fprintf(&b, "  s%02d:\n    image: $R/app%d:v1%s", i, i%10, strings.Replace(signed, "good.pub", key, 1))
	}
	return b.String()
}

// newLargeScene has the images of large in its store.
func newLargeScene(t testing.TB) *scene {
	t.Helper()
	s := newScene(t)
	pairs, err := testKeys()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"copy1.pub", "copy2.pub"} {
		s.write(name, string(pairs["good"].Public))
	}
	for i := range 10 {
		s.put(s.cd, fmt.Sprintf("app%d:v1", i), fmt.Sprint("app", i))
	}
	return s
}

// TestAHundredServices: what a large project costs depends on its images and
// policies, and not on its services.
func TestAHundredServices(t *testing.T) {
	t.Parallel()
	s := newLargeScene(t)
	project := s.load(large(100))
	var asked, passed atomic.Int64
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

	s.forget()
	if _, err := s.plan(project, compose.Config{Adapter: a, Push: true}).Push(s.ctx, s.pusher()); err != nil {
		t.Fatal(err)
	}
	tags := s.asked("PUT", "/manifests/v1")
	t.Logf("push: %d requests; %d tags written, %d keys opened", s.asked(), tags, asked.Load())
	if tags != 10 || asked.Load() != 1 {
		t.Error("want 10 tags written and one key opened")
	}

	s.forget()
	s.cd = s.newStore()
	result, err := s.plan(project, compose.Config{Adapter: a, Trace: func(e compose.Event) {
		if e.State == compose.Verified {
			passed.Add(1)
		}
	}}).Pull(s.ctx, func(ctx context.Context, image compose.Image) (ocispec.Descriptor, error) {
		if len(image.Verifications) != 3 || len(image.Services) != 10 {
			t.Errorf("%d verifications of %d services by three policies", len(image.Verifications), len(image.Services))
		}
		return s.puller()(ctx, image)
	})
	if err != nil {
		t.Fatal(err)
	}
	resolved, verified := s.asked("HEAD", "/manifests/v1"), s.asked("GET", "/referrers/")
	t.Logf("pull: %d requests; %d references resolved, %d verifications for %d services", s.asked(), resolved, verified, passed.Load())
	if resolved != 10 || s.asked("/manifests/v1") != 10 || verified > 30 || passed.Load() != 100 || len(result.Outcomes) != 100 {
		t.Error("want 10 references resolved, at most 30 verifications, and 100 services verified")
	}
}

// BenchmarkVerify is a project of one service, and one of a hundred over ten
// images and three policies.
func BenchmarkVerify(b *testing.B) {
	s := newLargeScene(b)
	project := s.load(large(100))
	if _, err := s.plan(project, compose.Config{Push: true}).Push(s.ctx, s.pusher()); err != nil {
		b.Fatal(err)
	}
	for _, services := range []int{1, 100} {
		b.Run(fmt.Sprint("services=", services), func(b *testing.B) {
			project := s.load(large(services))
			s.forget()
			for b.Loop() {
				// As a command does: with nothing known of the registry.
				if _, err := s.plan(project, compose.Config{}).Verify(s.ctx); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(s.asked())/float64(b.N), "requests/op")
		})
	}
}
