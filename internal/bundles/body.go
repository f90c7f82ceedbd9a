// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package bundles

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
)

// CheckBodies checks that each entry of Rekor v2 has the body that its inclusion
// proof and checkpoint prove. Verifiers prove the one that should be there, whatever
// is, and who reads the body would be misled. The checkpoint is verified elsewhere.
func CheckBodies(b *protobundle.Bundle) error {
	for _, entry := range b.GetVerificationMaterial().GetTlogEntries() {
		// Of this version, Rekor v1 has intoto alone, and v2 nothing else.
		if kind := entry.GetKindVersion(); kind.GetVersion() == "0.0.2" && kind.GetKind() != "intoto" {
			if err := checkBody(entry); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkBody(entry *protorekor.TransparencyLogEntry) error {
	size, root, err := treeOf(entry.GetInclusionProof().GetCheckpoint().GetEnvelope())
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if entry.GetLogIndex() < 0 {
		return errors.New("negative index of a log entry")
	}
	leaf := rfc6962.DefaultHasher.HashLeaf(entry.GetCanonicalizedBody())
	if err := proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(entry.GetLogIndex()), size, //nolint:gosec // not negative
		leaf, entry.GetInclusionProof().GetHashes(), root); err != nil {
		return fmt.Errorf("body of the log entry: %w", err)
	}
	return nil
}

// treeOf reads the size and root of a tree from a checkpoint, whose first lines
// are an origin and these (https://c2sp.org/tlog-checkpoint).
func treeOf(checkpoint string) (size uint64, root []byte, err error) {
	lines := strings.SplitN(checkpoint, "\n", 4)
	if len(lines) < 4 {
		return 0, nil, errors.New("fewer than three lines")
	}
	if size, err = strconv.ParseUint(lines[1], 10, 63); err != nil {
		return 0, nil, err
	}
	root, err = base64.StdEncoding.DecodeString(lines[2])
	return size, root, err
}
