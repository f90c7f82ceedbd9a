// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package daemon

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// KubernetesNamespace is the namespace of containerd's in which Kubernetes keeps
// its images.
const KubernetesNamespace = "k8s.io"

// PauseImage is what holds the namespaces of a pod. It is pulled when the first
// pod starts, from where HostsDir says.
const PauseImage = "pause.example/pause:v1"

// Kubernetes returns a connection for the services that the kubelet uses.
func (d *Daemon) Kubernetes() (*grpc.ClientConn, error) {
	return grpc.NewClient("unix://"+d.Address, grpc.WithTransportCredentials(insecure.NewCredentials()))
}

// KubernetesPull pulls an image as the kubelet does, and returns what the kubelet
// would be told: the digest of the image's configuration.
func (d *Daemon) KubernetesPull(ctx context.Context, ref string) (string, error) {
	conn, err := d.Kubernetes()
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	pulled, err := runtime.NewImageServiceClient(conn).PullImage(ctx, &runtime.PullImageRequest{Image: &runtime.ImageSpec{Image: ref}})
	return pulled.GetImageRef(), err
}
