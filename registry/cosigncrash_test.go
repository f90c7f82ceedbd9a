// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sigstore/cosign/v2/pkg/cosign"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/tuf" //nolint:staticcheck // deprecated, and a parameter of cosign's is of its type

	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/trust"
)

// cosignProcessVariable has a test binary verify one image with cosign's own
// package and end: with 0 if it is acceptable, with 1 if it is not.
const cosignProcessVariable = "COSIGNKIT_TEST_COSIGN"

// cosignTask is its value, in JSON.
type cosignTask struct {
	Ref string
	// Key is the public key that must have signed, and Log that of the log
	// that must have recorded it, if any; both in PEM.
	Key, Log []byte
}

// cosignProcess is the other process.
func cosignProcess(ctx context.Context, text string) error {
	var task cosignTask
	if err := json.Unmarshal([]byte(text), &task); err != nil {
		return err
	}
	ref, err := name.ParseReference(task.Ref)
	if err != nil {
		return err
	}
	key, err := verify.ParsePublicKey(task.Key)
	if err != nil {
		return err
	}
	opts := &cosign.CheckOpts{ClaimVerifier: cosign.SimpleClaimVerifier, IgnoreTlog: task.Log == nil, Offline: true}
	if opts.SigVerifier, err = signature.LoadVerifier(key, crypto.SHA256); err != nil {
		return err
	}
	if task.Log != nil {
		logs := cosign.NewTrustedTransparencyLogPubKeys()
		if err := logs.AddTransparencyLogPubKey(task.Log, tuf.Active); err != nil {
			return err
		}
		opts.RekorPubKeys = &logs
	}
	verified, _, err := cosign.VerifyImageSignatures(ctx, ref, opts)
	if err == nil && len(verified) == 0 {
		err = errors.New("nothing is verified")
	}
	return err
}

// run has another process of this binary do the task, and returns its exit code
// and what it wrote to standard error.
func (task cosignTask) run(t *testing.T) (code int, stderr string) {
	t.Helper()
	text, err := json.Marshal(task)
	if err != nil {
		t.Fatal(err)
	}
	var written strings.Builder
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestWhatCrashesCosign$")
	cmd.Env = append(os.Environ(), cosignProcessVariable+"="+string(text))
	cmd.Stderr = &written
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), written.String()
}

// testLog is the key of a log of Rekor v1.
type testLog struct{ key *ecdsa.PrivateKey }

func publicPEM(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// entry is the annotation for the entry of a signature with key over a payload.
func (l testLog) entry(t *testing.T, key crypto.Signer, payload []byte, sig string) string {
	t.Helper()
	encode := func(v any) []byte {
		b, err := json.Marshal(v) // canonical: maps are sorted
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	hash := sha256.Sum256(payload)
	block, _ := pem.Decode(publicPEM(t, l.key))
	id := sha256.Sum256(block.Bytes)
	entry := map[string]any{
		"body": encode(map[string]any{"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": map[string]any{
			"data":      map[string]any{"hash": map[string]any{"algorithm": "sha256", "value": hex.EncodeToString(hash[:])}},
			"signature": map[string]any{"content": sig, "publicKey": map[string]any{"content": publicPEM(t, key)}},
		}}),
		"integratedTime": 1_750_000_000, "logIndex": 1, "logID": hex.EncodeToString(id[:]),
	}
	sum := sha256.Sum256(encode(entry))
	promise, err := ecdsa.SignASN1(rand.Reader, l.key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return string(encode(map[string]any{"SignedEntryTimestamp": promise, "Payload": entry}))
}

const (
	signatureAnnotation   = "dev.cosignproject.cosign/signature"
	certificateAnnotation = "dev.sigstore.cosign/certificate"
	logAnnotation         = "dev.sigstore.cosign/bundle"
)

// layersOf reads the legacy signatures of an image.
func layersOf(t *testing.T, reg *testRegistry, image ocispec.Descriptor) ocispec.Manifest {
	t.Helper()
	var m ocispec.Manifest
	if err := json.Unmarshal(getRaw(t, reg, "app", tagOf(image.Digest)+".sig"), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestWhatCrashesCosign: of two annotations that end a process which hands an
// image to cosign's VerifyImageSignatures, each is one signature here that fails,
// for a reason, and hides none beside it. If cosign no longer panics, what guards
// against it may go.
func TestWhatCrashesCosign(t *testing.T) {
	if task := os.Getenv(cosignProcessVariable); task != "" {
		if err := cosignProcess(t.Context(), task); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	t.Parallel()
	for name, test := range map[string]struct {
		annotation, value string
		logged            bool
		crash, why        string
	}{
		"a certificate that is white space": {
			annotation: certificateAnnotation, value: " \n",
			crash: "index out of range", why: "does not verify with the key",
		},
		"a log entry whose body is a number": {
			annotation: logAnnotation, value: `{"SignedEntryTimestamp":"AAAA","Payload":{"body":1,"integratedTime":1,"logIndex":1,"logID":"00"}}`,
			logged: true, crash: "interface conversion", why: "does not verify with the key",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := newTestRegistry(t, true)
			c := newClient(t, registry.Config{})
			cd, ctx := newStore(t)
			key, log := newKey(t), testLog{newKey(t)}
			desc := putImage(ctx, t, cd, "image")
			ref := reg.ref("app:v1")
			pushUnsigned(ctx, t, c, cd, ref, desc)
			for _, by := range []crypto.Signer{key, newKey(t)} {
				if _, err := c.Sign(ctx, ref, signerOf(t, by), registry.WithForm(signing.Legacy)); err != nil {
					t.Fatal(err)
				}
			}
			m := layersOf(t, reg, desc)
			good, bad := m.Layers[0], m.Layers[1]
			policy := verify.Policy{Keys: []crypto.PublicKey{key.Public()}, InsecureIgnoreTransparencyLog: !test.logged}
			task := cosignTask{Ref: ref, Key: publicPEM(t, key)}
			if test.logged {
				task.Log = publicPEM(t, log.key)
				trusted, err := trust.ParsePEMs(trust.PEMs{Rekor: task.Log})
				if err != nil {
					t.Fatal(err)
				}
				policy.TrustedRoots = trusted
				good.Annotations[logAnnotation] = log.entry(t, key, getBlob(t, reg, good), good.Annotations[signatureAnnotation])
			}
			bad.Annotations[test.annotation] = test.value
			v, err := verify.New(policy)
			if err != nil {
				t.Fatal(err)
			}
			serve := func(layers ...ocispec.Descriptor) {
				m.Layers = layers
				b, err := json.Marshal(m)
				if err != nil {
					t.Fatal(err)
				}
				putRaw(t, reg, "app", tagOf(desc.Digest)+".sig", ocispec.MediaTypeImageManifest, b)
			}

			// Both accept what is good.
			serve(good)
			if code, stderr := task.run(t); code != 0 {
				t.Errorf("cosign does not accept a good signature: exit code %d, %s", code, stderr)
			}
			if _, err := c.Verify(ctx, ref, v); err != nil {
				t.Errorf("a good signature: %v", err)
			}

			crashes := func() {
				t.Helper()
				code, stderr := task.run(t)
				if code != 2 || !strings.Contains(stderr, "panic: ") || !strings.Contains(stderr, test.crash) {
					t.Errorf("cosign does not panic: exit code %d, %s", code, stderr)
				}
			}
			serve(bad)
			crashes()
			result, err := c.Verify(ctx, ref, v)
			wantFamily(t, err, verify.ErrRejected)
			wantText(t, err, test.why)
			if result == nil || len(result.Signatures) != 1 || strings.Contains(result.Signatures[0].Err.Error(), "panic") {
				t.Errorf("result is %+v", result)
			}

			for _, layers := range [][]ocispec.Descriptor{{good, bad}, {bad, good}} {
				serve(layers...)
				crashes()
				result, err := c.Verify(ctx, ref, v)
				if err != nil || !result.Accepted {
					t.Errorf("a good signature beside it: %v", err)
				}
			}
		})
	}
}
