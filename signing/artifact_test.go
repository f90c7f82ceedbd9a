// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package signing_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"

	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

const artifact = "what is no image\n"

// statement is one about artifact, with white space and an order of fields that
// no encoder would choose.
const statement = ` {"predicate": {"n": 1.0}, "predicateType":"https://example.test/p/v1",
 "subject":[{"digest":{"sha256":"%s"}, "name":"a"}], "_type":"https://in-toto.io/Statement/v1"}
`

// keyPolicy accepts signatures of the key that nobody recorded.
func keyPolicy(public crypto.PublicKey) verify.Policy {
	return verify.Policy{Keys: []crypto.PublicKey{public}, InsecureIgnoreTransparencyLog: true}
}

func TestSignedArtifactsVerify(t *testing.T) {
	t.Parallel()
	for _, kind := range goldenKinds {
		for name, content := range map[string]string{"content": artifact, "nothing": ""} {
			t.Run(kind+" "+name, func(t *testing.T) {
				t.Parallel()
				signer := newSigner(t, openGolden(t, kind))
				b, err := signer.SignArtifact(t.Context(), []byte(content))
				if err != nil {
					t.Fatal(err)
				}
				policy := keyPolicy(signer.PublicKey())
				if _, err := verify.Bundle(t.Context(), policy, verify.Artifact{Content: strings.NewReader(content)}, b); err != nil {
					t.Error(err)
				}
				if _, err := verify.Bundle(t.Context(), policy, verify.Artifact{Content: strings.NewReader("other")}, b); !errors.Is(err, verify.ErrRejected) {
					t.Errorf("other content: %v", err)
				}
			})
		}
	}
}

// TestArtifactBundle: the bundle has the hash by which the artifact is found, of
// the algorithm that it says.
func TestArtifactBundle(t *testing.T) {
	t.Parallel()
	for kind, algorithm := range map[string]digest.Algorithm{
		"ecdsa-p256": digest.SHA256, "ecdsa-p384": digest.SHA384, "ecdsa-p521": digest.SHA512,
		"rsa-2048": digest.SHA256, "ed25519": digest.SHA256,
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			b, err := newSigner(t, openGolden(t, kind)).SignArtifact(t.Context(), []byte(artifact))
			if err != nil {
				t.Fatal(err)
			}
			var got struct {
				MediaType            string
				VerificationMaterial struct{ PublicKey struct{ Hint string } }
				DSSEEnvelope         any
				MessageSignature     struct {
					MessageDigest struct {
						Algorithm string
						Digest    []byte
					}
					Signature []byte
				}
			}
			if err := json.Unmarshal(b, &got); err != nil {
				t.Fatal(err)
			}
			if got.MediaType != "application/vnd.dev.sigstore.bundle.v0.3+json" || got.VerificationMaterial.PublicKey.Hint == "" || got.DSSEEnvelope != nil {
				t.Errorf("bundle is %s", b)
			}
			d := got.MessageSignature.MessageDigest
			if want := algorithm.FromString(artifact).Encoded(); hex.EncodeToString(d.Digest) != want {
				t.Errorf("digest is %x, want %s", d.Digest, want)
			}
			if want := "SHA2_" + strings.TrimPrefix(algorithm.String(), "sha"); d.Algorithm != want {
				t.Errorf("algorithm is %s, want %s", d.Algorithm, want)
			}
			if bytes.Contains(b, []byte(base64.StdEncoding.EncodeToString([]byte(artifact)))) {
				t.Error("the artifact is in the bundle")
			}
		})
	}
}

// aStatement is the statement with the digest of artifact.
func aStatement() string {
	return fmt.Sprintf(statement, digest.FromString(artifact).Encoded())
}

func TestSignedStatementsVerify(t *testing.T) {
	t.Parallel()
	for _, kind := range goldenKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			signer := newSigner(t, openGolden(t, kind))
			b, err := signer.SignStatement(t.Context(), []byte(aStatement()))
			if err != nil {
				t.Fatal(err)
			}
			e := envelopeOf(t, b)
			if string(e.payload) != aStatement() {
				t.Errorf("payload is %q, want what was given", e.payload)
			}
			policy := keyPolicy(signer.PublicKey())
			for name, a := range map[string]verify.Artifact{
				"digest":  {Digest: digest.FromString(artifact)},
				"content": {Content: strings.NewReader(artifact)},
			} {
				if _, err := verify.Bundle(t.Context(), policy, a, b); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			if _, err := verify.Bundle(t.Context(), policy, verify.Artifact{Digest: digest.FromString("other")}, b); !errors.Is(err, verify.ErrRejected) {
				t.Errorf("other digest: %v", err)
			}
		})
	}
}

// TestAnAttestationIsNoImageSignature: neither of what a ArtifactSigner makes lets
// an image in that is a subject of the statement.
func TestAnAttestationIsNoImageSignature(t *testing.T) {
	t.Parallel()
	signer := newSigner(t, openGolden(t, "ecdsa-p256"))
	b, err := signer.SignStatement(t.Context(), []byte(aStatement()))
	if err != nil {
		t.Fatal(err)
	}
	v, err := verify.New(keyPolicy(signer.PublicKey()))
	if err != nil {
		t.Fatal(err)
	}
	image := verify.Image{Name: "registry.example/app"}
	image.Target.Digest = digest.FromString(artifact)
	if _, err := v.Verify(t.Context(), image, []verify.Candidate{{Bundle: b}}); !errors.Is(err, verify.ErrRejected) {
		t.Errorf("as a signature of the image: %v", err)
	}
}

func TestSignStatementRefuses(t *testing.T) {
	t.Parallel()
	sha256sum := sha256.Sum256(nil)
	good := fmt.Sprintf(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"a","digest":{"sha256":"%x"}}],`+
		`"predicateType":"https://example.test/p/v1"}`, sha256sum)
	with := func(old, now string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("no %s in the statement", old)
		}
		return strings.Replace(good, old, now, 1)
	}
	const kind = `"predicateType":"https://example.test/p/v1"`
	const image = `"https://sigstore.dev/cosign/sign/v1"`
	subject := fmt.Sprintf(`{"name":"a","digest":{"sha256":"%x"}}`, sha256sum)
	for name, c := range map[string]struct{ statement, want string }{
		"nothing":                         {"", "not an in-toto statement"},
		"no JSON":                         {"statement", "not an in-toto statement"},
		"a list":                          {"[]", "not an in-toto statement"},
		"null":                            {"null", "not an in-toto statement"},
		"two statements":                  {good + good, "not an in-toto statement"},
		"an image signature":              {with(kind, `"predicateType":`+image), "only Sign makes"},
		"an image signature, escaped":     {with(kind, `"predicateType":"https:\/\/sigstore.dev\/cosign\/sign\u002fv1"`), "only Sign makes"},
		"an image signature for some":     {with(kind, kind+`,"PredicateType":`+image), "unknown field"},
		"an image signature for others":   {with(kind, kind+`,"predicateType":`+image), "is there twice"},
		"an image signature, field alias": {with(kind, `"predicate_type":`+image), `no field "predicate_type"`},
		"predicate type twice":            {with(kind, kind+`,"predicate_type":`+image), "duplicate field"},
		"type alias":                      {with(`"_type"`, `"type"`), `no field "type"`},
		"unknown field":                   {with(kind, kind+`,"more":1`), "unknown field"},
		"unknown field of a subject":      {with(`"name"`, `"more":1,"name"`), "unknown field"},
		"no type":                         {with(`"_type":"https://in-toto.io/Statement/v1",`, ""), "statement of type"},
		"type of before":                  {with("Statement/v1", "Statement/v0.1"), "statement of type"},
		"type of later":                   {with("Statement/v1", "Statement/v2"), "statement of type"},
		"no predicate type":               {with(","+kind, ""), "no predicate type"},
		"empty predicate type":            {with(kind, `"predicateType":""`), "no predicate type"},
		"predicate that is no object":     {with(kind, kind+`,"predicate":"text"`), "not an in-toto statement"},
		"no subject":                      {with(subject, ""), "no subject"},
		"subjects are null":               {with("["+subject+"]", "null"), "no subject"},
		"subject without digest":          {with(fmt.Sprintf(`"sha256":"%x"`, sha256sum), ""), "subject 1 has no digest"},
		"second subject without digest":   {with(subject, subject+`,{"name":"b"}`), "subject 2 has no digest"},
		"digest that is none":             {with(fmt.Sprintf("%x", sha256sum), "xyz"), "subject 1"},
		"digest that is short":            {with(fmt.Sprintf("%x", sha256sum), "e3b0"), "subject 1"},
		"1025 subjects":                   {with(subject, strings.Repeat(subject+",", 1024)+subject), "number of subjects"},
		"33 digests":                      {with(`"digest":{`, `"digest":{`+digests(32)), "number of digests"},
		"not UTF-8":                       {with(`"name":"a"`, "\"name\":\"\xff\""), "not an in-toto statement"},
		"more than 512 KiB":               {with(kind, kind+`,"predicate":{"a":"`+strings.Repeat("a", 512<<10)+`"}`), "statement in bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			signer, err := signing.NewKeySigner(signing.KeySignerConfig{Key: untouched{t, openGolden(t, "ecdsa-p256")}, SkipTransparencyLog: true})
			if err != nil {
				t.Fatal(err)
			}
			b, err := signer.SignStatement(t.Context(), []byte(c.statement))
			wantFamily(t, err, signing.ErrMisconfigured)
			if b != nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") || len(err.Error()) > 500 {
				t.Errorf("error is %v, want %q in one line", err, c.want)
			}
		})
	}
	largest := with(kind, kind+`,"predicate":{"a":""}`)
	largest = strings.Replace(largest, `"a":""`, `"a":"`+strings.Repeat("a", 512<<10-len(largest))+`"`, 1)
	for name, s := range map[string]string{
		"no predicate":  good,
		"1024 subjects": with(subject, strings.Repeat(subject+",", 1023)+subject),
		"32 digests":    with(`"digest":{`, `"digest":{`+digests(31)),
		"512 KiB":       largest,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			signer := newSigner(t, openGolden(t, "ecdsa-p256"))
			b, err := signer.SignStatement(t.Context(), []byte(s))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := verify.Bundle(t.Context(), keyPolicy(signer.PublicKey()), verify.Artifact{Digest: digest.FromString("")}, b); err != nil {
				t.Error(err)
			}
		})
	}
}

// digests are n digests of algorithms that nobody knows.
func digests(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"x%d":"00",`, i)
	}
	return b.String()
}

// untouched is a key that must not sign.
type untouched struct {
	t *testing.T
	crypto.Signer
}

func (u untouched) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	u.t.Error("the key signed")
	return nil, errors.New("refused")
}

// recorder is a log that keeps what it is asked to record.
type recorder struct {
	can, err error
	bundle   *protobundle.Bundle
}

func (r *recorder) CanRecord(signing.Form, crypto.PublicKey) error { return r.can }

func (r *recorder) Record(_ context.Context, b *protobundle.Bundle, _ crypto.PublicKey) error {
	r.bundle = b
	return r.err
}

func TestArtifactSignerRecords(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		log      *recorder
		artifact error
		attest   error
	}{
		"recorded":          {&recorder{}, nil, nil},
		"log fails":         {&recorder{err: errors.New("no answer")}, signing.ErrInconclusive, signing.ErrInconclusive},
		"log takes no such": {&recorder{can: errors.New("no such key"), err: verify.ErrMisconfigured}, signing.ErrMisconfigured, signing.ErrMisconfigured},
		"log has a family":  {&recorder{err: fmt.Errorf("%w: wrong", signing.ErrMisconfigured)}, signing.ErrMisconfigured, signing.ErrMisconfigured},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			signer, err := signing.NewKeySigner(signing.KeySignerConfig{Key: openGolden(t, "ecdsa-p256"), Log: c.log})
			if err != nil {
				t.Fatal(err)
			}
			b, err := signer.SignArtifact(t.Context(), []byte(artifact))
			if (b == nil) != (c.artifact != nil) || c.artifact == nil && err != nil {
				t.Errorf("SignArtifact: %s, %v", b, err)
			}
			if c.artifact != nil {
				wantFamily(t, err, c.artifact)
			}
			if c.log.bundle.GetMessageSignature() == nil {
				t.Error("the log was not asked for the artifact")
			}
			b, err = signer.SignStatement(t.Context(), []byte(aStatement()))
			if (b == nil) != (c.attest != nil) || c.attest == nil && err != nil {
				t.Errorf("SignStatement: %s, %v", b, err)
			}
			if c.attest != nil {
				wantFamily(t, err, c.attest)
			}
			if (c.log.bundle.GetDsseEnvelope() == nil) != (c.log.can != nil) {
				t.Errorf("the log was asked for %v", c.log.bundle)
			}
		})
	}
}

// TestLogsTellLegacySignaturesFromArtifacts by the version of the bundle: both
// are message signatures, and not every log can record both.
func TestLogsTellLegacySignaturesFromArtifacts(t *testing.T) {
	t.Parallel()
	log := &recorder{err: errors.New("no answer")}
	signer, err := signing.NewKeySigner(signing.KeySignerConfig{Key: openGolden(t, "ecdsa-p256"), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = signer.SignArtifact(t.Context(), []byte(artifact))
	if got := log.bundle.GetMediaType(); !strings.Contains(got, "v0.3") {
		t.Errorf("artifact: %s", got)
	}
	_, _ = signer.Sign(t.Context(), request(signing.Legacy))
	if got := log.bundle.GetMediaType(); !strings.Contains(got, "version=0.1") {
		t.Errorf("legacy: %s", got)
	}
}

func TestArtifactSignerHonoursTheContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	signer := newSigner(t, openGolden(t, "ed25519"))
	for name, sign := range map[string]func(context.Context, []byte) ([]byte, error){
		artifact: signer.SignArtifact, aStatement(): signer.SignStatement,
	} {
		b, err := sign(ctx, []byte(name))
		wantFamily(t, err, signing.ErrInconclusive)
		if b != nil || !errors.Is(err, context.Canceled) {
			t.Errorf("%s, %v", b, err)
		}
	}
}
