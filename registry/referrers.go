// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	remoteserrors "github.com/containerd/containerd/v2/core/remotes/errors"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/limits"
)

// errNoReferrersAPI means that the registry does not have the API, which is an
// answer and not a failure.
var errNoReferrersAPI = errors.New("the registry has no referrers API")

// referrers lists what refers to d, by the referrers API (OCI distribution
// specification 1.1, listing referrers), of every host: a mirror may know fewer
// than the registry itself. What was found is returned also beside the error of
// a host that did not answer.
//
// containerd's own FetchReferrers is used only behind a resolver of the
// caller's. It goes on to the referrers tag when the API fails, and when that
// does not exist reports an empty list, so that a throttled look-up reads as
// "unsigned"; it reads one page; and it does not say which of the two answered,
// which a writer has to know.
func (r repository) referrers(ctx context.Context, d digest.Digest) ([]ocispec.Descriptor, error) {
	if r.hosts == nil {
		return r.fetchReferrers(ctx, d)
	}
	hosts, ctx, err := r.hostsWith(ctx, docker.HostCapabilityReferrers)
	if err != nil {
		return nil, err
	}
	var all []ocispec.Descriptor
	var answered bool
	var unanswered error
	for _, host := range hosts {
		found, err := r.listReferrers(ctx, host, d)
		switch {
		case err == nil:
			answered = true
			all = slices.Concat(all, slices.DeleteFunc(found, func(f ocispec.Descriptor) bool {
				return slices.ContainsFunc(all, func(a ocispec.Descriptor) bool { return a.Digest == f.Digest && a.Size == f.Size })
			}))
		case !errors.Is(err, errNoReferrersAPI) && unanswered == nil:
			unanswered = fmt.Errorf("%s: %w", host.Host, err)
		}
	}
	if unanswered == nil && !answered {
		return nil, errNoReferrersAPI
	}
	return all, unanswered
}

func (r repository) fetchReferrers(ctx context.Context, d digest.Digest) ([]ocispec.Descriptor, error) {
	fetcher, err := r.resolver.Fetcher(ctx, r.digest(d))
	if err != nil {
		return nil, failed(ctx, err)
	}
	rf, ok := fetcher.(remotes.ReferrersFetcher)
	if !ok {
		return nil, errNoReferrersAPI
	}
	found, err := rf.FetchReferrers(ctx, d)
	if err != nil {
		return nil, failed(ctx, err)
	}
	if len(found) > limits.Candidates {
		return nil, limits.Exceeded("number of referrers", limits.Candidates)
	}
	return found, nil
}

// listReferrers reads every page of the list of one host.
func (r repository) listReferrers(ctx context.Context, host docker.RegistryHost, d digest.Digest) ([]ocispec.Descriptor, error) {
	next := endpoint(host, r.spec(), "referrers", d.String())
	var all []ocispec.Descriptor
	for range limits.ReferrersPages {
		page, link, err := r.referrersPage(ctx, host, next)
		if err != nil {
			return nil, err
		}
		if all = append(all, page...); len(all) > limits.Candidates {
			return nil, limits.Exceeded("number of referrers", limits.Candidates)
		}
		if link == nil {
			return all, nil
		}
		// The credentials of this host are for this host.
		if link.Scheme != next.Scheme || link.Host != next.Host {
			return nil, fmt.Errorf("%w: the next page of referrers is on another host", errContent)
		}
		next = link
	}
	return nil, limits.Exceeded("number of pages of referrers", limits.ReferrersPages)
}

func (r repository) referrersPage(ctx context.Context, host docker.RegistryHost, u *url.URL) (page []ocispec.Descriptor, next *url.URL, err error) {
	resp, err := r.get(ctx, host, u, ocispec.MediaTypeImageIndex)
	if err != nil {
		return nil, nil, failed(ctx, err)
	}
	defer done(resp)
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound, http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusNotAcceptable, http.StatusNotImplemented:
		return nil, nil, errNoReferrersAPI
	default:
		return nil, nil, failed(ctx, remoteserrors.NewUnexpectedStatusErr(resp))
	}
	mediaType, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || mediaType != ocispec.MediaTypeImageIndex {
		// The specification requires the type; a proxy's login page has another.
		return nil, nil, errNoReferrersAPI
	}
	b, err := limits.ReadAll(resp.Body, limits.Manifest, "list of referrers")
	if err != nil {
		return nil, nil, failed(ctx, err)
	}
	index, err := parseIndex(b)
	if err != nil {
		return nil, nil, err
	}
	next, err = nextPage(u, resp.Header)
	return index.Manifests, next, err
}

var linkNext = regexp.MustCompile(`<([^>]*)>\s*;[^,]*\brel="?next"?`)

// nextPage returns the target of the Link header with the relation next (RFC
// 8288), or nil.
func nextPage(base *url.URL, header http.Header) (*url.URL, error) {
	for _, value := range header.Values("Link") {
		if m := linkNext.FindStringSubmatch(value); m != nil {
			link, err := url.Parse(m[1])
			if err != nil {
				return nil, fmt.Errorf("%w: link to the next page of referrers", errContent)
			}
			return base.ResolveReference(link), nil
		}
	}
	return nil, nil
}
