// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package bundles_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sigstore/sigstore/pkg/signature/payload"

	"github.com/cosignkit/cosignkit/internal/bundles"
)

// simple is the shortest content that cosign reads as a payload.
const simple = `{"critical":{"image":{"docker-manifest-digest":"sha256:00"}}}`

func TestCheckArtifact(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		content string
		signed  bool
	}{
		"nothing":                       {"", true},
		"text":                          {"a file\n", true},
		"JSON of another kind":          {`{"critical":3,"high":2}`, true},
		"a part of a payload":           {`{"critical":{"image":{"name":"docker-manifest-digest"}}}`, true},
		"a payload further in":          {`{"file":` + simple + `}`, true},
		"a list of payloads":            {`[` + simple + `]`, true},
		"a statement":                   {`{"_type":"https://in-toto.io/Statement/v1","predicateType":"https://sigstore.dev/cosign/sign/v1"}`, true},
		"text about DSSE":               {"DSSE, of which DSSEv1 is a version", true},
		"JSON that breaks off before":   {`{"critical":{"image":{"docker-manifest-digest`, true},
		"many brackets":                 {strings.Repeat("[", 100_000), true},
		"many brackets on the path":     {`{"critical":` + strings.Repeat(`{"critical":`, 100_000), true},
		"a DSSE encoding":               {"DSSEv1 28 application/vnd.in-toto+json 2 {}", false},
		"a DSSE encoding of no type":    {"DSSEv1 0  0 ", false},
		"a payload":                     {simple, false},
		"a payload after white space":   {" \r\n\t" + simple, false},
		"a payload after a byte order":  {"\ufeff" + simple, false},
		"a payload with more after it":  {simple + "\n" + simple, false},
		"a payload that breaks off":     {strings.TrimRight(simple, "}"), false},
		"names in other case":           {strings.ToUpper(simple), false},
		"names in another alphabet":     {strings.Replace(simple, "digest", "dige\u017ft", 1), false},
		"names with escapes":            {strings.Replace(simple, "critical", `\u0063ritical`, 1), false},
		"the first of two values":       {`{"critical":{"image":{"docker-manifest-digest":"a"}},"critical":null}`, false},
		"the second of two values":      {`{"critical":{},"critical":{"image":[],"image":{"docker-manifest-digest":"a"}}}`, false},
		"after members of other kinds":  {`{"a":[{"b":1}],"critical":{"b":{},"image":{"c":[[]],"docker-manifest-digest":"a"}}}`, false},
		"after a number beyond floats":  {`{"a":1e999,` + simple[1:], false},
		"after a string of other bytes": {"{\"a\":\"\xff\\ud800\"," + simple[1:], false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := bundles.CheckArtifact([]byte(test.content)); (err == nil) != test.signed {
				t.Errorf("%v", err)
			}
		})
	}
}

// FuzzCheckArtifact: nothing passes in which encoding/json finds the digest of an image,
// which is all that cosign asks a payload for.
func FuzzCheckArtifact(f *testing.F) {
	for _, seed := range []string{
		simple, strings.ToUpper(simple), `{"critical":{},"critical":{"image":{"docker-manifest-digest":"a"}}}`,
		`{"a":1e999,` + simple[1:], "DSSEv1 0  0 ", `{"critical":{"image":null,"image":{"Docker-Manifest-Digest":"\u0061"}}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		var p payload.SimpleContainerImage
		found := json.Unmarshal(content, &p) == nil && p.Critical.Image.DockerManifestDigest != ""
		if found && bundles.CheckArtifact(content) == nil {
			t.Errorf("%q would be signed, and is a payload for %q", content, p.Critical.Image.DockerManifestDigest)
		}
	})
}
