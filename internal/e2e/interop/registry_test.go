// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/cosignkit/cosignkit/internal/e2e/distribution"
	"github.com/cosignkit/cosignkit/registry"
)

// testRegistry is a registry that runs while the tests do.
type testRegistry struct {
	name      string
	address   string // host:port on loopback
	referrers bool   // it has the referrers API
	client    *registry.Client
}

// startRegistries sets registries. The function that it returns stops them, and
// is not nil beside an error.
func startRegistries(ctx context.Context, dockerRegistry, distributionV3 string) (stop func(), err error) {
	var stops []func()
	stop = func() {
		for _, s := range stops {
			s()
		}
	}
	for _, referrers := range []bool{true, false} {
		server := httptest.NewServer(ggcr.New(ggcr.WithReferrersSupport(referrers), ggcr.Logger(log.New(io.Discard, "", 0))))
		stops = append(stops, server.Close)
		title := "ggcr, referrers API"
		if !referrers {
			title = "ggcr, no referrers"
		}
		registries = append(registries, testRegistry{name: title, address: server.Listener.Addr().String(), referrers: referrers})
	}
	for _, p := range []struct{ name, binary string }{
		{"docker-registry", dockerRegistry},
		{"distribution v3", distributionV3},
	} {
		dir := filepath.Join(scratch, p.name)
		address, s, err := distribution.Start(ctx, p.binary, dir, distribution.Config(dir), nil)
		stops = append(stops, s)
		if err != nil {
			return stop, fmt.Errorf("start %s: %w", p.name, err)
		}
		registries = append(registries, testRegistry{name: p.name, address: address})
	}
	for i := range registries {
		r := &registries[i]
		if r.client, err = registry.New(registry.Config{}); err != nil {
			return stop, err
		}
		stops = append(stops, r.client.CloseIdleConnections)
		if err := r.check(ctx); err != nil {
			return stop, fmt.Errorf("%s: %w", r.name, err)
		}
	}
	return stop, nil
}

// check asks whether the registry answers.
func (r testRegistry) check(ctx context.Context) error {
	status, _, err := get(ctx, "http://"+r.address+"/v2/", "")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("GET /v2/ answers with status %d", status)
	}
	return err
}

func get(ctx context.Context, url, accept string) (status int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, distribution.StartTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Accept", accept)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	return response.StatusCode, body, err
}

// image is an image, or a multi-platform index, in a registry.
type image struct {
	tagged string // repository:tag, as users name it
	pinned string // repository@digest
	digest string
	// repository is the name without tag or digest.
	repository string
}

func pushed(t *testing.T, tag name.Tag, content interface{ Digest() (v1.Hash, error) }) image {
	t.Helper()
	hash, err := content.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return image{
		tagged:     tag.Name(),
		pinned:     tag.Context().Digest(hash.String()).Name(),
		digest:     hash.String(),
		repository: tag.Context().Name(),
	}
}

// push pushes an image of its own for the test, so that no signature of another
// test is found with it.
func (r testRegistry) push(t *testing.T) image {
	t.Helper()
	tag := r.newTag(t)
	content, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, content, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	return pushed(t, tag, content)
}

// pushIndex is push for an index of two images.
func (r testRegistry) pushIndex(t *testing.T) image {
	t.Helper()
	tag := r.newTag(t)
	content, err := random.Index(64, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(tag, content, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	return pushed(t, tag, content)
}

var notInName = regexp.MustCompile(`[^a-z0-9]+`)

// newTag returns a tag in a repository that is named after the test.
func (r testRegistry) newTag(t *testing.T) name.Tag {
	t.Helper()
	repository := strings.Trim(notInName.ReplaceAllString(strings.ToLower(t.Name()), "-"), "-")
	tag, err := name.NewTag(r.address + "/" + repository + ":v1")
	if err != nil {
		t.Fatal(err)
	}
	return tag
}
