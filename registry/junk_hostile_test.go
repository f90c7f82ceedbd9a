// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/sigstore/cosign/v2/pkg/oci/static"

	"github.com/cosignkit/cosignkit/signing"
)

// hostileKinds are junk that is made to be costly for whoever parses it: for each
// form, a change to a signature by another key.
var hostileKinds = map[string]struct {
	material    map[string]any
	annotations map[string]string
}{
	"overlapping timestamp": {
		map[string]any{"timestampVerificationData": map[string]any{"rfc3161Timestamps": []any{map[string]any{"signedTimestamp": overlappingBER()}}}},
		map[string]string{static.RFC3161TimestampAnnotationKey: fmt.Sprintf(`{"SignedRFC3161Timestamp":%q}`, base64.StdEncoding.EncodeToString(overlappingBER()))},
	},
	"nested certificate": {
		map[string]any{"publicKey": nil, "certificate": map[string]any{"rawBytes": bytes.Repeat([]byte{0x30, 0x80}, 5000)}},
		map[string]string{static.CertificateAnnotationKey: strings.Repeat("-----BEGIN CERTIFICATE-----\n", 50)},
	},
	"nested log entry": {
		map[string]any{"tlogEntries": []any{map[string]any{"canonicalizedBody": bytes.Repeat([]byte("["), 5000)}}},
		map[string]string{static.BundleAnnotationKey: strings.Repeat(`{"Payload":`, 100)},
	},
}

// overlappingBER has elements that are longer than those around them.
func overlappingBER() []byte {
	return append(bytes.Repeat([]byte{0x31, 0x7f, 0x31, 0x02}, 14), make([]byte, 160)...)
}

func hostilePiece(t testing.TB, form signing.Form, kind string, number int) piece {
	t.Helper()
	image, _ := junkImage()
	p := signatureOf(form, theJunkKeys().wrong, image.Digest, number)
	if form == signing.Legacy {
		for key, value := range hostileKinds[kind].annotations {
			p.layer.Annotations[key] = value
		}
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
