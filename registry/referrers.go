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
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	remoteserrors "github.com/containerd/containerd/v2/core/remotes/errors"
	"github.com/containerd/containerd/v2/pkg/reference"
	"github.com/containerd/containerd/v2/version"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/limits"
)

// errNoReferrersAPI means that the registry does not have the API, which is an
// answer and not a failure.
var errNoReferrersAPI = errors.New("the registry has no referrers API")

// referrers lists what refers to d, by the referrers API (OCI distribution
// specification 1.1, listing referrers).
//
// containerd's own FetchReferrers is used only behind a resolver of the
// caller's. It goes on to the referrers tag when the API fails, and when that
// does not exist reports an empty list, so that a throttled look-up reads as
// "unsigned"; it reads one page; and it does not say which of the two answered,
// which a writer has to know.
func (s source) referrers(ctx context.Context, locator string, d digest.Digest) ([]ocispec.Descriptor, error) {
	if s.hosts == nil {
		return s.fetchReferrers(ctx, locator, d)
	}
	spec, err := reference.Parse(locator + "@" + d.String())
	if err != nil {
		return nil, err
	}
	hosts, err := s.hosts(spec.Hostname())
	if err != nil {
		return nil, err
	}
	if ctx, err = docker.ContextWithRepositoryScope(ctx, spec, false); err != nil {
		return nil, err
	}
	var all []ocispec.Descriptor
	var answered bool
	var unanswered error
	for _, host := range hosts {
		if !host.Capabilities.Has(docker.HostCapabilityReferrers) {
			continue
		}
		found, err := s.listReferrers(ctx, host, spec, d)
		switch {
		case err == nil:
			answered = true
			all = append(all, found...)
		case !errors.Is(err, errNoReferrersAPI) && unanswered == nil:
			unanswered = fmt.Errorf("%s: %w", host.Host, err)
		}
		if len(all) > 0 {
			break
		}
	}
	switch {
	case len(all) > 0:
		return all, nil
	case unanswered != nil:
		return nil, unanswered
	case answered:
		return nil, nil
	default:
		return nil, errNoReferrersAPI
	}
}

func (s source) fetchReferrers(ctx context.Context, locator string, d digest.Digest) ([]ocispec.Descriptor, error) {
	fetcher, err := s.resolver.Fetcher(ctx, locator+"@"+d.String())
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
func (s source) listReferrers(ctx context.Context, host docker.RegistryHost, spec reference.Spec, d digest.Digest) ([]ocispec.Descriptor, error) {
	repository := strings.TrimPrefix(spec.Locator, spec.Hostname()+"/")
	next := &url.URL{
		Scheme: host.Scheme,
		Host:   host.Host,
		Path:   path.Join("/", host.Path, repository, "referrers", d.String()),
	}
	if proxied := host.Host != spec.Hostname() && spec.Hostname() != "docker.io"; proxied {
		next.RawQuery = url.Values{"ns": {spec.Hostname()}}.Encode()
	}
	var all []ocispec.Descriptor
	for range limits.ReferrersPages {
		page, link, err := s.referrersPage(ctx, host, next)
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

func (s source) referrersPage(ctx context.Context, host docker.RegistryHost, u *url.URL) (page []ocispec.Descriptor, next *url.URL, err error) {
	resp, err := s.get(ctx, host, u)
	if err != nil {
		return nil, nil, failed(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }()
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
	var index ocispec.Index
	if err := json.Unmarshal(b, &index); err != nil {
		return nil, nil, fmt.Errorf("list of referrers: %w", err)
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

// get sends one GET with the settings of host: its client, headers and
// authorizer. It answers one challenge, and waits once if the registry says
// for how long.
func (s source) get(ctx context.Context, host docker.RegistryHost, u *url.URL) (*http.Response, error) {
	var past []*http.Response
	for {
		resp, err := s.getOnce(ctx, host, u)
		if err != nil {
			return nil, err
		}
		past = append(past, resp)
		again, err := mayRetry(ctx, host, past)
		if err != nil || again {
			_ = resp.Body.Close()
		}
		if err != nil {
			return nil, err
		}
		if !again {
			return resp, nil
		}
	}
}

// maxAttempts is the number of requests that one page may cost: a challenge, a
// stale token, and one wait.
const maxAttempts = 4

func mayRetry(ctx context.Context, host docker.RegistryHost, past []*http.Response) (bool, error) {
	if len(past) >= maxAttempts {
		return false, nil
	}
	last := past[len(past)-1]
	switch last.StatusCode {
	case http.StatusUnauthorized:
		if host.Authorizer == nil {
			return false, nil
		}
		if err := host.Authorizer.AddResponses(ctx, past); err != nil {
			return false, nil //nolint:nilerr // the 401 itself is the answer
		}
		return true, nil
	case http.StatusTooManyRequests:
		delay, ok := retryAfter(last.Header)
		if !ok {
			return false, nil
		}
		return true, sleep(ctx, delay)
	default:
		return false, nil
	}
}

func (s source) getOnce(ctx context.Context, host docker.RegistryHost, u *url.URL) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	for _, header := range []http.Header{s.header, host.Header} {
		for key, values := range header {
			req.Header[key] = append(req.Header[key], values...)
		}
	}
	req.Header.Set("Accept", ocispec.MediaTypeImageIndex)
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", "containerd/"+version.Version)
	}
	if host.Authorizer != nil {
		if err := host.Authorizer.Authorize(ctx, req); err != nil {
			return nil, err
		}
	}
	client := host.Client
	if client == nil {
		client = http.DefaultClient
	}
	return client.Do(req)
}

// maxRetryAfter is how long a registry may make a look-up wait.
const maxRetryAfter = 5 * time.Second

func retryAfter(header http.Header) (time.Duration, bool) {
	seconds, err := strconv.Atoi(header.Get("Retry-After"))
	delay := time.Duration(seconds) * time.Second
	return delay, err == nil && delay >= 0 && delay <= maxRetryAfter
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
