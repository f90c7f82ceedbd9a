// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/platforms"
	"github.com/google/go-containerregistry/pkg/name"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/registry/hooks"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

func withResolver(r remotes.Resolver) containerd.RemoteOpt { return containerd.WithResolver(r) }

var forms = []signing.Form{signing.Bundle, signing.Legacy, signing.Both}

// eachRegistry runs f against a registry with and without the referrers API,
// over containerd's transport and over go-containerregistry's.
func eachRegistry(t *testing.T, f func(t *testing.T, reg *testRegistry, c *registry.Client)) {
	t.Helper()
	for _, api := range []struct {
		name string
		has  bool
	}{{"referrers API", true}, {"no referrers API", false}} {
		for _, transport := range []string{"containerd", "go-containerregistry"} {
			t.Run(api.name+"/"+transport, func(t *testing.T) {
				t.Parallel()
				reg := newTestRegistry(t, api.has)
				config := registry.Config{}
				if transport != "containerd" {
					config.Resolver = registry.RemoteResolver(nil, []name.Option{name.Insecure})
				}
				f(t, reg, newClient(t, config))
			})
		}
	}
}

func TestPushThenPull(t *testing.T) {
	t.Parallel()
	eachRegistry(t, func(t *testing.T, reg *testRegistry, c *registry.Client) {
		cd, ctx := newStore(t)
		key := newKey(t)
		for _, form := range forms {
			ref := reg.ref("app-" + string(form) + ":v1")
			desc := putImage(ctx, t, cd, string(form))
			attached, err := hooks.Push(ctx, c, cd.Client, ref, desc, signerOf(t, key), nil,
				registry.WithForm(form), registry.WithAnnotations(map[string]string{"built-by": "ci"}))
			if err != nil {
				t.Fatal(err)
			}
			if want := map[signing.Form]int{signing.Bundle: 1, signing.Legacy: 1, signing.Both: 2}[form]; len(attached) != want {
				t.Errorf("form %s: %d signatures attached, want %d", form, len(attached), want)
			}
			if got := reg.digestOf(t, "app-"+string(form), "v1"); got != desc.Digest {
				t.Errorf("tag is %q, want %s", got, desc.Digest)
			}

			other, ctx := newStore(t)
			image, result, err := hooks.Pull(ctx, c, other.Client, ref, verifierOf(t, key), nil)
			if err != nil {
				t.Fatal(err)
			}
			if image.Target().Digest != desc.Digest || image.Name() != ref {
				t.Errorf("pulled %s as %s, want %s as %s", image.Target().Digest, image.Name(), desc.Digest, ref)
			}
			if pinned, err := result.Pinned(); err != nil || pinned != ref+"@"+desc.Digest.String() {
				t.Errorf("pinned is %q (%v)", pinned, err)
			}
			for _, s := range result.Signatures {
				if s.Err != nil || s.Claims.Annotations["built-by"] != "ci" || s.Claims.Repository != strings.TrimSuffix(ref, ":v1") {
					t.Errorf("form %s: signature %+v", form, s)
				}
			}
		}
	})
}

// TestClaimedRepository: an image that was built in one repository and is to be
// pulled from another claims the latter, in each form.
func TestClaimedRepository(t *testing.T) {
	t.Parallel()
	eachRegistry(t, func(t *testing.T, reg *testRegistry, c *registry.Client) {
		key := newKey(t)
		ref := reg.ref("built:v1")
		cd, ctx := newStore(t)
		pushUnsigned(ctx, t, c, cd, ref, putImage(ctx, t, cd, "built"))
		for _, form := range []signing.Form{signing.Bundle, signing.Legacy} {
			if _, err := c.Sign(ctx, ref, signerOf(t, key), registry.WithForm(form), registry.WithClaimedRepository("released.example/app")); err != nil {
				t.Fatal(err)
			}
		}
		result, err := c.Verify(ctx, ref, verifierOf(t, key), registry.WithEverySignature())
		if err != nil || len(result.Signatures) != 2 {
			t.Fatalf("%+v, %v", result, err)
		}
		for _, s := range result.Signatures {
			if s.Claims.Repository != "released.example/app" {
				t.Errorf("a %s claims %q", s.Form, s.Claims.Repository)
			}
		}
		exact, err := verify.New(verify.Policy{
			Keys: []crypto.PublicKey{key.Public()}, Repository: verify.ExactRepository(), InsecureIgnoreTransparencyLog: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Verify(ctx, ref, exact)
		wantFamily(t, err, verify.ErrRejected)
	})
}

func TestPullRefuses(t *testing.T) {
	t.Parallel()
	eachRegistry(t, func(t *testing.T, reg *testRegistry, c *registry.Client) {
		source, ctx := newStore(t)
		key, other := newKey(t), newKey(t)
		pushUnsigned(ctx, t, c, source, reg.ref("unsigned:v1"), putImage(ctx, t, source, "unsigned"))
		if _, err := hooks.Push(ctx, c, source.Client, reg.ref("signed:v1"), putImage(ctx, t, source, "signed"), signerOf(t, key), nil,
			registry.WithForm(signing.Both)); err != nil {
			t.Fatal(err)
		}
		// The tag is moved to an image that nobody signed.
		pushUnsigned(ctx, t, c, source, reg.ref("signed:moved"), putImage(ctx, t, source, "moved"))

		tests := []struct {
			name, ref string
			verifier  verify.Verifier
			want      error
			text      string
		}{
			{"an unsigned image", "unsigned:v1", verifierOf(t, key), verify.ErrRejected, "no signatures found"},
			{"an image signed with another key", "signed:v1", verifierOf(t, other), verify.ErrRejected, "does not verify with the key"},
			{"a tag that was moved to an unsigned image", "signed:moved", verifierOf(t, key), verify.ErrRejected, "no signatures found"},
			{"a tag that does not exist", "signed:none", verifierOf(t, key), verify.ErrInconclusive, "not found"},
			{"no verifier", "signed:v1", nil, verify.ErrMisconfigured, "no verifier"},
		}
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				cd, ctx := newStore(t)
				image, _, err := hooks.Pull(ctx, c, cd.Client, reg.ref(test.ref), test.verifier, nil)
				wantFamily(t, err, test.want)
				if test.name != "a tag that does not exist" {
					wantText(t, err, test.text)
				}
				if image != nil || hasContent(ctx, t, cd) || len(imageNames(ctx, t, cd)) > 0 {
					t.Error("something was fetched or recorded")
				}
			})
		}
	})
}

// TestHooksFitContainerd uses the resolvers as a tool does that has its own
// push and pull.
func TestHooksFitContainerd(t *testing.T) {
	t.Parallel()
	eachRegistry(t, func(t *testing.T, reg *testRegistry, c *registry.Client) {
		cd, ctx := newStore(t)
		key := newKey(t)
		desc := putImage(ctx, t, cd, "hooks")
		signer := signerOf(t, key)
		push := func(ref string) error {
			return c.SignPush(signer, func(r remotes.Resolver) error { return cd.Push(ctx, reg.ref(ref), desc, withResolver(r)) })
		}
		// One resolver, one digest, several tags and repositories: whatever a
		// tracker remembers, each gets its content, its tag and its signature.
		for _, ref := range []string{"one:a", "one:b", "two:a", "one:a"} {
			if err := push(ref); err != nil {
				t.Fatalf("%s: %v", ref, err)
			}
			repo, tag, _ := strings.Cut(ref, ":")
			if got := reg.digestOf(t, repo, tag); got != desc.Digest {
				t.Fatalf("%s is %q, want %s", ref, got, desc.Digest)
			}
		}
		other, ctx := newStore(t)
		verifying := c.VerifyingResolver(verifierOf(t, key))
		for _, ref := range []string{"one:a", "one:b", "two:a"} {
			image, err := other.Pull(ctx, reg.ref(ref), withResolver(verifying))
			if err != nil {
				t.Fatalf("%s: %v", ref, err)
			}
			if image.Target().Digest != desc.Digest {
				t.Errorf("%s: pulled %s", ref, image.Target().Digest)
			}
		}
		// A tag that somebody moved is put back, although this resolver has
		// pushed that digest there before.
		pushUnsigned(ctx, t, c, cd, reg.ref("one:a"), putImage(ctx, t, cd, "else"))
		if err := push("one:a"); err != nil {
			t.Fatal(err)
		}
		if got := reg.digestOf(t, "one", "a"); got != desc.Digest {
			t.Errorf("one:a is %q, want %s", got, desc.Digest)
		}
		if err := cd.Push(ctx, reg.ref("one:z"), desc, withResolver(verifying)); !errors.Is(err, verify.ErrMisconfigured) {
			t.Errorf("a verifying resolver pushes: %v", err)
		}
		if _, err := other.Pull(ctx, reg.ref("one:a"), withResolver(c.VerifyingResolver(nil))); !errors.Is(err, verify.ErrMisconfigured) {
			t.Errorf("a verifying resolver without a verifier: %v", err)
		}
		signer = nil
		if err := push("one:z"); !errors.Is(err, verify.ErrMisconfigured) {
			t.Errorf("a push without a signer: %v", err)
		}
	})
}

// TestIndexWhosePlatformsShareALayer uploads that layer from two manifests at
// the same time.
func TestIndexWhosePlatformsShareALayer(t *testing.T) {
	t.Parallel()
	eachRegistry(t, func(t *testing.T, reg *testRegistry, c *registry.Client) {
		cd, ctx := newStore(t)
		signer := signerOf(t, newKey(t))
		layer := putBlob(ctx, t, cd, ocispec.MediaTypeImageLayer, bytes.Repeat([]byte("shared"), 1000))
		for round := range 5 {
			var manifests []ocispec.Descriptor
			for i := range 4 {
				config := putJSON(ctx, t, cd, ocispec.MediaTypeImageConfig, fmt.Sprintf(`{"os":"linux","author":"%d-%d"}`, round, i))
				manifests = append(manifests, putJSON(ctx, t, cd, ocispec.MediaTypeImageManifest, fmt.Sprintf(
					`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]}`, ocispec.MediaTypeImageManifest, descJSON(config), descJSON(layer))))
			}
			ref := reg.ref(fmt.Sprintf("shared-%d:v1", round))
			if _, err := hooks.Push(ctx, c, cd.Client, ref, putIndex(ctx, t, cd, manifests...), signer, nil); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestIndexIsSignedAndYieldsItsPlatforms(t *testing.T) {
	t.Parallel()
	eachRegistry(t, func(t *testing.T, reg *testRegistry, c *registry.Client) {
		cd, ctx := newStore(t)
		key := newKey(t)
		amd64, arm64 := putImage(ctx, t, cd, "amd64"), putImage(ctx, t, cd, "arm64")
		index := putIndex(ctx, t, cd, amd64, arm64)
		if _, err := hooks.Push(ctx, c, cd.Client, reg.ref("multi:v1"), index, signerOf(t, key), nil); err != nil {
			t.Fatal(err)
		}
		for platform, child := range map[string]ocispec.Descriptor{"linux/amd64": amd64, "linux/arm64": arm64} {
			other, ctx := newStore(t)
			matcher := platforms.OnlyStrict(platforms.MustParse(platform))
			image, _, err := hooks.Pull(ctx, c, other.Client, reg.ref("multi:v1"), verifierOf(t, key),
				[]containerd.RemoteOpt{containerd.WithPlatformMatcher(matcher)})
			if err != nil {
				t.Fatal(err)
			}
			if image.Target().Digest != index.Digest {
				t.Errorf("recorded %s, want the index %s", image.Target().Digest, index.Digest)
			}
			if _, err := other.ContentStore().Info(ctx, child.Digest); err != nil {
				t.Errorf("%s: %v", platform, err)
			}
		}
	})
}

// failingSigner fails at the last moment.
type failingSigner struct{ err error }

func (s failingSigner) Sign(context.Context, signing.Request) ([]signing.Signature, error) {
	return nil, s.err
}

func TestFailedPushLeavesNoTag(t *testing.T) {
	t.Parallel()
	isTagWrite := func(r *http.Request) bool {
		return r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/manifests/v1")
	}
	tests := []struct {
		name   string
		signer signing.Signer
		fail   func(*http.Request) bool
		form   signing.Form
		want   error
	}{
		{name: "the signer fails", signer: failingSigner{errors.New("token lost")}, want: verify.ErrInconclusive},
		{name: "the signer returns nothing", signer: failingSigner{}, want: verify.ErrMisconfigured},
		{name: "the bundle is refused", fail: func(r *http.Request) bool {
			return r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/referrers/")
		}, want: verify.ErrInconclusive},
		{name: "the signature tag is refused", form: signing.Legacy, fail: func(r *http.Request) bool {
			return r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, ".sig")
		}, want: verify.ErrInconclusive},
		{name: "the tag itself is refused", fail: isTagWrite, want: verify.ErrInconclusive},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			reg := newTestRegistry(t, true)
			c := newClient(t, registry.Config{})
			cd, ctx := newStore(t)
			old := putImage(ctx, t, cd, "old")
			pushUnsigned(ctx, t, c, cd, reg.ref("app:old"), old)
			signer := test.signer
			if signer == nil {
				signer = signerOf(t, newKey(t))
			}
			if test.fail != nil {
				reg.failing(http.StatusForbidden, test.fail)
			}
			reg.record()
			_, err := hooks.Push(ctx, c, cd.Client, reg.ref("app:v1"), putImage(ctx, t, cd, "new"), signer, nil, registry.WithForm(test.form))
			wantFamily(t, err, test.want)
			wantText(t, err, "tag v1 is not written")
			for _, r := range reg.recorded() {
				if strings.HasPrefix(r, "PUT ") && strings.HasSuffix(r, "/manifests/v1") && test.name != "the tag itself is refused" {
					t.Errorf("the tag was written: %s", r)
				}
			}
			reg.onRequest(nil)
			if got := reg.digestOf(t, "app", "v1"); got != "" {
				t.Errorf("the tag exists: %s", got)
			}
			if got := reg.digestOf(t, "app", "old"); got != old.Digest {
				t.Errorf("the old tag is %q", got)
			}
		})
	}
}

// TestPushOfAnotherDigestThanTheName is refused before the registry is asked for
// anything.
func TestPushOfAnotherDigestThanTheName(t *testing.T) {
	t.Parallel()
	reg := newTestRegistry(t, true)
	c := newClient(t, registry.Config{})
	cd, ctx := newStore(t)
	desc, other := putImage(ctx, t, cd, "image"), putImage(ctx, t, cd, "other")
	for _, name := range []string{"app", "app:v1"} {
		attached, err := hooks.Push(ctx, c, cd.Client, reg.ref(name+"@"+other.Digest.String()), desc, signerOf(t, newKey(t)), nil)
		wantFamily(t, err, verify.ErrMisconfigured)
		wantText(t, err, "the name has another digest: ")
		if len(attached) > 0 {
			t.Errorf("attached %+v", attached)
		}
	}
	if requests := reg.recorded(); len(requests) > 0 {
		t.Errorf("requests: %q", requests)
	}
}

func TestTagIsTheLastWriteOfAPush(t *testing.T) {
	t.Parallel()
	for _, form := range forms {
		t.Run(string(form), func(t *testing.T) {
			t.Parallel()
			reg := newTestRegistry(t, form != signing.Legacy)
			c := newClient(t, registry.Config{})
			cd, ctx := newStore(t)
			if _, err := hooks.Push(ctx, c, cd.Client, reg.ref("app:v1"), putImage(ctx, t, cd, "image"), signerOf(t, newKey(t)), nil, registry.WithForm(form)); err != nil {
				t.Fatal(err)
			}
			var writes []string
			for _, r := range reg.recorded() {
				if !strings.HasPrefix(r, "GET ") && !strings.HasPrefix(r, "HEAD ") {
					writes = append(writes, r)
				}
			}
			tags := slices.DeleteFunc(slices.Clone(writes), func(r string) bool { return !strings.HasSuffix(r, "/manifests/v1") })
			if len(tags) != 1 || writes[len(writes)-1] != tags[0] {
				t.Errorf("writes are %q", writes)
			}
		})
	}
}

func TestTagMovedBetweenResolveAndFetch(t *testing.T) {
	t.Parallel()
	reg := newTestRegistry(t, true)
	c := newClient(t, registry.Config{})
	source, ctx := newStore(t)
	key := newKey(t)
	signed := putImage(ctx, t, source, "signed")
	if _, err := hooks.Push(ctx, c, source.Client, reg.ref("app:v1"), signed, signerOf(t, key), nil); err != nil {
		t.Fatal(err)
	}
	moved := putImage(ctx, t, source, "moved")
	pushUnsigned(ctx, t, c, source, reg.ref("app:other"), moved)
	cd, ctx := newStore(t)
	reg.record()
	image, _, err := hooks.Pull(ctx, c, cd.Client, reg.ref("app:v1"), verifierOf(t, key), nil, registry.WithResult(func(*verify.Result, error) {
		// Verified, not yet fetched: now the tag moves.
		pushUnsigned(ctx, t, c, source, reg.ref("app:v1"), moved)
	}))
	if err != nil {
		t.Fatal(err)
	}
	if got := reg.digestOf(t, "app", "v1"); got != moved.Digest {
		t.Fatalf("the tag did not move: %s", got)
	}
	if image.Target().Digest != signed.Digest {
		t.Errorf("pulled %s, want the verified %s", image.Target().Digest, signed.Digest)
	}
	if _, err := cd.ContentStore().Info(ctx, moved.Digest); err == nil {
		t.Error("the image that the tag was moved to was fetched")
	}
	resolves := 0
	for _, r := range reg.recorded() {
		if r == "HEAD /v2/app/manifests/v1" {
			resolves++
		}
	}
	// One by the pull, two by the push that moved the tag and this test.
	if resolves != 3 {
		t.Errorf("%d look-ups of the tag", resolves)
	}
}
