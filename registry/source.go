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
	"github.com/containerd/errdefs"
	distribution "github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/leash"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/verify"
)

// source is one way to registries. It serves one operation, so that the upload
// tracker of its resolver does not grow, and does not remember for one
// repository what was uploaded to another.
type source struct {
	resolver remotes.Resolver
	// hosts is nil behind a resolver of the caller's.
	hosts    docker.RegistryHosts
	header   http.Header
	lacksAPI *hostSet
}

// pullSource reads from mirrors first.
func (c *Client) pullSource() source { return c.newSource(c.registryHosts) }

// pushSource writes to, and reads from, the host that is pushed to: what is to
// be merged with must not come from a mirror that lags behind.
func (c *Client) pushSource() source {
	return c.newSource(func(registry string) ([]docker.RegistryHost, error) {
		hosts, err := c.registryHosts(registry)
		if err != nil {
			return nil, err
		}
		for _, host := range hosts {
			if host.Capabilities.Has(docker.HostCapabilityPush) {
				host.Capabilities |= docker.HostCapabilityResolve | docker.HostCapabilityPull
				return []docker.RegistryHost{host}, nil
			}
		}
		return nil, fault.New(verify.ErrMisconfigured, opPush, registry, "", errNoHost)
	})
}

func (c *Client) newSource(hosts docker.RegistryHosts) source {
	if c.config.Resolver != nil {
		return source{resolver: c.config.Resolver}
	}
	return source{
		hosts:    hosts,
		header:   c.header(),
		lacksAPI: &c.lacksAPI,
		resolver: docker.NewResolver(docker.ResolverOptions{
			Hosts:   hosts,
			Headers: c.header(),
			Tracker: newTracker(c.config.Tracker),
		}),
	}
}

// tracker decides by itself what was uploaded, and tells the caller's: that one
// may remember, by digest alone, what went to another repository.
type tracker struct {
	docker.StatusTrackLocker
	told docker.StatusTracker
}

func newTracker(told docker.StatusTracker) docker.StatusTracker {
	if told == nil {
		return docker.NewInMemoryTracker()
	}
	return tracker{docker.NewInMemoryTracker(), told}
}

func (t tracker) SetStatus(ref string, status docker.Status) {
	t.StatusTrackLocker.SetStatus(ref, status)
	t.told.SetStatus(ref, status)
}

// resolve returns the descriptor that name stands for.
func (s source) resolve(ctx context.Context, name distribution.Named) (ocispec.Descriptor, error) {
	desc, err := leash.Call(ctx, func(ctx context.Context) (ocispec.Descriptor, error) {
		_, desc, err := s.resolver.Resolve(ctx, name.String())
		return desc, err
	})
	if err != nil {
		return ocispec.Descriptor{}, failed(ctx, err)
	}
	if err := checkTarget(desc); err != nil {
		return ocispec.Descriptor{}, err
	}
	if err := checkName(name, desc); err != nil {
		return ocispec.Descriptor{}, err
	}
	// Nothing but these three is of any use, and all else is the registry's.
	return ocispec.Descriptor{MediaType: desc.MediaType, Digest: desc.Digest, Size: desc.Size}, nil
}

var errNoHost = errors.New("no host of the registry is configured to answer this")

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
	// Ends what containerd's decoders of compressed answers would leave open.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	fetcher, err := s.resolver.Fetcher(ctx, ref)
	if err != nil {
		return nil, failed(ctx, err)
	}
	rc, err := fetcher.Fetch(ctx, desc)
	if err != nil {
		return nil, failed(ctx, err)
	}
	defer func() { _ = rc.Close() }()
	// The size is within the limit, and the buffer does not grow.
	buffer := bytes.NewBuffer(make([]byte, 0, desc.Size+1+bytes.MinRead))
	_, err = buffer.ReadFrom(io.LimitReader(rc, desc.Size+1))
	if err != nil && !errdefs.IsFailedPrecondition(err) { // which is containerd's word for more than the size
		return nil, failed(ctx, err)
	}
	b := buffer.Bytes()
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

// checkTarget is checkDescriptor for what can be an image.
func checkTarget(desc ocispec.Descriptor) error {
	if err := checkDescriptor(desc); err != nil {
		return err
	}
	if !isManifest(desc.MediaType) {
		return fmt.Errorf("%w: media type %.128q is not that of an image", errContent, desc.MediaType)
	}
	return nil
}

var uploads atomic.Uint64

// push uploads b as ref, which ends in the digest for what has no tag. Content
// that the registry has already is not sent again.
func (s source) push(ctx context.Context, ref string, desc ocispec.Descriptor, b []byte) error {
	if ctx.Err() != nil {
		return fault.Ended(ctx) // what came before may have returned long after the caller left
	}
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
