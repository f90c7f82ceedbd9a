// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package daemon_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/e2e/daemon"
	"github.com/cosignkit/cosignkit/internal/testimage"
)

// node is a machine with a daemon, and with minictl to talk to it.
type node struct {
	*daemon.Daemon
	t      *testing.T
	client *containerd.Client
	dir    string
}

const namespace = "default"

// newNode starts a daemon, which ends with the test.
func newNode(t *testing.T, p daemon.Programs) *node {
	t.Helper()
	d, err := daemon.Start(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("containerd said:\n%s", d.Said())
		}
		if err := d.Stop(); err != nil {
			t.Error(err)
		}
	})
	client, err := d.Connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return &node{Daemon: d, t: t, client: client, dir: t.TempDir()}
}

// on is n for a subtest.
func (n *node) on(t *testing.T) *node {
	other := *n
	other.t, other.dir = t, t.TempDir()
	return &other
}

// outcome is how a program ended.
type outcome struct {
	code           int
	stdout, stderr string
}

// command is minictl with arguments, on the daemon.
func (n *node) command(ctx context.Context, args ...string) *exec.Cmd {
	return minictlCommand(ctx, n.dir, append([]string{"--address", n.Address, "--namespace", namespace}, args...)...)
}

func minictlCommand(ctx context.Context, home string, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, minictl, args...)
	command.Dir = keys
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "COSIGN_PASSWORD=" + passphrase}
	return command
}

// run runs minictl to its end.
func (n *node) run(args ...string) outcome {
	n.t.Helper()
	return finish(n.t, n.command(n.t.Context(), args...))
}

func finish(t *testing.T, command *exec.Cmd) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", command, err)
	}
	return outcome{code: command.ProcessState.ExitCode(), stdout: stdout.String(), stderr: stderr.String()}
}

// must is run for what has to succeed. It returns what minictl printed.
func (n *node) must(args ...string) string {
	n.t.Helper()
	o := n.run(args...)
	if o.code != 0 {
		n.t.Fatalf("minictl %v: exit code %d: %s", args, o.code, o.stderr)
	}
	return o.stdout
}

// refused is run for what has to fail with a code and a reason.
func (n *node) refused(code int, reason string, args ...string) {
	n.t.Helper()
	o := n.run(args...)
	if o.code != code || !strings.Contains(o.stderr, reason) {
		n.t.Errorf("minictl %v: exit code %d, want %d, and %q in: %s", args, o.code, code, reason, o.stderr)
	}
	if o.stdout != "" {
		n.t.Errorf("minictl %v printed %q", args, o.stdout)
	}
}

// load loads an image that prints content when it runs.
func (n *node) load(name, content string, platforms ...string) {
	n.t.Helper()
	file := filepath.Join(n.dir, "image.tar")
	writeArchive(n.t, file, testimage.Image{Name: name, Content: content, Busybox: busybox, Platforms: platforms})
	n.must("load", file)
}

func writeArchive(t *testing.T, file string, images ...testimage.Image) {
	t.Helper()
	var archive bytes.Buffer
	err := testimage.WriteArchive(&archive, images...)
	if err == nil {
		err = os.WriteFile(file, archive.Bytes(), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (n *node) context() context.Context {
	return namespaces.WithNamespace(n.t.Context(), namespace)
}

// record is what the daemon has under name; ok is false if it has nothing.
func (n *node) record(name string) (target ocispec.Descriptor, ok bool) {
	n.t.Helper()
	image, err := n.client.ImageService().Get(n.context(), name)
	if err != nil && !errdefs.IsNotFound(err) {
		n.t.Fatal(err)
	}
	return image.Target, err == nil
}

// name has the daemon call target by name, whatever it is.
func (n *node) name(name string, target ocispec.Descriptor) {
	n.t.Helper()
	n.forget(name)
	if _, err := n.client.ImageService().Create(n.context(), images.Image{Name: name, Target: target}); err != nil {
		n.t.Fatal(err)
	}
}

// forget removes the name, and waits until what it alone referred to is gone.
func (n *node) forget(name string) {
	n.t.Helper()
	err := n.client.ImageService().Delete(n.context(), name, images.SynchronousDelete())
	if err != nil && !errdefs.IsNotFound(err) {
		n.t.Fatal(err)
	}
}

// With a key and no log: logs have tests of their own.
func signed(format string, args ...string) []string {
	return append([]string{"--sign=cosign", "--cosign-key=cosign.key", "--tlog-upload=false", "--signature-format=" + format}, args...)
}

func verified(args ...string) []string {
	return append([]string{"--verify=cosign", "--cosign-key=cosign.pub", "--insecure-ignore-tlog"}, args...)
}

func with(command string, flags []string) []string { return append([]string{command}, flags...) }
