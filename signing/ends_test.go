// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package signing_test

import (
	"context"
	"crypto"
	"errors"
	"io"
	"os"
	"testing"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"

	"github.com/cosignkit/cosignkit/internal/leash/leashtest"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/signing/keyfile"
)

// stuckKey is a key on a device that does not answer.
type stuckKey struct {
	crypto.Signer
	stuck func()
}

func (k stuckKey) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	k.stuck()
	return k.Signer.Sign(rand, digest, opts)
}

// stuckLog is a log of somebody else's that does not answer.
type stuckLog struct{ record, canRecord func() }

func (l stuckLog) Record(context.Context, *protobundle.Bundle, crypto.PublicKey) error {
	l.record()
	return nil
}

func (l stuckLog) CanRecord(signing.Form, crypto.PublicKey) error {
	l.canRecord()
	return nil
}

// TestSigningEndsWithItsContext: whatever a signer calls may never return.
func TestSigningEndsWithItsContext(t *testing.T) {
	key := openGolden(t, "ecdsa-p256")
	private, err := os.ReadFile(goldenKey("ecdsa-p256"))
	if err != nil {
		t.Fatal(err)
	}
	signerOf := func(config signing.KeySignerConfig) *signing.KeySigner {
		signer, err := signing.NewKeySigner(config)
		if err != nil {
			t.Fatal(err)
		}
		return signer
	}
	withKey := func(stuck func()) *signing.KeySigner {
		return signerOf(signing.KeySignerConfig{Key: stuckKey{key, stuck}, SkipTransparencyLog: true})
	}
	request := signing.Request{Digest: goldenDigest, Repository: "registry.test/app"}
	for name, operation := range map[string]func(ctx context.Context, stuck func()) error{
		"key": func(ctx context.Context, stuck func()) error {
			_, err := withKey(stuck).Sign(ctx, request)
			return err
		},
		"key, for an artifact": func(ctx context.Context, stuck func()) error {
			_, err := withKey(stuck).SignArtifact(ctx, []byte("content"))
			return err
		},
		"key, for a statement": func(ctx context.Context, stuck func()) error {
			_, err := withKey(stuck).SignStatement(ctx, []byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"`+
				goldenDigest[len("sha256:"):]+`"}}],"predicateType":"https://example.test/p","predicate":{}}`))
			return err
		},
		"log": func(ctx context.Context, stuck func()) error {
			_, err := signerOf(signing.KeySignerConfig{Key: key, Log: stuckLog{stuck, func() {}}}).Sign(ctx, request)
			return err
		},
		"log that is asked before": func(ctx context.Context, stuck func()) error {
			_, err := signerOf(signing.KeySignerConfig{Key: key, Log: stuckLog{func() {}, stuck}}).Sign(ctx, request)
			return err
		},
		"log that is asked by a preflight": func(ctx context.Context, stuck func()) error {
			return signerOf(signing.KeySignerConfig{Key: key, Log: stuckLog{func() {}, stuck}}).Preflight(ctx, request)
		},
		"passphrase": func(ctx context.Context, stuck func()) error {
			_, err := keyfile.Parse(ctx, private, func(context.Context, string) ([]byte, error) {
				stuck()
				return nil, errors.New("late")
			})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) { leashtest.Ends(t, operation) })
	}
}

// TestAKeyThatPanicsIsInconclusive: nothing is signed, and the process goes on.
func TestAKeyThatPanicsIsInconclusive(t *testing.T) {
	t.Parallel()
	key := stuckKey{openGolden(t, "ecdsa-p256"), func() { panic("the device was unplugged") }}
	signatures, err := newSigner(t, key).Sign(t.Context(), signing.Request{Digest: goldenDigest})
	wantFamily(t, err, signing.ErrInconclusive)
	if signatures != nil {
		t.Errorf("%d signatures", len(signatures))
	}
}
