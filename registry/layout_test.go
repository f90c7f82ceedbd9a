// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/errdefs"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	gcrlayout "github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sigstore/cosign/v2/pkg/cosign"
	"github.com/sigstore/cosign/v2/pkg/oci"
	cosignlayout "github.com/sigstore/cosign/v2/pkg/oci/layout"
	"github.com/sigstore/cosign/v2/pkg/oci/signed"
	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/registry/hooks"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

const (
	layoutRef        = "example.com/team/app:v1"
	layoutBundleType = "application/vnd.dev.sigstore.bundle.v0.3+json"
	annotationImage  = "io.containerd.image.name"
	annotationKind   = "kind"
	cosignKindPrefix = "dev.cosignproject.cosign/"
)

// ociDir is an image layout that a test makes by hand.
type ociDir struct {
	t   testing.TB
	dir string
	ocispec.Index
}

func newOCIDir(t testing.TB) *ociDir {
	t.Helper()
	o := &ociDir{t: t, dir: t.TempDir()}
	o.SchemaVersion = 2
	o.write(ocispec.ImageLayoutFile, `{"imageLayoutVersion":"1.0.0"}`)
	o.save()
	return o
}

func (o *ociDir) path(name string) string { return filepath.Join(o.dir, filepath.FromSlash(name)) }

func (o *ociDir) blobPath(d digest.Digest) string { return o.path("blobs/sha256/" + d.Encoded()) }

func (o *ociDir) write(name, text string) {
	o.t.Helper()
	if err := os.MkdirAll(filepath.Dir(o.path(name)), 0o755); err != nil {
		o.t.Fatal(err)
	}
	if err := os.WriteFile(o.path(name), []byte(text), 0o600); err != nil {
		o.t.Fatal(err)
	}
}

func (o *ociDir) blob(mediaType, text string) ocispec.Descriptor {
	o.t.Helper()
	d := digest.FromString(text)
	o.write("blobs/sha256/"+d.Encoded(), text)
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(text))}
}

// image makes an image, different for each text.
func (o *ociDir) image(text string) ocispec.Descriptor {
	o.t.Helper()
	layer := o.blob(ocispec.MediaTypeImageLayer, "layer of "+text)
	config := o.blob(ocispec.MediaTypeImageConfig, fmt.Sprintf(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[%q]}}`, layer.Digest))
	return o.blob(ocispec.MediaTypeImageManifest, fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]}`,
		ocispec.MediaTypeImageManifest, descJSON(config), descJSON(layer)))
}

// referrer makes a manifest that refers to subject.
func (o *ociDir) referrer(subject ocispec.Descriptor, artifactType, text string) ocispec.Descriptor {
	o.t.Helper()
	empty := o.blob(ocispec.MediaTypeEmptyJSON, "{}")
	return o.blob(ocispec.MediaTypeImageManifest, fmt.Sprintf(
		`{"schemaVersion":2,"mediaType":%q,"artifactType":%q,"config":%s,"layers":[%s],"subject":%s,"annotations":{"text":%q}}`,
		ocispec.MediaTypeImageManifest, artifactType, descJSON(empty), descJSON(empty), descJSON(subject), text))
}

// list adds an entry to index.json, with pairs of annotations.
func (o *ociDir) list(desc ocispec.Descriptor, annotations ...string) {
	o.t.Helper()
	desc.Annotations = map[string]string{}
	for pair := range slices.Chunk(annotations, 2) {
		desc.Annotations[pair[0]] = pair[1]
	}
	o.Manifests = append(o.Manifests, desc)
	o.save()
}

func (o *ociDir) save() {
	o.t.Helper()
	b, err := json.Marshal(o.Index)
	if err != nil {
		o.t.Fatal(err)
	}
	o.write(ocispec.ImageIndexFile, string(b))
}

func (o *ociDir) resolver() remotes.Resolver { return registry.LayoutResolver(o.dir) }

func layoutClient(t testing.TB, dir string) *registry.Client {
	t.Helper()
	return newClient(t, registry.Config{Resolver: registry.LayoutResolver(dir)})
}

func readLayoutIndex(t testing.TB, dir string) ocispec.Index {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, ocispec.ImageIndexFile))
	if err != nil {
		t.Fatal(err)
	}
	var index ocispec.Index
	if err := json.Unmarshal(b, &index); err != nil {
		t.Fatal(err)
	}
	return index
}

// TestLayoutNames: what names stand for. A case that returns nothing wants
// errdefs.ErrNotFound, or an error with text.
func TestLayoutNames(t *testing.T) {
	t.Parallel()
	const refName = ocispec.AnnotationRefName
	for name, c := range map[string]struct {
		ref  string
		make func(o *ociDir) (want ocispec.Descriptor)
		text string
	}{
		"the tag": {make: func(o *ociDir) ocispec.Descriptor {
			a, b := o.image("a"), o.image("b")
			o.list(a, refName, "v1")
			o.list(b, refName, "v2")
			return a
		}},
		"the full reference": {make: func(o *ociDir) ocispec.Descriptor {
			a, b := o.image("a"), o.image("b")
			o.list(b, refName, "v1")
			o.list(a, refName, layoutRef)
			return a
		}},
		"the short form of a full reference": {ref: "docker.io/library/app:v1", make: func(o *ociDir) ocispec.Descriptor {
			a := o.image("a")
			o.list(o.image("b"), refName, "other:v1")
			o.list(a, refName, "app:v1")
			return a
		}},
		"the name that containerd gives": {make: func(o *ociDir) ocispec.Descriptor {
			a := o.image("a")
			o.list(o.image("b"), refName, "v1", annotationImage, "example.com/team/other:v1")
			o.list(a, refName, "v1", annotationImage, layoutRef)
			return a
		}},
		"the tag of another name, if nothing fits better": {make: func(o *ociDir) ocispec.Descriptor {
			a := o.image("a")
			o.list(a, refName, "v1", annotationImage, "example.com/team/other:v1")
			o.list(o.image("b"), refName, "v2", annotationImage, "example.com/team/other:v2")
			return a
		}},
		"two entries of one image": {make: func(o *ociDir) ocispec.Descriptor {
			a := o.image("a")
			o.list(a, refName, "v1")
			o.list(a, refName, "v1", annotationKind, cosignKindPrefix+"image")
			return a
		}},
		"a name of two images": {text: "several images", make: func(o *ociDir) (none ocispec.Descriptor) {
			o.list(o.image("a"), refName, "v1")
			o.list(o.image("b"), refName, "v1")
			return none
		}},
		"no name and one image": {make: func(o *ociDir) ocispec.Descriptor {
			a := o.image("a")
			o.list(a)
			return a
		}},
		"no name and one image among what is attached to it": {make: func(o *ociDir) ocispec.Descriptor {
			a := o.image("a")
			o.list(o.image("sig"), refName, "sha256-"+a.Digest.Encoded()+".sig")
			o.list(o.image("sig of containerd"), annotationImage, "example.com/app:sha256-"+a.Digest.Encoded()+".sig")
			o.list(o.image("tag"), refName, "sha256-"+a.Digest.Encoded())
			o.list(o.image("sigs"), annotationKind, cosignKindPrefix+"sigs")
			o.list(o.image("atts"), annotationKind, cosignKindPrefix+"atts")
			o.list(o.referrer(a, layoutBundleType, "bundle"))
			o.list(o.blob("text/plain", "text"))
			o.list(a, annotationKind, cosignKindPrefix+"image")
			return a
		}},
		"another name and two images": {make: func(o *ociDir) (none ocispec.Descriptor) {
			o.list(o.image("a"), refName, "v2")
			o.list(o.image("b"), refName, "v3")
			return none
		}},
		"no images": {make: func(*ociDir) (none ocispec.Descriptor) { return none }},
		"signatures that one image does not have": {
			ref: "example.com/team/app:sha256-" + strings.Repeat("a", 64) + ".sig",
			make: func(o *ociDir) (none ocispec.Descriptor) {
				o.list(o.image("a"))
				return none
			},
		},
		"an index": {make: func(o *ociDir) ocispec.Descriptor {
			a := o.blob(ocispec.MediaTypeImageIndex, fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[]}`, ocispec.MediaTypeImageIndex))
			o.list(a)
			return a
		}},
		"a digest that is listed": {ref: "@", make: func(o *ociDir) ocispec.Descriptor {
			o.list(o.image("b"), refName, "v1")
			a := o.image("a")
			o.list(a)
			return a
		}},
		"a digest that is not listed": {ref: "@", make: func(o *ociDir) ocispec.Descriptor {
			o.list(o.image("b"))
			return o.image("a")
		}},
		"a tag and a digest": {ref: ":v1@", make: func(o *ociDir) ocispec.Descriptor {
			o.list(o.image("b"), refName, "v1")
			return o.image("a")
		}},
		"a digest of no blob": {ref: "example.com/app@sha256:" + strings.Repeat("a", 64), make: func(o *ociDir) (none ocispec.Descriptor) {
			o.list(o.image("a"))
			return none
		}},
		"the digest of a layer": {
			ref: "example.com/app@" + digest.FromString("text").String(),
			make: func(o *ociDir) (none ocispec.Descriptor) {
				o.blob(ocispec.MediaTypeImageLayer, "text")
				return none
			},
		},
		"the digest of a large layer": {
			ref: "example.com/app@" + digest.FromString(strings.Repeat("x", 5<<20)).String(),
			make: func(o *ociDir) (none ocispec.Descriptor) {
				o.blob(ocispec.MediaTypeImageLayer, strings.Repeat("x", 5<<20))
				return none
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOCIDir(t)
			want := c.make(o)
			ref := c.ref
			switch {
			case ref == "":
				ref = layoutRef
			case strings.HasSuffix(ref, "@"):
				ref = "example.com/team/app" + ref + want.Digest.String()
			}
			name, got, err := o.resolver().Resolve(t.Context(), ref)
			switch {
			case want.Digest != "":
				if err != nil || name != ref || got.Digest != want.Digest || got.Size != want.Size || got.MediaType != want.MediaType {
					t.Errorf("%s is %v, %v; want %v", name, got, err, want)
				}
			case c.text != "":
				wantText(t, err, c.text)
				if errdefs.IsNotFound(err) {
					t.Errorf("%v is not found", err)
				}
			case !errdefs.IsNotFound(err):
				t.Errorf("error is %v, want not found", err)
			}
		})
	}
}

func TestLayoutReferrers(t *testing.T) {
	t.Parallel()
	o := newOCIDir(t)
	a, b := o.image("a"), o.image("b")
	bundle, sbom, other := o.referrer(a, layoutBundleType, "1"), o.referrer(a, "application/spdx+json", "2"), o.referrer(b, layoutBundleType, "3")
	tagged := o.referrer(a, "", "4") // the type is that of its configuration
	unlisted := o.referrer(a, layoutBundleType, "5")
	o.list(a, annotationKind, cosignKindPrefix+"image")
	o.list(b)
	o.list(bundle)
	o.list(bundle, ocispec.AnnotationRefName, "twice")
	o.list(sbom)
	o.list(other)
	o.list(tagged, ocispec.AnnotationRefName, "artifact")
	gone := o.referrer(a, "application/spdx+json", "6")
	gone.ArtifactType = "application/spdx+json"
	o.list(gone)
	o.Manifests[len(o.Manifests)-1].ArtifactType = gone.ArtifactType
	o.save()
	if err := os.Remove(o.blobPath(gone.Digest)); err != nil {
		t.Fatal(err)
	}
	fetch := func(d digest.Digest, opts ...remotes.FetchReferrersOpt) []string {
		t.Helper()
		fetcher, err := o.resolver().Fetcher(t.Context(), layoutRef)
		if err != nil {
			t.Fatal(err)
		}
		found, err := fetcher.(remotes.ReferrersFetcher).FetchReferrers(t.Context(), d, opts...)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, desc := range found {
			all = append(all, desc.Annotations["text"]+" "+desc.ArtifactType)
		}
		slices.Sort(all)
		return all
	}
	for name, c := range map[string]struct{ got, want []string }{
		"listed, and unlisted where cosign saved": {fetch(a.Digest), []string{"1 " + layoutBundleType, "2 application/spdx+json", "4 " + ocispec.MediaTypeEmptyJSON, "5 " + layoutBundleType}},
		"listed": {fetch(b.Digest), []string{"3 " + layoutBundleType}},
		"none":   {fetch(unlisted.Digest), nil},
		"filtered": {fetch(a.Digest, remotes.WithReferrerArtifactTypes("application/spdx+json")),
			[]string{"2 application/spdx+json"}},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s: %q, want %q", name, c.got, c.want)
		}
	}
}

// TestLayoutFlow pushes, signs, verifies and pulls in a directory, without
// network.
func TestLayoutFlow(t *testing.T) {
	t.Parallel()
	for _, form := range []signing.Form{signing.Bundle, signing.Legacy, signing.Both} {
		for _, kind := range []string{"image", "index"} {
			t.Run(string(form)+" "+kind, func(t *testing.T) {
				t.Parallel()
				dir := filepath.Join(t.TempDir(), "new", "layout")
				c, key := layoutClient(t, dir), newKey(t)
				cd, ctx := newStore(t)
				target := putImage(ctx, t, cd, "app")
				if kind == "index" {
					target = putIndex(ctx, t, cd, target, putImage(ctx, t, cd, "arm"))
				}
				if _, err := hooks.Push(ctx, c, cd.Client, layoutRef, target, signerOf(t, key), nil, registry.WithForm(form)); err != nil {
					t.Fatal(err)
				}
				// Another signer, who finds it by name.
				second := newKey(t)
				if _, err := c.Sign(ctx, layoutRef, signerOf(t, second), registry.WithForm(form)); err != nil {
					t.Fatal(err)
				}
				for _, k := range []*ecdsa.PrivateKey{key, second} {
					result, err := c.Verify(ctx, layoutRef, verifierOf(t, k))
					if err != nil || result.Image.Target.Digest != target.Digest {
						t.Fatal(result, err)
					}
				}
				_, err := c.Verify(ctx, layoutRef, verifierOf(t, newKey(t)))
				wantFamily(t, err, verify.ErrRejected)

				elsewhere, ctx := newStore(t)
				pulled, _, err := hooks.Pull(ctx, c, elsewhere.Client, layoutRef, verifierOf(t, second), nil)
				if err != nil || pulled.Target().Digest != target.Digest {
					t.Fatal(pulled, err)
				}
				wantNoTemporary(t, dir)

				// What cosign's own code makes of the directory.
				_, _, err = cosign.VerifyLocalImageSignatures(ctx, dir, cosignOptions(t, key))
				if form == signing.Bundle {
					wantText(t, err, "no signatures") // it does not look for bundles
				} else if err != nil {
					t.Error("cosign:", err)
				}
			})
		}
	}
}

func cosignOptions(t *testing.T, key *ecdsa.PrivateKey) *cosign.CheckOpts {
	t.Helper()
	verifier, err := signature.LoadVerifier(key.Public(), crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return &cosign.CheckOpts{SigVerifier: verifier, IgnoreTlog: true, ClaimVerifier: cosign.SimpleClaimVerifier}
}

func wantNoTemporary(t *testing.T, dir string) {
	t.Helper()
	for _, pattern := range []string{".*", "blobs/sha256/.*"} {
		if left, _ := filepath.Glob(filepath.Join(dir, pattern)); len(left) > 0 {
			t.Errorf("left behind: %s", left)
		}
	}
}

// TestLayoutSavedByCosign has cosign's own code save what is verified and then
// signed once more. Version 3 of the command saves each bundle like an image,
// with an index.json of its own, which the image's then replaces.
func TestLayoutSavedByCosign(t *testing.T) {
	t.Parallel()
	for _, form := range []signing.Form{signing.Bundle, signing.Legacy} {
		t.Run(string(form), func(t *testing.T) {
			t.Parallel()
			first, key, second := newOCIDir(t), newKey(t), newKey(t)
			first.list(first.image("a"))
			attached, err := layoutClient(t, first.dir).Sign(t.Context(), layoutRef, signerOf(t, key), registry.WithForm(form))
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			saveWithCosign(t, first.dir, dir, form, attached[0])
			for _, desc := range readLayoutIndex(t, dir).Manifests {
				if desc.Annotations[ocispec.AnnotationRefName] != "" || desc.Digest == attached[0].Manifest.Digest && form == signing.Bundle {
					t.Fatalf("cosign lists %v; is this test still about what it saves?", desc)
				}
			}

			c := layoutClient(t, dir)
			if _, err := c.Verify(t.Context(), layoutRef, verifierOf(t, key)); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Sign(t.Context(), layoutRef, signerOf(t, second), registry.WithForm(form)); err != nil {
				t.Fatal(err)
			}
			for _, k := range []*ecdsa.PrivateKey{key, second} {
				if _, err := c.Verify(t.Context(), layoutRef, verifierOf(t, k)); err != nil {
					t.Error(err)
				}
				if form == signing.Legacy {
					if _, _, err := cosign.VerifyLocalImageSignatures(t.Context(), dir, cosignOptions(t, k)); err != nil {
						t.Error("cosign:", err)
					}
				}
			}
		})
	}
}

// saveWithCosign does what the command does when it saves from a registry.
func saveWithCosign(t *testing.T, from, to string, form signing.Form, attached registry.Attached) {
	t.Helper()
	index, err := cosignlayout.SignedImageIndex(from)
	if err != nil {
		t.Fatal(err)
	}
	source, err := gcrlayout.FromPath(from)
	if err != nil {
		t.Fatal(err)
	}
	image, err := source.Image(v1.Hash{Algorithm: "sha256", Hex: attached.Subject.Encoded()})
	if err != nil {
		t.Fatal(err)
	}
	if form == signing.Bundle {
		bundle, err := source.Image(v1.Hash{Algorithm: "sha256", Hex: attached.Manifest.Digest.Encoded()})
		if err != nil {
			t.Fatal(err)
		}
		if err := cosignlayout.WriteSignedImage(to, signed.Image(bundle)); err != nil {
			t.Fatal(err)
		}
	}
	if err := cosignlayout.WriteSignedImage(to, savedImage{signed.Image(image), index}); err != nil {
		t.Fatal(err)
	}
}

// savedImage is an image with the signatures that cosign found beside it.
type savedImage struct {
	oci.SignedImage
	index oci.SignedImageIndex
}

func (s savedImage) Signatures() (oci.Signatures, error) {
	if found, err := s.index.Signatures(); found != nil || err != nil {
		return found, err
	}
	return s.SignedImage.Signatures()
}

// TestLayoutReplacesTags: a name moves to what is pushed, entries keep the way
// in which they spell it, and cosign is shown the signatures of its image only.
func TestLayoutReplacesTags(t *testing.T) {
	t.Parallel()
	o, key := newOCIDir(t), newKey(t)
	o.list(o.image("other"), ocispec.AnnotationRefName, "v1", annotationImage, "example.com/other:v1")
	o.list(o.image("old"), ocispec.AnnotationRefName, layoutRef)
	c := layoutClient(t, o.dir)
	cd, ctx := newStore(t)
	if _, err := c.Sign(ctx, layoutRef, signerOf(t, key), registry.WithForm(signing.Legacy)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := cosign.VerifyLocalImageSignatures(ctx, o.dir, cosignOptions(t, key)); err != nil {
		t.Fatal(err)
	}
	target := putImage(ctx, t, cd, "new")
	for range 2 { // the second time nothing is new
		if _, err := hooks.Push(ctx, c, cd.Client, layoutRef, target, signerOf(t, key), nil, registry.WithForm(signing.Legacy)); err != nil {
			t.Fatal(err)
		}
	}
	var names, kinds []string
	for _, desc := range readLayoutIndex(t, o.dir).Manifests {
		names = append(names, desc.Annotations[ocispec.AnnotationRefName])
		if kind := desc.Annotations[annotationKind]; kind != "" {
			kinds = append(kinds, strings.TrimPrefix(kind, cosignKindPrefix))
		}
		if desc.Annotations[ocispec.AnnotationRefName] == layoutRef && desc.Digest != target.Digest {
			t.Errorf("%s is %s, want %s", layoutRef, desc.Digest, target.Digest)
		}
	}
	slices.Sort(names)
	slices.Sort(kinds)
	if len(names) != 4 || names[0] != layoutRef || names[3] != "v1" {
		t.Errorf("names are %q, want two of images and two of signatures", names)
	}
	if !slices.Equal(kinds, []string{"image", "sigs"}) {
		t.Errorf("cosign is shown %q, want one image and its signatures", kinds)
	}
	if _, _, err := cosign.VerifyLocalImageSignatures(ctx, o.dir, cosignOptions(t, key)); err != nil {
		t.Error("cosign:", err)
	}
}

// TestLayoutReferrersTag: some tools keep referrers as in a registry without the
// API, and list only the index of them.
func TestLayoutReferrersTag(t *testing.T) {
	t.Parallel()
	o, key, second := newOCIDir(t), newKey(t), newKey(t)
	image := o.image("a")
	o.list(image)
	c := layoutClient(t, o.dir)
	attached, err := c.Sign(t.Context(), layoutRef, signerOf(t, key))
	if err != nil {
		t.Fatal(err)
	}
	tag := o.blob(ocispec.MediaTypeImageIndex, fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`,
		ocispec.MediaTypeImageIndex, descJSON(attached[0].Manifest)))
	o.list(tag, ocispec.AnnotationRefName, "sha256-"+image.Digest.Encoded())
	result, err := c.Verify(t.Context(), layoutRef, verifierOf(t, key))
	if err != nil {
		t.Fatal(err)
	}
	if source := result.Signatures[0].Origin.Source; source != verify.SourceReferrersTag {
		t.Errorf("found by the %s, want the referrers tag", source)
	}
	attached, err = c.Sign(t.Context(), layoutRef, signerOf(t, second))
	if err != nil || attached[0].Source != verify.SourceReferrersTag {
		t.Fatal(attached, err)
	}
	for _, k := range []*ecdsa.PrivateKey{key, second} {
		if _, err := c.Verify(t.Context(), layoutRef, verifierOf(t, k)); err != nil {
			t.Error(err)
		}
	}
}

// TestLayoutSignsWhatIsNotListed: the manifest of one platform.
func TestLayoutSignsWhatIsNotListed(t *testing.T) {
	t.Parallel()
	o, key := newOCIDir(t), newKey(t)
	child := o.image("amd64")
	o.list(o.blob(ocispec.MediaTypeImageIndex, fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, ocispec.MediaTypeImageIndex, descJSON(child))))
	c := layoutClient(t, o.dir)
	ref := "example.com/team/app@" + child.Digest.String()
	if _, err := c.Sign(t.Context(), ref, signerOf(t, key), registry.WithForm(signing.Both)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Verify(t.Context(), ref, verifierOf(t, key)); err != nil {
		t.Error(err)
	}
	_, err := c.Verify(t.Context(), layoutRef, verifierOf(t, key))
	wantFamily(t, err, verify.ErrRejected) // the index is not signed
}

func TestLayoutPusher(t *testing.T) {
	t.Parallel()
	manifest := func(text string) (ocispec.Descriptor, string) {
		b := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"annotations":{"text":%q}}`, ocispec.MediaTypeImageManifest, text)
		return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(b), Size: int64(len(b))}, b
	}
	a, aText := manifest("a")
	b, bText := manifest("b")
	for name, c := range map[string]struct {
		ref  string
		want []digest.Digest // what has the name v1
	}{
		"a tag":              {"example.com/app:v1", []digest.Digest{b.Digest}},
		"a tag and a digest": {"example.com/app:v1@" + a.Digest.String(), []digest.Digest{a.Digest}},
		"a digest":           {"example.com/app@" + a.Digest.String(), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			pusher, err := registry.LayoutResolver(dir).Pusher(t.Context(), c.ref)
			if err != nil {
				t.Fatal(err)
			}
			pushText(t, pusher, a, aText)
			pushText(t, pusher, b, bText)
			var got []digest.Digest
			for _, desc := range readLayoutIndex(t, dir).Manifests {
				if desc.Annotations[ocispec.AnnotationRefName] == "v1" {
					got = append(got, desc.Digest)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("v1 is %s, want %s", got, c.want)
			}
		})
	}
}

func pushText(t *testing.T, pusher remotes.Pusher, desc ocispec.Descriptor, text string) {
	t.Helper()
	w, err := pusher.Push(t.Context(), desc)
	if err == nil {
		defer w.Close()
		err = content.Copy(t.Context(), w, strings.NewReader(text), desc.Size, desc.Digest)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestLayoutWriter(t *testing.T) {
	t.Parallel()
	const text = "content"
	desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromString(text), Size: int64(len(text))}
	for name, c := range map[string]struct {
		write func(ctx context.Context, w content.Writer) error
		text  string // of the error; empty if the blob is to be there
	}{
		"in pieces": {func(ctx context.Context, w content.Writer) error {
			_, err := io.WriteString(w, text[:3])
			_, second := io.WriteString(w, text[3:])
			status, third := w.Status()
			if status.Offset != desc.Size || status.Total != desc.Size || w.Digest() != desc.Digest {
				third = fmt.Errorf("status %+v", status)
			}
			return errors.Join(err, second, third, w.Commit(ctx, desc.Size, desc.Digest))
		}, ""},
		"from the beginning again": {func(ctx context.Context, w content.Writer) error {
			_, err := io.WriteString(w, "wrong")
			second := w.Truncate(0)
			_, third := io.WriteString(w, text)
			return errors.Join(err, second, third, w.Commit(ctx, 0, ""))
		}, ""},
		"other content": {func(ctx context.Context, w content.Writer) error {
			_, err := io.WriteString(w, strings.ToUpper(text))
			return errors.Join(err, w.Commit(ctx, desc.Size, desc.Digest))
		}, "has digest"},
		"too much": {func(_ context.Context, w content.Writer) error {
			_, err := io.WriteString(w, text+"!")
			return err
		}, "more than 7 bytes"},
		"too little": {func(ctx context.Context, w content.Writer) error {
			_, err := io.WriteString(w, text[:3])
			return errors.Join(err, w.Commit(ctx, 0, ""))
		}, "does not match its descriptor"},
		"another digest": {func(ctx context.Context, w content.Writer) error {
			_, err := io.WriteString(w, text)
			return errors.Join(err, w.Commit(ctx, 0, digest.FromString("other")))
		}, "does not match its descriptor"},
		"a context that ended": {func(ctx context.Context, w content.Writer) error {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			_, err := io.WriteString(w, text)
			return errors.Join(err, w.Commit(ctx, desc.Size, desc.Digest))
		}, "context canceled"},
		"after it was closed": {func(ctx context.Context, w content.Writer) error {
			_, err := io.WriteString(w, text)
			return errors.Join(err, w.Close(), w.Commit(ctx, desc.Size, desc.Digest))
		}, "writer is closed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			pusher, err := registry.LayoutResolver(dir).Pusher(t.Context(), layoutRef)
			if err != nil {
				t.Fatal(err)
			}
			w, err := pusher.Push(t.Context(), desc)
			if err != nil {
				t.Fatal(err)
			}
			err = c.write(t.Context(), w)
			if c.text != "" {
				wantText(t, err, c.text)
			} else if err != nil {
				t.Error(err)
			}
			for range 2 {
				if err := w.Close(); err != nil {
					t.Error(err)
				}
			}
			got, err := os.ReadFile(filepath.Join(dir, "blobs", "sha256", desc.Digest.Encoded()))
			if is := err == nil && string(got) == text; is != (c.text == "") {
				t.Errorf("the blob is %q, %v", got, err)
			}
			wantNoTemporary(t, dir)
		})
	}
}

// TestLayoutBlobIsThere: what is there is not written again, unless it is
// broken.
func TestLayoutBlobIsThere(t *testing.T) {
	t.Parallel()
	o := newOCIDir(t)
	desc := o.blob(ocispec.MediaTypeImageLayer, "content")
	pusher, err := o.resolver().Pusher(t.Context(), layoutRef)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pusher.Push(t.Context(), desc); !errdefs.IsAlreadyExists(err) {
		t.Errorf("error is %v, want that it exists", err)
	}
	for _, broken := range []string{"CONTENT", "con"} {
		o.write("blobs/sha256/"+desc.Digest.Encoded(), broken)
		pushText(t, pusher, desc, "content")
		if b, err := os.ReadFile(o.blobPath(desc.Digest)); string(b) != "content" {
			t.Errorf("blob is %q, %v", b, err)
		}
	}
}
