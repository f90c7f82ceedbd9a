// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/cosignkit/cosignkit/verify"
)

func verifyBundle(ctx context.Context, c command) error {
	bundle, err := os.ReadFile(c.bundle)
	if err != nil {
		return err
	}
	policy, err := c.policy(ctx, bundle)
	if err != nil {
		return err
	}
	var artifact verify.Artifact
	if d, ok := digestOf(c.argument); ok {
		artifact.Digest = d
	} else {
		file, err := os.Open(c.argument)
		if err != nil {
			return err
		}
		defer file.Close()
		artifact.Content = file
	}
	_, err = verify.Bundle(ctx, policy, artifact, bundle)
	return err
}

// policy asks for what the instance has. The command line does not say what to
// ask for, and the suite wants that what a bundle shows is good: one with
// timestamps must have one of a trusted authority, also where a log vouches for
// the time.
func (c command) policy(ctx context.Context, bundle []byte) (policy verify.Policy, err error) {
	if policy.TrustedRoots, err = c.roots(); err != nil {
		return policy, err
	}
	root, err := policy.TrustedRoots.TrustedRoot(ctx)
	if err != nil {
		return policy, err
	}
	policy.InsecureIgnoreTransparencyLog = len(root.Material().RekorLogs()) == 0
	if showsTimestamps(bundle) && len(root.Material().TimestampingAuthorities()) > 0 {
		policy.TimestampThreshold = 1
	}
	if c.key == "" {
		policy.Identities = []verify.Identity{{Subject: c.identity, Issuer: c.issuer}}
		return policy, nil
	}
	key, err := verify.LoadPublicKey(c.key)
	policy.Keys = []crypto.PublicKey{key}
	return policy, err
}

// showsTimestamps leaves what is no bundle to who verifies it.
func showsTimestamps(bundle []byte) bool {
	var shown struct {
		VerificationMaterial struct {
			TimestampVerificationData struct {
				RFC3161Timestamps []json.RawMessage
			}
		}
	}
	err := json.Unmarshal(bundle, &shown)
	return err == nil && len(shown.VerificationMaterial.TimestampVerificationData.RFC3161Timestamps) > 0
}

// digestOf reports whether argument is a digest, and not the name of a file.
func digestOf(argument string) (digest.Digest, bool) {
	encoded, ok := strings.CutPrefix(argument, "sha256:")
	sum, err := hex.DecodeString(encoded)
	if !ok || err != nil || len(sum) != digest.SHA256.Size() {
		return "", false
	}
	if _, err := os.Stat(argument); !errors.Is(err, fs.ErrNotExist) {
		return "", false
	}
	return digest.NewDigestFromBytes(digest.SHA256, sum), true
}
