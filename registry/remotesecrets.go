// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/cosignkit/cosignkit/internal/origin"
)

// remoteGuard is below all clients of go-containerregistry that follow redirects,
// challenges and the addresses of uploads, and keeps their secrets from other servers.
type remoteGuard struct {
	next http.RoundTripper
	rule origin.Rule
}

// guarded is the transport for requests on behalf of a registry.
func (r remoteResolver) guarded(registry name.Registry) http.RoundTripper {
	// name.Insecure is an option for whatever host is named.
	other, err := name.NewRegistry("registry.example", r.nameOpts...)
	insecure := err == nil && other.Scheme() == "http"
	own := url.URL{Host: registry.RegistryStr()}
	return remoteGuard{r.transport, origin.Rule{Plain: func(u *url.URL) bool {
		return insecure || registry.Scheme() == "http" && strings.EqualFold(u.Hostname(), own.Hostname())
	}}}
}

func (g remoteGuard) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	err := g.rule.Confine(req)
	if err == nil && origin.HoldsSecret(req) {
		err = g.rule.Check(req.URL)
	}
	if err != nil {
		return nil, closed(req, err)
	}
	return g.next.RoundTrip(req)
}
