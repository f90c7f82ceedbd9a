// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/containerd/v2/pkg/reference"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/limits"
)

// source is one way to registries. It serves one operation, so that the upload
// tracker of its resolver does not grow, and does not remember for one
// repository what was uploaded to another.
type source struct {
	resolver remotes.Resolver
	// hosts is nil behind a resolver of the caller's.
	hosts  docker.RegistryHosts
	header http.Header
	// single returns a source that asks only the i-th host.
	single func(i int) source
}

// pullSource reads from mirrors first.
func (c *Client) pullSource() source { return c.newSource(nil) }

// pushSource writes to, and reads from, the hosts that are pushed to: what is
// to be merged with must not come from a mirror that lags behind.
func (c *Client) pushSource() source {
	return c.newSource(func(hosts []docker.RegistryHost) []docker.RegistryHost {
		for _, host := range hosts {
			if host.Capabilities.Has(docker.HostCapabilityPush) {
				host.Capabilities |= docker.HostCapabilityResolve | docker.HostCapabilityPull
				return []docker.RegistryHost{host}
			}
		}
		return nil
	})
}

func (c *Client) newSource(choose func([]docker.RegistryHost) []docker.RegistryHost) source {
	if c.config.Resolver != nil {
		return source{resolver: c.config.Resolver}
	}
	hosts := func(host string) ([]docker.RegistryHost, error) {
		all, err := c.registryHosts(host)
		if err != nil || choose == nil {
			return all, err
		}
		return choose(all), nil
	}
	return source{
		hosts:  hosts,
		header: c.header(),
		resolver: docker.NewResolver(docker.ResolverOptions{
			Hosts:   hosts,
			Headers: c.header(),
			Tracker: c.config.Tracker,
		}),
		single: func(i int) source {
			return c.newSource(func(all []docker.RegistryHost) []docker.RegistryHost {
				if choose != nil {
					all = choose(all)
				}
				return all[i : i+1]
			})
		},
	}
}

// resolve returns the descriptor that ref stands for.
func (s source) resolve(ctx context.Context, ref string) (ocispec.Descriptor, error) {
	_, desc, err := s.resolver.Resolve(ctx, ref)
	if err != nil {
		return ocispec.Descriptor{}, failed(ctx, err)
	}
	return desc, checkDescriptor(desc)
}

var errNoHost = errors.New("no host of the registry is configured to answer this")

// lookUp is resolve for what need not exist. It asks the hosts one by one,
// because a resolver that is given several reports the first that has nothing
// in the place of a later one that could not answer. ErrNotFound means that
// every host said so.
func (s source) lookUp(ctx context.Context, ref string) (ocispec.Descriptor, error) {
	hosts, err := s.resolvingHosts(ref)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if len(hosts) <= 1 {
		return s.resolve(ctx, ref)
	}
	var unanswered error
	for _, i := range hosts {
		desc, err := s.single(i).resolve(ctx, ref)
		if err == nil {
			return desc, nil
		}
		if !isNotFound(err) && unanswered == nil {
			unanswered = err
		}
	}
	if unanswered == nil {
		unanswered = errdefs.ErrNotFound
	}
	return ocispec.Descriptor{}, unanswered
}

// resolvingHosts returns the positions of the hosts that may turn a tag into a
// digest; none means that the resolver is the caller's.
func (s source) resolvingHosts(ref string) ([]int, error) {
	if s.hosts == nil {
		return nil, nil
	}
	spec, err := reference.Parse(ref)
	if err != nil {
		return nil, err
	}
	all, err := s.hosts(spec.Hostname())
	if err != nil {
		return nil, err
	}
	var resolving []int
	for i, host := range all {
		if host.Capabilities.Has(docker.HostCapabilityPull | docker.HostCapabilityResolve) {
			resolving = append(resolving, i)
		}
	}
	if len(resolving) == 0 {
		return nil, errNoHost
	}
	return resolving, nil
}

// fetch returns the content of desc, which must match it. The descriptor is not
// trusted; its size is checked against limit before anything is asked for.
func (s source) fetch(ctx context.Context, ref string, desc ocispec.Descriptor, limit int64, what string) ([]byte, error) {
	if err := checkDescriptor(desc); err != nil {
		return nil, err
	}
	if desc.Size > limit {
		return nil, limits.Exceeded(what+" in bytes", limit)
	}
	// URLs would have the fetcher ask a host of the registry's choice.
	desc = ocispec.Descriptor{MediaType: desc.MediaType, Digest: desc.Digest, Size: desc.Size}
	fetcher, err := s.resolver.Fetcher(ctx, ref)
	if err != nil {
		return nil, failed(ctx, err)
	}
	rc, err := fetcher.Fetch(ctx, desc)
	if err != nil {
		return nil, failed(ctx, err)
	}
	defer func() { _ = rc.Close() }()
	b, err := io.ReadAll(io.LimitReader(rc, desc.Size+1))
	if err != nil && !errdefs.IsFailedPrecondition(err) { // which is containerd's word for more than the size
		return nil, failed(ctx, err)
	}
	if err != nil || int64(len(b)) != desc.Size || digest.FromBytes(b) != desc.Digest {
		return nil, fmt.Errorf("%w: %s %s of %d bytes", errContent, what, desc.Digest, desc.Size)
	}
	return b, nil
}

func checkDescriptor(desc ocispec.Descriptor) error {
	if err := desc.Digest.Validate(); err != nil {
		return fmt.Errorf("%w: digest %.128q: %w", errContent, desc.Digest, err)
	}
	if desc.Digest.Algorithm() != digest.SHA256 {
		return fmt.Errorf("%w: digest algorithm %s is not supported, want sha256", errContent, desc.Digest.Algorithm())
	}
	if desc.Size < 0 {
		return fmt.Errorf("%w: negative size", errContent)
	}
	return nil
}

var uploads atomic.Uint64

// push uploads b as ref, which ends in the digest for what has no tag. Content
// that the registry has already is not sent again.
func (s source) push(ctx context.Context, ref string, desc ocispec.Descriptor, b []byte) error {
	pusher, err := s.resolver.Pusher(ctx, ref)
	if err != nil {
		return failed(ctx, err)
	}
	w, err := pusher.Push(ctx, tracked(desc, ref))
	if errdefs.IsAlreadyExists(err) {
		return nil
	}
	if err != nil {
		return failed(ctx, err)
	}
	defer func() { _ = w.Close() }()
	if err := content.Copy(ctx, w, bytes.NewReader(b), desc.Size, desc.Digest); err != nil && !errdefs.IsAlreadyExists(err) {
		return failed(ctx, err)
	}
	return nil
}

// tracked gives an upload a name of its own in the status tracker of a
// resolver. Trackers go by digest alone, and a digest that was once uploaded,
// to whichever repository or tag, is not uploaded again: the tag would stay
// where it is.
func tracked(desc ocispec.Descriptor, ref string) ocispec.Descriptor {
	desc.Annotations = map[string]string{
		ocispec.AnnotationRefName: fmt.Sprintf("%s#%d", ref, uploads.Add(1)),
	}
	return desc
}
