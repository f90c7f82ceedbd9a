// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/pkg/namespaces"

	"github.com/cosignkit/cosignkit/internal/embedded"
	"github.com/cosignkit/cosignkit/internal/testimage"
	"github.com/cosignkit/cosignkit/keyless"
	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/registry/hooks"
	"github.com/cosignkit/cosignkit/signing"
)

var discard = log.New(io.Discard, "", 0)

// load puts an image into a store of its own.
func load(ctx context.Context, t *testing.T, ref, content string) (*embedded.Client, images.Image) {
	t.Helper()
	cd, err := embedded.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cd.Close() })
	var archive bytes.Buffer
	if err := testimage.WriteArchive(&archive, testimage.Image{Name: ref, Content: content}); err != nil {
		t.Fatal(err)
	}
	all, err := cd.Import(ctx, &archive)
	if err != nil || len(all) != 1 {
		t.Fatalf("%d images: %v", len(all), err)
	}
	return cd, all[0]
}

func newRegistry(t *testing.T) *registry.Client {
	t.Helper()
	client, err := registry.New(registry.Config{InsecureRegistries: []string{stack.Registry}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// wantBare holds that a repository has these tags, and an image no signature.
func wantBare(t *testing.T, repository, digest string, tags ...string) {
	t.Helper()
	var listed struct{ Tags []string }
	body, code := ask(t, "/v2/"+repository+"/tags/list")
	if code == http.StatusOK {
		if err := json.Unmarshal([]byte(body), &listed); err != nil {
			t.Fatal(err)
		}
	}
	if strings.Join(listed.Tags, " ") != strings.Join(tags, " ") {
		t.Errorf("tags are %q, want %q", listed.Tags, tags)
	}
	var referrers struct{ Manifests []any }
	body, code = ask(t, "/v2/"+repository+"/referrers/"+digest)
	if code == http.StatusOK {
		if err := json.Unmarshal([]byte(body), &referrers); err != nil {
			t.Fatal(err)
		}
	}
	if len(referrers.Manifests) != 0 {
		t.Errorf("attached: %v", referrers.Manifests)
	}
}

// TestNothingIsAttached: whatever a service does, in a push and to an image that
// is there, in every form that the services can record.
func TestNothingIsAttached(t *testing.T) {
	t.Parallel()
	for name, s := range faulty {
		for _, what := range []string{"forbids", "hangs", "says little", "is cancelled"} {
			for _, form := range []signing.Form{signing.Bundle, signing.Both} {
				if name == "Rekor v2" && form == signing.Both {
					continue // It cannot, and is not asked.
				}
				t.Run(name+" "+what+" "+string(form), func(t *testing.T) {
					t.Parallel()
					repository := "attach/" + strings.ReplaceAll(strings.ToLower(name+"/"+what+"/"+string(form)), " ", "-")
					ref := stack.Registry + "/" + repository + ":v1"
					base := namespaces.WithNamespace(limited(t), "default")
					cd, target := load(base, t, ref, repository)
					client := newRegistry(t)
					f, cancelled, budget := faults[what], what == "is cancelled", time.Duration(0)
					switch {
					case cancelled:
						f = faults["hangs"]
					case f.hangs:
						budget = time.Second
					}
					signer := func() (context.Context, *keyless.Signer, string) {
						ctx, cancel := context.WithCancel(base)
						t.Cleanup(cancel)
						address, _ := proxy(t, f.given(func() {
							if cancelled {
								cancel()
							}
						}), s.address())
						token := mint(t, url.Values{})
						return ctx, newSigner(t, around(t, s, address, budget), keyless.StaticToken(token)), token
					}

					ctx, broken, token := signer()
					attached, err := hooks.Push(ctx, client, cd.Client, ref, target.Target, broken, nil, registry.WithForm(form))
					wantFault(t, err, f.family, "", token)
					if cancelled && !errors.Is(err, context.Canceled) {
						t.Error(err)
					}
					if len(attached) != 0 {
						t.Errorf("attached %v", attached)
					}
					wantBare(t, repository, target.Target.Digest.String())

					if err := cd.Push(base, ref, target.Target, containerd.WithResolver(client.Resolver())); err != nil {
						t.Fatal(err)
					}
					ctx, broken, token = signer()
					attached, err = client.Sign(ctx, ref, broken, registry.WithForm(form))
					wantFault(t, err, f.family, "", token)
					if len(attached) != 0 {
						t.Errorf("attached %v", attached)
					}
					wantBare(t, repository, target.Target.Digest.String(), "v1")
				})
			}
		}
	}
}
