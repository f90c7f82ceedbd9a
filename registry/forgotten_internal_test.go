// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/containerd/containerd/v2/core/remotes/docker"
)

// slowAuthorizer waits for a person until it is released.
type slowAuthorizer struct {
	docker.Authorizer
	release chan struct{}
}

func (a slowAuthorizer) Authorize(context.Context, *http.Request) error {
	<-a.release
	return nil
}

type quickAuthorizer struct{ docker.Authorizer }

func (quickAuthorizer) Authorize(context.Context, *http.Request) error { return nil }

// TestCallersGiveUpAnAuthorizerThatHangs: a caller whose context has not ended
// is served once the caller before it has given up.
func TestCallersGiveUpAnAuthorizerThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var made atomic.Int64
		a := &guardedAuthorizer{rank: &rank{}, fresh: func() docker.Authorizer {
			if made.Add(1) == 1 {
				return slowAuthorizer{release: release}
			}
			return quickAuthorizer{}
		}}
		asking := func() *http.Request {
			return &http.Request{URL: &url.URL{Scheme: "https", Host: "registry.test"}, Header: http.Header{}}
		}
		first, cancel := context.WithCancel(t.Context())
		failed, served := make(chan error, 1), make(chan error, 1)
		go func() { failed <- a.Authorize(first, asking()) }()
		synctest.Wait()
		go func() { served <- a.Authorize(t.Context(), asking()) }()
		synctest.Wait()
		cancel()
		if err := <-failed; err == nil {
			t.Error("the first caller was served by what hangs")
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
		close(release)
	})
}
