// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	goldenfiles "github.com/cosignkit/cosignkit/internal/golden"
	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/trust"
)

// vectorSet is testdata/golden, with the trusted root of all vectors.
type vectorSet struct {
	*goldenfiles.Set
	roots *verify.TrustedRoot
}

var openVectors = sync.OnceValues(func() (vectorSet, error) {
	set, err := goldenfiles.Open("../testdata/golden")
	if err != nil {
		return vectorSet{}, err
	}
	roots, err := trust.Load(set.TrustedRoot())
	return vectorSet{set, roots}, err
})

func vectors(t testing.TB) vectorSet {
	t.Helper()
	set, err := openVectors()
	if err != nil {
		t.Fatal(err)
	}
	if len(set.Vectors) == 0 {
		t.Fatal("no vectors")
	}
	return set
}

// verifier asks for everything that the vector says.
func (s vectorSet) verifier(t *testing.T, v goldenfiles.Vector) verify.Verifier {
	t.Helper()
	policy, err := s.Policy(v, s.roots)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := verify.New(policy)
	if err != nil {
		t.Fatal(err)
	}
	return verifier
}

// wantVerified holds that the image and all that is signed with it is accepted,
// by its name and by the digest of each.
func wantVerified(ctx context.Context, t *testing.T, c *registry.Client, v goldenfiles.Vector, repository string, verifier verify.Verifier) {
	t.Helper()
	accepted := func(ref string, want digest.Digest, signatures int, opts ...registry.VerifyOption) {
		t.Helper()
		result, err := c.Verify(ctx, ref, verifier, opts...)
		if err != nil {
			t.Errorf("%s: %v", ref, err)
			return
		}
		if got := result.Image.Target.Digest; !result.Accepted || got != want || result.Matched.Digest != want {
			t.Errorf("%s: accepted %t, image %s, matched %s, want %s", ref, result.Accepted, got, result.Matched.Digest, want)
		}
		if len(result.Signatures) != signatures {
			t.Errorf("%s: %d signatures, want %d", ref, len(result.Signatures), signatures)
		}
		for _, s := range result.Signatures {
			if s.Err != nil {
				t.Errorf("%s: a signature does not verify: %v", ref, s.Err)
			}
		}
	}
	byTag := repository + ":" + goldenfiles.ImageName
	accepted(byTag, v.Digest, v.Signers)
	for _, d := range v.Signed {
		accepted(repository+"@"+d.String(), d, v.Signers, registry.WithEverySignature())
	}
	if v.Recursive {
		accepted(byTag, v.Digest, v.Signers*len(v.Signed), registry.WithEveryPlatform())
	}
}

// TestVectorsVerifyInLayouts verifies every vector where it is.
func TestVectorsVerifyInLayouts(t *testing.T) {
	t.Parallel()
	set := vectors(t)
	for _, v := range set.Vectors {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, registry.Config{Resolver: registry.LayoutResolver(set.Layout(v))})
			wantVerified(t.Context(), t, c, v, v.Repository, set.verifier(t, v))
		})
	}
}

// TestVectorsVerifyInRegistries verifies a vector of each kind in a registry like
// the one that it was signed in, with the referrers API or without.
func TestVectorsVerifyInRegistries(t *testing.T) {
	t.Parallel()
	set := vectors(t)
	seen := map[string]bool{}
	for _, v := range set.Vectors {
		kind := v.Tool + string(v.Form) + string(v.Referrers)
		if v.Recursive {
			kind += " recursive"
		}
		if seen[kind] {
			continue
		}
		seen[kind] = true
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			reg := newTestRegistry(t, v.Referrers == goldenfiles.ByAPI)
			pushLayout(t, reg, "team/app", set.Layout(v))
			wantVerified(t.Context(), t, newClient(t, registry.Config{}), v, reg.ref("team/app"), set.verifier(t, v))
		})
	}
	for _, referrers := range []goldenfiles.Referrers{goldenfiles.ByAPI, goldenfiles.ByTag} {
		for _, form := range []goldenfiles.Form{goldenfiles.OCI11, goldenfiles.Bundle} {
			if !seen["cosign v3.1.3"+string(form)+string(referrers)] {
				t.Errorf("no vector of the form %s with referrers by %s", form, referrers)
			}
		}
	}
}

// pushLayout puts what is in a layout into a registry, past everything under
// test: each name as a tag, and what has none by its digest.
func pushLayout(t *testing.T, reg *testRegistry, repository, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, ocispec.ImageBlobsDir, "sha256", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("blobs of %s: %v, %v", dir, files, err)
	}
	for _, file := range files {
		d := digest.NewDigestFromEncoded(digest.SHA256, filepath.Base(file))
		sendFile(t, http.MethodPost, reg.url+"/v2/"+repository+"/blobs/uploads/?digest="+d.String(), "application/octet-stream", file)
	}
	var pushAll func(path string)
	push := func(desc ocispec.Descriptor) {
		path := goldenfiles.BlobPath(dir, desc.Digest)
		if desc.MediaType == ocispec.MediaTypeImageIndex {
			pushAll(path)
		}
		reference := desc.Digest.String()
		if tag := desc.Annotations[ocispec.AnnotationRefName]; tag != "" {
			reference = tag
		}
		sendFile(t, http.MethodPut, reg.url+"/v2/"+repository+"/manifests/"+reference, desc.MediaType, path)
	}
	pushAll = func(path string) {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var index ocispec.Index
		if err := json.Unmarshal(content, &index); err != nil {
			t.Fatal(err)
		}
		for _, desc := range index.Manifests {
			push(desc)
		}
	}
	pushAll(filepath.Join(dir, ocispec.ImageIndexFile))
}

func sendFile(t *testing.T, method, url, contentType, file string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", contentType)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		t.Fatalf("%s %s: %s", method, url, response.Status)
	}
}
