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
	"slices"
	"strings"
	"sync"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	remoteserrors "github.com/containerd/containerd/v2/core/remotes/errors"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/internal/origin"
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
		signed := false
		err := r.listReferrers(ctx, host, d, b, func(i int, desc ocispec.Descriptor, err error) error {
			signed = signed || err == nil && maySign(desc)
			return list.pass(i, desc, err)
		})
		if errors.Is(err, errNoReferrersAPI) {
			r.seen.note(ctx, host, false, nil)
		} else {
			r.seen.note(ctx, host, signed, err)
		}
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
	if r.lacksAPI.has(host, r.spec().Hostname()) {
		return errNoReferrersAPI
	}
	next := endpoint(host, r.spec(), "referrers", d.String())
	seen := map[string]bool{}
	for range b.limits.Candidates {
		seen[next.String()] = true
		page, link, err := r.referrersPage(ctx, host, next, len(seen) == 1, b)
		if errors.Is(err, errNoReferrersAPI) && len(seen) > 1 {
			// It has the API, and keeps the rest of the list back.
			return fmt.Errorf("page %d of the list of referrers: %w", len(seen), errNoPage)
		}
		if err == nil {
			err = eachDescriptor(page, "manifests", b.descriptors(), f)
		}
		if err != nil || link == nil {
			return err
		}
		if link, err = following(next, link); err != nil {
			return err
		}
		if next = link; seen[next.String()] {
			return fmt.Errorf("%w: the pages of referrers go in a circle", errContent)
		}
	}
	return limits.Exceeded("number of pages of referrers", b.limits.Candidates)
}

// following is the address of a page that is linked to from another one.
func following(page, link *url.URL) (*url.URL, error) {
	// The credentials of this host are for this host.
	if origin.Of(link) != origin.Of(page) {
		return nil, fmt.Errorf("%w: the next page of referrers is on another host", errContent)
	}
	next := *link
	next.Host, next.User = page.Host, nil
	// A mirror may pass on a link of the registry, which does not say whose it is.
	if registry := page.Query().Get("ns"); registry != "" && !next.Query().Has("ns") {
		next.RawQuery = strings.TrimPrefix(next.RawQuery+"&"+url.Values{"ns": {registry}}.Encode(), "&")
	}
	return &next, nil
}

var (
	errNoPage = errors.New("the registry does not have it")
	// errNoIndexType is what a proxy's login page is, for one.
	errNoIndexType = errors.New("the answer to a list of referrers is no image index")
)

func (r repository) referrersPage(ctx context.Context, host docker.RegistryHost, u *url.URL, first bool, b *budget) (page []byte, next *url.URL, err error) {
	resp, err := r.get(ctx, host, u, ocispec.MediaTypeImageIndex)
	if err != nil {
		return nil, nil, failed(ctx, err)
	}
	defer done(resp)
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		if first && saysNoAPI(resp) {
			r.lacksAPI.add(host, r.spec().Hostname())
		}
		return nil, nil, errNoReferrersAPI
	case http.StatusBadRequest, http.StatusNotAcceptable:
		return nil, nil, errNoReferrersAPI
	default:
		return nil, nil, failed(ctx, remoteserrors.NewUnexpectedStatusErr(resp))
	}
	// The specification requires the type.
	mediaType, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || mediaType != ocispec.MediaTypeImageIndex {
		return nil, nil, errNoIndexType
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

// hostKey is a host as it serves one registry: a mirror can stand for several.
func hostKey(host docker.RegistryHost, registry string) string {
	return host.Scheme + "://" + host.Host + host.Path + "?ns=" + registry
}

func (s *hostSet) has(host docker.RegistryHost, registry string) bool {
	_, ok := s.hosts.Load(hostKey(host, registry))
	return ok
}

func (s *hostSet) add(host docker.RegistryHost, registry string) {
	s.hosts.Store(hostKey(host, registry), true)
}

// saysNoAPI reports whether a refusal is of the API, and not of the repository or
// the image: that there is none, or that it is shown to nobody. Registries have
// many codes for that, some of their own.
func saysNoAPI(resp *http.Response) bool {
	b, err := limits.ReadAll(resp.Body, limits.Error, "error")
	if err != nil {
		return false
	}
	if resp.StatusCode != http.StatusNotFound {
		return true
	}
	if mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); mediaType == "text/html" {
		return false // a page of some proxy's
	}
	var answer struct {
		Errors []struct {
			Code string `json:"code"`
		} `json:"errors"`
	}
	if json.Unmarshal(b, &answer) != nil {
		return true // such as the text of a server that has no such path
	}
	for _, e := range answer.Errors {
		if e.Code != "UNSUPPORTED" && e.Code != "METHOD_UNKNOWN" {
			return false
		}
	}
	return true
}

// nextPage returns the target of the link with the relation next (RFC 8288, section
// 3), or nil. A header that cannot be read is an error, and not the end of the list.
func nextPage(base *url.URL, header http.Header) (*url.URL, error) {
	for _, value := range header.Values("Link") {
		for rest := strings.TrimLeft(value, ", \t"); rest != ""; rest = strings.TrimLeft(rest, ", \t") {
			var target string
			var isNext, ok bool
			if target, isNext, rest, ok = cutLink(rest); !ok {
				return nil, fmt.Errorf("%w: link to the next page of referrers", errContent)
			}
			if !isNext {
				continue
			}
			link, err := url.Parse(target)
			if err != nil {
				return nil, fmt.Errorf("%w: link to the next page of referrers", errContent)
			}
			return base.ResolveReference(link), nil
		}
	}
	return nil, nil
}

// linkParameter is a parameter of a link, whose value may be a quoted string.
var linkParameter = regexp.MustCompile(`^\s*;\s*([^\s;,="]+)\s*(?:=\s*("(?:[^"\\]|\\.)*"|[^\s;,"]*))?`)

// cutLink takes the first link, with its parameters, from the value of a header.
func cutLink(value string) (target string, isNext bool, rest string, ok bool) {
	if value[0] != '<' {
		return "", false, "", false
	}
	if target, rest, ok = strings.Cut(value[1:], ">"); !ok {
		return "", false, "", false
	}
	for {
		m := linkParameter.FindStringSubmatch(rest)
		if m == nil {
			break
		}
		rest = rest[len(m[0]):]
		if strings.EqualFold(m[1], "rel") {
			isNext = slices.ContainsFunc(strings.Fields(strings.Trim(m[2], `"`)), func(relation string) bool {
				return strings.EqualFold(relation, "next")
			})
		}
	}
	rest = strings.TrimLeft(strings.TrimLeft(rest, " \t"), ";")
	rest = strings.TrimLeft(rest, " \t")
	return target, isNext, rest, rest == "" || rest[0] == ','
}
