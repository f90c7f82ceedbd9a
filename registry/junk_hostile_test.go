// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/sigstore/cosign/v2/pkg/oci/static"

	goldenfiles "github.com/cosignkit/cosignkit/internal/golden"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// hostileKinds are signatures that are made to be costly for whoever parses what
// they show: for each form, a change to one that is good.
var hostileKinds = map[string]hostileKind{
	"overlapping timestamp": {
		map[string]any{"timestampVerificationData": map[string]any{"rfc3161Timestamps": []any{map[string]any{"signedTimestamp": overlappingBER()}}}},
		map[string]string{static.RFC3161TimestampAnnotationKey: fmt.Sprintf(`{"SignedRFC3161Timestamp":%q}`, base64.StdEncoding.EncodeToString(overlappingBER()))},
	},
	"nested certificate": {
		map[string]any{"publicKey": nil, "certificate": map[string]any{"rawBytes": bytes.Repeat([]byte{0x30, 0x80}, 5000)}},
		map[string]string{static.CertificateAnnotationKey: strings.Repeat("-----BEGIN CERTIFICATE-----\n", 50)},
	},
	"nested log entry":   entryOf(bytes.Repeat([]byte("["), 2000)),
	"proposed log entry": entryOf(proposedEntry(4, 20)),
}

type hostileKind struct {
	material    map[string]any
	annotations map[string]string
}

// entryOf shows a log entry with body.
func entryOf(body []byte) hostileKind {
	encoded := base64.StdEncoding.EncodeToString(body)
	return hostileKind{
		map[string]any{"tlogEntries": []any{map[string]any{
			"logIndex": "1", "logId": map[string]any{"keyId": make([]byte, 32)}, "kindVersion": map[string]any{"kind": "dsse", "version": "0.0.1"},
			"integratedTime": "1700000000", "inclusionPromise": map[string]any{"signedEntryTimestamp": []byte("x")}, "canonicalizedBody": encoded,
		}}},
		map[string]string{static.BundleAnnotationKey: fmt.Sprintf(
			`{"SignedEntryTimestamp":"AAAA","Payload":{"body":%q,"integratedTime":1700000000,"logIndex":1,"logID":"%064d"}}`, encoded, 0)},
	}
}

// proposedEntry is the body of an entry as a client proposes it, of which Rekor's
// parser tries each signature with each key.
func proposedEntry(keys, signatures int) []byte {
	der, err := x509.MarshalPKIXPublicKey(theJunkKeys().wrong.Public())
	if err != nil {
		panic(err)
	}
	key := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	envelope := mustJSON(map[string]any{"payload": "eA==", "payloadType": "x", "signatures": slices.Repeat([]any{map[string]string{"sig": "MAYCAQECAQE="}}, signatures)})
	return mustJSON(map[string]any{"apiVersion": "0.0.1", "kind": "dsse", "spec": map[string]any{
		"proposedContent": map[string]any{"envelope": string(envelope), "verifiers": slices.Repeat([]any{key}, keys)},
	}})
}

// overlappingBER has elements that are longer than those around them.
func overlappingBER() []byte {
	return append(bytes.Repeat([]byte{0x31, 0x7f, 0x31, 0x02}, 14), make([]byte, 160)...)
}

func hostilePiece(t testing.TB, form signing.Form, kind string, d digest.Digest, number int) piece {
	t.Helper()
	p := signatureOf(form, theJunkKeys().right, d, number)
	if form == signing.Legacy {
		maps.Copy(p.layer.Annotations, hostileKinds[kind].annotations)
	} else {
		var bundle map[string]any
		if err := json.Unmarshal(p.data, &bundle); err != nil {
			t.Fatal(err)
		}
		material := bundle["verificationMaterial"].(map[string]any)
		for key, value := range hostileKinds[kind].material {
			if material[key] = value; value == nil {
				delete(material, key)
			}
		}
		p = newPiece(junkBundleType, mustJSON(bundle), nil)
	}
	p.number = number + 1
	return p
}

// newHostileTest has n hostile signatures by a key of the policy, and after them a
// good one by another, which cosign made with a log entry and a timestamp. The policy
// wants both, so that what the hostile ones show is looked at.
func newHostileTest(t testing.TB, place junkPlace, kind string, n int) (*junkTest, verify.Verifier) {
	t.Helper()
	set := vectors(t)
	i := slices.IndexFunc(set.Vectors, func(v goldenfiles.Vector) bool {
		return v.Name == fmt.Sprintf("v3.1.3-%s-p256-rekor-v1-tsa", place.form)
	})
	v := set.Vectors[i]
	good, err := set.Signatures(v, v.Digest)
	if err != nil || len(good) != 1 {
		t.Fatalf("%d signatures, %v", len(good), err)
	}
	policy, err := set.Policy(v, set.roots)
	if err != nil {
		t.Fatal(err)
	}
	j := newJunkTest(t)
	j.image.Target.Digest = v.Digest
	var pieces []piece
	for i := range n {
		pieces = append(pieces, hostilePiece(t, place.form, kind, v.Digest, i))
	}
	last := newPiece(mediaTypeOf(place.form), append(good[0].Bundle, good[0].Payload...), good[0].Annotations)
	last.number = n + 1
	place.fill(j.shelf, "app", j.image.Target, append(pieces, last))
	return j, limitedVerifier(t, policy, theJunkKeys().right)
}

var hostilePlaces = []junkPlace{junkPlaces[0], junkPlaces[3], junkPlaces[6]}
