// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/remotes/docker"
)

// TestPatienceIsForHostsWithOthersBehind: a host that is the only one to answer
// something has all the time that there is.
func TestPatienceIsForHostsWithOthersBehind(t *testing.T) {
	t.Parallel()
	const (
		pull      = docker.HostCapabilityPull
		resolve   = docker.HostCapabilityResolve
		push      = docker.HostCapabilityPush
		referrers = docker.HostCapabilityReferrers
	)
	const digest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
	for name, c := range map[string]struct {
		host   docker.HostCapabilities
		behind []docker.HostCapabilities
		path   string
		want   bool
	}{
		"a tag, and a registry behind":                 {pull | resolve, []docker.HostCapabilities{pull | resolve | push}, "/v2/app/manifests/v1", true},
		"a tag, and nobody behind":                     {pull | resolve, nil, "/v2/app/manifests/v1", false},
		"a tag, and one behind that is for pushes":     {pull | resolve, []docker.HostCapabilities{push}, "/v2/app/manifests/v1", false},
		"a tag, and one behind that is for digests":    {pull | resolve, []docker.HostCapabilities{pull}, "/v2/app/manifests/v1", false},
		"a tag, and two behind that each do a half":    {pull | resolve, []docker.HostCapabilities{pull, resolve}, "/v2/app/manifests/v1", false},
		"a tag like a digest":                          {pull | resolve, []docker.HostCapabilities{pull}, "/v2/app/manifests/sha256-44.sig", false},
		"a digest, and one behind that is for digests": {pull | resolve, []docker.HostCapabilities{pull}, "/v2/app/manifests/" + digest, true},
		"a digest, and one behind that is for pushes":  {pull | resolve, []docker.HostCapabilities{push}, "/v2/app/manifests/" + digest, false},
		"a blob, and one behind that is for digests":   {pull | resolve, []docker.HostCapabilities{push, pull}, "/v2/app/blobs/" + digest, true},
		"a blob store":                                       {pull | resolve, []docker.HostCapabilities{pull}, "/bucket/" + digest, true},
		"referrers, and another that has them":               {pull | referrers, []docker.HostCapabilities{referrers}, "/v2/app/referrers/" + digest, true},
		"referrers, and another that has none":               {pull | referrers, []docker.HostCapabilities{pull | resolve}, "/v2/app/referrers/" + digest, false},
		"referrers where none says so, and another resolver": {pull | resolve, []docker.HostCapabilities{pull | resolve}, "/v2/app/referrers/" + digest, true},
		"a repository called referrers":                      {pull | resolve | referrers, []docker.HostCapabilities{pull | resolve}, "/v2/referrers/manifests/v1", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var behind []docker.RegistryHost
			for _, capabilities := range c.behind {
				behind = append(behind, docker.RegistryHost{Capabilities: capabilities})
			}
			req, err := http.NewRequest(http.MethodGet, "https://registry.example"+c.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			r := rankOf(docker.RegistryHost{Capabilities: c.host}, behind)
			if p := r.patience(withPatience(t.Context(), time.Second), req); (p != nil) != c.want {
				t.Errorf("there is patience: %t, want %t", p != nil, c.want)
			}
			if r.patience(t.Context(), req) != nil {
				t.Error("what moves images waits as containerd does")
			}
		})
	}
}

// TestPatienceWithAHostThatHungOnce: the next requests to it, and no others, wait
// for a part of the time.
func TestPatienceWithAHostThatHungOnce(t *testing.T) {
	t.Parallel()
	p, one, other := &patience{each: 8 * time.Second}, &rank{}, &rank{}
	if got := p.with(one); got != 8*time.Second {
		t.Errorf("at first %v, want 8s", got)
	}
	if err := p.ended(one, time.Second); !errors.Is(err, errNoAnswer) {
		t.Error(err)
	}
	if got := p.with(one); got != time.Second {
		t.Errorf("then %v, want 1s", got)
	}
	if got := p.with(other); got != 8*time.Second {
		t.Errorf("for the other %v, want 8s", got)
	}
}
