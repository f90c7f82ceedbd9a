// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/cosignkit/cosignkit/internal/limits"
)

func critical(p object) object { return p["critical"].(object) }

// TestPayloadsByTheRightKey: the signature is good in each case, and what
// decides is what was signed.
func TestPayloadsByTheRightKey(t *testing.T) {
	t.Parallel()
	key := keys["P-256"]()
	sign := with(key, crypto.SHA256)
	v := newVerifier(t, policyOf(key))
	annotations := func(n int) object {
		m := object{}
		for i := range n {
			m[fmt.Sprint(i)] = "x"
		}
		return m
	}
	for name, c := range map[string]struct {
		edit func(object)
		why  string // empty where the candidate passes
	}{
		"as cosign signs it":        {func(object) {}, ""},
		"optional is null":          {func(p object) { p["optional"] = nil }, ""},
		"no optional":               {func(p object) { delete(p, "optional") }, ""},
		"no identity":               {func(p object) { delete(critical(p), "identity") }, ""},
		"identity is null":          {func(p object) { critical(p)["identity"] = nil }, ""},
		"a field that is not known": {func(p object) { p["extra"] = object{} }, ""},
		"256 annotations":           {func(p object) { p["optional"] = annotations(limits.Annotations) }, ""},
		"257 annotations":           {func(p object) { p["optional"] = annotations(limits.Annotations + 1) }, "limit exceeded"},
		"another image":             {func(p object) { critical(p)["image"] = object{"docker-manifest-digest": "sha256:" + otherHex} }, "digest"},
		"no image":                  {func(p object) { delete(critical(p), "image") }, "digest"},
		"image is null":             {func(p object) { critical(p)["image"] = nil }, "digest"},
		"image is a string":         {func(p object) { critical(p)["image"] = theDigest }, "unmarshal"},
		"digest is empty":           {func(p object) { critical(p)["image"] = object{"docker-manifest-digest": ""} }, "digest"},
		"digest without algorithm":  {func(p object) { critical(p)["image"] = object{"docker-manifest-digest": theHex} }, "digest"},
		"digest in upper case":      {func(p object) { critical(p)["image"] = object{"docker-manifest-digest": strings.ToUpper(theDigest)} }, "digest"},
		"digest and white space":    {func(p object) { critical(p)["image"] = object{"docker-manifest-digest": theDigest + "\n"} }, "digest"},
		"digest is a list":          {func(p object) { critical(p)["image"] = object{"docker-manifest-digest": []any{theDigest}} }, "unmarshal"},
		"digest in the identity alone": {func(p object) {
			critical(p)["identity"], critical(p)["image"] = object{"docker-reference": "app@" + theDigest}, object{}
		}, "digest"},
		"no critical":              {func(p object) { delete(p, "critical") }, "digest"},
		"critical is null":         {func(p object) { p["critical"] = nil }, "digest"},
		"critical is an array":     {func(p object) { p["critical"] = []any{} }, "unmarshal"},
		"critical within optional": {func(p object) { p["optional"] = object{"critical": p["critical"]}; delete(p, "critical") }, "digest"},
		"another type":             {func(p object) { critical(p)["type"] = "atomic container signature" }, "payload of type"},
		"no type":                  {func(p object) { delete(critical(p), "type") }, "payload of type"},
		"the type of a bundle":     {func(p object) { critical(p)["type"] = signType }, "payload of type"},
		"a type in upper case":     {func(p object) { critical(p)["type"] = "Cosign container image signature" }, "payload of type"},
		"a type that is long":      {func(p object) { critical(p)["type"] = strings.Repeat("x", 10000) }, "payload of type"},
		"type is null":             {func(p object) { critical(p)["type"] = nil }, "payload of type"},
		"optional is an array":     {func(p object) { p["optional"] = []any{} }, "unmarshal"},
		"optional is a string":     {func(p object) { p["optional"] = "env" }, "unmarshal"},
		"identity is a string":     {func(p object) { critical(p)["identity"] = repository }, "unmarshal"},
		"annotations of every JSON kind": {func(p object) {
			p["optional"] = object{"a": 1, "b": nil, "c": object{}, "d": []any{}, "e": true, "f": "x"}
		}, ""},
	} {
		p := payloadOf()
		c.edit(p)
		candidate := legacyCandidate(t, sign, marshal(t, p))
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.why == "" {
				wantAccepted(t, v, candidate)
			} else {
				wantRejected(t, v, candidate, c.why)
			}
		})
	}
}

func TestPayloadsThatAreNone(t *testing.T) {
	t.Parallel()
	key := keys["P-256"]()
	sign := with(key, crypto.SHA256)
	v := newVerifier(t, policyOf(key))
	good := string(marshal(t, payloadOf()))
	for name, payload := range map[string]string{
		"empty":                 "",
		"null":                  "null",
		"an array":              "[]",
		"an array of payloads":  "[" + good + "]",
		"a number":              "7",
		"a string":              `"x"`,
		"true":                  "true",
		"an empty object":       "{}",
		"truncated":             good[:len(good)-1],
		"two payloads":          good + good,
		"trailing text":         good + "x",
		"deeply nested":         strings.Repeat(`{"critical":`, 20000) + "1" + strings.Repeat("}", 20000),
		"a deep array":          strings.Repeat("[", 100000),
		"a deep optional":       strings.Replace(good, `"prod"`, strings.Repeat("[", 20000)+strings.Repeat("]", 20000), 1),
		"a byte order mark":     "\ufeff" + good,
		"a NUL":                 good + "\x00",
		"a number out of range": strings.Replace(good, `"prod"`, "1e999", 1),
	} {
		candidate := legacyCandidate(t, sign, []byte(payload))
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantRejected(t, v, candidate, "")
		})
	}
}

// TestDuplicateKeysInAPayload: encoding/json takes the last of several keys for both
// it and cosign, and other parsers the first. Nobody reads such a payload as signed.
func TestDuplicateKeysInAPayload(t *testing.T) {
	t.Parallel()
	key := keys["P-256"]()
	sign := with(key, crypto.SHA256)
	good := string(marshal(t, payloadOf()))
	other := strings.Replace(good, theHex, otherHex, 1)
	critical := func(s string) string { return s[:strings.Index(s, `,"optional"`)] }
	for name, payload := range map[string]string{
		"another image first":                 critical(other) + "," + critical(good)[1:] + "}",
		"another image last":                  critical(good) + "," + critical(other)[1:] + "}",
		"another image last, in another case": critical(good) + `,"CRITICAL"` + strings.TrimPrefix(critical(other), `{"critical"`) + "}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantRejected(t, newVerifier(t, policyOf(key)), legacyCandidate(t, sign, []byte(payload)), "")
		})
	}
}

// TestSignatureAnnotations: beside the signature itself, nothing in the
// annotations is looked at, least of all by parsers that panic.
func TestSignatureAnnotations(t *testing.T) {
	t.Parallel()
	key := keys["P-256"]()
	v := newVerifier(t, policyOf(key))
	good := legacyCandidate(t, with(key, crypto.SHA256), marshal(t, payloadOf()))
	sig := good.Annotations[sigKey]
	raw, err := base64.StdEncoding.DecodeString(sig)
	if err != nil {
		t.Fatal(err)
	}
	const certificate, chain = "dev.sigstore.cosign/certificate", "dev.sigstore.cosign/chain"
	const bundle, timestamp = "dev.sigstore.cosign/bundle", "dev.sigstore.cosign/rfc3161timestamp"
	for name, c := range map[string]struct {
		annotations map[string]string
		accepted    bool
	}{
		"nil":                                       {nil, false},
		"empty":                                     {map[string]string{}, false},
		"an empty signature":                        {map[string]string{sigKey: ""}, false},
		"a signature of white space":                {map[string]string{sigKey: " \n\t"}, false},
		"the signature under another key":           {map[string]string{"signature": sig}, false},
		"a signature that is no base64":             {map[string]string{sigKey: "***"}, false},
		"a signature in hex":                        {map[string]string{sigKey: fmt.Sprintf("%x", raw)}, false},
		"a signature in URL base64":                 {map[string]string{sigKey: base64.URLEncoding.EncodeToString([]byte("\xff\xff\xff"))}, false},
		"a signature cut short":                     {map[string]string{sigKey: base64.StdEncoding.EncodeToString(raw[:len(raw)-1])}, false},
		"a signature with a byte more":              {map[string]string{sigKey: base64.StdEncoding.EncodeToString(append(bytes.Clone(raw), 0))}, false},
		"the signature twice":                       {map[string]string{sigKey: sig + sig}, false},
		"a signature over the limit":                {map[string]string{sigKey: strings.Repeat("A", limits.Payload+4)}, false},
		"white space around the signature":          {map[string]string{sigKey: " " + sig + "\n"}, true},
		"the signature":                             {map[string]string{sigKey: sig}, true},
		"other annotations of any kind":             {map[string]string{sigKey: sig, "": "", "x": "\x00\xff"}, true},
		"a certificate that is white space":         {map[string]string{sigKey: sig, certificate: " \n"}, true},
		"a certificate that is junk":                {map[string]string{sigKey: sig, certificate: "junk"}, true},
		"a chain that is white space":               {map[string]string{sigKey: sig, chain: " \n"}, true},
		"a certificate and chain of junk":           {map[string]string{sigKey: sig, certificate: "-----BEGIN CERTIFICATE-----\n", chain: "-----BEGIN CERTIFICATE-----\n"}, true},
		"a log entry whose body is a number":        {map[string]string{sigKey: sig, bundle: `{"SignedEntryTimestamp":"","Payload":{"body":1}}`}, true},
		"a log entry that is flat":                  {map[string]string{sigKey: sig, bundle: `{"body":1}`}, true},
		"a log entry that is null":                  {map[string]string{sigKey: sig, bundle: "null"}, true},
		"a log entry that is junk":                  {map[string]string{sigKey: sig, bundle: " \n"}, true},
		"a timestamp that is junk":                  {map[string]string{sigKey: sig, timestamp: `{"SignedRFC3161Timestamp":"AAAA"}`}, true},
		"a timestamp that is null":                  {map[string]string{sigKey: sig, timestamp: "null"}, true},
		"junk does not save a bad signature":        {map[string]string{sigKey: "AAAA", certificate: " \n", bundle: `{"body":1}`}, false},
		"a certificate of the key is not looked at": {map[string]string{sigKey: "AAAA", certificate: string(selfSigned(t, key))}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			candidate := good
			candidate.Annotations = maps.Clone(c.annotations)
			if c.accepted {
				wantAccepted(t, v, candidate)
				return
			}
			result := wantRejected(t, v, candidate, "")
			if strings.Contains(result.Signatures[0].Err.Error(), "panic") {
				t.Errorf("a parser panicked: %v", result.Signatures[0].Err)
			}
		})
	}
}

func TestPayloadLimit(t *testing.T) {
	t.Parallel()
	key := keys["P-256"]()
	sign := with(key, crypto.SHA256)
	v := newVerifier(t, policyOf(key))
	good := marshal(t, payloadOf())
	pad := func(size int) []byte { return append(bytes.Clone(good), bytes.Repeat([]byte(" "), size-len(good))...) }
	wantAccepted(t, v, legacyCandidate(t, sign, pad(limits.Payload)))
	wantRejected(t, v, legacyCandidate(t, sign, pad(limits.Payload+1)), "limit exceeded")
	wantRejected(t, v, legacyCandidate(t, sign, pad(8*limits.Payload)), "limit exceeded")
}
