// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package bundles

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/internal/strictjson"
)

// CheckEntries refuses log entries that are costly to parse, and those that are not
// in the form in which a log shows them.
func CheckEntries(b *protobundle.Bundle) error {
	entries := b.GetVerificationMaterial().GetTlogEntries()
	if len(entries) > limits.LogEntries {
		return fmt.Errorf("too many tlog entries: %w", limits.Exceeded("their number", limits.LogEntries))
	}
	for _, entry := range entries {
		if err := checkEntry(entry); err != nil {
			return fmt.Errorf("log entry: %w", err)
		}
	}
	return nil
}

func checkEntry(entry *protorekor.TransparencyLogEntry) error {
	proof := entry.GetInclusionProof()
	if len(proof.GetHashes()) > limits.ProofHashes {
		return limits.Exceeded("number of hashes of an inclusion proof", limits.ProofHashes)
	}
	if len(proof.GetCheckpoint().GetEnvelope()) > limits.Checkpoint {
		return limits.Exceeded("checkpoint in bytes", limits.Checkpoint)
	}
	return CheckEntryBody(entry.GetCanonicalizedBody())
}

// CheckEntryBody checks the body of a log entry, before Rekor's own parsers do. They
// also read an entry as a client proposes it, and then verify each of its signatures
// with each of its keys. A log never shows that form. The body is one JSON object
// with the fields of the canonical form of its kind, spelled exactly, and no others,
// so that every parser reads the same. No body at all is left to the parser, which
// says so.
func CheckEntryBody(body []byte) error {
	if len(body) == 0 {
		return nil
	}
	var entry any
	err := strictjson.Check(body)
	if err == nil {
		err = json.Unmarshal(body, &entry)
	}
	if err != nil {
		return fmt.Errorf("entry body is not a recognizable type: %w", err)
	}
	fields, ok := entry.(map[string]any)
	if !ok {
		return errors.New("entry body is not a recognizable type: not an object")
	}
	kind, _ := fields["kind"].(string)
	version, _ := fields["apiVersion"].(string)
	spec, ok := canonicalForms[kind+" "+version]
	if !ok {
		return fmt.Errorf("entry body is not a recognizable type: kind %.64q version %.64q", kind, version)
	}
	return object{"apiVersion": text, "kind": text, "spec": spec}.check(entry)
}

// form is the form of a value in the body of an entry.
type form interface{ check(value any) error }

type (
	// object has these fields, or fewer: parsers say what they miss.
	object map[string]form
	// list has at most limits.EntrySignatures elements.
	list struct{ element form }
	// leaf is a string.
	leaf func(string) error
)

var (
	text = leaf(func(string) error { return nil })
	// keyPEM is PEM, and the others are DER.
	keyPEM         = inBase64(CheckKeyPEM)
	keyDER         = inBase64(func(b []byte) error { return checkPublicKey(b, x509.ParsePKIXPublicKey) })
	certificateDER = inBase64(CheckCertificate)

	hash = object{"algorithm": text, "value": text}

	// canonicalForms are the entries that verifiers know, by kind and version, with what
	// is in the field spec. For Rekor v1 the function Canonicalize of each type says so, https://github.com/sigstore/rekor/tree/main/pkg/types, and for
	// Rekor v2 https://github.com/sigstore/rekor-tiles/tree/main/api/proto.
	canonicalForms = map[string]object{
		"hashedrekord 0.0.1": {
			"data":      object{"hash": hash},
			"signature": object{"content": text, "publicKey": object{"content": keyPEM}},
		},
		"dsse 0.0.1": {
			"envelopeHash": hash, "payloadHash": hash,
			"signatures": list{object{"signature": text, "verifier": keyPEM}},
		},
		"intoto 0.0.2": {"content": object{
			"hash": hash, "payloadHash": hash,
			"envelope": object{
				"payloadType": text,
				"signatures":  list{object{"keyid": text, "publicKey": keyPEM, "sig": text}},
			},
		}},
		"hashedrekord 0.0.2": {"hashedRekordV002": object{
			"data": object{"algorithm": text, "digest": text},
			"signature": object{"content": text, "verifier": object{
				"keyDetails": text, "publicKey": object{"rawBytes": keyDER}, "x509Certificate": object{"rawBytes": certificateDER},
			}},
		}},
	}
)

func inBase64(check func([]byte) error) leaf {
	return func(s string) error {
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			return err
		}
		return check(b)
	}
}

func (o object) check(value any) error {
	fields, ok := value.(map[string]any)
	if !ok {
		return errors.New("entry body is not a recognizable form: a value that is not an object")
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		form, ok := o[name]
		if !ok {
			return fmt.Errorf("entry body is not a recognizable form: field %.64q", name)
		}
		if err := form.check(fields[name]); err != nil {
			return err
		}
	}
	return nil
}

func (l list) check(value any) error {
	elements, ok := value.([]any)
	if !ok {
		return errors.New("entry body is not a recognizable form: a value that is not a list")
	}
	if len(elements) > limits.EntrySignatures {
		return limits.Exceeded("number of signatures of a log entry", limits.EntrySignatures)
	}
	for _, element := range elements {
		if err := l.element.check(element); err != nil {
			return err
		}
	}
	return nil
}

func (l leaf) check(value any) error {
	s, ok := value.(string)
	if !ok {
		return errors.New("entry body is not a recognizable form: a value that is not a string")
	}
	return l(s)
}
