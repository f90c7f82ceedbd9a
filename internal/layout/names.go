// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package layout

import (
	"cmp"
	"errors"
	"maps"
	"regexp"
	"slices"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// annotationImageName holds a full reference; containerd and BuildKit write it.
const annotationImageName = "io.containerd.image.name"

// The annotation by which cosign knows what it saved, see
// https://github.com/sigstore/cosign/blob/v2.6.5/pkg/oci/layout/index.go.
const (
	annotationKind = "kind"
	kindImage      = "dev.cosignproject.cosign/image"
	kindImageIndex = "dev.cosignproject.cosign/imageIndex"
	kindSignatures = "dev.cosignproject.cosign/sigs"
)

// kinds are those of what belongs to an image, by the suffix of cosign's tags.
var kinds = map[string]string{
	".sig":  kindSignatures,
	".att":  "dev.cosignproject.cosign/atts",
	".sbom": "dev.cosignproject.cosign/sbom",
}

// ErrAmbiguous is the cause when a name stands for several images.
var ErrAmbiguous = errors.New("the layout has several images of this name")

var attachedTag = regexp.MustCompile(`^sha256-([0-9a-f]{64})(\.[a-z]+)?$`)

// AttachedTo returns the digest of the image that a tag is about: the referrers
// tag sha256-<hex>, or one of cosign's, such as sha256-<hex>.sig.
func AttachedTo(tag string) (d digest.Digest, suffix string, ok bool) {
	m := attachedTag.FindStringSubmatch(tag)
	if m == nil {
		return "", "", false
	}
	return digest.NewDigestFromEncoded(digest.SHA256, m[1]), m[2], true
}

// IsAttached tells from its descriptor whether an entry belongs to an image, and
// is none.
func IsAttached(desc ocispec.Descriptor) bool {
	for _, kind := range kinds {
		if desc.Annotations[annotationKind] == kind {
			return true
		}
	}
	for _, name := range []string{desc.Annotations[ocispec.AnnotationRefName], desc.Annotations[annotationImageName]} {
		if _, _, ok := AttachedTo(name); ok {
			return true
		}
		if named := parseName(name); named != nil {
			if _, _, ok := AttachedTo(tagOf(named)); ok {
				return true
			}
		}
	}
	return false
}

// match says how well an entry fits a name.
type match int

const (
	noMatch match = iota
	// matchForeign: the tag fits, and the entry has a full name, which does not.
	matchForeign
	matchTag
	matchFull
)

func matches(desc ocispec.Descriptor, name reference.NamedTagged) match {
	refName, imageName := desc.Annotations[ocispec.AnnotationRefName], desc.Annotations[annotationImageName]
	switch {
	case !IsManifest(desc.MediaType):
		return noMatch
	case isName(imageName, name), isName(refName, name):
		return matchFull
	case refName != name.Tag():
		return noMatch
	case imageName != "":
		return matchForeign
	default:
		return matchTag
	}
}

func isName(s string, name reference.NamedTagged) bool {
	named := parseName(s)
	return named != nil && named.String() == name.String()
}

// parseName parses a reference with a tag, as Docker's users write them.
func parseName(s string) reference.Named {
	named, err := reference.ParseNormalizedNamed(s)
	if err != nil || reference.IsNameOnly(named) {
		return nil
	}
	return named
}

func tagOf(named reference.Named) string {
	if tagged, ok := named.(reference.Tagged); ok {
		return tagged.Tag()
	}
	return ""
}

// Find returns the entry that name stands for, by the full name or else by its
// tag, or nil. What cosign saved as the signatures of an image has no name, and
// is found under the tag of theirs.
func Find(index ocispec.Index, name reference.NamedTagged) (*ocispec.Descriptor, error) {
	for _, wanted := range []match{matchFull, matchTag, matchForeign} {
		found, err := one(index, func(d ocispec.Descriptor) bool { return matches(d, name) == wanted })
		if found != nil || err != nil {
			return found, err
		}
	}
	d, suffix, ok := AttachedTo(name.Tag())
	if !ok || kinds[suffix] == "" || d != cosignImage(index) {
		return nil, nil
	}
	return one(index, func(d ocispec.Descriptor) bool { return isUnnamed(d, kinds[suffix]) })
}

func one(index ocispec.Index, fits func(ocispec.Descriptor) bool) (*ocispec.Descriptor, error) {
	var found *ocispec.Descriptor
	for i, desc := range index.Manifests {
		switch {
		case !fits(desc):
		case found == nil:
			found = &index.Manifests[i]
		case found.Digest != desc.Digest:
			return nil, ErrAmbiguous
		}
	}
	return found, nil
}

func isUnnamed(desc ocispec.Descriptor, kind string) bool {
	return desc.Annotations[annotationKind] == kind && !IsNamed(desc) && IsManifest(desc.MediaType)
}

// IsCosignImage reports whether d is the image that cosign takes the layout for.
func IsCosignImage(index ocispec.Index, d digest.Digest) bool { return cosignImage(index) == d }

// cosignImage returns the digest of the image that cosign takes the layout for:
// the first index that is marked, or else the first manifest.
func cosignImage(index ocispec.Index) digest.Digest {
	for _, kind := range []string{kindImageIndex, kindImage} {
		for _, desc := range index.Manifests {
			if desc.Annotations[annotationKind] == kind && desc.Digest.Validate() == nil {
				return desc.Digest
			}
		}
	}
	return ""
}

// Tag gives name to desc, in the place of what had it. An entry keeps the way in
// which it spells the name. The subject is empty for what refers to nothing.
func Tag(index *ocispec.Index, name reference.NamedTagged, subject digest.Digest, desc ocispec.Descriptor) {
	nameCosigns(index)
	best := matchTag // what has another full name keeps its tag
	for _, have := range index.Manifests {
		best = max(best, matches(have, name))
	}
	desc = annotated(desc, ocispec.AnnotationRefName, name.Tag())
	entries := index.Manifests[:0:0]
	placed := false
	for _, have := range index.Manifests {
		if matches(have, name) != best {
			entries = append(entries, have)
			continue
		}
		if have.Digest == desc.Digest {
			have.MediaType, have.Size = desc.MediaType, desc.Size
		} else {
			have = renamed(desc, have)
		}
		if !placed {
			entries, placed = append(entries, have), true
		}
	}
	if !placed {
		entries = append(entries, desc)
	}
	index.Manifests = entries
	if image, _, attached := AttachedTo(name.Tag()); attached {
		subject = image
	}
	markForCosign(index, cmp.Or(subject, desc.Digest))
}

// renamed returns desc with the names of have.
func renamed(desc, have ocispec.Descriptor) ocispec.Descriptor {
	for _, key := range []string{ocispec.AnnotationRefName, annotationImageName} {
		desc = annotated(desc, key, have.Annotations[key])
	}
	return desc
}

// List adds the referrer desc of subject, if it is not there.
func List(index *ocispec.Index, subject digest.Digest, desc ocispec.Descriptor) {
	nameCosigns(index)
	if !slices.ContainsFunc(index.Manifests, func(have ocispec.Descriptor) bool {
		return have.Digest == desc.Digest && have.Size == desc.Size && have.MediaType == desc.MediaType
	}) {
		index.Manifests = append(index.Manifests, desc)
	}
	markForCosign(index, subject)
}

// Plain returns desc without the annotations that say what it is in a layout. A
// manifest does not say that of itself.
func Plain(desc ocispec.Descriptor) ocispec.Descriptor {
	for _, key := range []string{annotationKind, annotationImageName, ocispec.AnnotationRefName} {
		desc = annotated(desc, key, "")
	}
	return desc
}

// nameCosigns gives a name to what cosign saved, so that it stays with its
// image when the layout gets another one.
func nameCosigns(index *ocispec.Index) {
	image := cosignImage(*index)
	if image == "" {
		return
	}
	for suffix, kind := range kinds {
		fits := func(d ocispec.Descriptor) bool { return isUnnamed(d, kind) }
		if _, err := one(*index, fits); err != nil {
			continue
		}
		for i, desc := range index.Manifests {
			if fits(desc) {
				index.Manifests[i] = annotated(desc, ocispec.AnnotationRefName, image.Algorithm().String()+"-"+image.Encoded()+suffix)
			}
		}
	}
}

// markForCosign has cosign take the layout for the image, unless it has one
// already, and read the signatures of the image that it takes it for. Cosign
// knows layouts of one image, and reads the first entry of each kind: where an
// entry does not say whose it is, cosign would take it for this image's.
func markForCosign(index *ocispec.Index, image digest.Digest) {
	if cosignImage(*index) == "" && !slices.ContainsFunc(index.Manifests, isStray) {
		for i, desc := range index.Manifests {
			if desc.Digest == image && IsManifest(desc.MediaType) && !IsAttached(desc) {
				kind := kindImage
				if images.IsIndexType(desc.MediaType) {
					kind = kindImageIndex
				}
				index.Manifests[i] = annotated(desc, annotationKind, kind)
				break
			}
		}
	}
	current := cosignImage(*index)
	for i, desc := range index.Manifests {
		subject, suffix, ok := AttachedTo(desc.Annotations[ocispec.AnnotationRefName])
		if kind := kinds[suffix]; ok && kind != "" && subject == current {
			index.Manifests[i] = annotated(desc, annotationKind, kind)
		} else if ok && kind != "" {
			index.Manifests[i] = annotated(desc, annotationKind, "")
		}
	}
}

// isStray reports whether an entry has a kind of what belongs to an image, and no
// tag that tells to which.
func isStray(desc ocispec.Descriptor) bool {
	_, suffix, _ := AttachedTo(desc.Annotations[ocispec.AnnotationRefName])
	if kinds[suffix] != "" {
		return false
	}
	for _, kind := range kinds {
		if desc.Annotations[annotationKind] == kind {
			return true
		}
	}
	return false
}

// annotated returns desc with another annotation, or without it.
func annotated(desc ocispec.Descriptor, key, value string) ocispec.Descriptor {
	all := map[string]string{}
	maps.Copy(all, desc.Annotations)
	all[key] = value
	if value == "" {
		delete(all, key)
	}
	desc.Annotations = all
	return desc
}

// IsNamed reports whether an entry has a name, of any kind.
func IsNamed(desc ocispec.Descriptor) bool {
	return desc.Annotations[ocispec.AnnotationRefName] != "" || desc.Annotations[annotationImageName] != ""
}
