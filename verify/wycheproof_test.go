// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"compress/gzip"
	"crypto"
	_ "crypto/sha512" // for the vectors with SHA-384 and SHA-512
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/cosignkit/cosignkit/verify"
)

const wycheproofVectors = "../testdata/wycheproof"

// wycheproofFile is a file of vectors, and how many of them are good.
type wycheproofFile struct {
	hash digest.Algorithm
	// other is whether no signer of images uses this hash with this kind of key, so
	// that no vector is accepted.
	other bool
	// content is whether a digest is not enough.
	content                    bool
	valid, invalid, acceptable int
}

// wycheproofFiles are the files of ../testdata/wycheproof. Vectors that a verifier
// may accept or not, with a hash that is not encoded as PKCS #1 requires, are refused.
var wycheproofFiles = map[string]wycheproofFile{
	"ecdsa_secp256r1_sha256":       {hash: digest.SHA256, valid: 170, invalid: 304},
	"ecdsa_secp256r1_sha256_p1363": {hash: digest.SHA256, valid: 169, invalid: 83},
	"ecdsa_secp256r1_sha512":       {hash: digest.SHA512, other: true, valid: 239, invalid: 305},
	"ecdsa_secp384r1_sha256":       {hash: digest.SHA256, valid: 158, invalid: 304},
	"ecdsa_secp384r1_sha384":       {hash: digest.SHA384, valid: 190, invalid: 304},
	"ecdsa_secp384r1_sha384_p1363": {hash: digest.SHA384, valid: 189, invalid: 81},
	"ecdsa_secp521r1_sha512":       {hash: digest.SHA512, valid: 228, invalid: 304},
	"ecdsa_secp521r1_sha512_p1363": {hash: digest.SHA512, valid: 227, invalid: 81},
	"ed25519":                      {hash: digest.SHA512, content: true, valid: 88, invalid: 62},
	"rsa_signature_2048_sha256":    {hash: digest.SHA256, valid: 9, invalid: 249, acceptable: 1},
	"rsa_signature_3072_sha256":    {hash: digest.SHA256, valid: 8, invalid: 250, acceptable: 1},
	"rsa_signature_4096_sha256":    {hash: digest.SHA256, valid: 7, invalid: 250, acceptable: 1},
}

// hexBytes are bytes as Wycheproof writes them.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

type wycheproofVector struct {
	ID      int      `json:"tcId"`
	Comment string   `json:"comment"`
	Message hexBytes `json:"msg"`
	Sig     hexBytes `json:"sig"`
	Result  string   `json:"result"`
}

// wycheproofGroup is vectors of one key.
type wycheproofGroup struct {
	Key   hexBytes           `json:"publicKeyDer"`
	Tests []wycheproofVector `json:"tests"`
}

func wycheproofGroups(t *testing.T, path string) []wycheproofGroup {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	var all struct {
		Groups []wycheproofGroup `json:"testGroups"`
	}
	if err := json.NewDecoder(r).Decode(&all); err != nil {
		t.Fatal(err)
	}
	return all.Groups
}

// The ways in which a vector is shown.
const (
	byContent = "by content"
	byDigest  = "by digest"
	asImage   = "as an image"
	asPayload = "as a payload"
)

// accepted is how many vectors of the file are accepted in one way.
func (f wycheproofFile) accepted(way string) int {
	switch {
	case f.other, f.content && (way == byDigest || way == asImage), f.hash != digest.SHA256 && way == asImage:
		return 0
	default:
		return f.valid
	}
}

// show verifies a vector in every way, and returns those in which it is accepted. A
// vector that is not valid must be accepted in none.
func (f wycheproofFile) show(t *testing.T, key crypto.PublicKey, vector wycheproofVector) (accepted []string) {
	t.Helper()
	policy := verify.Policy{Keys: []crypto.PublicKey{key}, InsecureIgnoreTransparencyLog: true}
	d := f.hash.FromBytes(vector.Message)
	bundle := f.bundle(t, d, vector.Sig)
	_, content := verify.Bundle(t.Context(), policy, verify.Artifact{Content: bytes.NewReader(vector.Message)}, bundle)
	_, byItsDigest := verify.Bundle(t.Context(), policy, verify.Artifact{Digest: d}, bundle)
	shown := map[string]error{byContent: content, byDigest: byItsDigest, asPayload: f.showPayload(t, policy, vector)}
	if f.hash == digest.SHA256 || f.content {
		shown[asImage] = f.showImage(t, policy, vector)
	}
	for way, err := range shown {
		if err == nil {
			accepted = append(accepted, way)
		} else {
			wantFamily(t, err, verify.ErrRejected)
		}
	}
	if vector.Result != "valid" && len(accepted) > 0 {
		t.Errorf("vector %d (%s) is %s, and is accepted %s", vector.ID, vector.Comment, vector.Result, accepted)
	}
	return accepted
}

// showImage verifies a vector as the signature of an image, whose manifest is the
// message.
func (f wycheproofFile) showImage(t *testing.T, policy verify.Policy, vector wycheproofVector) error {
	t.Helper()
	policy.AllowMessageSignaturesUnsafe = true
	image := theImage()
	image.Target.Digest = digest.FromBytes(vector.Message)
	f.hash = digest.SHA256
	_, err := newVerifier(t, policy).Verify(t.Context(), image, []verify.Candidate{{Bundle: f.bundle(t, image.Target.Digest, vector.Sig)}})
	return err
}

// showPayload verifies a vector as a legacy signature. No message is a payload: the
// reason tells whether the signature fits.
func (wycheproofFile) showPayload(t *testing.T, policy verify.Policy, vector wycheproofVector) error {
	t.Helper()
	_, err := newVerifier(t, policy).Verify(t.Context(), theImage(), []verify.Candidate{{
		Payload: vector.Message, Annotations: map[string]string{sigKey: base64.StdEncoding.EncodeToString(vector.Sig)},
	}})
	wantFamily(t, err, verify.ErrRejected)
	if len(vector.Sig) > 0 && !strings.Contains(err.Error(), "does not verify with") {
		return nil
	}
	return err
}

func (f wycheproofFile) bundle(t *testing.T, d digest.Digest, sig []byte) []byte {
	t.Helper()
	sum, err := hex.DecodeString(d.Encoded())
	if err != nil {
		t.Fatal(err)
	}
	algorithm := map[digest.Algorithm]string{digest.SHA256: "SHA2_256", digest.SHA384: "SHA2_384", digest.SHA512: "SHA2_512"}[f.hash]
	return marshal(t, object{
		"mediaType":            "application/vnd.dev.sigstore.bundle.v0.3+json",
		"verificationMaterial": object{"publicKey": object{"hint": ""}},
		"messageSignature":     object{"messageDigest": object{"algorithm": algorithm, "digest": sum}, "signature": sig},
	})
}
