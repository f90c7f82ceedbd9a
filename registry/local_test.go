// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"context"
	"crypto"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/embedded"
	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/registry/hooks"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// node is a machine that pulls from a registry, and its image store.
type node struct {
	*testing.T
	reg    *testRegistry
	client *registry.Client
	cd     *embedded.Client
	dir    string
	ctx    context.Context
	key    crypto.Signer
}

func newNode(t *testing.T) *node {
	t.Helper()
	n := &node{T: t, reg: newTestRegistry(t, true), client: newClient(t, registry.Config{}), dir: t.TempDir(), key: newKey(t)}
	n.ctx = namespaces.WithNamespace(t.Context(), "test")
	var err error
	if n.cd, err = embedded.Open(n.dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.cd.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// publish pushes and signs an image, from a store of somebody else's.
func (n *node) publish(name, text string, form signing.Form) ocispec.Descriptor {
	n.Helper()
	cd, ctx := newStore(n.T)
	image := putImage(ctx, n.T, cd, text)
	n.push(cd, ctx, name, image, registry.WithForm(form))
	return image
}

func (n *node) push(cd *embedded.Client, ctx context.Context, name string, image ocispec.Descriptor, opts ...registry.SignOption) {
	n.Helper()
	if _, err := hooks.Push(ctx, n.client, cd.Client, n.reg.ref(name), image, signerOf(n, n.key), nil, opts...); err != nil {
		n.Fatal(err)
	}
}

func (n *node) pull(name string, opts ...registry.VerifyOption) *verify.Result {
	n.Helper()
	_, result, err := hooks.Pull(n.ctx, n.client, n.cd.Client, n.reg.ref(name), verifierOf(n, n.key), amd64, opts...)
	if err != nil {
		n.Fatal(err)
	}
	return result
}

var amd64 = []containerd.RemoteOpt{containerd.WithPlatform("linux/amd64")}

// local verifies what the store has, and returns what the registry was asked.
func (n *node) local(name string, verifier verify.Verifier, opts ...registry.VerifyOption) (result *verify.Result, requests []string, err error) {
	n.Helper()
	n.reg.hangUp(n)
	n.reg.record()
	result, err = n.client.VerifyLocal(n.ctx, n.cd.Client, n.reg.ref(name), verifier, opts...)
	return result, n.reg.recorded(), err
}

// wantOffline checks that name is acceptable without a request, and is image.
func (n *node) wantOffline(name string, image ocispec.Descriptor, opts ...registry.VerifyOption) *verify.Result {
	n.Helper()
	result, requests, err := n.local(name, verifierOf(n, n.key), opts...)
	if err != nil {
		n.Fatal(err)
	}
	if len(requests) > 0 {
		n.Errorf("the registry was asked: %q", requests)
	}
	if !result.Accepted || result.Image.Target.Digest != image.Digest || result.Image.Target.Size != image.Size {
		n.Errorf("verified %+v, want %s", result.Image, image.Digest)
	}
	for _, s := range result.Signatures {
		if s.Origin.Source != verify.SourceContentStore {
			n.Errorf("signature of %s", s.Origin)
		}
	}
	return result
}

func (n *node) down() {
	n.reg.failing(http.StatusServiceUnavailable, func(*http.Request) bool { return true })
}

// kept returns the manifests of signatures that are kept beside d.
func (n *node) kept(d digest.Digest) []digest.Digest {
	n.Helper()
	info, err := n.cd.ContentStore().Info(n.ctx, d)
	if err != nil {
		n.Fatal(err)
	}
	var all []digest.Digest
	for label, value := range info.Labels {
		if strings.HasPrefix(label, "containerd.io/gc.ref.content.referrer.") {
			all = append(all, digest.Digest(value))
		}
	}
	slices.Sort(all)
	return all
}

func (n *node) collect() {
	n.Helper()
	if err := n.cd.Collect(n.ctx); err != nil {
		n.Fatal(err)
	}
}

func (n *node) count() (blobs int) {
	n.Helper()
	if err := n.cd.ContentStore().Walk(n.ctx, func(content.Info) error { blobs++; return nil }); err != nil {
		n.Fatal(err)
	}
	return blobs
}

// overwrite changes content behind the back of the store.
func (n *node) overwrite(d digest.Digest, change func([]byte) []byte) {
	n.Helper()
	path := filepath.Join(n.dir, "content", "blobs", "sha256", d.Encoded())
	b, err := os.ReadFile(path)
	if err != nil {
		n.Fatal(err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		n.Fatal(err)
	}
	if err := os.WriteFile(path, change(slices.Clone(b)), 0o600); err != nil {
		n.Fatal(err)
	}
}

func TestLocalImageIsVerifiedWithoutANetwork(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		form signing.Form
		kept int
	}{
		{"by a bundle", signing.Bundle, 1},
		{"by a legacy signature", signing.Legacy, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			image := n.publish("app:v1", "app", test.form)
			n.pull("app:v1")
			if kept := n.kept(image.Digest); len(kept) != test.kept {
				t.Errorf("%d signatures are kept, want %d", len(kept), test.kept)
			}
			n.down()
			n.wantOffline("app:v1", image)
			n.wantOffline("app:v1", image, registry.WithoutRegistry())
		})
	}
}

func TestIndexAndPlatformAreVerifiedWithoutANetwork(t *testing.T) {
	t.Parallel()
	publish := func(n *node, opts ...registry.SignOption) (index ocispec.Descriptor, manifests []ocispec.Descriptor) {
		cd, ctx := newStore(n.T)
		manifests = []ocispec.Descriptor{putImage(ctx, n.T, cd, "one"), putImage(ctx, n.T, cd, "two")}
		index = putIndex(ctx, n.T, cd, manifests...)
		n.push(cd, ctx, "app:v1", index, opts...)
		return index, manifests
	}
	t.Run("an index that is signed", func(t *testing.T) {
		t.Parallel()
		n := newNode(t)
		index, manifests := publish(n)
		n.pull("app:v1")
		if kept := n.kept(manifests[0].Digest); len(kept) != 0 {
			t.Errorf("signatures beside the manifest: %s", kept)
		}
		n.collect()
		n.wantOffline("app:v1", index)
	})
	t.Run("a manifest in an index that is not", func(t *testing.T) {
		t.Parallel()
		n := newNode(t)
		cd, ctx := newStore(n.T)
		one, two := putImage(ctx, t, cd, "one"), putImage(ctx, t, cd, "two")
		index := putIndex(ctx, t, cd, one, two)
		pushUnsigned(ctx, t, n.client, cd, n.reg.ref("app:v1"), index)
		if _, err := n.client.SignImage(ctx, verify.Image{Name: n.reg.ref("app"), Target: one}, signerOf(t, n.key)); err != nil {
			t.Fatal(err)
		}
		signed := registry.WithSignedPlatform(platforms.Only(platforms.MustParse("linux/amd64")))
		if result := n.pull("app:v1", signed); result.Image.Target.Digest != one.Digest {
			t.Fatalf("pulled %s, want the manifest", result.Image.Target.Digest)
		}
		n.collect()
		n.wantOffline("app:v1", one)
		n.wantOffline("app:v1", one, signed)
	})
	t.Run("every platform, of which one is here", func(t *testing.T) {
		t.Parallel()
		n := newNode(t)
		index, _ := publish(n, registry.WithRecursive())
		n.pull("app:v1", registry.WithEveryPlatform())
		n.wantOffline("app:v1", index)
		result, requests, err := n.local("app:v1", verifierOf(t, n.key), registry.WithEveryPlatform())
		if err != nil || !result.Accepted {
			t.Errorf("%v", err)
		}
		if len(requests) == 0 {
			t.Error("the signatures of a manifest that is not here came from nowhere")
		}
		n.down()
		_, _, err = n.local("app:v1", verifierOf(t, n.key), registry.WithEveryPlatform())
		wantFamily(t, err, verify.ErrInconclusive)
	})
}

// Collection is containerd's own, over the same database as a daemon's.
func TestSignaturesLiveAsLongAsTheirImage(t *testing.T) {
	t.Parallel()
	for _, form := range []signing.Form{signing.Bundle, signing.Legacy} {
		t.Run(fmt.Sprint(form), func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			image := n.publish("app:v1", "app", form)
			n.pull("app:v1")
			before := n.count()
			n.collect()
			if after := n.count(); after != before {
				t.Errorf("%d blobs before a collection, %d after", before, after)
			}
			n.down()
			n.wantOffline("app:v1", image)

			if err := n.cd.ImageService().Delete(n.ctx, n.reg.ref("app:v1")); err != nil {
				t.Fatal(err)
			}
			n.collect()
			if left := n.count(); left != 0 {
				t.Errorf("%d blobs are left of an image that is gone", left)
			}
		})
	}
}

func TestLocalFallsBackOnTheRegistryAndKeepsWhatItFinds(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	image := n.publish("app:v1", "app", signing.Bundle)
	// A tool without this library pulls.
	if _, err := n.cd.Pull(n.ctx, n.reg.ref("app:v1"), withResolver(n.client.Resolver())); err != nil {
		t.Fatal(err)
	}
	_, requests, err := n.local("app:v1", verifierOf(t, n.key), registry.WithoutRegistry())
	wantFamily(t, err, verify.ErrInconclusive)
	wantText(t, err, "the registry was not asked")
	if len(requests) > 0 {
		t.Errorf("the registry was asked: %q", requests)
	}
	result, requests, err := n.local("app:v1", verifierOf(t, n.key))
	if err != nil || result.Image.Target.Digest != image.Digest {
		t.Fatalf("%v", err)
	}
	if len(requests) == 0 {
		t.Error("the signature came from nowhere")
	}
	n.down()
	n.collect()
	n.wantOffline("app:v1", image)
}

func TestLocalVerdicts(t *testing.T) {
	t.Parallel()
	flip := func(b []byte) []byte { b[len(b)/2] ^= 1; return b }
	layerOf := func(n *node, d digest.Digest) digest.Digest {
		info, err := n.cd.ContentStore().Info(n.ctx, d)
		if err != nil {
			n.Fatal(err)
		}
		return digest.Digest(info.Labels["containerd.io/gc.ref.content.l.0"])
	}
	unsigned := func(n *node) {
		n.reg.failing(http.StatusNotFound, func(r *http.Request) bool { return !strings.HasSuffix(r.URL.Path, "/v2/") })
	}
	other := func(n *node) verify.Verifier { return verifierOf(n, newKey(n)) }
	own := func(n *node) verify.Verifier { return verifierOf(n, n.key) }
	tests := []struct {
		name    string
		prepare func(n *node, image ocispec.Descriptor)
		policy  func(*node) verify.Verifier
		family  error // nil for acceptable
		text    string
	}{
		{"the policy has changed, and the registry has nothing for it", func(*node, ocispec.Descriptor) {}, other, verify.ErrRejected, "content store"},
		{"the policy has changed, and the registry is down", func(n *node, _ ocispec.Descriptor) { n.down() }, other, verify.ErrInconclusive, "503"},
		{"the policy has changed, and the registry has a signature for it", func(n *node, image ocispec.Descriptor) {
			n.key = newKey(n)
			if _, err := n.client.SignImage(n.ctx, verify.Image{Name: n.reg.ref("app:v1"), Target: image}, signerOf(n, n.key)); err != nil {
				n.Fatal(err)
			}
		}, own, nil, ""},
		{"nothing is kept, and the registry is down", func(n *node, image ocispec.Descriptor) {
			n.forget(image.Digest)
			n.down()
		}, own, verify.ErrInconclusive, "503"},
		{"nothing is kept, and the registry has nothing", func(n *node, image ocispec.Descriptor) {
			n.forget(image.Digest)
			unsigned(n)
		}, own, verify.ErrRejected, "no signatures found"},
		{"a kept signature was tampered with, and the registry has nothing", func(n *node, image ocispec.Descriptor) {
			n.overwrite(layerOf(n, n.kept(image.Digest)[0]), flip)
			unsigned(n)
		}, own, verify.ErrRejected, "does not match"},
		{"a kept manifest was tampered with, and the registry has nothing", func(n *node, image ocispec.Descriptor) {
			n.overwrite(n.kept(image.Digest)[0], flip)
			unsigned(n)
		}, own, verify.ErrRejected, "does not match"},
		{"a kept signature was cut short, and the registry has nothing", func(n *node, image ocispec.Descriptor) {
			n.overwrite(layerOf(n, n.kept(image.Digest)[0]), func(b []byte) []byte { return b[:len(b)/2] })
			unsigned(n)
		}, own, verify.ErrRejected, "does not match"},
		{"a kept manifest is endless, and the registry has nothing", func(n *node, image ocispec.Descriptor) {
			n.overwrite(n.kept(image.Digest)[0], func(b []byte) []byte { return append(b, make([]byte, 8<<20)...) })
			unsigned(n)
		}, own, verify.ErrRejected, "does not match"},
		{"a kept signature was tampered with, and the registry is down", func(n *node, image ocispec.Descriptor) {
			n.overwrite(layerOf(n, n.kept(image.Digest)[0]), flip)
			n.down()
		}, own, verify.ErrInconclusive, "503"},
		{"a kept signature was tampered with, and the registry has it", func(n *node, image ocispec.Descriptor) {
			n.overwrite(layerOf(n, n.kept(image.Digest)[0]), flip)
		}, own, nil, ""},
		{"what was kept is gone, and the registry has it", func(n *node, image ocispec.Descriptor) {
			if err := n.cd.ContentStore().Delete(n.ctx, n.kept(image.Digest)[0]); err != nil {
				n.Fatal(err)
			}
		}, own, nil, ""},
		{"the signature of another image is kept in its place", func(n *node, image ocispec.Descriptor) {
			another := n.publish("other:v1", "other", signing.Bundle)
			n.pull("other:v1")
			n.forget(image.Digest)
			n.label(image.Digest, "containerd.io/gc.ref.content.referrer.cosign.x", n.kept(another.Digest)[0].String())
			unsigned(n)
		}, own, verify.ErrRejected, "content store"},
		{"a label refers to no digest", func(n *node, image ocispec.Descriptor) {
			n.label(image.Digest, "containerd.io/gc.ref.content.referrer.x", "rubbish")
			n.down()
		}, own, nil, ""},
		{"nothing is kept of a policy that is misconfigured", func(n *node, _ ocispec.Descriptor) { n.down() },
			func(*node) verify.Verifier { return nil }, verify.ErrMisconfigured, "no verifier"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			image := n.publish("app:v1", "app", signing.Bundle)
			n.pull("app:v1")
			test.prepare(n, image)
			result, _, err := n.local("app:v1", test.policy(n))
			if test.family == nil {
				if err != nil || result.Image.Target.Digest != image.Digest {
					t.Errorf("%v", err)
				}
				return
			}
			wantFamily(t, err, test.family)
			wantText(t, err, test.text)
			if errdefs.IsNotFound(err) {
				t.Errorf("an image that is there looks like a missing one: %v", err)
			}
			if result != nil && result.Accepted {
				t.Error("accepted beside an error")
			}
		})
	}
}

// forget removes all references to signatures.
func (n *node) forget(d digest.Digest) {
	n.Helper()
	info, err := n.cd.ContentStore().Info(n.ctx, d)
	if err != nil {
		n.Fatal(err)
	}
	for label := range info.Labels {
		if strings.Contains(label, "referrer") {
			n.label(d, label, "")
		}
	}
}

func (n *node) label(d digest.Digest, label, value string) {
	n.Helper()
	if _, err := n.cd.ContentStore().Update(n.ctx, content.Info{Digest: d, Labels: map[string]string{label: value}}, "labels."+label); err != nil {
		n.Fatal(err)
	}
}

// Two signers are asked for; one signature is kept and the other is in the
// registry.
func TestSignaturesOfBothPlacesCountTogether(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	image := n.publish("app:v1", "app", signing.Bundle)
	n.pull("app:v1")
	first := n.key
	n.reg.failing(http.StatusNotFound, func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/referrers/") })
	n.key = newKey(t)
	if _, err := n.client.SignImage(n.ctx, verify.Image{Name: n.reg.ref("app"), Target: image}, signerOf(t, n.key), registry.WithForm(signing.Legacy)); err != nil {
		t.Fatal(err)
	}
	both, err := verify.New(verify.Policy{
		Keys: []crypto.PublicKey{first.Public(), n.key.Public()}, Threshold: 2, InsecureIgnoreTransparencyLog: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.client.Verify(n.ctx, n.reg.ref("app:v1"), both); err == nil {
		t.Error("the registry alone is enough")
	}
	result, _, err := n.local("app:v1", both)
	if err != nil {
		t.Fatal(err)
	}
	sources := map[verify.Source]bool{}
	for _, s := range result.Signatures {
		sources[s.Origin.Source] = s.Err == nil
	}
	if !sources[verify.SourceContentStore] || !sources[verify.SourceSignatureTag] {
		t.Errorf("signatures: %v", sources)
	}
	n.down()
	if _, requests, err := n.local("app:v1", both); err != nil || len(requests) > 0 {
		t.Errorf("the second time: %v, %q", err, requests)
	}
}

func TestEverySignatureIsThoseOfBothPlaces(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.publish("app:v1", "app", signing.Bundle)
	n.pull("app:v1")
	result, requests, err := n.local("app:v1", verifierOf(t, n.key), registry.WithEverySignature())
	if err != nil || len(requests) == 0 || len(result.Signatures) != 2 {
		t.Errorf("%v, %d requests, %+v", err, len(requests), result)
	}
}

func TestLocalRecords(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	image := n.publish("app:v1", "app", signing.Bundle)
	other := n.publish("app:v2", "other", signing.Bundle)
	n.pull("app:v1")
	n.pull("app:v2")
	record := func(name string, target ocispec.Descriptor) {
		t.Helper()
		if _, err := n.cd.ImageService().Create(n.ctx, images.Image{Name: n.reg.ref(name), Target: target}); err != nil {
			t.Fatal(err)
		}
	}
	record("app@"+image.Digest.String(), image)
	record("lie:v1@"+image.Digest.String(), other)
	record("lie@"+image.Digest.String(), other)
	record("layer:v1", ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: image.Digest, Size: image.Size})
	record("gone:v1", ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("gone"), Size: 4})
	tests := []struct {
		name, ref string
		want      digest.Digest
		missing   bool
		family    error
	}{
		{"a tag", "app:v1", image.Digest, false, nil},
		{"a digest", "app@" + image.Digest.String(), image.Digest, false, nil},
		{"tag and digest, recorded by digest", "app:v3@" + image.Digest.String(), image.Digest, false, nil},
		{"tag and digest, recorded by tag", "app:v2@" + other.Digest.String(), other.Digest, false, nil},
		{"a tag that is not recorded", "app:v4", "", true, verify.ErrInconclusive},
		{"a digest that is not recorded", "app@" + other.Digest.String(), "", true, verify.ErrInconclusive},
		{"tag and digest, where the tag has moved on", "app:v1@" + digest.FromString("x").String(), "", true, verify.ErrInconclusive},
		{"a record that claims tag and digest of another image", "lie:v1@" + image.Digest.String(), "", false, verify.ErrRejected},
		{"a record that claims the digest of another image", "lie@" + image.Digest.String(), "", false, verify.ErrRejected},
		{"a record of what is no image", "layer:v1", "", false, verify.ErrRejected},
		{"a record of what is not there", "gone:v1", "", false, verify.ErrRejected},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			result, requests, err := n.local(test.ref, verifierOf(t, n.key))
			if got := errdefs.IsNotFound(err); got != test.missing {
				t.Errorf("missing is %v: %v", got, err)
			}
			if test.family == nil {
				if err != nil || result.Image.Target.Digest != test.want || result.Image.Name != n.reg.ref(test.ref) || len(requests) > 0 {
					t.Errorf("%v, %+v, requests %q", err, result, requests)
				}
				return
			}
			wantFamily(t, err, test.family)
		})
	}
	t.Run("without a namespace", func(t *testing.T) {
		_, err := n.client.VerifyLocal(t.Context(), n.cd.Client, n.reg.ref("app:v1"), verifierOf(t, n.key))
		wantFamily(t, err, verify.ErrMisconfigured)
	})
}

func TestWhatIsNoImageReferenceIsMisconfigured(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	id := digest.FromString("x")
	for _, ref := range []string{
		"", "ipfs://bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am", "docker-archive:/tmp/x.tar", "oci-archive://image.tar",
		"/var/lib/rootfs", "./rootfs", "../rootfs", `C:\rootfs`, id.String(), id.Encoded(), "https://registry.example/app:v1",
	} {
		t.Run(strings.ReplaceAll(ref, "/", "|"), func(t *testing.T) {
			t.Parallel()
			verifier := verifierOf(t, n.key)
			_, local := n.client.VerifyLocal(n.ctx, n.cd.Client, ref, verifier)
			_, remote := n.client.Verify(n.ctx, ref, verifier)
			_, _, pulled := hooks.Pull(n.ctx, n.client, n.cd.Client, ref, verifier, nil)
			pinned := registry.Pin(n.ctx, n.cd.ImageService(), ref, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: id, Size: 1})
			for _, err := range []error{local, remote, pulled, pinned} {
				wantFamily(t, err, verify.ErrMisconfigured)
			}
		})
	}
	if requests := n.reg.recorded(); len(requests) > 0 {
		t.Errorf("requests: %q", requests)
	}
}

func TestNameOfAnotherDigestIsRefused(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	image := n.publish("app:v1", "app", signing.Bundle)
	n.pull("app:v1")
	verifier := verifierOf(t, n.key)
	n.reg.hangUp(t)
	n.reg.record()
	for _, name := range []string{"app", "app:v1"} {
		lie := verify.Image{Name: n.reg.ref(name) + "@" + digest.FromString("x").String(), Target: image}
		result, err := n.client.VerifyImage(n.ctx, lie, verifier)
		wantFamily(t, err, verify.ErrRejected)
		local, localErr := n.client.VerifyLocalImage(n.ctx, n.cd.Client, lie, verifier)
		wantFamily(t, localErr, verify.ErrRejected)
		if result != nil || local != nil {
			t.Errorf("results: %+v, %+v", result, local)
		}
		_, err = n.client.SignImage(n.ctx, lie, signerOf(t, n.key))
		wantFamily(t, err, verify.ErrMisconfigured)
		wantFamily(t, registry.Pin(n.ctx, n.cd.ImageService(), lie.Name, image), verify.ErrMisconfigured)
	}
	if requests := n.reg.recorded(); len(requests) > 0 {
		t.Errorf("requests: %q", requests)
	}
	truth := verify.Image{Name: n.reg.ref("app:v1") + "@" + image.Digest.String(), Target: image}
	if _, err := n.client.VerifyImage(n.ctx, truth, verifier); err != nil {
		t.Error(err)
	}
	if _, err := n.client.VerifyLocalImage(n.ctx, n.cd.Client, truth, verifier, registry.WithoutRegistry()); err != nil {
		t.Error(err)
	}
}

func TestWithoutRegistryIsForLocalImages(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	_, err := n.client.Verify(n.ctx, n.reg.ref("app:v1"), verifierOf(t, n.key), registry.WithoutRegistry())
	wantFamily(t, err, verify.ErrMisconfigured)
	_, _, err = hooks.Pull(n.ctx, n.client, n.cd.Client, n.reg.ref("app:v1"), verifierOf(t, n.key), nil, registry.WithoutRegistry())
	wantFamily(t, err, verify.ErrMisconfigured)
}

func TestLocalTellsItsResultOnce(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.publish("app:v1", "app", signing.Bundle)
	n.pull("app:v1")
	for name, verifier := range map[string]verify.Verifier{"acceptable": verifierOf(t, n.key), "not acceptable": verifierOf(t, newKey(t))} {
		var told []error
		_, _, err := n.local("app:v1", verifier, registry.WithResult(func(_ *verify.Result, err error) { told = append(told, err) }))
		if len(told) != 1 || told[0] != err {
			t.Errorf("%s: told %v of %v", name, told, err)
		}
	}
}

func TestConcurrentKeepersAndStarts(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	image := n.publish("app:v1", "app", signing.Both)
	var results []*verify.Result
	keys := []crypto.Signer{n.key}
	for range 7 {
		key := newKey(t)
		keys = append(keys, key)
		if _, err := n.client.SignImage(n.ctx, verify.Image{Name: n.reg.ref("app"), Target: image}, signerOf(t, key)); err != nil {
			t.Fatal(err)
		}
	}
	n.pull("app:v1")
	n.forget(image.Digest)
	n.collect()
	for _, key := range keys {
		result, err := n.client.Verify(n.ctx, n.reg.ref("app:v1"), verifierOf(t, key), registry.WithEverySignature())
		if err != nil {
			t.Fatal(err)
		}
		results = append(results, result)
	}
	var group sync.WaitGroup
	for i := range 16 {
		group.Go(func() {
			if err := registry.KeepSignatures(n.ctx, n.cd.ContentStore(), results[i%len(results)]); err != nil {
				t.Error(err)
			}
			if _, err := n.client.VerifyLocal(n.ctx, n.cd.Client, n.reg.ref("app:v1"), verifierOf(t, keys[i%len(keys)]), registry.WithoutRegistry()); err != nil {
				t.Error(err)
			}
		})
		group.Go(func() {
			if err := n.cd.Collect(n.ctx); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if kept, want := len(n.kept(image.Digest)), len(keys)+1; kept != want {
		t.Errorf("%d signatures are kept, want %d", kept, want)
	}
	n.down()
	for i, key := range keys {
		if _, requests, err := n.local("app:v1", verifierOf(t, key)); err != nil || len(requests) > 0 {
			t.Errorf("signer %d: %v, %q", i, err, requests)
		}
	}
}

// ruled has one rule for all images, and counts how often it is asked.
type ruled struct {
	verify.Verifier
	selection verify.Selection
	asked     *int
}

func (r ruled) Select(context.Context, verify.Image) (verify.Selection, error) {
	*r.asked++
	return r.selection, nil
}

// What the policy lets through unverified, it lets through after both places were
// looked at, and nothing is kept of it.
func TestLocalImageThatIsLetThroughUnverified(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	image := n.publish("app:v1", "app", signing.Bundle)
	asked := 0
	warn := ruled{verifierOf(t, newKey(t)), verify.Selection{Rule: "rule 1", Verifier: verifierOf(t, newKey(t)), InsecureWarnOnly: true}, &asked}
	_, result, err := hooks.Pull(n.ctx, n.client, n.cd.Client, n.reg.ref("app:v1"), warn, amd64)
	if err != nil || result.Unverified == nil || asked != 1 {
		t.Fatalf("pull: %v, %+v, the policy was asked %d times", err, result, asked)
	}
	if kept := n.kept(image.Digest); len(kept) > 0 {
		t.Errorf("kept %s of an image that is not verified", kept)
	}
	asked = 0
	result, requests, err := n.local("app:v1", warn)
	if err != nil || result.Unverified == nil || asked != 1 || len(requests) == 0 {
		t.Errorf("start: %v, %+v, the policy was asked %d times, the registry %d times", err, result, asked, len(requests))
	}
	warn.selection.Verifier = verifierOf(t, n.key)
	if result, _, err = n.local("app:v1", warn); err != nil || result.Unverified != nil {
		t.Errorf("a signature that is in the registry: %v, %+v", err, result)
	}
	anything := ruled{nil, verify.Selection{InsecureAcceptAnything: true}, &asked}
	if result, requests, err = n.local("app:v1", anything); err != nil || result.Unverified == nil || len(requests) > 0 {
		t.Errorf("anything: %v, %+v, %q", err, result, requests)
	}
}

// containerd can pull the referrers of an image with it, and keeps them as we do.
func TestReferrersThatContainerdPulledCount(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	image := n.publish("app:v1", "app", signing.Bundle)
	resolver := n.client.Resolver()
	provider := referrersOf(func(ctx context.Context, subject ocispec.Descriptor) ([]ocispec.Descriptor, error) {
		fetcher, err := resolver.Fetcher(ctx, n.reg.ref("app:v1"))
		if err != nil {
			return nil, err
		}
		return fetcher.(remotes.ReferrersFetcher).FetchReferrers(ctx, subject.Digest)
	})
	if _, err := n.cd.Pull(n.ctx, n.reg.ref("app:v1"), withResolver(resolver), containerd.WithReferrersProvider(provider)); err != nil {
		t.Fatal(err)
	}
	n.collect()
	n.wantOffline("app:v1", image)
}

type referrersOf func(context.Context, ocispec.Descriptor) ([]ocispec.Descriptor, error)

func (f referrersOf) Referrers(ctx context.Context, subject ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	return f(ctx, subject)
}
