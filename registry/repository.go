// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	remoteserrors "github.com/containerd/containerd/v2/core/remotes/errors"
	refspec "github.com/containerd/containerd/v2/pkg/reference"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/verify"
)

// repository is a repository of a registry, as seen through one source.
type repository struct {
	source
	name reference.Named
	// elsewhere is the name, if this is not the repository of the image.
	elsewhere string
	seen      *sightings
}

func (r repository) tag(t string) string           { return r.name.Name() + ":" + t }
func (r repository) digest(d digest.Digest) string { return r.name.Name() + "@" + d.String() }
func (r repository) spec() refspec.Spec            { return refspec.Spec{Locator: r.name.Name()} }

func referrersTag(d digest.Digest) string { return strings.Replace(d.String(), ":", "-", 1) }
func signatureTag(d digest.Digest) string { return referrersTag(d) + ".sig" }

// hostsWith returns the hosts that have capabilities, or if none has, those that
// may resolve; and ctx with the scope that reading the repository takes.
func (r repository) hostsWith(ctx context.Context, capabilities docker.HostCapabilities) ([]docker.RegistryHost, context.Context, error) {
	ctx, err := docker.ContextWithRepositoryScope(ctx, r.spec(), false)
	if err != nil {
		return nil, ctx, err
	}
	all, err := r.hosts(reference.Domain(r.name))
	if err != nil {
		return nil, ctx, err
	}
	r.seen.among(all)
	for _, wanted := range []docker.HostCapabilities{capabilities, docker.HostCapabilityResolve} {
		var hosts []docker.RegistryHost
		for _, host := range all {
			if host.Capabilities.Has(wanted) {
				hosts = append(hosts, host)
			}
		}
		if len(hosts) > 0 {
			return hosts, ctx, nil
		}
	}
	return nil, ctx, fault.New(verify.ErrMisconfigured, "configure registry", reference.Domain(r.name), "", errNoHost)
}

// readTag returns the manifest or index under tag, or nil if there is none. It
// is for sources of one host.
func (r repository) readTag(ctx context.Context, tag string) ([]byte, error) {
	found, err := r.readTags(ctx, tag, limits.Manifest)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return found[0].data, nil
}

// readTags returns what is under tag, which on a mirror can be an older state.
// What was found is returned also beside the error of a host that did not
// answer; that a host has nothing is no error.
func (r repository) readTags(ctx context.Context, tag string, limit int64) ([]blob, error) {
	if r.hosts == nil {
		return r.resolveTag(ctx, tag, limit)
	}
	hosts, ctx, err := r.hostsWith(ctx, docker.HostCapabilityPull|docker.HostCapabilityResolve)
	if err != nil {
		return nil, err
	}
	var all []blob
	var unanswered error
	for _, host := range hosts {
		b, err := r.getTag(ctx, host, tag, limit)
		r.seen.note(ctx, host, b != nil, err)
		switch {
		case err != nil && unanswered == nil:
			unanswered = fmt.Errorf("%s: %w", host.Host, err)
		case err == nil && b != nil && !slices.ContainsFunc(all, func(a blob) bool { return a.Digest == b.Digest }):
			all = append(all, *b)
		}
	}
	return all, unanswered
}

// resolveTag is readTags behind a resolver of the caller's.
func (r repository) resolveTag(ctx context.Context, tag string, limit int64) ([]blob, error) {
	_, desc, err := r.resolver.Resolve(ctx, r.tag(tag))
	if isNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, failed(ctx, err)
	}
	b, err := r.fetch(ctx, r.tag(tag), desc, limit, "manifest")
	if err != nil {
		return nil, err
	}
	return []blob{{desc, b}}, nil
}

// getTag returns what host has under tag, or nil. Only a 404 for this very
// resource means that there is nothing: containerd's resolver also says "not
// found" of what is too large, and of what a token server does not know.
func (r repository) getTag(ctx context.Context, host docker.RegistryHost, tag string, limit int64) (*blob, error) {
	u := endpoint(host, r.spec(), "manifests", tag)
	resp, err := r.get(ctx, host, u, ocispec.MediaTypeImageIndex+", "+ocispec.MediaTypeImageManifest+", "+images.MediaTypeDockerSchema2Manifest)
	if err != nil {
		return nil, failed(ctx, err)
	}
	defer done(resp)
	if resp.StatusCode == http.StatusNotFound {
		return nil, nil
	}
	if resp.StatusCode != http.StatusOK {
		return nil, failed(ctx, remoteserrors.NewUnexpectedStatusErr(resp))
	}
	b, err := limits.ReadAll(resp.Body, limit, "manifest")
	if err != nil {
		return nil, failed(ctx, err)
	}
	return &blob{describe(resp.Header.Get("Content-Type"), b), b}, nil
}
