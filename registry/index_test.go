// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/embedded"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/registry/hooks"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// multiArch is an index of amd64, arm64 in a nested index, and an attestation as
// BuildKit makes them, in a registry.
type multiArch struct {
	*testRegistry
	client *registry.Client
	store  *embedded.Client
	ctx    context.Context
	key    *ecdsa.PrivateKey

	index, amd64, nested, arm64, attestation ocispec.Descriptor
}

func newMultiArch(t *testing.T) *multiArch {
	t.Helper()
	m := &multiArch{testRegistry: newTestRegistry(t, true), client: newClient(t, registry.Config{}), key: newKey(t)}
	m.store, m.ctx = newStore(t)
	entry := func(d ocispec.Descriptor, more string) string {
		return strings.TrimSuffix(descJSON(d), "}") + more + "}"
	}
	index := func(entries ...string) ocispec.Descriptor {
		return putJSON(m.ctx, t, m.store, ocispec.MediaTypeImageIndex, fmt.Sprintf(
			`{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, ocispec.MediaTypeImageIndex, strings.Join(entries, ",")))
	}
	image := func(architecture, os string) ocispec.Descriptor {
		layer := putBlob(m.ctx, t, m.store, ocispec.MediaTypeImageLayer, []byte("layer for "+architecture))
		config := putJSON(m.ctx, t, m.store, ocispec.MediaTypeImageConfig, fmt.Sprintf(
			`{"architecture":%q,"os":%q,"rootfs":{"type":"layers","diff_ids":[%q]}}`, architecture, os, layer.Digest))
		return putJSON(m.ctx, t, m.store, ocispec.MediaTypeImageManifest, fmt.Sprintf(
			`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]}`, ocispec.MediaTypeImageManifest, descJSON(config), descJSON(layer)))
	}
	m.amd64, m.arm64, m.attestation = image("amd64", "linux"), image("arm64", "linux"), image("unknown", "unknown")
	m.nested = index(entry(m.arm64, `,"platform":{"os":"linux","architecture":"arm64"}`))
	m.index = index(
		entry(m.amd64, `,"platform":{"os":"linux","architecture":"amd64"}`),
		entry(m.nested, ""),
		entry(m.attestation, `,"platform":{"os":"unknown","architecture":"unknown"},"annotations":{"vnd.docker.reference.type":"attestation-manifest"}`),
	)
	pushUnsigned(m.ctx, t, m.client, m.store, m.ref("app:v1"), m.index)
	return m
}

func (m *multiArch) at(d ocispec.Descriptor) string { return m.ref("app@" + d.Digest.String()) }

func (m *multiArch) sign(t *testing.T, d ocispec.Descriptor, opts ...registry.SignOption) []registry.Attached {
	t.Helper()
	attached, err := m.client.Sign(m.ctx, m.at(d), signerOf(t, m.key), opts...)
	if err != nil {
		t.Fatal(err)
	}
	return attached
}

func (m *multiArch) verify(t *testing.T, ref string, opts ...registry.VerifyOption) (*verify.Result, error) {
	t.Helper()
	return m.client.Verify(m.ctx, ref, verifierOf(t, m.key), opts...)
}

func (m *multiArch) accepts(t *testing.T, ref string, target, matched ocispec.Descriptor, opts ...registry.VerifyOption) {
	t.Helper()
	result, err := m.verify(t, ref, opts...)
	if err != nil {
		t.Error(err)
		return
	}
	if !result.Accepted || result.Image.Target.Digest != target.Digest || result.Matched.Digest != matched.Digest {
		t.Errorf("target %s, matched %s; want %s and %s", result.Image.Target.Digest, result.Matched.Digest, target.Digest, matched.Digest)
	}
	if pinned, err := result.Pinned(); err != nil || !strings.HasSuffix(pinned, target.Digest.String()) {
		t.Errorf("pinned to %q, %v", pinned, err)
	}
}

func (m *multiArch) refuses(t *testing.T, family error, ref, why string, opts ...registry.VerifyOption) {
	t.Helper()
	result, err := m.verify(t, ref, opts...)
	wantFamily(t, err, family)
	wantText(t, err, why)
	if result != nil && (result.Accepted || result.Matched.Digest != "") {
		t.Errorf("result says accepted %v, matched %s", result.Accepted, result.Matched.Digest)
	}
}

func TestSignRecursively(t *testing.T) {
	t.Parallel()
	for _, form := range []signing.Form{signing.Bundle, signing.Legacy} {
		t.Run(string(form), func(t *testing.T) {
			t.Parallel()
			m := newMultiArch(t)
			all := []digest.Digest{m.index.Digest, m.amd64.Digest, m.nested.Digest, m.arm64.Digest, m.attestation.Digest}
			var subjects []digest.Digest
			for _, a := range m.sign(t, m.index, registry.WithForm(form), registry.WithRecursive()) {
				subjects = append(subjects, a.Subject)
			}
			if last := subjects[len(subjects)-1]; last != m.index.Digest {
				t.Errorf("the last that was signed is %s, want the index", last)
			}
			slices.Sort(subjects)
			slices.Sort(all)
			if !slices.Equal(subjects, all) {
				t.Errorf("signed %v, want %v", subjects, all)
			}
			for _, d := range []ocispec.Descriptor{m.index, m.amd64, m.nested, m.arm64, m.attestation} {
				m.accepts(t, m.at(d), d, d)
			}
			m.accepts(t, m.ref("app:v1"), m.index, m.index, registry.WithEveryPlatform())
		})
	}
	t.Run("pushed", func(t *testing.T) {
		t.Parallel()
		m := newMultiArch(t)
		attached, err := hooks.Push(m.ctx, m.client, m.store.Client, m.ref("other:v1"), m.index, signerOf(t, m.key), nil, registry.WithRecursive())
		if err != nil || len(attached) != 5 {
			t.Fatalf("%d signatures, %v", len(attached), err)
		}
		m.accepts(t, m.ref("other:v1"), m.index, m.index, registry.WithEveryPlatform())
	})
	t.Run("an image that is no index", func(t *testing.T) {
		t.Parallel()
		m := newMultiArch(t)
		if attached := m.sign(t, m.amd64, registry.WithRecursive()); len(attached) != 1 {
			t.Errorf("%d signatures, want 1", len(attached))
		}
		m.accepts(t, m.at(m.amd64), m.amd64, m.amd64, registry.WithEveryPlatform())
	})
	t.Run("into another repository", func(t *testing.T) {
		t.Parallel()
		m := newMultiArch(t)
		elsewhere := registry.WithSignatureRepository(m.ref("signatures"))
		m.sign(t, m.index, registry.WithRecursive(), elsewhere)
		m.refuses(t, verify.ErrRejected, m.at(m.arm64), "no signatures found")
		m.accepts(t, m.ref("app:v1"), m.index, m.index, registry.WithEveryPlatform(), elsewhere)
	})
	t.Run("a failure leaves the index unsigned", func(t *testing.T) {
		t.Parallel()
		m := newMultiArch(t)
		m.failing(http.StatusInternalServerError, func(r *http.Request) bool {
			return r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/manifests/"+m.nested.Digest.String())
		})
		attached, err := m.client.Sign(m.ctx, m.ref("app:v1"), signerOf(t, m.key), registry.WithRecursive())
		wantFamily(t, err, verify.ErrInconclusive)
		if len(attached) != 0 {
			t.Errorf("%d signatures", len(attached))
		}
	})
}

func TestVerifyOnePlatform(t *testing.T) {
	t.Parallel()
	arm64 := registry.WithSignedPlatform(platforms.OnlyStrict(platforms.MustParse("linux/arm64")))
	t.Run("the index is signed", func(t *testing.T) {
		t.Parallel()
		m := newMultiArch(t)
		m.sign(t, m.index)
		m.accepts(t, m.ref("app:v1"), m.index, m.index, arm64)
	})
	t.Run("the manifest alone is signed", func(t *testing.T) {
		t.Parallel()
		m := newMultiArch(t)
		m.sign(t, m.arm64)
		m.accepts(t, m.ref("app:v1"), m.arm64, m.arm64, arm64)
		m.refuses(t, verify.ErrRejected, m.ref("app:v1"), "no signatures found")
		image, result, err := hooks.Pull(m.ctx, m.client, m.store.Client, m.ref("app:v1"), verifierOf(t, m.key),
			[]containerd.RemoteOpt{containerd.WithPlatformMatcher(platforms.OnlyStrict(platforms.MustParse("linux/arm64")))}, arm64)
		if err != nil {
			t.Fatal(err)
		}
		if image.Target().Digest != m.arm64.Digest || result.Image.Target.Digest != m.arm64.Digest {
			t.Errorf("pulled %s, want the manifest that is signed", image.Target().Digest)
		}
	})
	t.Run("another platform is signed", func(t *testing.T) {
		t.Parallel()
		m := newMultiArch(t)
		m.sign(t, m.amd64)
		m.refuses(t, verify.ErrRejected, m.ref("app:v1"), "no signatures found", arm64)
	})
	t.Run("no such platform", func(t *testing.T) {
		t.Parallel()
		m := newMultiArch(t)
		m.sign(t, m.amd64)
		m.refuses(t, verify.ErrRejected, m.ref("app:v1"), "no manifest for the platform",
			registry.WithSignedPlatform(platforms.OnlyStrict(platforms.MustParse("linux/s390x"))))
	})
	t.Run("the index cannot be read", func(t *testing.T) {
		t.Parallel()
		m := newMultiArch(t)
		m.sign(t, m.arm64)
		m.failing(http.StatusServiceUnavailable, func(r *http.Request) bool {
			return r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/manifests/"+m.index.Digest.String())
		})
		m.refuses(t, verify.ErrInconclusive, m.ref("app:v1"), "503", arm64)
	})
	t.Run("the signatures of the manifest cannot be read", func(t *testing.T) {
		t.Parallel()
		m := newMultiArch(t)
		m.failing(http.StatusTooManyRequests, func(r *http.Request) bool {
			return strings.Contains(r.URL.Path, "/referrers/"+m.arm64.Digest.String())
		})
		m.refuses(t, verify.ErrInconclusive, m.ref("app:v1"), "429", arm64)
	})
}

func TestVerifyEveryPlatform(t *testing.T) {
	t.Parallel()
	t.Run("one is not signed", func(t *testing.T) {
		t.Parallel()
		m := newMultiArch(t)
		m.sign(t, m.index)
		m.sign(t, m.amd64)
		m.accepts(t, m.ref("app:v1"), m.index, m.index)
		m.refuses(t, verify.ErrRejected, m.ref("app:v1"), m.arm64.Digest.String(), registry.WithEveryPlatform())
	})
	t.Run("all but the index are signed", func(t *testing.T) {
		t.Parallel()
		m := newMultiArch(t)
		m.sign(t, m.arm64)
		m.sign(t, m.amd64)
		m.refuses(t, verify.ErrRejected, m.ref("app:v1"), "no signatures found", registry.WithEveryPlatform())
	})
	t.Run("there is none", func(t *testing.T) {
		t.Parallel()
		m := newMultiArch(t)
		pushUnsigned(m.ctx, t, m.client, m.store, m.ref("app:empty"), putIndex(m.ctx, t, m.store))
		if _, err := m.client.Sign(m.ctx, m.ref("app:empty"), signerOf(t, m.key)); err != nil {
			t.Fatal(err)
		}
		m.refuses(t, verify.ErrRejected, m.ref("app:empty"), "no manifest for any platform", registry.WithEveryPlatform())
	})
	t.Run("one is bad and of another nothing is known", func(t *testing.T) {
		t.Parallel()
		m := newMultiArch(t)
		m.sign(t, m.index)
		m.failing(http.StatusTooManyRequests, func(r *http.Request) bool {
			return strings.Contains(r.URL.Path, "/referrers/"+m.amd64.Digest.String())
		})
		m.refuses(t, verify.ErrRejected, m.ref("app:v1"), m.arm64.Digest.String(), registry.WithEveryPlatform())
	})
}

// TestOptionsThatExcludeEachOther are misconfigured, and none is dropped.
func TestOptionsThatExcludeEachOther(t *testing.T) {
	t.Parallel()
	m := newMultiArch(t)
	m.sign(t, m.index, registry.WithRecursive())
	every, within := registry.WithEveryPlatform(), registry.WithContainingIndex(m.ref("app:v1"))
	platform := registry.WithSignedPlatform(platforms.DefaultStrict())
	for _, opts := range [][]registry.VerifyOption{{every, within}, {every, platform}, {platform, within}} {
		m.refuses(t, verify.ErrMisconfigured, m.ref("app:v1"), "exclude each other", opts...)
	}
}

// TestRegistriesThatLieAboutMediaTypes: a signature says nothing of the media
// type under which a digest is served.
func TestRegistriesThatLieAboutMediaTypes(t *testing.T) {
	t.Parallel()
	lie := func(m *multiArch, d ocispec.Descriptor, mediaType string) {
		m.onRequest(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if strings.HasSuffix(r.URL.Path, "/manifests/v1") {
				r.URL.Path = strings.TrimSuffix(r.URL.Path, "v1") + d.Digest.String()
			}
			if !strings.HasSuffix(r.URL.Path, "/manifests/"+d.Digest.String()) {
				next.ServeHTTP(w, r)
				return
			}
			recorded := httptest.NewRecorder()
			next.ServeHTTP(recorded, r)
			maps.Copy(w.Header(), recorded.Header())
			w.Header().Set("Content-Type", mediaType)
			w.WriteHeader(recorded.Code)
			_, _ = w.Write(recorded.Body.Bytes())
		})
	}
	t.Run("an index as a manifest, of which every platform is wanted", func(t *testing.T) {
		t.Parallel()
		m := newMultiArch(t)
		m.sign(t, m.index)
		lie(m, m.index, ocispec.MediaTypeImageManifest)
		m.refuses(t, verify.ErrRejected, m.ref("app:v1"), "no signatures found", registry.WithEveryPlatform())
	})
	t.Run("a manifest as an index, of which every platform is wanted", func(t *testing.T) {
		t.Parallel()
		m := newMultiArch(t)
		m.sign(t, m.amd64)
		lie(m, m.amd64, ocispec.MediaTypeImageIndex)
		m.accepts(t, m.ref("app:v1"), m.amd64, m.amd64, registry.WithEveryPlatform())
	})
	t.Run("a child as an index, that its index contains", func(t *testing.T) {
		t.Parallel()
		m := newMultiArch(t)
		m.sign(t, m.index)
		lie(m, m.amd64, ocispec.MediaTypeImageIndex)
		result, err := m.verify(t, m.at(m.amd64), registry.WithContainingIndex(m.at(m.index)))
		if err != nil || result.Image.Target.MediaType != ocispec.MediaTypeImageManifest {
			t.Errorf("%+v, %v", result, err)
		}
	})
	t.Run("both in one", func(t *testing.T) {
		t.Parallel()
		m := newMultiArch(t)
		both := putJSON(m.ctx, t, m.store, ocispec.MediaTypeImageManifest, strings.TrimSuffix(fmt.Sprintf(
			`{"schemaVersion":2,"config":%s,"layers":[],"manifests":[]}`, descJSON(m.amd64)), ""))
		m.onRequest(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if strings.Contains(r.URL.Path, "/manifests/") && (strings.HasSuffix(r.URL.Path, "v1") || strings.HasSuffix(r.URL.Path, both.Digest.String())) {
				b, _ := content.ReadBlob(m.ctx, m.store.ContentStore(), both)
				w.Header().Set("Content-Type", ocispec.MediaTypeImageManifest)
				w.Header().Set("Docker-Content-Digest", both.Digest.String())
				_, _ = w.Write(b)
				return
			}
			next.ServeHTTP(w, r)
		})
		_, err := m.client.Sign(m.ctx, m.ref("app:v1"), signerOf(t, m.key), registry.WithRecursive())
		wantFamily(t, err, verify.ErrRejected)
		wantText(t, err, "both an index and a manifest")
	})
}

// TestSignedPlatformOfAReferenceWithADigest: the digest counts, and nothing else
// is pulled in its stead.
func TestSignedPlatformOfAReferenceWithADigest(t *testing.T) {
	t.Parallel()
	m := newMultiArch(t)
	m.sign(t, m.arm64)
	arm64 := registry.WithSignedPlatform(platforms.OnlyStrict(platforms.MustParse("linux/arm64")))
	m.refuses(t, verify.ErrRejected, m.at(m.index), "no signatures found", arm64)
	m.refuses(t, verify.ErrRejected, m.ref("app:v1@")+m.index.Digest.String(), "no signatures found", arm64)
}

// TestSignedPlatformAndTheOptionsOfAPull do not contradict each other.
func TestSignedPlatformAndTheOptionsOfAPull(t *testing.T) {
	t.Parallel()
	arm64 := platforms.OnlyStrict(platforms.MustParse("linux/arm64"))
	for name, test := range map[string]struct {
		opts []containerd.RemoteOpt
		ok   bool
	}{
		"none":             {nil, true},
		"the same matcher": {[]containerd.RemoteOpt{containerd.WithPlatformMatcher(arm64)}, true},
		"by name":          {[]containerd.RemoteOpt{containerd.WithPlatform("linux/arm64")}, true},
		"another":          {[]containerd.RemoteOpt{containerd.WithPlatform("linux/amd64")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMultiArch(t)
			m.sign(t, m.arm64)
			m.sign(t, m.amd64)
			image, _, err := hooks.Pull(m.ctx, m.client, m.store.Client, m.ref("app:v1"), verifierOf(t, m.key), test.opts, registry.WithSignedPlatform(arm64))
			switch {
			case test.ok && err != nil:
				t.Error(err)
			case test.ok && image.Target().Digest != m.arm64.Digest:
				t.Errorf("pulled %s", image.Target().Digest)
			case !test.ok:
				wantFamily(t, err, verify.ErrRejected)
				wantText(t, err, "no manifest for the platform")
			}
		})
	}
}

// TestSignedPlatformByItsOwnConfiguration: an index that nobody signed says that
// a signed manifest is for a platform that it is not for.
func TestSignedPlatformByItsOwnConfiguration(t *testing.T) {
	t.Parallel()
	m := newMultiArch(t)
	m.sign(t, m.index, registry.WithRecursive())
	for name, child := range map[string]ocispec.Descriptor{"another image": m.amd64, "an attestation": m.attestation} {
		evil := putJSON(m.ctx, t, m.store, ocispec.MediaTypeImageIndex, fmt.Sprintf(
			`{"schemaVersion":2,"mediaType":%q,"manifests":[%s,"platform":{"os":"windows","architecture":"amd64"}}]}`,
			ocispec.MediaTypeImageIndex, strings.TrimSuffix(descJSON(child), "}")))
		pushUnsigned(m.ctx, t, m.client, m.store, m.ref("app:evil"), evil)
		_, err := m.verify(t, m.ref("app:evil"), registry.WithSignedPlatform(platforms.OnlyStrict(platforms.MustParse("windows/amd64"))))
		wantFamily(t, err, verify.ErrRejected)
		wantText(t, err, "the image is for")
		_ = name
	}
}

// TestSignedPlatformIsThatOfAnImage: a signed manifest that is no image, such as a
// chart, has a configuration too, and what that says of a platform is no promise
// about an image.
func TestSignedPlatformIsThatOfAnImage(t *testing.T) {
	t.Parallel()
	m := newMultiArch(t)
	config := putJSON(m.ctx, t, m.store, "application/vnd.example.config.v1+json", `{"architecture":"amd64","os":"windows"}`)
	other := putJSON(m.ctx, t, m.store, ocispec.MediaTypeImageManifest, fmt.Sprintf(
		`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[]}`, ocispec.MediaTypeImageManifest, descJSON(config)))
	index := putJSON(m.ctx, t, m.store, ocispec.MediaTypeImageIndex, fmt.Sprintf(
		`{"schemaVersion":2,"mediaType":%q,"manifests":[%s,"platform":{"os":"windows","architecture":"amd64"}}]}`,
		ocispec.MediaTypeImageIndex, strings.TrimSuffix(descJSON(other), "}")))
	pushUnsigned(m.ctx, t, m.client, m.store, m.ref("app:other"), index)
	m.sign(t, other)
	m.refuses(t, verify.ErrRejected, m.ref("app:other"), `configuration of type "application/vnd.example.config.v1+json"`,
		registry.WithSignedPlatform(platforms.OnlyStrict(platforms.MustParse("windows/amd64"))))
}

// TestIndexesAreChargedFor: what is read to find a platform is bounded for all
// indexes together.
func TestIndexesAreChargedFor(t *testing.T) {
	t.Parallel()
	m := newMultiArch(t)
	m.sign(t, m.arm64)
	policy := verify.Policy{Keys: []crypto.PublicKey{m.key.Public()}, InsecureIgnoreTransparencyLog: true}
	policy.Limits.TotalBytes = m.index.Size + m.nested.Size - 1
	verifier, err := verify.New(policy)
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.client.Verify(m.ctx, m.ref("app:v1"), verifier, registry.WithSignedPlatform(platforms.OnlyStrict(platforms.MustParse("linux/arm64"))))
	wantFamily(t, err, verify.ErrRejected)
	if !errors.Is(err, verify.ErrLimit) {
		t.Errorf("error %v, want the limit", err)
	}
}

func TestVerifyWithinAnIndex(t *testing.T) {
	t.Parallel()
	m := newMultiArch(t)
	m.sign(t, m.index)
	other := putIndex(m.ctx, t, m.store, putImage(m.ctx, t, m.store, "other"))
	pushUnsigned(m.ctx, t, m.client, m.store, m.ref("app:other"), other)
	m.sign(t, other)
	within := func(name string) registry.VerifyOption { return registry.WithContainingIndex(m.ref(name)) }

	t.Run("a child alone has no signature", func(t *testing.T) {
		m.refuses(t, verify.ErrRejected, m.at(m.amd64), "no signatures found")
	})
	t.Run("by the tag of the index", func(t *testing.T) {
		m.accepts(t, m.at(m.amd64), m.amd64, m.index, within("app:v1"))
	})
	t.Run("by its digest, in a nested index", func(t *testing.T) {
		m.accepts(t, m.at(m.arm64), m.arm64, m.index, registry.WithContainingIndex(m.at(m.index)))
	})
	t.Run("the nested index", func(t *testing.T) {
		m.accepts(t, m.at(m.nested), m.nested, m.index, within("app:v1"))
	})
	t.Run("pulled", func(t *testing.T) {
		image, result, err := hooks.Pull(m.ctx, m.client, m.store.Client, m.at(m.amd64), verifierOf(t, m.key), nil, within("app:v1"))
		if err != nil || image.Target().Digest != m.amd64.Digest || result.Matched.Digest != m.index.Digest {
			t.Errorf("%+v, %v", result, err)
		}
	})
	t.Run("a signed index that does not contain it", func(t *testing.T) {
		m.refuses(t, verify.ErrRejected, m.at(m.amd64), "does not contain", within("app:other"))
	})
	t.Run("an index that is not signed", func(t *testing.T) {
		m.refuses(t, verify.ErrRejected, m.at(m.arm64), "no signatures found", registry.WithContainingIndex(m.at(m.nested)))
	})
	t.Run("an index that is not there", func(t *testing.T) {
		m.refuses(t, verify.ErrInconclusive, m.at(m.amd64), "not found", within("app:missing"))
	})
	t.Run("a manifest that is no index", func(t *testing.T) {
		m.refuses(t, verify.ErrMisconfigured, m.at(m.arm64), "not an index", registry.WithContainingIndex(m.at(m.amd64)))
	})
	t.Run("no reference", func(t *testing.T) {
		m.refuses(t, verify.ErrMisconfigured, m.at(m.arm64), "reference", registry.WithContainingIndex("host/UPPER"))
	})
	t.Run("a child that is signed itself needs no index", func(t *testing.T) {
		m.sign(t, m.arm64)
		m.accepts(t, m.at(m.arm64), m.arm64, m.arm64, within("app:missing"))
	})
}

// TestSwappedChild: the registry serves another child, or another index, under
// the digest of the one that was signed.
func TestSwappedChild(t *testing.T) {
	t.Parallel()
	swap := func(t *testing.T, swapped func(*multiArch) ocispec.Descriptor) *multiArch {
		m := newMultiArch(t)
		m.sign(t, m.index)
		evil := putImage(m.ctx, t, m.store, "evil")
		pushUnsigned(m.ctx, t, m.client, m.store, m.ref("app:evil"), evil)
		d := swapped(m)
		m.onRequest(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			r.URL.Path = strings.Replace(r.URL.Path, "/manifests/"+d.Digest.String(), "/manifests/"+evil.Digest.String(), 1)
			next.ServeHTTP(w, r)
		})
		return m
	}
	t.Run("pull of the platform", func(t *testing.T) {
		t.Parallel()
		m := swap(t, func(m *multiArch) ocispec.Descriptor { return m.amd64 })
		fresh, ctx := newStore(t)
		_, _, err := hooks.Pull(ctx, m.client, fresh.Client, m.ref("app:v1"), verifierOf(t, m.key),
			[]containerd.RemoteOpt{containerd.WithPlatformMatcher(platforms.OnlyStrict(platforms.MustParse("linux/amd64")))})
		if err == nil {
			t.Fatal("the swapped child was pulled")
		}
		if names := imageNames(ctx, t, fresh); len(names) > 0 {
			t.Errorf("recorded: %q", names)
		}
	})
	t.Run("an index that is read", func(t *testing.T) {
		t.Parallel()
		m := swap(t, func(m *multiArch) ocispec.Descriptor { return m.nested })
		m.refuses(t, verify.ErrRejected, m.at(m.amd64), "content does not match", registry.WithContainingIndex(m.ref("app:v1")))
		m.refuses(t, verify.ErrRejected, m.ref("app:v1"), "content does not match", registry.WithEveryPlatform())
	})
	t.Run("an index with another child", func(t *testing.T) {
		t.Parallel()
		m := newMultiArch(t)
		m.sign(t, m.index)
		evil := putIndex(m.ctx, t, m.store, putImage(m.ctx, t, m.store, "evil"), m.arm64)
		pushUnsigned(m.ctx, t, m.client, m.store, m.ref("app:v1"), evil)
		m.refuses(t, verify.ErrRejected, m.ref("app:v1"), "no signatures found")
	})
}

// TestIndexesWithoutEnd: what an index contains is limited in depth and number.
func TestIndexesWithoutEnd(t *testing.T) {
	t.Parallel()
	t.Run("deep", func(t *testing.T) {
		t.Parallel()
		m := newMultiArch(t)
		d := m.index
		for range limits.IndexDepth {
			d = putIndex(m.ctx, t, m.store, d)
		}
		pushUnsigned(m.ctx, t, m.client, m.store, m.ref("app:deep"), d)
		_, err := m.client.Sign(m.ctx, m.ref("app:deep"), signerOf(t, m.key), registry.WithRecursive())
		wantFamily(t, err, verify.ErrRejected)
		wantText(t, err, "depth of an index")
	})
	t.Run("wide", func(t *testing.T) {
		t.Parallel()
		m := newMultiArch(t)
		var entries []string
		for i := range limits.IndexManifests {
			entries = append(entries, fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":7}`, ocispec.MediaTypeImageManifest, digest.FromString(fmt.Sprint(i))))
		}
		wide := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, ocispec.MediaTypeImageIndex, strings.Join(entries, ","))
		m.onRequest(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
			w.Header().Set("Docker-Content-Digest", digest.FromBytes(wide).String())
			_, _ = w.Write(wide)
		})
		_, err := m.client.Sign(m.ctx, m.ref("app:wide"), signerOf(t, m.key), registry.WithRecursive())
		wantFamily(t, err, verify.ErrRejected)
		wantText(t, err, "number of manifests")
	})
}

// pushIndex puts an index past everything under test.
func (m *multiArch) pushIndex(t *testing.T, tag string, entries ...string) ocispec.Descriptor {
	t.Helper()
	b := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, ocispec.MediaTypeImageIndex, strings.Join(entries, ","))
	d := putRaw(t, m.testRegistry, "app", tag, ocispec.MediaTypeImageIndex, b)
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: d, Size: int64(len(b))}
}

func entryFor(d ocispec.Descriptor, mediaType, platform string) string {
	d.MediaType = mediaType
	system, architecture, _ := strings.Cut(platform, "/")
	return strings.TrimSuffix(descJSON(d), "}") + fmt.Sprintf(`,"platform":{"os":%q,"architecture":%q}}`, system, architecture)
}

// TestOddIndexes: an index that is signed may still have been composed by somebody
// who would rather not have every platform looked at.
func TestOddIndexes(t *testing.T) {
	t.Parallel()
	manifest, every := ocispec.MediaTypeImageManifest, registry.WithEveryPlatform()
	t.Run("a manifest that is listed as an index", func(t *testing.T) {
		t.Parallel()
		m := newMultiArch(t)
		index := m.pushIndex(t, "odd", entryFor(m.arm64, manifest, "linux/arm64"), entryFor(m.amd64, ocispec.MediaTypeImageIndex, "linux/s390x"))
		m.sign(t, index)
		m.refuses(t, verify.ErrRejected, m.ref("app:odd"), "is listed as an index and is none", every)
		m.refuses(t, verify.ErrRejected, m.at(m.arm64), "is listed as an index and is none", registry.WithContainingIndex(m.at(index)))
		attached, err := m.client.Sign(m.ctx, m.at(index), signerOf(t, m.key), registry.WithRecursive())
		wantFamily(t, err, verify.ErrRejected)
		if len(attached) > 0 {
			t.Errorf("%d signatures", len(attached))
		}
	})
	t.Run("a manifest that is listed as an attestation too", func(t *testing.T) {
		t.Parallel()
		m := newMultiArch(t)
		attestation := strings.TrimSuffix(entryFor(m.arm64, manifest, "unknown/unknown"), "}") + `,"annotations":{"vnd.docker.reference.type":"attestation-manifest"}}`
		index := m.pushIndex(t, "odd", attestation, entryFor(m.arm64, manifest, "linux/arm64"), entryFor(m.amd64, manifest, "linux/amd64"))
		m.sign(t, index)
		m.sign(t, m.amd64)
		m.refuses(t, verify.ErrRejected, m.ref("app:odd"), "no signatures found", every)
		m.sign(t, m.arm64)
		m.accepts(t, m.ref("app:odd"), index, index, every)
	})
	t.Run("a manifest under two media types", func(t *testing.T) {
		t.Parallel()
		m := newMultiArch(t)
		index := m.pushIndex(t, "odd", entryFor(m.arm64, manifest, "linux/arm64"), entryFor(m.arm64, images.MediaTypeDockerSchema2Manifest, "linux/amd64"))
		m.sign(t, index)
		m.refuses(t, verify.ErrRejected, m.ref("app:odd"), "under two media types", every)
	})
	t.Run("children of types that nobody knows", func(t *testing.T) {
		t.Parallel()
		m := newMultiArch(t)
		unknown := entryFor(ocispec.Descriptor{Digest: digest.FromString("unknown"), Size: 7}, "application/vnd.example.thing+json", "linux/arm64")
		index := m.pushIndex(t, "odd", unknown, entryFor(m.amd64, manifest, "linux/amd64"))
		if attached := m.sign(t, index, registry.WithRecursive()); len(attached) != 2 {
			t.Errorf("%d signatures, want those of the index and of the one manifest", len(attached))
		}
		m.accepts(t, m.ref("app:odd"), index, index, every)
		m.accepts(t, m.ref("app:odd"), index, index, registry.WithSignedPlatform(platforms.OnlyStrict(platforms.MustParse("linux/arm64"))))
		other := m.pushIndex(t, "other", unknown, entryFor(m.arm64, manifest, "linux/arm64"))
		m.sign(t, other)
		m.accepts(t, m.at(m.arm64), m.arm64, other, registry.WithContainingIndex(m.ref("app:other")))
		m.pushIndex(t, "unsigned", unknown, entryFor(m.amd64, manifest, "linux/s390x"))
		m.refuses(t, verify.ErrRejected, m.ref("app:unsigned"), "no manifest for the platform",
			registry.WithSignedPlatform(platforms.OnlyStrict(platforms.MustParse("linux/arm64"))))
		alone := m.pushIndex(t, "alone", unknown)
		m.sign(t, alone)
		m.refuses(t, verify.ErrRejected, m.ref("app:alone"), "no manifest for any platform", every)
	})
	t.Run("a manifest for two platforms", func(t *testing.T) {
		t.Parallel()
		m := newMultiArch(t)
		m.pushIndex(t, "odd", entryFor(m.arm64, manifest, "linux/arm"), entryFor(m.arm64, manifest, "linux/arm64"))
		m.sign(t, m.arm64)
		m.accepts(t, m.ref("app:odd"), m.arm64, m.arm64, registry.WithSignedPlatform(platforms.OnlyStrict(platforms.MustParse("linux/arm64"))))
	})
}

// TestSignedPlatformOfAResolvedImage: who has a descriptor is about to use it.
func TestSignedPlatformOfAResolvedImage(t *testing.T) {
	t.Parallel()
	m := newMultiArch(t)
	m.sign(t, m.arm64)
	_, err := m.client.VerifyImage(m.ctx, verify.Image{Name: m.ref("app:v1"), Target: m.index}, verifierOf(t, m.key),
		registry.WithSignedPlatform(platforms.OnlyStrict(platforms.MustParse("linux/arm64"))))
	wantFamily(t, err, verify.ErrMisconfigured)
}
