// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package registries

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/cosignkit/cosignkit/internal/e2e/distribution"
	"github.com/cosignkit/cosignkit/internal/traffic"
	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// job is what another process is to do: the environment, and what net/http and
// credential helpers read of it, is that of a process.
type job struct {
	Ref                 string
	Form                signing.Form
	Dir                 string
	HostsDirs           []string
	Insecure            []string
	SignatureRepository string

	// Inside has the job start the registry as well, at an address of a network
	// namespace of the job's own.
	Inside *inside
}

type inside struct{ Binary, Address, Config string }

// outcome is what the process writes to stdout.
type outcome struct {
	Parts  []digest.Digest
	Error  string
	Family string
	Logged []string // of the registry inside; not each line is JSON
}

const jobVariable = "COSIGNKIT_REGISTRIES_JOB"

// runJob is the process. It ends its context when its standard input ends.
func runJob() int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	var j job
	err := json.Unmarshal([]byte(os.Getenv(jobVariable)), &j)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(j.run(ctx))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func (j job) run(ctx context.Context) (o outcome) {
	flows := traffic.Flows{Ref: j.Ref, Form: j.Form, Dir: j.Dir, Config: registry.Config{
		HostsDirs:           j.HostsDirs,
		InsecureRegistries:  j.Insecure,
		SignatureRepository: j.SignatureRepository,
		Credentials:         registry.DockerCredentials(),
		UserAgent:           agent,
	}}
	stop := func() {}
	var err error
	if j.Inside != nil {
		stop, err = j.Inside.start(ctx, j.Dir, &o)
	}
	if err == nil {
		var image *traffic.Image
		if image, err = flows.Run(ctx); image != nil {
			o.Parts = image.Parts
		}
	}
	stop()
	if err != nil {
		o.Error = err.Error()
	}
	for _, family := range []error{verify.ErrRejected, verify.ErrInconclusive, verify.ErrMisconfigured} {
		if errors.Is(err, family) {
			o.Family = family.Error()
		}
	}
	return o
}

// agent is the user agent of all requests.
const agent = "registries-test/1"

// start starts the registry at its address, which is not one of loopback's.
func (i *inside) start(ctx context.Context, dir string, o *outcome) (stop func(), err error) {
	for _, args := range [][]string{{"link", "set", "lo", "up"}, {"address", "add", i.Address + "/32", "dev", "lo"}} {
		if out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput(); err != nil {
			return func() {}, fmt.Errorf("ip %q: %w: %s", args, err, out)
		}
	}
	_, stop, err = distribution.Start(ctx, i.Binary, dir, i.Config, func(line []byte) {
		o.Logged = append(o.Logged, string(line))
	})
	return stop, err
}

// command is the process that does the job, with no variable but those of env.
func (j job) command(t *testing.T, env ...string) *exec.Cmd {
	t.Helper()
	b, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append([]string{jobVariable + "=" + string(b), "HOME=" + j.Dir, "PATH=" + os.Getenv("PATH")}, env...)
	cmd.Stderr = os.Stderr
	if j.Inside != nil {
		cmd.SysProcAttr = ownNetwork()
	}
	return cmd
}

// do has the job done.
func (j job) do(t *testing.T, env ...string) outcome {
	t.Helper()
	cmd := j.command(t, env...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return parseOutcome(t, out)
}

func parseOutcome(t *testing.T, b []byte) (o outcome) {
	t.Helper()
	if err := json.Unmarshal(b, &o); err != nil {
		t.Fatalf("%v in %q", err, b)
	}
	return o
}
