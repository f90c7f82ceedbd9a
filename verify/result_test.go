// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"crypto"
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

var update = flag.Bool("update", false, "write the golden files")

// TestResultJSON holds the JSON that other programs read. Fields may be added,
// and none may change.
func TestResultJSON(t *testing.T) {
	t.Parallel()
	result := verify.Result{
		Image:    theImage(),
		Accepted: true,
		Signatures: []verify.Signature{
			{
				Form:   verify.FormBundle,
				Origin: verify.Origin{Source: verify.SourceReferrersAPI, Manifest: manifest},
				KeyID:  "sha256:" + otherHex,
				Claims: verify.Claims{Repository: repository, Annotations: map[string]string{"env": "prod", "a": "<&>"}},
			},
			{
				Form:   verify.FormLegacy,
				Origin: verify.Origin{Source: verify.SourceSignatureTag, Manifest: manifest, Layer: 2},
				Err:    errors.New("does not verify with the key: \x1b[31m\n\xff"),
			},
			{
				Origin: verify.Origin{Source: verify.SourceReferrersTag},
				Err:    fmt.Errorf("%w: 429 Too Many Requests", verify.ErrInconclusive),
			},
		},
	}
	for name, r := range map[string]any{
		"result":       result,
		"result-empty": &verify.Result{Image: verify.Image{Name: "app", Target: ocispec.Descriptor{Digest: theDigest}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := json.MarshalIndent(r, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, '\n')
			file := filepath.Join("testdata", name+".golden.json")
			if *update {
				if err := os.WriteFile(file, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if want := readFile(t, file); string(got) != string(want) {
				t.Errorf("JSON is\n%s\nwant, as in %s,\n%s", got, file, want)
			}
		})
	}
}

func TestPayloadsListsWhatPassed(t *testing.T) {
	t.Parallel()
	key := keys["P-256"]()
	policy := policyOf(key)
	policy.Annotations = map[string]string{"env": "prod"}
	v := newVerifier(t, policy)
	other := signed(t, key, signing.Legacy, func(r *signing.Request) { r.Annotations = map[string]string{"env": "test"} })
	result := wantAccepted(t, v, verify.Candidate{Bundle: []byte("junk")}, other, signed(t, key, signing.Legacy), signed(t, key, signing.Bundle))
	payloads, err := result.Payloads()
	if err != nil {
		t.Fatal(err)
	}
	got := decode(t, payloads)
	if len(got) != 2 {
		t.Fatalf("%d payloads, want those of the two that passed: %s", len(got), payloads)
	}
	for i, wantType := range []string{"cosign container image signature", signType} {
		critical, optional := critical(got[i]), got[i]["optional"].(object)
		if critical["type"] != wantType || critical["identity"].(object)["docker-reference"] != repository ||
			critical["image"].(object)["docker-manifest-digest"] != theDigest || optional["env"] != "prod" {
			t.Errorf("payload %d is %v", i, got[i])
		}
	}
}

func TestPayloadsOfNothingIsAnEmptyList(t *testing.T) {
	t.Parallel()
	for name, result := range map[string]verify.Result{
		"the zero result":      {},
		"one that failed":      {Signatures: []verify.Signature{{Err: errors.New("bad")}}},
		"one without a reason": {Signatures: []verify.Signature{{}}},
	} {
		if got, err := result.Payloads(); err != nil || string(got) != "[]" {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
}

// TestPayloadsAreValidJSON: a payload is printed as it was signed, and whatever
// was signed, the list around it must stay a list of so many objects.
func TestPayloadsAreValidJSON(t *testing.T) {
	t.Parallel()
	key := keys["P-256"]()
	sign := with(key, crypto.SHA256)
	good := string(marshal(t, payloadOf()))
	for name, payload := range map[string]string{
		"white space":             "\n  " + strings.ReplaceAll(good, `,"`, "\r\n\t, \"") + "\r\n",
		"HTML":                    strings.Replace(good, "prod", "</script><!--", 1),
		"line separators":         strings.Replace(good, "prod", "\u2028\u2029", 1),
		"escapes":                 strings.Replace(good, "prod", `\u0000\ud83d\ude00`, 1),
		"a number of many digits": strings.Replace(good, `"prod"`, "123456789012345678901234567890", 1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result := wantAccepted(t, newVerifier(t, policyOf(key)), legacyCandidate(t, sign, []byte(payload)))
			got, err := result.Payloads()
			if err != nil {
				t.Fatal(err)
			}
			if list := decode(t, got); len(list) != 1 || critical(list[0])["type"] != "cosign container image signature" {
				t.Errorf("payloads are %s", got)
			}
			if _, err := json.Marshal(result); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestPinned(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		result *verify.Result
		want   string
		family error
	}{
		"a tag":            {&verify.Result{Image: theImage(), Accepted: true}, repository + ":v1@" + theDigest, nil},
		"no tag":           {accepted(repository), repository + "@" + theDigest, nil},
		"another digest":   {accepted(repository + "@sha256:" + otherHex), repository + "@" + theDigest, nil},
		"tag and digest":   {accepted(repository + ":v1@sha256:" + otherHex), repository + ":v1@" + theDigest, nil},
		"a short name":     {accepted("alpine:3"), "docker.io/library/alpine:3@" + theDigest, nil},
		"a port":           {accepted("registry.example:5000/app"), "registry.example:5000/app@" + theDigest, nil},
		"not accepted":     {&verify.Result{Image: theImage()}, "", verify.ErrRejected},
		"the zero result":  {&verify.Result{}, "", verify.ErrRejected},
		"no result":        {nil, "", verify.ErrRejected},
		"no digest":        {&verify.Result{Accepted: true, Image: verify.Image{Name: repository}}, "", verify.ErrMisconfigured},
		"a bad digest":     {&verify.Result{Accepted: true, Image: verify.Image{Name: repository, Target: ocispec.Descriptor{Digest: "sha256:00"}}}, "", verify.ErrMisconfigured},
		"no name":          {accepted(""), "", verify.ErrMisconfigured},
		"no reference":     {accepted("NOT A REFERENCE"), "", verify.ErrMisconfigured},
		"a name in a line": {accepted("registry.example/app\nregistry.example/evil"), "", verify.ErrMisconfigured},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := c.result.Pinned()
			if c.family == nil {
				if err != nil || got != c.want {
					t.Errorf("pinned to %q, %v, want %q", got, err, c.want)
				}
				return
			}
			if got != "" {
				t.Errorf("a reference beside the error: %q", got)
			}
			wantFamily(t, err, c.family)
		})
	}
}

func accepted(name string) *verify.Result {
	image := theImage()
	image.Name = name
	return &verify.Result{Image: image, Accepted: true}
}

func TestImageString(t *testing.T) {
	t.Parallel()
	for want, image := range map[string]verify.Image{
		repository + ":v1@" + theDigest: theImage(),
		repository:                      {Name: repository},
		"NO REFERENCE@" + theDigest:     {Name: "NO REFERENCE", Target: ocispec.Descriptor{Digest: theDigest}},
		"x":                             {Name: "x", Target: ocispec.Descriptor{Digest: "sha256:00"}},
		"y":                             {Name: "y", Target: ocispec.Descriptor{Digest: digest.Digest(strings.Repeat("0", 1<<20))}},
	} {
		if got := image.String(); got != want {
			t.Errorf("String() = %q, want %q", got, want)
		}
	}
}

func TestOriginString(t *testing.T) {
	t.Parallel()
	for want, origin := range map[string]verify.Origin{
		"signature tag " + manifest + " layer 2": {Source: verify.SourceSignatureTag, Manifest: manifest, Layer: 2},
		"referrers API":                          {Source: verify.SourceReferrersAPI},
	} {
		if got := origin.String(); got != want {
			t.Errorf("String() = %q, want %q", got, want)
		}
	}
}

func TestRejectionSaysWhy(t *testing.T) {
	t.Parallel()
	key := keys["P-256"]()
	v := newVerifier(t, policyOf(key))
	bad := signed(t, newECDSA(elliptic.P256()), signing.Bundle)
	many := make([]verify.Candidate, 100)
	for i := range many {
		many[i] = bad
		many[i].Origin.Layer = i
	}
	for name, c := range map[string]struct {
		candidates []verify.Candidate
		says       []string
		not        string
	}{
		"nothing was found": {nil, []string{repository + ":v1@" + theDigest, "no signatures found"}, "acceptable"},
		"one, and where":    {many[:1], []string{"no signature is acceptable", "referrers API " + manifest + " layer 0", "does not verify with the key"}, "more"},
		"three":             {many[:3], []string{"layer 0", "layer 1", "layer 2"}, "more"},
		"the first few":     {many, []string{"layer 0", "layer 2", "and 97 more"}, "layer 3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := v.Verify(t.Context(), theImage(), c.candidates)
			wantFamily(t, err, verify.ErrRejected)
			for _, want := range c.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error does not say %q: %s", want, err)
				}
			}
			if strings.Contains(err.Error(), c.not) {
				t.Errorf("error says %q: %s", c.not, err)
			}
			if len(err.Error()) > 2000 {
				t.Errorf("error has %d bytes", len(err.Error()))
			}
		})
	}
}

// TestRejectionIsOneLineOfSafeText: what a registry serves must not write on
// the user's terminal, nor break a log into lines of its own.
func TestRejectionIsOneLineOfSafeText(t *testing.T) {
	t.Parallel()
	key := keys["P-256"]()
	v := newVerifier(t, policyOf(key))
	for name, text := range map[string]string{
		"newlines":             "a\nb\r\nc",
		"escape sequences":     "\x1b[2J\x1b]0;title\x07",
		"C1 control sequences": "\u009b2J\u0085",
		"bytes that are CSI":   "\x9b2J",
		"line separators":      "\u2028\u2029",
		"bidirectional text":   "\u202e\u2066evil\u2069",
		"backspaces":           "good\b\b\b\bevil\x7f",
		"much of it":           strings.Repeat("long ", 100000),
		"much of it, in runes": strings.Repeat("ü", 100000),
	} {
		for from, candidate := range map[string]verify.Candidate{
			"reading": {Err: fmt.Errorf("%w: %s", verify.ErrRejected, text)},
			"bundle":  {Bundle: []byte(`{"` + text + `": 1}`)},
			"payload": legacyCandidate(t, with(key, crypto.SHA256), []byte(`{"critical":{"image":{"docker-manifest-digest":`+string(marshal(t, text))+`}}}`)),
		} {
			t.Run(name+" in "+from, func(t *testing.T) {
				t.Parallel()
				_, err := v.Verify(t.Context(), theImage(), []verify.Candidate{candidate})
				wantFamily(t, err, verify.ErrRejected)
				if len(err.Error()) > 1000 {
					t.Errorf("error has %d bytes", len(err.Error()))
				}
				for _, c := range err.Error() {
					if unicode.IsControl(c) || unicode.In(c, unicode.Bidi_Control, unicode.Zl, unicode.Zp) {
						t.Fatalf("error has the character %U: %.300q", c, err)
					}
				}
			})
		}
	}
}

func TestErrorCarriesOperationAndSubject(t *testing.T) {
	t.Parallel()
	_, err := newVerifier(t, policyOf(keys["P-256"]())).Verify(t.Context(), theImage(), nil)
	var typed *verify.Error
	if !errors.As(err, &typed) {
		t.Fatalf("error is a %T", err)
	}
	if typed.Op != "verify" || typed.Subject != repository+":v1@"+theDigest || typed.Kind != verify.ErrRejected || typed.Err == nil {
		t.Errorf("error is %+v", typed)
	}
}
