// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/google/go-containerregistry/pkg/registry"
	"go.uber.org/goleak"

	"github.com/cosignkit/cosignkit/internal/testimage"
	"github.com/cosignkit/cosignkit/verify"
)

// inProcess is the program with its streams, and with the store and the key
// pair of a test.
type inProcess struct {
	t      *testing.T
	dir    string
	stdout bytes.Buffer
	stderr bytes.Buffer
}

func newInProcess(t *testing.T) *inProcess {
	t.Setenv("COSIGN_PASSWORD", "secret")
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	pairs, err := testKeys()
	if err != nil {
		t.Fatal(err)
	}
	p := &inProcess{t: t, dir: t.TempDir()}
	if err := pairs[0].WriteFiles(p.path("cosign"), false); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *inProcess) path(name string) string { return filepath.Join(p.dir, name) }

func (p *inProcess) run(ctx context.Context, args ...string) int {
	p.stdout.Reset()
	p.stderr.Reset()
	return run(ctx, append([]string{"--root", p.path("store")}, args...), strings.NewReader(""), &p.stdout, &p.stderr)
}

func (p *inProcess) mustRun(args ...string) {
	p.t.Helper()
	if code := p.run(p.t.Context(), args...); code != 0 {
		p.t.Fatalf("minictl %v: exit code %d: %s", args, code, p.stderr.String())
	}
}

func (p *inProcess) load(name string) {
	p.t.Helper()
	var archive bytes.Buffer
	if err := testimage.WriteArchive(&archive, testimage.Image{Name: name, Content: "hello"}); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(p.path("app.tar"), archive.Bytes(), 0o600); err != nil {
		p.t.Fatal(err)
	}
	p.mustRun("load", p.path("app.tar"))
}

func host(server *httptest.Server) string { return strings.TrimPrefix(server.URL, "http://") }

func TestNothingIsLeftRunning(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	p := newInProcess(t)
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithReferrersSupport(true)))
	defer server.Close()
	name := host(server) + "/app:v1"

	p.load(name)
	p.mustRun("push", "--sign=cosign", "--cosign-key", p.path("cosign.key"), "--tlog-upload=false", name)
	p.mustRun("pull", "--verify=cosign", "--cosign-key", p.path("cosign.pub"), "--insecure-ignore-tlog", name)
	p.mustRun("pull", "--all-platforms", "--verify=cosign", "--cosign-key", p.path("cosign.pub"), "--insecure-ignore-tlog", name)
	p.mustRun("verify", "--cosign-key", p.path("cosign.pub"), "--insecure-ignore-tlog", name)
	if p.stderr.Len() != 0 {
		t.Errorf("stderr: %s", &p.stderr)
	}
}

func TestInterruptEndsEveryWait(t *testing.T) {
	verifyArgs := []string{"--cosign-key", "cosign.pub", "--insecure-ignore-tlog"}
	for name, args := range map[string][]string{
		"push":           {"push"},
		"push signed":    {"push", "--sign=cosign", "--cosign-key", "cosign.key", "--tlog-upload=false"},
		"pull":           {"pull"},
		"pull verified":  append([]string{"pull", "--verify=cosign"}, verifyArgs...),
		"fetch verified": append([]string{"pull", "--all-platforms", "--verify=cosign"}, verifyArgs...),
		"verify":         append([]string{"verify"}, verifyArgs...),
	} {
		t.Run(name, func(t *testing.T) {
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
			p := newInProcess(t)
			asked, done := make(chan struct{}, 100), make(chan struct{})
			server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				asked <- struct{}{}
				select {
				case <-done:
				case <-r.Context().Done():
				}
			}))
			defer server.Close()
			defer close(done)
			ref := host(server) + "/app:v1"
			p.load(ref)

			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			go func() {
				<-asked
				interrupt()
			}()
			args := append([]string{}, args...)
			for i, arg := range args {
				if strings.HasPrefix(arg, "cosign.") {
					args[i] = p.path(arg)
				}
			}
			if code := p.run(ctx, append(args, ref)...); code != 3 {
				t.Errorf("exit code %d, want 3", code)
			}
			if got := p.stderr.String(); !strings.Contains(got, context.Canceled.Error()) || strings.Count(got, "\n") != 1 {
				t.Errorf("stderr is %q, want one line that says why", got)
			}
		})
	}
}

func TestInterruptedLoadDoesNotBlameTheFile(t *testing.T) {
	p := newInProcess(t)
	p.load("registry.example/app:v1")
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	if code := p.run(ctx, "load", p.path("app.tar")); code != 3 {
		t.Errorf("exit code %d, want 3: %s", code, &p.stderr)
	}
}

func TestExitCode(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want int
	}{
		"success":       {nil, 0},
		"rejected":      {&verify.Error{Kind: verify.ErrRejected}, 1},
		"misconfigured": {fmt.Errorf("push: %w", verify.ErrMisconfigured), 2},
		"usage":         {fmt.Errorf("push: %w", usageError{errors.New("no such flag")}), 2},
		"inconclusive":  {verify.ErrInconclusive, 3},
		"cancelled":     {context.Canceled, 3},
		"interrupted":   {misconfigured("load", "app.tar", context.Canceled), 3},
		"other":         {io.ErrUnexpectedEOF, 3},
	} {
		t.Run(name, func(t *testing.T) {
			if got := exitCode(c.err); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}

func TestWhatARegistrySaysCannotSteerTheTerminal(t *testing.T) {
	const said = "bad\x1b[2J\r\nminictl: all is well\u202e"
	if got, want := printable(said), "bad [2J  minictl: all is well "; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestStatusLine(t *testing.T) {
	for name, c := range map[string]struct {
		label       string
		done, total int64
		want        string
	}{
		"nothing known":  {"pull app", 0, 0, "pull app"},
		"halfway":        {"pull app", 1_500_000, 3_000_000, "pull app  1.5 MB / 3.0 MB"},
		"long reference": {"pull registry.example/team/application:v1", 1, 999_999, "pull registry.ex…  1 B / 1.0 MB"},
	} {
		t.Run(name, func(t *testing.T) {
			got := statusLine(c.label, func() (int64, int64) { return c.done, c.total }, 31)
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestUploadProgressCountsWhatIsThere(t *testing.T) {
	u := newUploads()
	u.SetStatus("half", docker.Status{Status: content.Status{Offset: 5, Total: 10}})
	u.SetStatus("whole", docker.Status{Status: content.Status{Offset: 0, Total: 20}, Committed: true})
	if done, total := u.progress(); done != 25 || total != 30 {
		t.Errorf("%d of %d, want 25 of 30", done, total)
	}
	if s, err := u.GetStatus("half"); err != nil || s.Offset != 5 {
		t.Errorf("status is %v, %v", s, err)
	}
}

func TestNoProgressWithoutATerminal(t *testing.T) {
	var stderr bytes.Buffer
	a := &app{stderr: &stderr}
	a.progress("pull", func() (int64, int64) { return 1, 2 }).stop()
	if stderr.Len() != 0 {
		t.Errorf("wrote %q", &stderr)
	}
}

func TestLogWaitsForProgress(t *testing.T) {
	var stderr bytes.Buffer
	a := &app{stderr: &stderr, logs: logs{out: &stderr}}
	log := a.logger()
	a.logs.hold()
	log.Warn("first")
	log.Debug("not shown")
	if stderr.Len() != 0 {
		t.Errorf("wrote %q over what is drawn", &stderr)
	}
	a.logs.release()
	log.Info("second\x1b[2J")
	if got, want := stderr.String(), "level=WARN msg=first\nlevel=INFO msg=\"second\\x1b[2J\"\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRulesAreToldOfOneByOne(t *testing.T) {
	var stderr bytes.Buffer
	a := &app{logs: logs{out: &stderr}}
	log := slog.New(exceptRules{a.logger().Handler()})
	log.Warn("any image is accepted", "rule", "the default")
	log.Warn("the last good copy is used", "mirror", "https://tuf.example")
	if got, want := stderr.String(), "level=WARN msg=\"the last good copy is used\" mirror=https://tuf.example\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
