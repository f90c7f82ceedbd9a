// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package signing_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/opencontainers/go-digest"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	sgverify "github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/payload"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/signing"
)

const signatureAnnotation = "dev.cosignproject.cosign/signature"

func request(form signing.Form) signing.Request {
	return signing.Request{
		Digest:      goldenDigest,
		Repository:  "registry.example/team/app",
		Annotations: map[string]string{"env": "prod", "run": "7"},
		Form:        form,
	}
}

func TestNewKeySignerRefuses(t *testing.T) {
	t.Parallel()
	good := newECDSA(t, elliptic.P256())
	for name, config := range map[string]signing.KeySignerConfig{
		"the zero config":                {},
		"no key":                         {SkipTransparencyLog: true},
		"uploading, which is not there":  {Key: good},
		"a weak curve":                   {Key: newECDSA(t, elliptic.P224()), SkipTransparencyLog: true},
		"RSA of 1024 bits":               {Key: newRSA(t, 1024), SkipTransparencyLog: true},
		"a signer without a public key":  {Key: stubSigner{}, SkipTransparencyLog: true},
		"a public key of no known kind":  {Key: stubSigner{public: "public"}, SkipTransparencyLog: true},
		"an RSA public key by value":     {Key: stubSigner{public: rsa.PublicKey{}}, SkipTransparencyLog: true},
		"an ECDSA point off the curve":   {Key: stubSigner{public: &ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1), Y: big.NewInt(1)}}, SkipTransparencyLog: true},
		"an Ed25519 public key cut":      {Key: stubSigner{public: good.Public().(*ecdsa.PublicKey).X.Bytes()}, SkipTransparencyLog: true},
		"an Ed25519 key of 31 bytes":     {Key: stubSigner{public: make(ed25519.PublicKey, 31)}, SkipTransparencyLog: true},
		"a certificate for another key":  {Key: good, CertificateChain: []*x509.Certificate{{PublicKey: newECDSA(t, elliptic.P256()).Public()}}, SkipTransparencyLog: true},
		"a certificate without a key":    {Key: good, CertificateChain: []*x509.Certificate{{}}, SkipTransparencyLog: true},
		"an Ed25519 public key that nil": {Key: stubSigner{public: ed25519.PublicKey(nil)}, SkipTransparencyLog: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			signer, err := signing.NewKeySigner(config)
			wantFamily(t, err, signing.ErrMisconfigured)
			if signer != nil {
				t.Error("a signer beside the error")
			}
		})
	}
}

func TestNewKeySignerSaysHowToSignWithoutALog(t *testing.T) {
	t.Parallel()
	_, err := signing.NewKeySigner(signing.KeySignerConfig{Key: newECDSA(t, elliptic.P256())})
	wantFamily(t, err, signing.ErrMisconfigured)
	if !strings.Contains(err.Error(), "SkipTransparencyLog") {
		t.Errorf("error %q does not name the option", err)
	}
}

// TestNewKeySignerRefusesIncompleteKeys: such keys are what a caller holds after
// an error that was not looked at.
func TestNewKeySignerRefusesIncompleteKeys(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]crypto.Signer{
		"nil RSA key":              (*rsa.PrivateKey)(nil),
		"empty RSA key":            &rsa.PrivateKey{},
		"nil ECDSA key":            (*ecdsa.PrivateKey)(nil),
		"empty ECDSA key":          &ecdsa.PrivateKey{},
		"ECDSA key without values": &ecdsa.PrivateKey{PublicKey: ecdsa.PublicKey{Curve: elliptic.P256()}},
		"empty Ed25519 key":        ed25519.PrivateKey{},
		"short Ed25519 key":        make(ed25519.PrivateKey, 40),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if r := recover(); r != nil {
					t.Errorf("panic: %v", r)
				}
			}()
			_, err := signing.NewKeySigner(signing.KeySignerConfig{Key: key, SkipTransparencyLog: true})
			wantFamily(t, err, signing.ErrMisconfigured)
		})
	}
}

func TestPublicKeyIsThatOfTheSigner(t *testing.T) {
	t.Parallel()
	key := newECDSA(t, elliptic.P256())
	if got := newSigner(t, key).PublicKey(); !key.PublicKey.Equal(got) {
		t.Errorf("PublicKey() = %v", got)
	}
}

func TestSignedBundlesVerifyWithSigstore(t *testing.T) {
	t.Parallel()
	for _, kind := range goldenKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			key := openGolden(t, kind)
			signatures, err := newSigner(t, key).Sign(t.Context(), request(signing.Bundle))
			if err != nil {
				t.Fatal(err)
			}
			if len(signatures) != 1 || signatures[0].Form != signing.Bundle || signatures[0].Payload != nil || signatures[0].Annotations != nil {
				t.Fatalf("signatures are %+v, want one bundle", signatures)
			}
			wantBundleVerifies(t, signatures[0].Bundle, key.Public())
		})
	}
}

// wantBundleVerifies checks a bundle with sigstore-go alone, under the one
// algorithm that is documented for the kind of key.
func wantBundleVerifies(t *testing.T, b []byte, public crypto.PublicKey) {
	t.Helper()
	var parsed bundle.Bundle
	if err := parsed.UnmarshalJSON(b); err != nil {
		t.Fatal(err)
	}
	if got, want := parsed.GetMediaType(), "application/vnd.dev.sigstore.bundle.v0.3+json"; got != want {
		t.Errorf("media type is %q, want %q", got, want)
	}
	key := root.NewExpiringKey(documentedVerifier(t, public), time.Time{}, time.Time{})
	verifier, err := sgverify.NewVerifier(root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
		return key, nil
	}), sgverify.WithNoObserverTimestamps())
	if err != nil {
		t.Fatal(err)
	}
	sum, err := hex.DecodeString(strings.TrimPrefix(goldenDigest, "sha256:"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := verifier.Verify(&parsed, sgverify.NewPolicy(sgverify.WithArtifactDigest("sha256", sum), sgverify.WithKey())); err != nil {
		t.Error(err)
	}
}

// documentedVerifier is the algorithm that the package documentation names for
// the kind of public.
func documentedVerifier(t *testing.T, public crypto.PublicKey) signature.Verifier {
	t.Helper()
	hash := crypto.SHA256
	switch public := public.(type) {
	case *ecdsa.PublicKey:
		hash = map[int]crypto.Hash{256: crypto.SHA256, 384: crypto.SHA384, 521: crypto.SHA512}[public.Params().BitSize]
	case ed25519.PublicKey:
		hash = 0
	}
	v, err := signature.LoadVerifier(public, hash)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestSignedStatement(t *testing.T) {
	t.Parallel()
	const head = `{"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://sigstore.dev/cosign/sign/v1", "predicate": {}, "subject": [`
	const digests = `"digest": {"sha256": "c0658bff4751d9f90117de2816ec4582f00d2aedaa684f137217ba98efb4e766"}`
	signer := newSigner(t, newECDSA(t, elliptic.P256()))
	for name, c := range map[string]struct {
		request signing.Request
		want    string
	}{
		"digest alone": {
			signing.Request{Digest: goldenDigest},
			head + `{` + digests + `}]}`,
		},
		"repository": {
			signing.Request{Digest: goldenDigest, Repository: "registry.example/app"},
			head + `{"name": "registry.example/app", ` + digests + `}]}`,
		},
		"annotations": {
			signing.Request{Digest: goldenDigest, Annotations: map[string]string{"a": "1", "b": "<&>", "": "empty key", "ü": "\u2028"}},
			head + `{` + digests + `, "annotations": {"a": "1", "b": "<&>", "": "empty key", "ü": "\u2028"}}]}`,
		},
		"empty annotations": {
			signing.Request{Digest: goldenDigest, Annotations: map[string]string{}},
			head + `{` + digests + `}]}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			signatures, err := signer.Sign(t.Context(), c.request)
			if err != nil {
				t.Fatal(err)
			}
			wantJSON(t, envelopeOf(t, signatures[0].Bundle).payload, c.want)
		})
	}
}

// TestBundleHasTheShapeOfCosigns compares with a bundle by cosign v3.1.3: all
// but the signature itself is the same for the same request and key.
func TestBundleHasTheShapeOfCosigns(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-2048", "rsa-4096", "ed25519"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			signatures, err := newSigner(t, openGolden(t, kind)).Sign(t.Context(), signing.Request{
				Digest: goldenDigest, Annotations: map[string]string{"env": "golden", "run": "7"},
			})
			if err != nil {
				t.Fatal(err)
			}
			got := envelopeOf(t, signatures[0].Bundle)
			want := envelopeOf(t, readFile(t, filepath.Join(goldenSignatures, "cosign3-"+kind+".bundle.json")))
			wantJSON(t, got.payload, string(want.payload))
			if got.hint != want.hint || got.keyID != want.keyID || got.payloadType != want.payloadType {
				t.Errorf("hint, key id and type are %q, %q, %q, cosign's %q, %q, %q",
					got.hint, got.keyID, got.payloadType, want.hint, want.keyID, want.payloadType)
			}
		})
	}
}

type envelope struct {
	payload           []byte
	payloadType, hint string
	keyID             string
	sig               []byte
}

func envelopeOf(t testing.TB, b []byte) envelope {
	t.Helper()
	var parsed bundle.Bundle
	if err := parsed.UnmarshalJSON(b); err != nil {
		t.Fatal(err)
	}
	dsse := parsed.Content.(*protobundle.Bundle_DsseEnvelope).DsseEnvelope
	if len(dsse.GetSignatures()) != 1 {
		t.Fatalf("%d signatures in the envelope", len(dsse.GetSignatures()))
	}
	return envelope{
		payload: dsse.GetPayload(), payloadType: dsse.GetPayloadType(), hint: parsed.GetVerificationMaterial().GetPublicKey().GetHint(),
		keyID: dsse.GetSignatures()[0].GetKeyid(), sig: dsse.GetSignatures()[0].GetSig(),
	}
}

func wantJSON(t *testing.T, got []byte, want string) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal(got, &g); err != nil {
		t.Fatalf("%v in %s", err, got)
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatalf("%v in %s", err, want)
	}
	if !reflect.DeepEqual(g, w) {
		t.Errorf("JSON is\n%s\nwant\n%s", got, want)
	}
}

func TestSignedPayloadsVerifyWithSigstore(t *testing.T) {
	t.Parallel()
	for _, kind := range goldenKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			key := openGolden(t, kind)
			signatures, err := newSigner(t, key).Sign(t.Context(), request(signing.Legacy))
			if err != nil {
				t.Fatal(err)
			}
			if len(signatures) != 1 || signatures[0].Form != signing.Legacy || signatures[0].Bundle != nil {
				t.Fatalf("signatures are %+v, want one of the legacy form", signatures)
			}
			wantPayloadVerifies(t, signatures[0], key.Public())
		})
	}
}

func wantPayloadVerifies(t *testing.T, s signing.Signature, public crypto.PublicKey) {
	t.Helper()
	sig, err := base64.StdEncoding.DecodeString(s.Annotations[signatureAnnotation])
	if err != nil || len(sig) == 0 || len(s.Annotations) != 1 {
		t.Fatalf("annotations are %q, want a signature in base64 alone", s.Annotations)
	}
	if err := documentedVerifier(t, public).VerifySignature(bytes.NewReader(sig), bytes.NewReader(s.Payload)); err != nil {
		t.Error(err)
	}
}

// TestLegacyPayloadIsCosignsToTheByte: digests of payloads are layer digests,
// and a payload that differs in white space alone would be another layer.
func TestLegacyPayloadIsCosignsToTheByte(t *testing.T) {
	t.Parallel()
	signer := newSigner(t, newECDSA(t, elliptic.P256()))
	for name, annotations := range map[string]map[string]string{
		"no annotations":      nil,
		"empty annotations":   {},
		"some annotations":    {"b": "2", "a": "1", "c": ""},
		"HTML and separators": {"<script>": "a&b \u2028 \u2029", "quote\"": "back\\slash\n\x01"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const repository = "registry.example:5000/team/app"
			signatures, err := signer.Sign(t.Context(), signing.Request{
				Digest: goldenDigest, Repository: repository, Annotations: annotations, Form: signing.Legacy,
			})
			if err != nil {
				t.Fatal(err)
			}
			ref, err := name2digest(repository + "@" + goldenDigest)
			if err != nil {
				t.Fatal(err)
			}
			want, err := payload.Cosign{Image: ref, ClaimedIdentity: repository, Annotations: anyOf(annotations)}.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			if got := signatures[0].Payload; !bytes.Equal(got, want) {
				t.Errorf("payload is\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func name2digest(ref string) (name.Digest, error) { return name.NewDigest(ref) }

// anyOf is what the CLI makes of its -a flags: nil where there is none.
func anyOf(annotations map[string]string) map[string]any {
	if len(annotations) == 0 {
		return nil
	}
	m := map[string]any{}
	for k, v := range annotations {
		m[k] = v
	}
	return m
}

func TestLegacyPayloadIsThatOfTheCLIs(t *testing.T) {
	t.Parallel()
	signer := newSigner(t, newECDSA(t, elliptic.P256()))
	for tool, repository := range map[string]string{"cosign2": "127.0.0.1:5055/golden/a2l", "cosign3": "127.0.0.1:5055/golden/a3l"} {
		signatures, err := signer.Sign(t.Context(), signing.Request{
			Digest: goldenDigest, Repository: repository, Annotations: map[string]string{"env": "golden", "run": "7"}, Form: signing.Legacy,
		})
		if err != nil {
			t.Fatal(err)
		}
		want := readFile(t, filepath.Join(goldenSignatures, tool+"-ecdsa-p256.payload"))
		if got := signatures[0].Payload; !bytes.Equal(got, want) {
			t.Errorf("payload is\n%s\n%s wrote\n%s", got, tool, want)
		}
	}
}

func TestBothFormsAreABundleAndAPayload(t *testing.T) {
	t.Parallel()
	key := newECDSA(t, elliptic.P256())
	signatures, err := newSigner(t, key).Sign(t.Context(), request(signing.Both))
	if err != nil {
		t.Fatal(err)
	}
	if len(signatures) != 2 || signatures[0].Form != signing.Bundle || signatures[1].Form != signing.Legacy {
		t.Fatalf("signatures are %+v", signatures)
	}
	wantBundleVerifies(t, signatures[0].Bundle, key.Public())
	wantPayloadVerifies(t, signatures[1], key.Public())
}

func TestSignRefuses(t *testing.T) {
	t.Parallel()
	signer := newSigner(t, newECDSA(t, elliptic.P256()))
	with := func(edit func(*signing.Request)) signing.Request {
		r := request(signing.Both)
		edit(&r)
		return r
	}
	tooMany := map[string]string{}
	for i := range limits.Annotations + 1 {
		tooMany[fmt.Sprint(i)] = ""
	}
	for name, r := range map[string]signing.Request{
		"the zero request":       {},
		"no digest":              with(func(r *signing.Request) { r.Digest = "" }),
		"a digest that is short": with(func(r *signing.Request) { r.Digest = "sha256:00" }),
		"a digest in upper case": with(func(r *signing.Request) { r.Digest = digest.Digest(strings.ToUpper(goldenDigest)) }),
		"hex without algorithm":  with(func(r *signing.Request) { r.Digest = digest.Digest(strings.TrimPrefix(goldenDigest, "sha256:")) }),
		"sha512":                 with(func(r *signing.Request) { r.Digest = digest.SHA512.FromString("x") }),
		"a path as algorithm":    with(func(r *signing.Request) { r.Digest = "../../etc:passwd" }),
		"an unknown form":        with(func(r *signing.Request) { r.Form = "sig" }),
		"a form in upper case":   with(func(r *signing.Request) { r.Form = "Bundle" }),
		"257 annotations":        with(func(r *signing.Request) { r.Annotations = tooMany }),
		"legacy, no repository":  with(func(r *signing.Request) { r.Repository, r.Form = "", signing.Legacy }),
		"both, no repository":    with(func(r *signing.Request) { r.Repository = "" }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			signatures, err := signer.Sign(t.Context(), r)
			wantFamily(t, err, signing.ErrMisconfigured)
			if signatures != nil {
				t.Errorf("%d signatures beside the error", len(signatures))
			}
		})
	}
}

// TestPreflightRefusesWhatSignWould: it runs before anything is uploaded, and
// before there is a digest.
func TestPreflightRefusesWhatSignWould(t *testing.T) {
	t.Parallel()
	signer := newSigner(t, newECDSA(t, elliptic.P256()))
	var preflighter signing.Preflighter = signer
	tooMany := map[string]string{}
	for i := range limits.Annotations + 1 {
		tooMany[fmt.Sprint(i)] = ""
	}
	for name, c := range map[string]struct {
		request signing.Request
		refused bool
	}{
		"a bundle without a name":   {signing.Request{}, false},
		"both forms with a name":    {signing.Request{Repository: "registry.example/app", Form: signing.Both}, false},
		"an unknown form":           {signing.Request{Repository: "registry.example/app", Form: "sig"}, true},
		"legacy without a name":     {signing.Request{Form: signing.Legacy}, true},
		"both forms without name":   {signing.Request{Form: signing.Both}, true},
		"too many annotations":      {signing.Request{Annotations: tooMany}, true},
		"a digest is not looked at": {signing.Request{Digest: "sha256:00"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := preflighter.Preflight(t.Context(), c.request)
			if c.refused {
				wantFamily(t, err, signing.ErrMisconfigured)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// TestALogIsAskedWhatItTakesBeforeAKeySigns: it takes nothing in that it did not say
// it would.
func TestALogIsAskedWhatItTakesBeforeAKeySigns(t *testing.T) {
	t.Parallel()
	log := &recorder{can: errors.New("no such key")}
	signer, err := signing.NewKeySigner(signing.KeySignerConfig{Key: newECDSA(t, elliptic.P256()), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range []signing.Form{signing.Bundle, signing.Legacy, signing.Both} {
		err := signer.Preflight(t.Context(), request(form))
		wantFamily(t, err, signing.ErrMisconfigured)
		signatures, err := signer.Sign(t.Context(), request(form))
		wantFamily(t, err, signing.ErrMisconfigured)
		if len(signatures) > 0 || log.bundle != nil || !strings.Contains(err.Error(), "no such key") {
			t.Errorf("%s: %d signatures, the log has %v, %v", form, len(signatures), log.bundle, err)
		}
	}
}

// TestSignRefusesTextThatIsNotUTF8: JSON has no way to carry it, and an encoder
// that puts U+FFFD in its place makes the signer sign something else.
func TestSignRefusesTextThatIsNotUTF8(t *testing.T) {
	t.Parallel()
	signer := newSigner(t, newECDSA(t, elliptic.P256()))
	for _, form := range []signing.Form{signing.Bundle, signing.Legacy, signing.Both} {
		for name, edit := range map[string]func(*signing.Request){
			"repository":       func(r *signing.Request) { r.Repository = "registry.example/\xff" },
			"annotation key":   func(r *signing.Request) { r.Annotations = map[string]string{"\xff": "x"} },
			"annotation value": func(r *signing.Request) { r.Annotations = map[string]string{"x": "\xff"} },
		} {
			t.Run(string(form)+" "+name, func(t *testing.T) {
				t.Parallel()
				r := request(form)
				edit(&r)
				signatures, err := signer.Sign(t.Context(), r)
				if err == nil {
					t.Fatalf("signed %s", signatures[len(signatures)-1].Payload)
				}
				wantFamily(t, err, signing.ErrMisconfigured)
				wantFamily(t, signer.Preflight(t.Context(), r), signing.ErrMisconfigured)
			})
		}
	}
}

// TestSignRefusesWhatIsTooLargeToVerify: a signature over the limits that
// package verify reads by would be attached and never accepted.
func TestSignRefusesWhatIsTooLargeToVerify(t *testing.T) {
	t.Parallel()
	signer := newSigner(t, newECDSA(t, elliptic.P256()))
	for form, size := range map[signing.Form]int{signing.Bundle: limits.Bundle, signing.Legacy: limits.Payload} {
		t.Run(string(form), func(t *testing.T) {
			t.Parallel()
			r := request(form)
			r.Annotations = map[string]string{"large": strings.Repeat("x", size)}
			_, err := signer.Sign(t.Context(), r)
			wantFamily(t, err, signing.ErrMisconfigured)
		})
	}
}

// stubSigner is a crypto.Signer such as one for a hardware token: of no type
// that the standard library knows.
type stubSigner struct {
	public crypto.PublicKey
	sign   func(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error)
}

func (s stubSigner) Public() crypto.PublicKey { return s.public }

func (s stubSigner) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.sign(random, digest, opts)
}

func TestAnyCryptoSignerSigns(t *testing.T) {
	t.Parallel()
	for kind, hash := range map[string]crypto.Hash{
		"ecdsa-p256": crypto.SHA256, "ecdsa-p384": crypto.SHA384, "ecdsa-p521": crypto.SHA512, "rsa-2048": crypto.SHA256, "ed25519": 0,
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			key := openGolden(t, kind)
			var calls atomic.Int32
			signer := newSigner(t, stubSigner{public: key.Public(), sign: func(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
				calls.Add(1)
				if opts.HashFunc() != hash {
					t.Errorf("asked to sign with the hash %v, want %v", opts.HashFunc(), hash)
				}
				if hash != 0 && len(digest) != hash.Size() {
					t.Errorf("asked to sign %d bytes, want a digest of %d", len(digest), hash.Size())
				}
				if random == nil {
					t.Error("asked to sign without a source of randomness")
				}
				return key.Sign(random, digest, opts)
			}})
			signatures, err := signer.Sign(t.Context(), request(signing.Both))
			if err != nil {
				t.Fatal(err)
			}
			wantBundleVerifies(t, signatures[0].Bundle, key.Public())
			wantPayloadVerifies(t, signatures[1], key.Public())
			if got := calls.Load(); got != 2 {
				t.Errorf("the key was used %d times for two signatures", got)
			}
		})
	}
}

func TestSignerThatGoesWrongIsCaught(t *testing.T) {
	t.Parallel()
	key, other := newECDSA(t, elliptic.P256()), newECDSA(t, elliptic.P256())
	broken := errors.New("token removed")
	type signFunc = func(io.Reader, []byte, crypto.SignerOpts) ([]byte, error)
	for name, c := range map[string]struct {
		sign  signFunc
		cause error
	}{
		"another key's signature": {sign: other.Sign},
		"another message's signature": {sign: func(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
			return key.Sign(random, make([]byte, len(digest)), opts)
		}},
		"an empty signature": {sign: func(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, nil }},
		"one flipped bit": {sign: func(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
			sig, err := key.Sign(random, digest, opts)
			sig[len(sig)-1] ^= 1
			return sig, err
		}},
		"its own error": {sign: func(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, broken }, cause: broken},
		"an error beside a good signature": {sign: func(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
			sig, _ := key.Sign(random, digest, opts)
			return sig, broken
		}, cause: broken},
		"the context's error": {
			sign: func(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
				return nil, fmt.Errorf("token: %w", context.Canceled)
			},
			cause: context.Canceled,
		},
	} {
		for _, form := range []signing.Form{signing.Bundle, signing.Legacy, signing.Both} {
			t.Run(name+" "+string(form), func(t *testing.T) {
				t.Parallel()
				signatures, err := newSigner(t, stubSigner{public: key.Public(), sign: c.sign}).Sign(t.Context(), request(form))
				if signatures != nil {
					t.Error("signatures beside the error")
				}
				wantFamily(t, err, signing.ErrInconclusive)
				if c.cause != nil && !errors.Is(err, c.cause) {
					t.Errorf("cause of %q is not %q", err, c.cause)
				}
				if !strings.Contains(err.Error(), goldenDigest) {
					t.Errorf("error %q does not name the digest", err)
				}
			})
		}
	}
}

func TestSignHonoursTheContext(t *testing.T) {
	t.Parallel()
	key := newECDSA(t, elliptic.P256())
	for _, form := range []signing.Form{signing.Bundle, signing.Legacy, signing.Both} {
		t.Run("cancelled before "+string(form), func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			signatures, err := newSigner(t, stubSigner{public: key.Public(), sign: func(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
				t.Error("the key was used")
				return nil, nil
			}}).Sign(ctx, request(form))
			wantFamily(t, err, signing.ErrInconclusive)
			if !errors.Is(err, context.Canceled) || signatures != nil {
				t.Errorf("error is %v beside %d signatures", err, len(signatures))
			}
		})
	}
	t.Run("cancelled between the forms", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		signer := newSigner(t, stubSigner{public: key.Public(), sign: func(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
			cancel()
			return key.Sign(random, digest, opts)
		}})
		signatures, err := signer.Sign(ctx, request(signing.Both))
		wantFamily(t, err, signing.ErrInconclusive)
		if signatures != nil {
			t.Errorf("%d signatures beside the error", len(signatures))
		}
	})
	t.Run("past the deadline", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
		defer cancel()
		_, err := newSigner(t, key).Sign(ctx, request(signing.Bundle))
		wantFamily(t, err, signing.ErrInconclusive)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error is %v", err)
		}
	})
}

// TestOneKeyPairServesManyGoroutines is for the race detector as much as for
// its own checks.
func TestOneKeyPairServesManyGoroutines(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"ecdsa-p256", "rsa-2048", "ed25519"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			key := openGolden(t, kind)
			signer := newSigner(t, key)
			shared := request(signing.Both)
			want := maps.Clone(shared.Annotations)
			var wg sync.WaitGroup
			for range 32 {
				wg.Go(func() {
					signatures, err := signer.Sign(t.Context(), shared)
					if err != nil || len(signatures) != 2 {
						t.Errorf("%d signatures, error %v", len(signatures), err)
						return
					}
					signatures[1].Annotations["added"] = "by a caller" // must be the caller's own
					if !key.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(signer.PublicKey()) {
						t.Error("another public key")
					}
				})
			}
			wg.Wait()
			if !maps.Equal(shared.Annotations, want) {
				t.Errorf("the request's annotations became %q", shared.Annotations)
			}
		})
	}
}

func TestSignaturesAreIndependentOfEachOther(t *testing.T) {
	t.Parallel()
	signer := newSigner(t, newECDSA(t, elliptic.P256()))
	first, err := signer.Sign(t.Context(), request(signing.Both))
	if err != nil {
		t.Fatal(err)
	}
	before := append([]byte(nil), first[0].Bundle...)
	second, err := signer.Sign(t.Context(), request(signing.Both))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(envelopeOf(t, first[0].Bundle).sig, envelopeOf(t, second[0].Bundle).sig) {
		t.Error("two ECDSA signatures are the same: the nonce is not fresh")
	}
	if !bytes.Equal(first[0].Bundle, before) {
		t.Error("the first bundle changed")
	}
}

// TestAChainThatNoVerifierReadsIsRefused: and not recorded first.
func TestAChainThatNoVerifierReadsIsRefused(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	chain := []*x509.Certificate{{PublicKey: key.Public()}}
	for len(chain) <= limits.Chain {
		chain = append(chain, &x509.Certificate{})
	}
	for n, want := range map[int]error{limits.Chain: nil, limits.Chain + 1: limits.ErrExceeded} {
		_, err := signing.NewKeySigner(signing.KeySignerConfig{Key: key, CertificateChain: chain[:n], SkipTransparencyLog: true})
		if !errors.Is(err, want) {
			t.Errorf("%d certificates: %v", n, err)
		}
	}
}
