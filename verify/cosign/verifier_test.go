// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package cosign_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/bundles"
	"github.com/cosignkit/cosignkit/internal/fault/faulttest"
	"github.com/cosignkit/cosignkit/internal/golden"
	"github.com/cosignkit/cosignkit/internal/leash/leashtest"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/cosign"
	"github.com/cosignkit/cosignkit/verify/trust"
)

var openSet = sync.OnceValues(func() (*golden.Set, error) { return golden.Open("../../testdata/golden") })

// vector is what a release of cosign signed, with the policy that asks for all of it.
type vector struct {
	image      verify.Image
	policy     verify.Policy
	candidates []verify.Candidate
}

func open(t testing.TB, name string) vector {
	t.Helper()
	set, err := openSet()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(set.Vectors, func(v golden.Vector) bool { return v.Name == name })
	if i < 0 {
		t.Fatalf("no vector %s", name)
	}
	v := set.Vectors[i]
	roots, err := trust.Load(set.TrustedRoot())
	if err != nil {
		t.Fatal(err)
	}
	policy, err := set.Policy(v, roots)
	if err != nil {
		t.Fatal(err)
	}
	signatures, err := set.Signatures(v, v.Digest)
	if err != nil {
		t.Fatal(err)
	}
	out := vector{image: verify.Image{Name: v.Repository, Target: ocispec.Descriptor{Digest: v.Digest}}, policy: policy}
	for _, s := range signatures {
		out.candidates = append(out.candidates, verify.Candidate{Bundle: s.Bundle, Payload: s.Payload, Annotations: maps.Clone(s.Annotations)})
	}
	return out
}

func (v vector) verify(t testing.TB) (*verify.Result, error) {
	t.Helper()
	return newVerifier(t, v.policy).Verify(t.Context(), v.image, v.candidates)
}

func newVerifier(t testing.TB, policy verify.Policy) verify.Verifier {
	t.Helper()
	v, err := cosign.New(policy)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

const (
	bundleByKey      = "v3.1.3-bundle-p256"
	bundleByIdentity = "v2.6.5-bundle-keyless-rekor-v1"
	legacyByKey      = "v2.6.5-legacy-p256-rekor-v1"
	legacyByIdentity = "v2.6.5-legacy-workflow-rekor-v1"
	legacyStamped    = "v2.6.5-legacy-keyless-tsa"
	legacyAnnotated  = "v3.1.3-legacy-p256-annotations"
	bundleAnnotated  = "v3.1.3-bundle-p256-annotations"
)

func TestCosignAccepts(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		bundleByKey, bundleByIdentity, legacyByKey, legacyByIdentity, legacyStamped, legacyAnnotated,
		"v2.6.5-bundle-p384", "v3.1.3-legacy-p521", "v1.13.6-legacy-ed25519", "v3.1.3-bundle-keyless-rekor-v2-tsa",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := open(t, name)
			result, err := v.verify(t)
			if err != nil {
				t.Fatal(err)
			}
			ours, err := verify.New(v.policy)
			if err != nil {
				t.Fatal(err)
			}
			want, err := ours.Verify(t.Context(), v.image, v.candidates)
			if err != nil {
				t.Fatal(err)
			}
			got, wanted := result.Signatures[0], want.Signatures[0]
			got.Timestamps, wanted.Timestamps = nil, nil
			if show(got) != show(wanted) {
				t.Errorf("signature is\n%s, want\n%s", show(got), show(wanted))
			}
			payloads, _ := result.Payloads()
			wantedPayloads, _ := want.Payloads()
			if !result.Verified() || !bytes.Equal(payloads, wantedPayloads) {
				t.Errorf("verified: %t, payloads are %s, want %s", result.Verified(), payloads, wantedPayloads)
			}
			tampered := v
			tampered.image.Target.Digest = "sha256:" + "00000000000000000000000000000000000000000000000000000000000000ff"
			_, err = tampered.verify(t)
			faulttest.Want(t, err, verify.ErrRejected)
		})
	}
}

func show(s verify.Signature) string {
	return fmt.Sprintf("%s %s %v %s %v %s %s", s.Form, s.KeyID, s.Identity, s.Claims.Repository, s.Claims.Annotations, s.Claims.PredicateType, s.Claims.Statement)
}

// TestCosignRejects has what the guards do not let through to cosign, what cosign
// itself refuses, and what a policy promises beyond it.
func TestCosignRejects(t *testing.T) {
	t.Parallel()
	annotation := func(key, value string) func(*vector) {
		return func(v *vector) { v.candidates[0].Annotations[key] = value }
	}
	replaced := func(old, by string) func(*vector) {
		return func(v *vector) {
			v.candidates[0].Bundle = bytes.Replace(v.candidates[0].Bundle, []byte(old), []byte(by), 1)
		}
	}
	byKey, byIdentity := open(t, bundleByKey).policy, open(t, legacyByIdentity).policy
	otherStamp := open(t, "v3.1.3-legacy-keyless-tsa").candidates[0].Annotations[bundles.RFC3161TimestampAnnotationKey]
	for name, c := range map[string]struct {
		vector string
		alter  func(*vector)
		why    string
	}{
		"payload": {legacyByKey, func(v *vector) {
			v.candidates[0].Payload = bytes.Replace(v.candidates[0].Payload, []byte("cosign"), []byte("cosine"), 1)
		}, "cosign: error verifying bundle"},
		"signature of a bundle":        {bundleByKey, replaced(`"sig":"M`, `"sig":"N`), "cosign: failed to verify signature"},
		"another subject":              {legacyByIdentity, func(v *vector) { v.policy.Identities[0].Subject = "https://example.com" }, "none of the expected identities matched"},
		"another subject, of a bundle": {bundleByIdentity, func(v *vector) { v.policy.Identities[0].Subject = "https://example.com" }, "expected SAN value"},
		"another workflow":             {legacyByIdentity, func(v *vector) { v.policy.Identities[0].GitHub.Ref = "refs/heads/evil" }, "expected GitHub Workflow Ref not found"},
		"a part of a subject": {legacyByIdentity, func(v *vector) {
			v.policy.Identities[0].Subject, v.policy.Identities[0].SubjectRegexp = "", "https://github.com"
		}, "none of the expected identities"},
		"no log entry":                              {legacyByKey, annotation(bundles.BundleAnnotationKey, ""), "offline verification failed"},
		"another annotation":                        {legacyAnnotated, func(v *vector) { v.policy.Annotations = map[string]string{"env": "prod"} }, "missing or incorrect annotation"},
		"certificate of white space":                {legacyByKey, annotation(bundles.CertificateAnnotationKey, " \n"), "0 certificates, want 1"},
		"log entry whose body is a number":          {legacyByKey, annotation(bundles.BundleAnnotationKey, `{"SignedEntryTimestamp":"MQ==","Payload":{"body":1}}`), "log entry: json: cannot unmarshal"},
		"log entry that is no entry":                {legacyByKey, annotation(bundles.BundleAnnotationKey, `{"SignedEntryTimestamp":"MQ==","Payload":{"body":"e30="}}`), "not a recognizable type"},
		"no timestamp, and the policy asks for one": {legacyStamped, annotation(bundles.RFC3161TimestampAnnotationKey, ""), "no timestamp; cosign asks for none"},
		"timestamp of something else":               {legacyStamped, annotation(bundles.RFC3161TimestampAnnotationKey, otherStamp), "no trusted authority has made the timestamp"},
		"timestamp of junk":                         {legacyStamped, annotation(bundles.RFC3161TimestampAnnotationKey, `{"SignedRFC3161Timestamp":"anVuaw=="}`), "timestamp: "},
		"bundle that is no JSON":                    {bundleByKey, func(v *vector) { v.candidates[0].Bundle = []byte("junk") }, "bundle: JSON: "},
		"bundle with a key twice":                   {bundleByKey, replaced(`{`, `{"mediaType":"x",`), "bundle: JSON: "},
		"bundle of an old version":                  {bundleByKey, replaced("bundle.v0.3+json", "bundle+json;version=0.2"), "bundle version too old"},
		"bundle that is large":                      {bundleByKey, func(v *vector) { v.policy.Limits.Bundle = 100 }, "bundle in bytes is larger than 100"},
		"payload that is large":                     {legacyByKey, func(v *vector) { v.policy.Limits.Payload = 100 }, "payload in bytes is larger than 100"},
		"a key for a certificate":                   {bundleByIdentity, func(v *vector) { v.policy.Keys, v.policy.Identities = byKey.Keys, nil }, "expected key signature, not certificate"},
		"an identity for a key":                     {legacyByKey, func(v *vector) { v.policy.Identities, v.policy.Keys = byIdentity.Identities, nil }, "empty key"},
		"nothing at all":                            {bundleByKey, func(v *vector) { v.candidates = nil }, "no signatures found"},
		"a place that was not read":                 {bundleByKey, func(v *vector) { v.candidates[0] = verify.Candidate{Err: verify.ErrRejected} }, "rejected"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := open(t, c.vector)
			c.alter(&v)
			_, err := v.verify(t)
			faulttest.Want(t, err, verify.ErrRejected)
			if !strings.Contains(err.Error(), c.why) || strings.Contains(err.Error(), "panic") {
				t.Errorf("error is %v, want one that says %q", err, c.why)
			}
			if got := errors.Is(err, limits.ErrExceeded); got != strings.Contains(c.why, "is larger than") {
				t.Errorf("a limit: %t, %v", got, err)
			}
		})
	}
}

// TestDamagedTimestampsSpoilNothing: nobody asked for one.
func TestDamagedTimestampsSpoilNothing(t *testing.T) {
	t.Parallel()
	v := open(t, "v2.6.5-bundle-p256-rekor-v1-tsa")
	v.policy.TimestampThreshold = 0
	const field = `"signedTimestamp":"`
	v.candidates[0].Bundle = bytes.Replace(v.candidates[0].Bundle, []byte(field), []byte(field+"AAAA"), 1)
	if _, err := v.verify(t); err != nil {
		t.Error(err)
	}
}

// TestEachSignerIsAskedAbout: cosign knows one at a time.
func TestEachSignerIsAskedAbout(t *testing.T) {
	t.Parallel()
	byKey, byIdentity := open(t, legacyByKey), open(t, bundleByIdentity)
	stranger := newKey(t)
	policy := byIdentity.policy
	policy.Keys = []crypto.PublicKey{stranger.Public(), byKey.policy.Keys[0]}
	policy.Identities = append([]verify.Identity{{Subject: "stranger@example.com", IssuerRegexp: ".*"}}, policy.Identities...)
	for _, v := range []vector{byKey, byIdentity} {
		v.policy = policy
		if _, err := v.verify(t); err != nil {
			t.Error(err)
		}
	}
	byKey.policy.Keys = []crypto.PublicKey{stranger.Public(), newKey(t).Public()}
	_, err := byKey.verify(t)
	if err == nil || strings.Count(err.Error(), "comparing public key PEMs") != 2 {
		t.Errorf("error is %v, want a reason for each key", err)
	}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestAttestationsAreNoSignatures(t *testing.T) {
	t.Parallel()
	key, v := newKey(t), open(t, bundleByKey)
	signer, err := signing.NewKeySigner(signing.KeySignerConfig{Key: key, SkipTransparencyLog: true})
	if err != nil {
		t.Fatal(err)
	}
	statement := `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"` + v.image.Target.Digest.Encoded() +
		`"}}],"predicateType":"https://slsa.dev/provenance/v1","predicate":{}}`
	attestation, err := signer.SignStatement(t.Context(), []byte(statement))
	if err != nil {
		t.Fatal(err)
	}
	v.policy.Keys, v.candidates = []crypto.PublicKey{key.Public()}, []verify.Candidate{{Bundle: attestation}}
	_, err = v.verify(t)
	faulttest.Want(t, err, verify.ErrRejected)
	if want := `predicate type "https://slsa.dev/provenance/v1" is not a signature`; !strings.Contains(err.Error(), want) {
		t.Errorf("error is %v, want %q", err, want)
	}
}

func TestAnnotationsOfBundlesAreMisconfigured(t *testing.T) {
	t.Parallel()
	bundled, legacy := open(t, bundleAnnotated), open(t, legacyAnnotated)
	_, err := bundled.verify(t)
	faulttest.Want(t, err, verify.ErrMisconfigured)
	if !strings.Contains(err.Error(), "cosign checks no annotations of bundles") {
		t.Error(err)
	}
	// A legacy signature is enough.
	legacy.candidates = append(bundled.candidates, legacy.candidates...)
	if _, err := legacy.verify(t); err != nil {
		t.Error(err)
	}
}

type noLogLookup struct{ verify.LogLookup }

// TestWhatCosignCannotExpress names the field.
func TestWhatCosignCannotExpress(t *testing.T) {
	t.Parallel()
	keyed, keyless := open(t, legacyByKey).policy, open(t, bundleByIdentity).policy
	for name, c := range map[string]struct {
		policy verify.Policy
		alter  func(*verify.Policy)
		field  string
	}{
		"two signers":                     {keyed, func(p *verify.Policy) { p.Threshold, p.Keys = 2, append(p.Keys, newKey(t).Public()) }, "Threshold: "},
		"two logs":                        {keyed, func(p *verify.Policy) { p.LogThreshold = 2 }, "LogThreshold: "},
		"two timestamps":                  {keyed, func(p *verify.Policy) { p.TimestampThreshold = 2 }, "TimestampThreshold: "},
		"look-up of entries":              {keyed, func(p *verify.Policy) { p.LogLookup = noLogLookup{} }, "LogLookup: "},
		"repository":                      {keyed, func(p *verify.Policy) { p.Repository = verify.ExactRepository() }, "Repository: "},
		"reference":                       {keyed, func(p *verify.Policy) { p.Reference = func(string, string) bool { return true } }, "Reference: "},
		"message signatures":              {keyed, func(p *verify.Policy) { p.AllowMessageSignaturesUnsafe = true }, "AllowMessageSignaturesUnsafe: "},
		"certificates at the present day": {keyless, func(p *verify.Policy) { p.InsecureIgnoreTransparencyLog = true }, "InsecureIgnoreTransparencyLog: "},
		// And what is misconfigured for verify.New.
		"no policy":         {verify.Policy{}, func(*verify.Policy) {}, "names no key and no identity"},
		"no trusted root":   {keyed, func(p *verify.Policy) { p.TrustedRoots = nil }, "no trusted root"},
		"identity of all":   {keyless, func(p *verify.Policy) { p.Identities = []verify.Identity{{Subject: "a"}} }, "names no issuer"},
		"key of no kind":    {keyed, func(p *verify.Policy) { p.Keys = []crypto.PublicKey{"key"} }, "key 1: "},
		"limit of negative": {keyed, func(p *verify.Policy) { p.Limits.Chain = -1 }, "limit Chain"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			policy := c.policy
			policy.Keys = slices.Clone(policy.Keys)
			c.alter(&policy)
			_, err := cosign.New(policy)
			faulttest.Want(t, err, verify.ErrMisconfigured)
			if !strings.Contains(err.Error(), c.field) {
				t.Errorf("error is %v, want one that names %q", err, c.field)
			}
		})
	}
}

func TestInterfacesAreThoseOfVerify(t *testing.T) {
	t.Parallel()
	v := open(t, bundleByKey)
	v.policy.Limits.Candidates = 7
	verifier := newVerifier(t, v.policy)
	if got := verifier.(verify.LimitedVerifier).Limits().Candidates; got != 7 {
		t.Errorf("limit is %d", got)
	}
	result, err := verifier.(verify.StreamVerifier).VerifyStream(t.Context(), v.image, slices.Values(v.candidates))
	if err != nil || !result.Accepted {
		t.Errorf("result is %v, %v", result, err)
	}
}

type rootsFunc func(context.Context) (*verify.TrustedRoot, error)

func (f rootsFunc) TrustedRoot(ctx context.Context) (*verify.TrustedRoot, error) { return f(ctx) }

// TestEndsWithItsContext is not parallel, as leashtest wants it.
func TestEndsWithItsContext(t *testing.T) {
	v := open(t, legacyByKey)
	leashtest.Ends(t, func(ctx context.Context, stuck func()) error {
		v.policy.TrustedRoots = rootsFunc(func(context.Context) (*verify.TrustedRoot, error) {
			stuck()
			return nil, errors.New("late")
		})
		_, err := newVerifier(t, v.policy).Verify(ctx, v.image, v.candidates)
		return err
	})
}

// TestNothingIsPrinted: cosign and sigstore-go write to standard error of a bad
// timestamp. It is not parallel.
func TestNothingIsPrinted(t *testing.T) {
	file, err := os.CreateTemp(t.TempDir(), "stderr")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	stderr := os.Stderr
	os.Stderr = file
	log.SetOutput(file)
	defer func() {
		os.Stderr = stderr
		log.SetOutput(stderr)
	}()
	v := open(t, legacyStamped)
	v.candidates[0].Annotations[bundles.RFC3161TimestampAnnotationKey] =
		open(t, "v3.1.3-legacy-keyless-tsa").candidates[0].Annotations[bundles.RFC3161TimestampAnnotationKey]
	_, err = v.verify(t)
	faulttest.Want(t, err, verify.ErrRejected)
	if info, err := file.Stat(); err != nil || info.Size() != 0 {
		t.Errorf("%d bytes written to standard error, %v", info.Size(), err)
	}
}
