// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sigstore/cosign/v2/pkg/cosign"
	"github.com/sigstore/cosign/v2/pkg/oci/static"

	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// TestNoSignedFileIsASignedImage: whatever a verifier of images, or cosign, reads as
// a signature of an image, SignArtifact does not sign. The files are variants of what
// is signed of an image.
func TestNoSignedFileIsASignedImage(t *testing.T) {
	t.Parallel()
	key := keys["P-256"]()
	v := newVerifier(t, policyOf(key))
	signer, err := signing.NewKeySigner(signing.KeySignerConfig{Key: key, SkipTransparencyLog: true})
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	read, signed := map[bool]int{}, map[bool]int{}
	for range 600 {
		file := anyFile(t, random)
		_, err := signer.SignArtifact(t.Context(), file)
		if err != nil {
			wantFamily(t, err, verify.ErrMisconfigured)
		}
		isImage := readAsImage(t, v, with(key, crypto.SHA256), file)
		if isImage && err == nil {
			t.Errorf("signed as a file, and is a signed image: %q", file)
		}
		read[isImage]++
		signed[err == nil]++
	}
	if read[true] < 50 || read[false] < 50 || signed[true] < 50 {
		t.Errorf("the files are not of all kinds: read as an image %v, signed %v", read, signed)
	}
	t.Logf("read as an image %v, signed as a file %v", read, signed)
}

// readAsImage reports whether a signature over file, by whatever tool, lets theImage in.
func readAsImage(t *testing.T, v verify.Verifier, sign signFunc, file []byte) bool {
	t.Helper()
	sig := sign(t, file)
	candidates := []verify.Candidate{{Payload: file, Annotations: map[string]string{sigKey: base64.StdEncoding.EncodeToString(sig)}}}
	if header, statement, ok := bytes.Cut(file, []byte(" {")); ok {
		bundle := envelopeOf(t, constant(sig), intotoType, append([]byte("{"), statement...))
		candidates = append(candidates, bundleCandidate(t, bundle))
		if fields := strings.Fields(string(header)); len(fields) > 3 {
			candidates = append(candidates, bundleCandidate(t, envelopeOf(t, constant(sig), fields[2], append([]byte("{"), statement...))))
		}
	}
	result, err := v.Verify(t.Context(), theImage(), candidates)
	if err != nil {
		wantFamily(t, err, verify.ErrRejected)
	}
	layer, err := static.NewSignature(file, base64.StdEncoding.EncodeToString(sig))
	if err != nil {
		t.Fatal(err)
	}
	hash, err := v1.NewHash(theDigest)
	if err != nil {
		t.Fatal(err)
	}
	return result.Accepted || cosign.SimpleClaimVerifier(layer, hash, nil) == nil
}

// anyFile is a payload or the encoding of a statement, altered at some places.
func anyFile(t *testing.T, random *rand.Rand) []byte {
	t.Helper()
	file := string(marshal(t, payloadOf()))
	if random.IntN(2) == 0 {
		file = string(pae(marshal(t, statement())))
	}
	for range random.IntN(3) {
		file = alterFile(file, random)
	}
	return []byte(file)
}

func alterFile(file string, random *rand.Rand) string {
	at := random.IntN(len(file) + 1)
	switch random.IntN(12) {
	case 0:
		return file[:at] + string(rune(random.IntN(128))) + file[at:]
	case 1:
		return file[:at]
	case 2:
		return strings.Repeat(" ", random.IntN(4)) + file
	case 3:
		return "\ufeff" + file
	case 4:
		return file + file
	case 5:
		return strings.ToUpper(file[:at]) + file[at:]
	case 6:
		return strings.Replace(file, "digest", "dige\u017ft", 1)
	case 7:
		return strings.Replace(file, "image", `\u0069mage`, 1)
	case 8:
		return strings.Replace(file, `{"critical"`, `{"critical":{"image":{}},"critical"`, 1)
	case 9:
		return strings.Replace(file, `"cosign container image signature"`, `"atomic container signature"`, 1)
	case 10:
		return strings.Replace(file, `{`, `{"number":1e999,`, 1)
	default:
		return fmt.Sprintf("%s\n%s", file, "trailing")
	}
}
