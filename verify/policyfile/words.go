// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package policyfile

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cosignkit/cosignkit/verify"
)

// describePolicy says what a policy asks for, with keys as [verify.Signature] names
// them.
func describePolicy(p verify.Policy) string {
	var signers []string
	for _, key := range p.Keys {
		signers = append(signers, "key "+keyID(key))
	}
	for _, identity := range p.Identities {
		signers = append(signers, "identity "+identity.String())
	}
	n := max(p.Threshold, 1)
	text := fmt.Sprintf("signed by %d of: %s", n, strings.Join(signers, ", "))
	if len(signers) == 1 {
		text = "signed by " + signers[0]
	}
	parts := []string{text}
	if p.InsecureIgnoreTransparencyLog {
		parts = append(parts, "transparency log ignored")
	} else {
		parts = append(parts, "recorded in "+several(max(p.LogThreshold, 1), "transparency log"))
	}
	if p.TimestampThreshold > 0 {
		parts = append(parts, "stamped by "+several(p.TimestampThreshold, "timestamp authority"))
	}
	if p.InsecureIgnoreSCT && len(p.Identities) > 0 {
		parts = append(parts, "signed certificate timestamps ignored")
	}
	for _, key := range slices.Sorted(maps.Keys(p.Annotations)) {
		parts = append(parts, fmt.Sprintf("annotation %s is %q", key, p.Annotations[key]))
	}
	return strings.Join(parts, "; ")
}

// insecureIn says what [verify.New] would warn of.
func insecureIn(p verify.Policy) (words []string) {
	if p.InsecureIgnoreTransparencyLog {
		words = append(words, "signatures are accepted without a transparency log entry")
	}
	if p.InsecureIgnoreSCT && len(p.Identities) > 0 {
		words = append(words, "certificates are accepted without a signed certificate timestamp")
	}
	return words
}

func several(n int, what string) string {
	if n == 1 {
		return "a " + what
	}
	if stem, ok := strings.CutSuffix(what, "y"); ok {
		what = stem + "ie"
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// keyID is that of [verify.Signature].
func keyID(key crypto.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "of unknown kind"
	}
	sum := sha256.Sum256(der)
	return "sha256:" + hex.EncodeToString(sum[:])
}
