// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package daemon_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/cosignkit/cosignkit/internal/e2e/daemon"
	"github.com/cosignkit/cosignkit/internal/testimage"
)

// TestPod runs a pod as the kubelet does, on a network of CNI plugins: what a
// verifier blocks does not get into one, be it the pod's own image.
func TestPod(t *testing.T) {
	t.Parallel()
	n, r := newNode(t, current), newRegistry(t)
	ref := r.address + "/app:v1"
	n.load(ref, "hello from a pod")
	n.must("push", ref)
	n.pushPause(r)

	n.installVerifier(`case "$*" in *pause*) echo no pause; exit 1; esac`)
	if _, err := n.startPod(ref); err == nil || !strings.Contains(err.Error(), "no pause") {
		t.Errorf("the image of the pod itself is blocked: %v, want the verifier's reason", err)
	}
	n.installVerifier(`case "$*" in */app:*) echo no app; exit 1; esac`)
	if _, err := n.startPod(ref); err == nil || !strings.Contains(err.Error(), "no app") {
		t.Errorf("the image in the pod is blocked: %v, want the verifier's reason", err)
	}
	n.installVerifier("exit 0")
	printed, err := n.startPod(ref)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(printed, " hello from a pod\n") {
		t.Errorf("the container's log is %q", printed)
	}
}

// pushPause has the daemon find its image for pods in r.
func (n *node) pushPause(r *testRegistry) {
	n.t.Helper()
	file, ref := filepath.Join(n.dir, "pause.tar"), r.address+"/pause:v1"
	writeArchive(n.t, file, testimage.Image{Name: ref, Busybox: busybox, Command: []string{"/bin/busybox", "sleep", "1000000"}})
	n.must("load", file)
	n.must("push", ref)
	host, _, _ := strings.Cut(daemon.PauseImage, "/")
	dir := filepath.Join(n.HostsDir, host)
	err := os.MkdirAll(dir, 0o755)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "hosts.toml"), fmt.Appendf(nil, "server = %q\n", "http://"+r.address), 0o600)
	}
	if err != nil {
		n.t.Fatal(err)
	}
}

// startPod pulls an image, runs it to its end in a pod, and returns its log.
func (n *node) startPod(ref string) (string, error) {
	n.t.Helper()
	conn, err := n.Kubernetes()
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	kubernetes, ctx := runtime.NewRuntimeServiceClient(conn), n.t.Context()
	logs := n.t.TempDir()
	pod := &runtime.PodSandboxConfig{
		Metadata:     &runtime.PodSandboxMetadata{Name: "pod", Uid: "uid", Namespace: "default"},
		LogDirectory: logs,
		Linux:        &runtime.LinuxPodSandboxConfig{},
	}
	started, err := kubernetes.RunPodSandbox(ctx, &runtime.RunPodSandboxRequest{Config: pod})
	if err != nil {
		return "", err
	}
	defer n.removePod(context.WithoutCancel(ctx), kubernetes, started.PodSandboxId)
	image, err := n.KubernetesPull(ctx, ref)
	if err != nil {
		return "", err
	}
	created, err := kubernetes.CreateContainer(ctx, &runtime.CreateContainerRequest{
		PodSandboxId:  started.PodSandboxId,
		SandboxConfig: pod,
		Config: &runtime.ContainerConfig{
			Metadata: &runtime.ContainerMetadata{Name: "app"},
			Image:    &runtime.ImageSpec{Image: image},
			LogPath:  "app.log",
			Linux:    &runtime.LinuxContainerConfig{},
		},
	})
	if err != nil {
		return "", err
	}
	events, err := kubernetes.GetContainerEvents(ctx, &runtime.GetEventsRequest{})
	if err != nil {
		return "", err
	}
	if _, err := kubernetes.StartContainer(ctx, &runtime.StartContainerRequest{ContainerId: created.ContainerId}); err != nil {
		return "", err
	}
	for {
		event, err := events.Recv()
		if err != nil {
			return "", err
		}
		if event.ContainerId == created.ContainerId && event.ContainerEventType == runtime.ContainerEventType_CONTAINER_STOPPED_EVENT {
			break
		}
	}
	printed, err := os.ReadFile(filepath.Join(logs, "app.log"))
	return string(printed), err
}

func (n *node) removePod(ctx context.Context, kubernetes runtime.RuntimeServiceClient, id string) {
	n.t.Helper()
	if _, err := kubernetes.StopPodSandbox(ctx, &runtime.StopPodSandboxRequest{PodSandboxId: id}); err != nil {
		n.t.Error(err)
	}
	if _, err := kubernetes.RemovePodSandbox(ctx, &runtime.RemovePodSandboxRequest{PodSandboxId: id}); err != nil {
		n.t.Error(err)
	}
	if said, err := exec.CommandContext(ctx, "/bin/busybox", "ip", "link", "delete", daemon.Bridge).CombinedOutput(); err != nil {
		n.t.Errorf("delete %s: %v: %s", daemon.Bridge, err, said)
	}
}
