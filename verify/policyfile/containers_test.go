// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package policyfile_test

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	sgroot "github.com/sigstore/sigstore-go/pkg/root"

	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/policyfile"
	"github.com/cosignkit/cosignkit/verify/trust"
)

// docker is a policy.json with one scope, on line 2.
func docker(scope string, requirements ...string) string {
	return fmt.Sprintf("{\"default\": [{\"type\": \"reject\"}], \"transports\": {\"docker\": {\n%q: [%s]\n}}}", scope, strings.Join(requirements, ", "))
}

const signedByKey = `{"type": "sigstoreSigned", "keyPath": "KEYS/p256.pub", "signedIdentity": {"type": "matchRepository"}}`

func mustParseContainers(t testing.TB, policy string) *policyfile.Policy {
	t.Helper()
	p, err := policyfile.ParseContainers([]byte(testdata(t, policy)), t.TempDir(), policyfile.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestContainersProblems(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		policy string
		want   []string
	}{
		"YAML":                   {"default: [{type: reject}]\n", []string{"1: not JSON: invalid character 'd' looking for beginning of value"}},
		"a comment":              {"{\n/* none */\n\"default\": [{\"type\": \"reject\"}]}", []string{"2: not JSON: invalid character '/' looking for beginning of object key string"}},
		"cut off":                {"{\"default\":\n[{\"type\": \"rej", []string{"2: not JSON: unexpected end of JSON input"}},
		"a comma too many":       {"{\"default\": [{\"type\": \"reject\"},\n]}", []string{"2: not JSON: invalid character ']' looking for beginning of value"}},
		"a slip behind escapes":  {"{\"default\": [{\"type\": \"reject\"}],\n\"d\\u0065fault\": [{\"type\": \"insecureAcceptAnything\"}]}", []string{"2: default: is there twice, first on line 1"}},
		"no default":             {"{}", []string{"1: default: is missing, want a list of requirements"}},
		"an empty default":       {`{"default": []}`, []string{"1: is empty; leave it out, or give it a value"}},
		"null":                   {`{"default": null}`, []string{"1: default: is empty; leave it out, or give it a value"}},
		"an unknown field":       {`{"default": [{"type": "reject"}], "defaults": []}`, []string{"1: defaults: unknown field; did you mean default?"}},
		"a field twice":          {"{\"default\": [{\"type\": \"reject\"}],\n\"default\": [{\"type\": \"insecureAcceptAnything\"}]}", []string{"2: default: is there twice, first on line 1"}},
		"a scope twice":          {"{\"default\": [{\"type\": \"reject\"}], \"transports\": {\"docker\": {\"a.example\": [{\"type\": \"reject\"}],\n\"a.example\": [{\"type\": \"insecureAcceptAnything\"}]}}}", []string{"2: a.example: is there twice, first on line 1"}},
		"the wrong case":         {`{"Default": [{"type": "reject"}]}`, []string{"1: Default: unknown field; did you mean default?", "1: default: is missing, want a list of requirements"}},
		"no type":                {docker("a.example", "{}"), []string{"2: type: is missing"}},
		"an unknown type":        {docker("a.example", `{"type": "accept"}`), []string{`2: type: the text "accept", want insecureAcceptAnything or reject or sigstoreSigned or signedBy or signedBaseLayer`}},
		"reject with a key":      {docker("a.example", `{"type": "reject", "keyPath": "a"}`), []string{"2: keyPath: unknown field; those known here are type"}},
		"a scope that is none":   {docker("https://a.example", `{"type": "reject"}`), []string{`2: docker: "https://a.example" has a scheme, want REGISTRY or REGISTRY/REPOSITORY`}},
		"no key":                 {docker("a.example", `{"type": "sigstoreSigned"}`), []string{"2: says nothing of the signer, want one of keyPath, keyPaths, keyData, keyDatas, fulcio, pki"}},
		"two keys":               {docker("a.example", `{"type": "sigstoreSigned", "keyPath": "a", "keyData": "YQ=="}`), []string{"2: has keyPath and keyData, want one of them"}},
		"a key that is missing":  {docker("a.example", `{"type": "sigstoreSigned", "keyPath": "none.pub"}`), []string{"2: keyPath: none.pub: no such file or directory"}},
		"a key of a list, gone":  {docker("a.example", `{"type": "sigstoreSigned", "keyPaths": ["KEYS/p256.pub", "none.pub"]}`), []string{"2: keyPaths: none.pub: no such file or directory"}},
		"no keys in a list":      {docker("a.example", `{"type": "sigstoreSigned", "keyPaths": []}`), []string{"2: keyPaths: is empty; leave it out, or give it a value"}},
		"a key in no base64":     {docker("a.example", `{"type": "sigstoreSigned", "keyData": "???"}`), []string{"2: keyData: illegal base64 data at input byte 0"}},
		"a key that is none":     {docker("a.example", `{"type": "sigstoreSigned", "keyData": "bm9uc2Vuc2U="}`), []string{"2: keyData: not a public key in PEM or DER: ASN.1 element that is longer than what contains it"}},
		"fulcio and no log":      {docker("a.example", `{"type": "sigstoreSigned", "fulcio": {"caPath": "KEYS/p256.pub", "oidcIssuer": "a", "subjectEmail": "b"}}`), []string{"2: fulcio: needs rekorPublicKeyPath: a certificate is only good at a time that a log vouches for", "2: sigstoreSigned: certificates of Fulcio: x509: malformed serial number"}},
		"fulcio of nobody":       {docker("a.example", `{"type": "sigstoreSigned", "fulcio": {"caData": "YQ=="}, "rekorPublicKeyPath": "KEYS/p256.pub"}`), []string{"2: oidcIssuer: is missing", "2: sigstoreSigned: certificates of Fulcio: not a certificate in PEM", "2: subjectEmail: is missing"}},
		"fulcio without a root":  {docker("a.example", `{"type": "sigstoreSigned", "fulcio": {"oidcIssuer": "a", "subjectEmail": "b"}, "rekorPublicKeyPath": "KEYS/p256.pub"}`), []string{"2: says nothing of the certificate authority, want one of caPath, caData"}},
		"two logs":               {docker("a.example", `{"type": "sigstoreSigned", "keyPath": "KEYS/p256.pub", "rekorPublicKeyPath": "KEYS/p256.pub", "rekorPublicKeyData": "YQ=="}`), []string{"2: has rekorPublicKeyPath and rekorPublicKeyData, want one of them"}},
		"an identity of a slip":  {docker("a.example", `{"type": "sigstoreSigned", "keyPath": "KEYS/p256.pub", "signedIdentity": {"type": "matchRepo"}}`), []string{`2: type: the text "matchRepo", want matchExact or matchRepoDigestOrExact or matchRepository or exactReference or exactRepository or remapIdentity`}},
		"an identity of no type": {docker("a.example", `{"type": "sigstoreSigned", "keyPath": "KEYS/p256.pub", "signedIdentity": {"prefix": "a"}}`), []string{"2: signedIdentity: type is missing"}},
		"a reference left out":   {docker("a.example", `{"type": "sigstoreSigned", "keyPath": "KEYS/p256.pub", "signedIdentity": {"type": "exactReference"}}`), []string{"2: dockerReference: is missing"}},
		"a reference too little": {docker("a.example", `{"type": "sigstoreSigned", "keyPath": "KEYS/p256.pub", "signedIdentity": {"type": "exactReference", "dockerReference": "a.example/b"}}`), []string{"2: signedIdentity: dockerReference has neither tag nor digest"}},
		"a repository too much":  {docker("a.example", `{"type": "sigstoreSigned", "keyPath": "KEYS/p256.pub", "signedIdentity": {"type": "exactRepository", "dockerRepository": "a.example/b:v1"}}`), []string{"2: signedIdentity: dockerRepository has a tag or a digest"}},
		"a field of another":     {docker("a.example", `{"type": "sigstoreSigned", "keyPath": "KEYS/p256.pub", "signedIdentity": {"type": "matchExact", "prefix": "a"}}`), []string{"2: prefix: unknown field; those known here are type"}},
		"a prefix with a slash":  {docker("a.example", `{"type": "sigstoreSigned", "keyPath": "KEYS/p256.pub", "signedIdentity": {"type": "remapIdentity", "prefix": "a.example/", "signedPrefix": "b.example"}}`), []string{"2: signedIdentity: no image has such a name, want REGISTRY/REPOSITORY"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := policyfile.ParseContainers([]byte(testdata(t, c.policy)), t.TempDir(), policyfile.Config{})
			wantProblems(t, err, c.want...)
		})
	}
}

func TestContainers(t *testing.T) {
	t.Parallel()
	const reject, anything = `{"type": "reject"}`, `{"type": "insecureAcceptAnything"}`
	other := strings.Replace(signedByKey, "p256", "ed25519", 1)
	for name, c := range map[string]struct {
		policy     string
		vector     string
		want       error
		unverified bool
	}{
		"another scope":                 {docker("other.example", anything), legacyKey, verify.ErrRejected, false},
		"the default of docker":         {docker("", anything), legacyKey, nil, true},
		"anything":                      {docker("127.0.0.1:45585", anything), legacyKey, nil, true},
		"a key":                         {docker("127.0.0.1:45585/golden", signedByKey2), legacyKey, nil, false},
		"a key given twice":             {docker("127.0.0.1:45585/golden", signedByKey2, signedByKey2), legacyKey, nil, false},
		"a key, and anything":           {docker("127.0.0.1:45585/golden", anything, signedByKey2), legacyKey, nil, false},
		"another key":                   {docker("127.0.0.1:45585/golden", other), legacyKey, verify.ErrRejected, false},
		"a key and another one":         {docker("127.0.0.1:45585/golden", signedByKey2, other), legacyKey, verify.ErrRejected, false},
		"a key and reject":              {docker("127.0.0.1:45585/golden", signedByKey2, reject), legacyKey, verify.ErrRejected, false},
		"no tag in the claim":           {docker("127.0.0.1:45585/golden", strings.Replace(signedByKey2, "matchRepository", "matchExact", 1)), legacyKey, verify.ErrRejected, false},
		"no tag in the claim, default":  {docker("127.0.0.1:45585/golden", `{"type": "sigstoreSigned", "keyPath": "KEYS2/p256.pub"}`), legacyKey, verify.ErrRejected, false},
		"no claim in a bundle":          {docker("127.0.0.1:45585/golden", signedByKey), byKey, verify.ErrRejected, false},
		"GPG":                           {docker("127.0.0.1:45585", `{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/none"}`), legacyKey, verify.ErrMisconfigured, false},
		"GPG, and anything":             {docker("127.0.0.1:45585", `{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/none"}`, anything), legacyKey, verify.ErrMisconfigured, false},
		"GPG elsewhere":                 {docker("127.0.0.1:45585/golden", signedByKey2+`], "registry.redhat.io": [{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/none"}`), legacyKey, nil, false},
		"GPG, and a key":                {docker("127.0.0.1:45585", signedByKey2, `{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/none"}`), legacyKey, verify.ErrMisconfigured, false},
		"GPG, and reject":               {docker("127.0.0.1:45585", `{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/none"}`, reject), legacyKey, verify.ErrRejected, false},
		"a certificate of another kind": {docker("127.0.0.1:45585", `{"type": "sigstoreSigned", "pki": {"caRootsPath": "/none", "subjectEmail": "a"}}`), legacyKey, verify.ErrMisconfigured, false},
		"a base layer":                  {docker("127.0.0.1:45585", `{"type": "signedBaseLayer", "baseLayerIdentity": {"type": "matchExact"}}`), legacyKey, verify.ErrMisconfigured, false},
		"a log that is another":         {docker("127.0.0.1:45585/golden", strings.Replace(signedByKey2, `"signed`, `"rekorPublicKeyPath": "KEYS/p256.pub", "signed`, 1)), legacyLog, verify.ErrRejected, false},
		"no log, with an entry":         {docker("127.0.0.1:45585/golden", signedByKey2), legacyLog, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := mustParseContainers(t, strings.ReplaceAll(c.policy, "KEYS2/", strings.Replace(testdata(t, "KEYS/"), "v2.6.5", "v2.2.4", 1)))
			image, candidates := signed(t, c.vector, "")
			result, err := decide(t.Context(), p, image, candidates)
			if c.want != nil {
				wantFamily(t, err, c.want)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if result.Verified() == c.unverified || result.Accepted == false {
				t.Errorf("%+v", result)
			}
		})
	}
}

const (
	legacyKey    = "v2.2.4-legacy-p256" // no log
	signedByKey2 = `{"type": "sigstoreSigned", "keyPath": "KEYS2/p256.pub", "signedIdentity": {"type": "matchRepository"}}`
)

// TestContainersFulcio takes the authority and the log of the golden files.
func TestContainersFulcio(t *testing.T) {
	t.Parallel()
	fulcio, rekor := partsOfRoot(t)
	const vector = "v2.2.4-legacy-keyless-rekor-v1"
	image, candidates := signed(t, vector, "")
	requirement := func(issuer, email, rekor string) string {
		return fmt.Sprintf(`{"type": "sigstoreSigned", "fulcio": {"caData": %q, "oidcIssuer": %q, "subjectEmail": %q}, "rekorPublicKeyDatas": [%q], "signedIdentity": {"type": "matchRepository"}}`,
			fulcio, issuer, email, rekor)
	}
	result, err := mustParse(t, "version: 1\ntrustedRoot: ROOT\nrules:\n- scope: 127.0.0.1:45585\n  identities: [{subject: person@example.com, issuerRegexp: .*}]\n", policyfile.Config{}).Verify(t.Context(), image, candidates)
	if err != nil {
		t.Fatal(err)
	}
	issuer := result.Signatures[0].Identity.Issuer
	_, otherRekor := newSigner(t)
	for name, c := range map[string]struct {
		requirement string
		accepted    bool
	}{
		"the identity":   {requirement(issuer, "person@example.com", rekor), true},
		"another person": {requirement(issuer, "person@example.com.example", rekor), false},
		"another issuer": {requirement(issuer+"/", "person@example.com", rekor), false},
		"another log":    {requirement(issuer, "person@example.com", otherRekor), false},
	} {
		p := mustParseContainers(t, docker("127.0.0.1:45585", c.requirement))
		result, err := decide(t.Context(), p, image, candidates)
		if c.accepted != (err == nil && result.Verified()) {
			t.Errorf("%s: %+v, %v", name, result, err)
		}
	}
}

// TestSignedIdentity compares what a signature claims with what is pulled, as
// containers-policy.json(5) says.
func TestSignedIdentity(t *testing.T) {
	t.Parallel()
	const atDigest = "@" + someDigest
	for identity, cases := range map[string][]struct {
		image, claimed string
		accepted       bool
	}{
		`{"type": "matchExact"}`: {
			{"a.example/app:v1", "a.example/app:v1", true},
			{"a.example/app:v1", "a.example/app:v2", false},
			{"a.example/app:v1", "a.example/app", false},
			{"a.example/app", "a.example/app:latest", true},
			{"a.example/app" + atDigest, "a.example/app:v1", false},
			{"a.example/app" + atDigest, "a.example/app" + atDigest, true},
			{"alpine", "docker.io/library/alpine:latest", true},
			{"alpine:latest", "alpine:latest", true},
			{"a.example/app:v1", "", false},
			{"a.example/app:v1", "A.example/App:v1", false},
		},
		`{"type": "matchRepoDigestOrExact"}`: {
			{"a.example/app:v1", "a.example/app:v1", true},
			{"a.example/app:v1", "a.example/app:v2", false},
			{"a.example/app:v1", "a.example/app", false},
			{"a.example/app" + atDigest, "a.example/app:v1", true},
			{"a.example/app" + atDigest, "a.example/app", false},
			{"a.example/app" + atDigest, "a.example/other:v1", false},
			{"a.example/app:v1" + atDigest, "a.example/app:v1", false},
		},
		`{"type": "matchRepository"}`: {
			{"a.example/app:v1", "a.example/app:v2", true},
			{"a.example/app:v1", "a.example/app", true},
			{"a.example/app:v1", "a.example/app/b", false},
			{"a.example/app:v1", "b.example/app", false},
			{"a.example/app:v1", "not a name", false},
		},
		`{"type": "exactReference", "dockerReference": "b.example/app:v1"}`: {
			{"a.example/anything", "b.example/app:v1", true},
			{"a.example/anything", "b.example/app:v2", false},
			{"a.example/anything", "b.example/app", false},
			{"b.example/app:v1", "a.example/anything", false},
		},
		`{"type": "exactRepository", "dockerRepository": "b.example/app"}`: {
			{"a.example/anything", "b.example/app:v1", true},
			{"a.example/anything", "b.example/app", true},
			{"a.example/anything", "b.example/app/c", false},
		},
		`{"type": "remapIdentity", "prefix": "a.example/mirror", "signedPrefix": "b.example"}`: {
			{"a.example/mirror/team/app:v1", "b.example/team/app:v1", true},
			{"a.example/mirror/team/app:v1", "b.example/team/app:v2", false},
			{"a.example/mirror/team/app:v1", "a.example/mirror/team/app:v1", false},
			{"a.example/mirrors/app:v1", "a.example/mirrors/app:v1", true},
			{"a.example/mirrors/app:v1", "b.examples/app:v1", false},
			{"a.example/mirror/app" + atDigest, "b.example/app:v1", true},
		},
	} {
		t.Run(identity, func(t *testing.T) {
			t.Parallel()
			key, public := newSigner(t)
			p := mustParseContainers(t, docker("", fmt.Sprintf(`{"type": "sigstoreSigned", "keyData": %q, "signedIdentity": %s}`, public, identity)))
			for _, c := range cases {
				image := verify.Image{Name: c.image, Target: ocispec.Descriptor{Digest: someDigest}}
				_, err := decide(t.Context(), p, image, []verify.Candidate{claiming(t, key, c.claimed)})
				if c.accepted != (err == nil) {
					t.Errorf("%s, signed as %q: %v", c.image, c.claimed, err)
				}
				if err != nil && !errors.Is(err, verify.ErrRejected) {
					t.Errorf("%s, signed as %q: %v", c.image, c.claimed, err)
				}
			}
		})
	}
}

func newSigner(t *testing.T) (ed25519.PrivateKey, string) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return private, base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// claiming is a legacy signature, as Podman makes them, with any claim.
func claiming(t *testing.T, key ed25519.PrivateKey, reference string) verify.Candidate {
	t.Helper()
	payload, err := json.Marshal(map[string]any{
		"critical": map[string]any{
			"identity": map[string]string{"docker-reference": reference},
			"image":    map[string]string{"docker-manifest-digest": someDigest},
			"type":     "cosign container image signature",
		},
		"optional": map[string]any{},
	})
	if err != nil {
		t.Fatal(err)
	}
	sig := base64.StdEncoding.EncodeToString(ed25519.Sign(key, payload))
	return verify.Candidate{Payload: payload, Annotations: map[string]string{"dev.cosignproject.cosign/signature": sig}}
}

// partsOfRoot returns the certificates of Fulcio and the key of Rekor v1 of the
// golden trusted root, in PEM in base64.
func partsOfRoot(t *testing.T) (fulcio, rekor string) {
	t.Helper()
	set, err := goldenSet()
	if err != nil {
		t.Fatal(err)
	}
	root, err := trust.Load(set.TrustedRoot())
	if err != nil {
		t.Fatal(err)
	}
	var keys []byte
	for _, log := range root.Material().RekorLogs() {
		if _, isEd25519 := log.PublicKey.(ed25519.PublicKey); isEd25519 {
			continue // Rekor v2
		}
		der, err := x509.MarshalPKIXPublicKey(log.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})...)
	}
	return base64.StdEncoding.EncodeToString([]byte(rootCertificate(t))), base64.StdEncoding.EncodeToString(keys)
}

// rootCertificate is that of Fulcio in the golden trusted root.
func rootCertificate(t *testing.T) string {
	t.Helper()
	set, err := goldenSet()
	if err != nil {
		t.Fatal(err)
	}
	root, err := trust.Load(set.TrustedRoot())
	if err != nil {
		t.Fatal(err)
	}
	raw := root.Material().FulcioCertificateAuthorities()[0].(*sgroot.FulcioCertificateAuthority).Root.Raw
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}))
}

// TestContainersInTheField: files as distributions and vendors have them.
func TestContainersInTheField(t *testing.T) {
	t.Parallel()
	for file, images := range map[string]map[string]policyfile.Action{
		"debian.json":    {"alpine": policyfile.InsecureAcceptAnything},
		"rhel.json":      {"registry.access.redhat.com/ubi9": policyfile.Unsupported, "registry.redhat.io/ubi9": policyfile.Unsupported, "quay.io/app": policyfile.InsecureAcceptAnything},
		"manual.json":    {"docker.io/openshift/app": policyfile.InsecureAcceptAnything, "busybox": policyfile.InsecureAcceptAnything, "a.temporary-project.example.com/x": policyfile.InsecureAcceptAnything, "hostname:5000/myns/sigstore-signed-with-full-references": policyfile.Enforce, "hostname:5000/myns/other": policyfile.Reject, "hostname:5000/vendor/product": policyfile.Unsupported},
		"openshift.json": {"quay.io/openshift-release-dev/ocp-release": policyfile.Enforce, "quay.io/openshift-release-dev/other": policyfile.InsecureAcceptAnything},
	} {
		p, err := policyfile.LoadContainers(filepath.Join("testdata", "containers", file), policyfile.Config{})
		if err != nil {
			t.Error(err)
			continue
		}
		for image, want := range images {
			rule, err := p.Rule(image)
			if err != nil || rule.Action != want {
				t.Errorf("%s: %s: %+v, %v, want %s", file, image, rule, err, want)
			}
		}
	}
}
