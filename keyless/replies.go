// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"github.com/go-openapi/runtime"
	"github.com/sigstore/rekor/pkg/generated/models"

	"github.com/cosignkit/cosignkit/internal/bundles"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/internal/strictjson"
)

// checkFulcioReply checks a chain of certificates before sigstore-go parses it, which
// takes the first of them. The method checkCertificate checks that one.
func checkFulcioReply(b []byte) error {
	type issued struct {
		Chain struct {
			Certificates []string `json:"certificates"`
		} `json:"chain"`
	}
	var reply struct {
		Embedded issued `json:"signedCertificateEmbeddedSct"`
		Detached issued `json:"signedCertificateDetachedSct"`
	}
	if err := strictjson.Decode(b, &reply); err != nil {
		return fmt.Errorf("not a chain of certificates in JSON: %w", err)
	}
	if len(reply.Embedded.Chain.Certificates)+len(reply.Detached.Chain.Certificates) > limits.Chain {
		return limits.Exceeded("number of certificates", limits.Chain)
	}
	return nil
}

// checkStampReply checks a timestamp before sigstore-go parses it, and verifies it
// with the certificates that are in it.
func checkStampReply(b []byte) error { return bundles.CheckTimestamp(b, limits.Chain) }

// consumeLogReply decodes what a Rekor v1 answers, and checks its entries before the
// types of Rekor parse them.
func consumeLogReply(r io.Reader, to any) error {
	b, err := io.ReadAll(r) // Bounded by transport.
	if err != nil {
		return err
	}
	if err := strictjson.CheckFolded(b); err != nil {
		return err
	}
	if err := runtime.JSONConsumer().Consume(bytes.NewReader(b), to); err != nil {
		return errors.New("the answer is not the JSON that was expected")
	}
	switch reply := to.(type) {
	case *models.LogEntry:
		return checkLogEntries(*reply)
	case *[]models.LogEntry:
		return checkLogEntries(*reply...)
	}
	return nil
}

func checkLogEntries(replies ...models.LogEntry) error {
	count := 0
	for _, reply := range replies {
		if count += len(reply); count > limits.LogEntries {
			return limits.Exceeded("number of log entries", limits.LogEntries)
		}
		for _, entry := range reply {
			if err := checkLogEntry(entry); err != nil {
				return fmt.Errorf("log entry: %w", err)
			}
		}
	}
	return nil
}

func checkLogEntry(entry models.LogEntryAnon) error {
	if v := entry.Verification; v != nil && v.InclusionProof != nil && len(v.InclusionProof.Hashes) > limits.ProofHashes {
		return limits.Exceeded("number of hashes of an inclusion proof", limits.ProofHashes)
	}
	text, ok := entry.Body.(string)
	if !ok {
		return errors.New("it has no body")
	}
	body, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return err
	}
	return bundles.CheckEntryBody(body)
}
