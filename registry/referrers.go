// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"sync"

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

// eachReferrer calls f for what refers to d, by the referrers API (OCI
// distribution specification 1.1, listing referrers) of every host: a mirror may
// know fewer than the registry itself. What was found has been handed on also
// where a host did not answer, which is the error then. An error of f ends it.
//
// containerd's own FetchReferrers is used only behind a resolver of the
// caller's. It goes on to the referrers tag when the API fails, and when that
// does not exist reports an empty list, so that a throttled look-up reads as
// "unsigned"; it reads one page; and it does not say which of the two answered,
// which a writer has to know.
func (r repository) eachReferrer(ctx context.Context, d digest.Digest, b *budget, f eachFunc) error {
	if r.hosts == nil {
		return r.fetchReferrers(ctx, d, f)
	}
	hosts, ctx, err := r.hostsWith(ctx, docker.HostCapabilityReferrers)
	if err != nil {
		return err
	}
	list := descriptorList{each: f}
	var answered bool
	var unanswered error
	for _, host := range hosts {
		err := r.listReferrers(ctx, host, d, b, list.pass)
		switch {
		case list.stopped != nil:
			return list.stopped
		case err == nil:
			answered = true
		case !errors.Is(err, errNoReferrersAPI) && unanswered == nil:
			unanswered = fmt.Errorf("%s: %w", host.Host, err)
		}
	}
	if unanswered == nil && !answered {
		return errNoReferrersAPI
	}
	return unanswered
}

func (r repository) fetchReferrers(ctx context.Context, d digest.Digest, f eachFunc) error {
	fetcher, err := r.resolver.Fetcher(ctx, r.digest(d))
	if err != nil {
		return failed(ctx, err)
	}
	rf, ok := fetcher.(remotes.ReferrersFetcher)
	if !ok {
		return errNoReferrersAPI
	}
	// One that cannot read all of the list may have read some.
	found, unanswered := rf.FetchReferrers(ctx, d)
	for i, desc := range found {
		if err := f(i, desc, nil); err != nil {
			return err
		}
	}
	return failed(ctx, unanswered)
}

// listReferrers reads every page of the list of one host.
func (r repository) listReferrers(ctx context.Context, host docker.RegistryHost, d digest.Digest, b *budget, f eachFunc) error {
	if r.lacksAPI.has(host) {
		return errNoReferrersAPI
	}
	next := endpoint(host, r.spec(), "referrers", d.String())
	for range b.limits.Candidates {
		page, link, err := r.referrersPage(ctx, host, next, b)
		if err == nil {
			err = eachDescriptor(page, "manifests", f)
		}
		if err != nil || link == nil {
			return err
		}
		// The credentials of this host are for this host.
		if link.Scheme != next.Scheme || link.Host != next.Host {
			return fmt.Errorf("%w: the next page of referrers is on another host", errContent)
		}
		next = link
	}
	return limits.Exceeded("number of pages of referrers", b.limits.Candidates)
}

func (r repository) referrersPage(ctx context.Context, host docker.RegistryHost, u *url.URL, b *budget) (page []byte, next *url.URL, err error) {
	resp, err := r.get(ctx, host, u, ocispec.MediaTypeImageIndex)
	if err != nil {
		return nil, nil, failed(ctx, err)
	}
	defer done(resp)
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound, http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusNotAcceptable, http.StatusNotImplemented:
		if !isAboutContent(resp) {
			r.lacksAPI.add(host)
		}
		return nil, nil, errNoReferrersAPI
	default:
		return nil, nil, failed(ctx, remoteserrors.NewUnexpectedStatusErr(resp))
	}
	mediaType, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || mediaType != ocispec.MediaTypeImageIndex {
		// The specification requires the type; a proxy's login page has another.
		return nil, nil, errNoReferrersAPI
	}
	page, err = limits.ReadAll(resp.Body, b.limits.Manifest, "list of referrers")
	if err != nil {
		return nil, nil, failed(ctx, err)
	}
	if err := b.take(int64(len(page)), b.limits.Manifest, "list of referrers in bytes"); err != nil {
		return nil, nil, err
	}
	next, err = nextPage(u, resp.Header)
	return page, next, err
}

// hostSet remembers hosts for the life of a client.
type hostSet struct{ hosts sync.Map }

func hostKey(host docker.RegistryHost) string { return host.Scheme + "://" + host.Host + host.Path }

func (s *hostSet) has(host docker.RegistryHost) bool {
	_, ok := s.hosts.Load(hostKey(host))
	return ok
}

func (s *hostSet) add(host docker.RegistryHost) { s.hosts.Store(hostKey(host), true) }

// isAboutContent reports whether a refusal is about the repository or the image,
// and so says nothing about the API: that there is none, or that it is shown to
// nobody.
func isAboutContent(resp *http.Response) bool {
	b, err := limits.ReadAll(resp.Body, limits.Error, "error")
	if err != nil {
		return true
	}
	var answer struct {
		Errors []struct {
			Code string `json:"code"`
		} `json:"errors"`
	}
	if json.Unmarshal(b, &answer) != nil {
		return false
	}
	for _, e := range answer.Errors {
		switch e.Code {
		case "NAME_UNKNOWN", "MANIFEST_UNKNOWN", "DENIED", "UNAUTHORIZED", "TOOMANYREQUESTS":
			return true
		}
	}
	return false
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
