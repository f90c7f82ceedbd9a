// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"log/slog"
	"slices"
	"sync"

	"github.com/containerd/containerd/v2/core/remotes/docker"
)

// sightings are which hosts of a registry gave signatures of one image. Where that
// is of no interest, it is nil.
type sightings struct {
	mu    sync.Mutex
	hosts []sighting // in the order in which they are tried
}

type sighting struct {
	docker.RegistryHost
	asked, found bool
	err          error // of a place in which it did not answer
}

// among says which hosts there are.
func (s *sightings) among(hosts []docker.RegistryHost) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hosts == nil {
		for _, host := range hosts {
			s.hosts = append(s.hosts, sighting{RegistryHost: host})
		}
	}
}

// note keeps what came of asking host in one place.
func (s *sightings) note(ctx context.Context, host docker.RegistryHost, found bool, err error) {
	if s == nil || !found && err != nil && ctx.Err() != nil {
		return // what is not read to its end says nothing of the host
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.hosts {
		if h := &s.hosts[i]; hostKey(h.RegistryHost, "") == hostKey(host, "") {
			h.asked, h.found = true, h.found || found
			if err != nil {
				h.err = err
			}
		}
	}
}

// report says so if signatures were found at a host that comes after others, and
// those gave none. Nobody would notice a mirror that lacks them until the registry
// behind it is gone.
func (s *sightings) report(ctx context.Context, log *slog.Logger, image string) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	at := slices.IndexFunc(s.hosts, func(h sighting) bool { return h.found })
	if at < 0 {
		return
	}
	for _, passed := range s.hosts[:at] {
		if !passed.asked {
			continue
		}
		attrs := []any{"image", image, "host", passed.Host, "found at", s.hosts[at].Host}
		if passed.err != nil {
			attrs = append(attrs, "err", redacted{passed.err}.Error())
		}
		log.InfoContext(ctx, "the host gave no signatures, the next ones were asked", attrs...)
	}
}
