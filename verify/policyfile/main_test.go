// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package policyfile_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.uber.org/goleak"

	"github.com/cosignkit/cosignkit/internal/fault/faulttest"
	"github.com/cosignkit/cosignkit/internal/golden"
	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/policyfile"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The images of these tests are among those that releases of cosign signed.
const (
	byKey      = "v2.6.5-bundle-p256"              // no log
	byTwoKeys  = "v2.6.5-bundle-p256-and-rsa-2048" // no log
	byIdentity = "v2.6.5-bundle-keyless-rekor-v1"
	legacyLog  = "v2.2.4-legacy-p256-rekor-v1"
)

var goldenSet = sync.OnceValues(func() (*golden.Set, error) { return golden.Open("../../testdata/golden") })

// signed returns an image that a release signed, under another name, and its
// signatures.
func signed(t testing.TB, vector, name string) (verify.Image, []verify.Candidate) {
	t.Helper()
	set, err := goldenSet()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range set.Vectors {
		if v.Name != vector {
			continue
		}
		signatures, err := set.Signatures(v, v.Digest)
		if err != nil {
			t.Fatal(err)
		}
		var candidates []verify.Candidate
		for _, s := range signatures {
			candidates = append(candidates, verify.Candidate{Bundle: s.Bundle, Payload: s.Payload, Annotations: s.Annotations})
		}
		if len(candidates) == 0 {
			t.Fatalf("%s has no signatures", vector)
		}
		if name == "" {
			name = v.Repository + ":latest"
		}
		return verify.Image{Name: name, Target: ocispec.Descriptor{Digest: v.Digest, MediaType: ocispec.MediaTypeImageManifest, Size: 1}}, candidates
	}
	t.Fatalf("no vector %s", vector)
	return verify.Image{}, nil
}

// signedAt is the registry that the golden images were signed in, in the policies
// of tests. Each time that they are made it has another port.
const signedAt = "127.0.0.1:45585"

// testdata makes names in policies of tests absolute: KEYS is the directory of
// golden keys, ROOT the trusted root of golden files.
func testdata(t testing.TB, policy string) string {
	t.Helper()
	set, err := goldenSet()
	if err != nil {
		t.Fatal(err)
	}
	registry, _, _ := strings.Cut(set.Vectors[0].Repository, "/")
	dir, err := filepath.Abs("../../testdata/golden")
	if err != nil {
		t.Fatal(err)
	}
	dir = filepath.ToSlash(dir)
	return strings.NewReplacer(
		"KEYS/", dir+"/keys/cosign-v2.6.5-", "ROOT", dir+"/trusted_root.json", signedAt, registry,
	).Replace(policy)
}

func mustParse(t testing.TB, policy string, config policyfile.Config) *policyfile.Policy {
	t.Helper()
	p, err := policyfile.Parse([]byte(testdata(t, policy)), t.TempDir(), config)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// decide is what package registry does with a policy.
func decide(ctx context.Context, p verify.Selector, image verify.Image, candidates []verify.Candidate) (*verify.Result, error) {
	s, err := p.Select(ctx, image)
	if err != nil {
		return nil, err
	}
	return s.Decide(ctx, image, func() (*verify.Result, error) { return s.Verifier.Verify(ctx, image, candidates) })
}

// wantProblems holds that err is misconfigured and has these problems, without the
// name of the file.
func wantProblems(t testing.TB, err error, want ...string) {
	t.Helper()
	wantFamily(t, err, verify.ErrMisconfigured)
	var problems policyfile.Problems
	if !errors.As(err, &problems) {
		t.Fatalf("error has no problems: %v", err)
	}
	var got []string
	for _, p := range problems {
		_, text, _ := strings.Cut(p.Error(), ":")
		got = append(got, text)
	}
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("problems are\n%s\nwant\n%s", g, w)
	}
	if strings.ContainsAny(err.Error(), "\n\x1b") {
		t.Errorf("error is more than a line: %q", err)
	}
}

// wantFamily wants an error of a family, and of no other.
var wantFamily = faulttest.Want

func writeFile(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
