// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

const (
	fuzzedRepository = "registry.example/app"
	// What documents say of each other before their digests and sizes are known.
	layerDigest, layerSize       = "sha256:<layer>", "424242"
	manifestDigest, manifestSize = "sha256:<manifest>", "434343"
	fuzzedCandidates             = 24
)

var fuzzedImage = verify.Image{Name: fuzzedRepository + ":v1", Target: ocispec.Descriptor{
	MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("the image"), Size: 9,
}}

// site is a repository in memory.
type site struct {
	blobs map[digest.Digest][]byte
	tags  map[string]ocispec.Descriptor
	// The answer of the referrers API.
	referrers   []byte
	status      int
	contentType string
	link        string
}

func newSite() *site {
	return &site{blobs: map[digest.Digest][]byte{}, tags: map[string]ocispec.Descriptor{}, status: http.StatusOK, contentType: ocispec.MediaTypeImageIndex}
}

func (s *site) put(mediaType string, b []byte) ocispec.Descriptor {
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))}
	s.blobs[desc.Digest] = b
	return desc
}

// tag has b, under what it says of its media type, or else as mediaType.
func (s *site) tag(name, mediaType string, b []byte) {
	var says struct{ MediaType string }
	if json.Unmarshal(b, &says) == nil && says.MediaType != "" {
		mediaType = says.MediaType
	}
	s.tags[name] = s.put(mediaType, b)
}

// RoundTrip answers as a registry does.
func (s *site) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := func(status int, contentType, link string, b []byte) (*http.Response, error) {
		header := http.Header{"Content-Type": {contentType}, "Content-Length": {strconv.Itoa(len(b))}}
		if link != "" {
			header.Set("Link", link)
		}
		return &http.Response{
			StatusCode: status, Status: strconv.Itoa(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header: header, Body: io.NopCloser(bytes.NewReader(b)), ContentLength: int64(len(b)), Request: r,
		}, nil
	}
	_, rest, _ := strings.Cut(r.URL.Path, "/app/")
	kind, name, _ := strings.Cut(rest, "/")
	if kind == "referrers" {
		return answer(s.status, s.contentType, s.link, s.referrers)
	}
	desc, ok := s.tags[name]
	if b, isBlob := s.blobs[digest.Digest(name)]; isBlob {
		desc, ok = ocispec.Descriptor{MediaType: "application/octet-stream", Digest: digest.Digest(name), Size: int64(len(b))}, true
	}
	if !ok {
		return answer(http.StatusNotFound, "application/json", "", []byte(`{"errors":[{"code":"MANIFEST_UNKNOWN"}]}`))
	}
	return answer(http.StatusOK, desc.MediaType, "", s.blobs[desc.Digest])
}

// site is also a resolver of the caller's.
func (s *site) Resolve(_ context.Context, ref string) (string, ocispec.Descriptor, error) {
	desc, ok := s.tags[strings.TrimPrefix(ref, fuzzedRepository+":")]
	if !ok {
		return "", ocispec.Descriptor{}, errdefs.ErrNotFound
	}
	return ref, desc, nil
}

func (s *site) Fetcher(context.Context, string) (remotes.Fetcher, error) { return s, nil }
func (s *site) Pusher(context.Context, string) (remotes.Pusher, error) {
	return nil, errdefs.ErrPermissionDenied
}

func (s *site) Fetch(_ context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	b, ok := s.blobs[desc.Digest]
	if !ok {
		return nil, errdefs.ErrNotFound
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

func (s *site) FetchReferrers(context.Context, digest.Digest, ...remotes.FetchReferrersOpt) ([]ocispec.Descriptor, error) {
	var index ocispec.Index
	if err := json.Unmarshal(s.referrers, &index); err != nil {
		return nil, err
	}
	return index.Manifests, nil
}

// client returns one that reaches s over HTTP, or as its own resolver.
func (s *site) client(t *testing.T, resolver bool) *registry.Client {
	t.Helper()
	if resolver {
		return newClient(t, registry.Config{Resolver: s})
	}
	return newClient(t, registry.Config{Hosts: func(string) ([]docker.RegistryHost, error) {
		return []docker.RegistryHost{{
			Client: &http.Client{Transport: s}, Scheme: "https", Host: "registry.example", Path: "/v2",
			Capabilities: docker.HostCapabilityPull | docker.HostCapabilityResolve | docker.HostCapabilityReferrers,
		}}, nil
	}})
}

// fuzzedSigner signs deterministically, and is the same in every process.
var fuzzedSigner = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))

func fuzzedSignature(t testing.TB, form signing.Form) signing.Signature {
	t.Helper()
	signer, err := signing.NewKeySigner(signing.KeySignerConfig{Key: fuzzedSigner, SkipTransparencyLog: true})
	if err != nil {
		t.Fatal(err)
	}
	made, err := signer.Sign(t.Context(), signing.Request{Digest: fuzzedImage.Target.Digest, Repository: fuzzedRepository, Form: form})
	if err != nil {
		t.Fatal(err)
	}
	return made[0]
}

// spaced signs the statement of a bundle again with other spaces in it, as other
// programs write it.
func spaced(t testing.TB, bundle []byte) []byte {
	t.Helper()
	var b map[string]any
	if err := json.Unmarshal(bundle, &b); err != nil {
		t.Fatal(err)
	}
	envelope := b["dsseEnvelope"].(map[string]any)
	payload, err := base64.StdEncoding.DecodeString(envelope["payload"].(string))
	if err != nil {
		t.Fatal(err)
	}
	payload = bytes.Replace(payload, []byte(`,"predicateType"`), []byte(`, "predicateType"`), 1)
	envelope["payload"] = payload
	signature := ed25519.Sign(fuzzedSigner, dsse.PAE(envelope["payloadType"].(string), payload))
	envelope["signatures"] = []any{map[string]any{"sig": signature}}
	changed, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

// FuzzDiscover serves lists and manifests that refer to each other, and the layer
// of a signature, from every place where signatures live. It holds that nothing is
// accepted but the real signature, that all that is read is bounded, and that
// junk in one place does not hide the signature in another.
func FuzzDiscover(f *testing.F) {
	bundle, legacy := fuzzedSignature(f, signing.Bundle), fuzzedSignature(f, signing.Legacy)
	annotations, err := json.Marshal(legacy.Annotations)
	if err != nil {
		f.Fatal(err)
	}
	list := func(descs ...string) []byte {
		return []byte(`{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageIndex + `","manifests":[` + strings.Join(descs, ",") + `]}`)
	}
	manifest := func(layers ...string) []byte {
		return []byte(`{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageManifest + `","config":{},"layers":[` + strings.Join(layers, ",") + `]}`)
	}
	referrer := `{"mediaType":"` + ocispec.MediaTypeImageManifest + `","artifactType":"` + bundleType + `","digest":"` + manifestDigest + `","size":` + manifestSize + `}`
	bundleLayer := `{"mediaType":"` + bundleType + `","digest":"` + layerDigest + `","size":` + layerSize + `}`
	legacyLayer := `{"mediaType":"` + payloadType + `","digest":"` + layerDigest + `","size":` + layerSize + `,"annotations":` + string(annotations) + `}`
	missing := `{"mediaType":"` + ocispec.MediaTypeImageManifest + `","digest":"` + digest.FromString("missing").String() + `","size":7}`
	// Statuses are counted from 200.
	const ok, index = 0, ocispec.MediaTypeImageIndex
	f.Add(list(referrer), list(), manifest(), manifest(bundleLayer), bundle.Bundle, uint16(ok), index, "", uint8(0))
	f.Add(list(referrer), list(), manifest(), manifest(bundleLayer), bundle.Bundle, uint16(ok), index, `</v2/app/referrers/x?page=2>; rel="next"`, uint8(1))
	f.Add(list(), list(missing, referrer, referrer), manifest(), manifest(bundleLayer), bundle.Bundle, uint16(204), "", "", uint8(2))
	f.Add(list(), list(referrer), manifest(legacyLayer), manifest(legacyLayer), legacy.Payload, uint16(ok), index, "", uint8(3))
	f.Add([]byte("{"), []byte("null"), manifest(legacyLayer, bundleLayer), manifest(legacyLayer), legacy.Payload, uint16(300), index, "", uint8(4))
	f.Add(list(missing), list(missing), manifest(), manifest(), []byte{}, uint16(ok), index+"; charset=utf-8", `<https://other.example/>; rel="next"`, uint8(5))
	f.Add(list(strings.Split(strings.Repeat(missing+";", 30), ";")[:30]...), list(referrer), manifest(strings.Split(strings.Repeat(legacyLayer+";", 30), ";")[:30]...),
		manifest(strings.Split(strings.Repeat(bundleLayer+";", 30), ";")[:30]...), []byte("{}"), uint16(ok), index, "", uint8(7))
	f.Add(list(strings.Replace(referrer, manifestSize, "1", 1), strings.Replace(referrer, manifestSize, "-1", 1), strings.Replace(referrer, "sha256", "sha512", 1)),
		manifest(legacyLayer), list(referrer), list(referrer), []byte("junk"), uint16(229), "text/html", "", uint8(6))
	f.Add([]byte(``), []byte(``), []byte(``), []byte(``), []byte(``), uint16(201), "\n", "\x00", uint8(8))
	f.Add(list(referrer), list(), manifest(), manifest(bundleLayer), spaced(f, bundle.Bundle), uint16(ok), index, "", uint8(0))

	verifier, err := verify.New(verify.Policy{
		Keys: []crypto.PublicKey{fuzzedSigner.Public()}, InsecureIgnoreTransparencyLog: true, Limits: verify.Limits{Candidates: fuzzedCandidates},
	})
	if err != nil {
		f.Fatal(err)
	}
	output, err := os.CreateTemp(f.TempDir(), "")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = output.Close() })
	f.Fuzz(func(t *testing.T, referrers, tagged, signatures, manifest, layer []byte, status uint16, contentType, link string, mode uint8) {
		s := newSite()
		blob := s.put(bundleType, layer)
		withLayer := strings.NewReplacer(layerDigest, blob.Digest.String(), layerSize, strconv.FormatInt(blob.Size, 10))
		between := s.put(ocispec.MediaTypeImageManifest, []byte(withLayer.Replace(string(manifest))))
		withManifest := strings.NewReplacer(manifestDigest, between.Digest.String(), manifestSize, strconv.FormatInt(between.Size, 10),
			layerDigest, blob.Digest.String(), layerSize, strconv.FormatInt(blob.Size, 10))
		refTag := strings.Replace(fuzzedImage.Target.Digest.String(), ":", "-", 1)
		s.referrers = []byte(withManifest.Replace(string(referrers)))
		s.tag(refTag, ocispec.MediaTypeImageIndex, []byte(withManifest.Replace(string(tagged))))
		s.tag(refTag+".sig", ocispec.MediaTypeImageManifest, []byte(withManifest.Replace(string(signatures))))
		s.status, s.contentType, s.link = 200+int(status)%400, contentType, link

		resolver, place := mode&1 != 0, mode>>1&3
		signed := s.sign(t, place, refTag, bundle, legacy)
		client := s.client(t, resolver)
		stdout, stderr, logged := os.Stdout, os.Stderr, log.Writer()
		os.Stdout, os.Stderr = output, output
		log.SetOutput(output)
		defer func() {
			os.Stdout, os.Stderr = stdout, stderr
			log.SetOutput(logged)
			if info, err := output.Stat(); err != nil || info.Size() > 0 {
				t.Errorf("printed something: %v", err)
			}
		}()
		result, err := client.VerifyImage(t.Context(), fuzzedImage, verifier)
		checkOutcome(t, result, err, bundle, legacy)
		if signed && err != nil {
			t.Errorf("junk elsewhere hides the signature: %v", err)
		}
		if couldNotAnswer(s.status) && !resolver && err != nil && !errors.Is(err, verify.ErrInconclusive) {
			t.Errorf("the registry answered %d, and the verdict is %v", s.status, err)
		}
		every, everyErr := client.VerifyImage(t.Context(), fuzzedImage, verifier, registry.WithEverySignature())
		checkOutcome(t, every, everyErr, bundle, legacy)
		if (err == nil) != (everyErr == nil) {
			t.Errorf("with every signature: %v; without: %v", everyErr, err)
		}
	})
}

// sign puts the real signature where the fuzzer has no say, and reports whether
// it did.
func (s *site) sign(t *testing.T, place uint8, refTag string, bundle, legacy signing.Signature) bool {
	t.Helper()
	manifest := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest}
	marshalled := func(v any) []byte {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if place == 3 {
		layer := s.put(payloadType, legacy.Payload)
		layer.Annotations = legacy.Annotations
		manifest.Layers = []ocispec.Descriptor{layer}
		s.tag(refTag+".sig", "", marshalled(manifest))
		return true
	}
	if place == 0 {
		return false
	}
	manifest.Layers = []ocispec.Descriptor{s.put(bundleType, bundle.Bundle)}
	desc := s.put(ocispec.MediaTypeImageManifest, marshalled(manifest))
	desc.ArtifactType = bundleType
	index := marshalled(ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{desc}})
	if place == 1 {
		s.referrers, s.status, s.contentType, s.link = index, http.StatusOK, ocispec.MediaTypeImageIndex, ""
	} else {
		s.tag(refTag, "", index)
	}
	return true
}

// couldNotAnswer reports whether a status says that the registry did not answer,
// as opposed to having no such API.
func couldNotAnswer(status int) bool {
	return status >= 500 && status != http.StatusNotImplemented || status == http.StatusTooManyRequests ||
		status == http.StatusUnauthorized || status == http.StatusForbidden
}

func checkOutcome(t *testing.T, result *verify.Result, err error, bundle, legacy signing.Signature) {
	t.Helper()
	if err != nil {
		families := 0
		for _, family := range []error{verify.ErrRejected, verify.ErrInconclusive, verify.ErrMisconfigured} {
			if errors.Is(err, family) {
				families++
			}
		}
		if families != 1 || errors.Is(err, verify.ErrMisconfigured) {
			t.Errorf("error is of %d families: %v", families, err)
		}
		if strings.ContainsFunc(err.Error(), unicode.IsControl) || len(err.Error()) > 8<<10 {
			t.Errorf("error is not one short line: %.2000q", err)
		}
	}
	if result == nil || result.Accepted != (err == nil) {
		t.Fatalf("result is %+v beside the error %v", result, err)
	}
	// In each place as many may be read, or say that they could not be, as the
	// limit is, once as manifests and once as layers; and then that it is one.
	if n := len(result.Signatures); n > 3*(2*fuzzedCandidates+2) {
		t.Errorf("%d signatures", n)
	}
	for _, s := range result.Signatures {
		if s.Err != nil {
			if strings.Contains(s.Err.Error(), "panic") {
				t.Errorf("a panic: %v", s.Err)
			}
			continue
		}
		if s.Form == verify.FormBundle {
			var b struct{ DSSEEnvelope struct{ Payload []byte } }
			if err := json.Unmarshal(bundle.Bundle, &b); err != nil || !sameJSON(s.Claims.Statement, b.DSSEEnvelope.Payload) {
				t.Errorf("accepted a statement that nobody signed: %s", s.Claims.Statement)
			}
			continue
		}
		one := verify.Result{Signatures: []verify.Signature{s}}
		if payloads, err := one.Payloads(); err != nil || !bytes.Contains(payloads, bytes.TrimSpace(legacy.Payload)) {
			t.Errorf("accepted a payload that nobody signed: %s, %v", payloads, err)
		}
	}
}

// sameJSON compares but for spaces: what an older build signed with the same key
// may be among the fuzzer's cached inputs, spaced in another way.
func sameJSON(a, b []byte) bool {
	var compactA, compactB bytes.Buffer
	return json.Compact(&compactA, a) == nil && json.Compact(&compactB, b) == nil && bytes.Equal(compactA.Bytes(), compactB.Bytes())
}
