// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package verify_test

import (
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/cosignkit/cosignkit/internal/worktest"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/signing/keyfile"
	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/trust"
)

// TestVerifyDoesLinearWork counts what a verification allocates for hostile changes
// to signatures with every kind of evidence.
func TestVerifyDoesLinearWork(t *testing.T) {
	of := func(form signing.Form, prepare ...func(*attempt)) (verify.Verifier, verify.Image, verify.Candidate) {
		a := newAttempt(form)
		for _, f := range prepare {
			f(a)
		}
		a.accepted(t)
		return a.verifier(t), a.image, a.candidate(t)
	}
	stamped := func(a *attempt) { a.policy.TimestampThreshold = 1; a.stamps = []stamp{{ours.tsa, noon}} }
	for name, prepare := range map[string][]func(*attempt){
		"identity": {stamped}, "key": {(*attempt).byKey, stamped}, "identity, Rekor v2": {(*attempt).inRekorV2}, "key alone": {(*attempt).byKey, func(a *attempt) {
			a.policy.InsecureIgnoreTransparencyLog = true
		}},
	} {
		v, image, candidate := of(signing.Bundle, prepare...)
		t.Run(name, func(t *testing.T) {
			worktest.Run(t, worktest.Decoder{
				Decode: func(b []byte) {
					_, _ = v.Verify(context.Background(), image, []verify.Candidate{{Bundle: b}})
				},
				Seeds: [][]byte{candidate.Bundle}, PerByte: 256, Fixed: 2 << 20,
			})
		})
	}
	v, image, candidate := of(signing.Legacy, stamped)
	for _, key := range []string{sigKey, certificateKey, chainKey, logKey, timestampKey} {
		t.Run("annotation "+key, func(t *testing.T) {
			seed := candidate.Annotations[key]
			if seed == "" {
				seed = candidate.Annotations[certificateKey]
			}
			worktest.Run(t, worktest.Decoder{
				Decode: func(b []byte) {
					c := verify.Candidate{Payload: candidate.Payload, Annotations: map[string]string{}}
					for k, value := range candidate.Annotations {
						c.Annotations[k] = value
					}
					c.Annotations[key] = string(b)
					_, _ = v.Verify(context.Background(), image, []verify.Candidate{c})
				},
				Seeds: [][]byte{[]byte(seed)}, PerByte: 256, Fixed: 2 << 20,
			})
		})
	}
	t.Run("trusted root", func(t *testing.T) {
		worktest.Run(t, worktest.Decoder{
			Decode: func(b []byte) { _, _ = trust.Parse(b) },
			Seeds:  [][]byte{readFile(t, "../testdata/golden", "trusted_root.json")}, PerByte: 256, Fixed: 2 << 20,
		})
	})
}

// TestAThousandHostileCandidates: the good one after them is found, and ten times as
// many cost ten times as much.
func TestAThousandHostileCandidates(t *testing.T) {
	for name, alter := range hostileEvidence(t) {
		for _, form := range forms {
			t.Run(name+", "+string(form), func(t *testing.T) {
				v, hostile, good := hostileAmong(t, form, alter)
				work := func(n int) uint64 {
					candidates := append(slices.Repeat([]verify.Candidate{hostile}, n), good)
					return worktest.Allocated(func() {
						if result, err := v.Verify(t.Context(), theImage(), candidates); err != nil || result.Signatures[0].Err == nil || result.Signatures[n].Err != nil {
							t.Errorf("a good one after %d hostile ones: %v", n, err)
						}
					})
				}
				work(1)
				if few, many := work(100), work(1000); many > 11*few {
					t.Errorf("%d bytes allocated for 1000, and %d for 100", many, few)
				}
			})
		}
	}
}

// TestPublicKeysCostLinearWork counts for the whole process, and so runs alone.
func TestPublicKeysCostLinearWork(t *testing.T) {
	key := pkix(t, keys["P-256"]().Public())
	worktest.Run(t, worktest.Decoder{
		Decode: func(b []byte) { _, _ = verify.ParsePublicKey(b) }, PerByte: 256, Fixed: 1 << 16,
		Seeds: [][]byte{key, pemOf("PUBLIC KEY", key)},
	})
}

// TestLegacyNeedsLittleMemory: there may be thousands of candidates, and io.Copy
// would take 32 KiB to hash each. It is not parallel, to measure nothing else.
func TestLegacyNeedsLittleMemory(t *testing.T) {
	const times, most = 100, 24 << 10
	verifier, candidate := goldenVerifier(t, "ecdsa-p256"), goldenLegacy(t, "cosign3", "ecdsa-p256")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range times {
		wantAccepted(t, verifier, candidate)
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / times; each > most {
		t.Errorf("a verification takes %d bytes, want at most %d", each, most)
	}
}

// TestAlteredBundlesAreRejected alters one thing at a time in a bundle that is
// good.
func TestAlteredBundlesAreRejected(t *testing.T) {
	t.Parallel()
	dsse := func(b object) object { return b["dsseEnvelope"].(object) }
	signature := func(b object) object { return dsse(b)["signatures"].([]any)[0].(object) }
	// within edits the statement and leaves the signature as it was.
	within := func(edit func(object)) func(object) {
		return func(b object) {
			raw, err := base64.StdEncoding.DecodeString(dsse(b)["payload"].(string))
			if err != nil {
				t.Fatal(err)
			}
			var s object
			if err := json.Unmarshal(raw, &s); err != nil {
				t.Fatal(err)
			}
			edit(s)
			dsse(b)["payload"] = marshal(t, s)
		}
	}
	flip := func(o object, key string, at int) {
		raw, err := base64.StdEncoding.DecodeString(o[key].(string))
		if err != nil {
			t.Fatal(err)
		}
		raw[(at+len(raw))%len(raw)] ^= 1
		o[key] = raw
	}
	for kind, key := range keys {
		sign := with(key(), crypto.SHA256)
		v := newVerifier(t, policyOf(key()))
		for name, alter := range map[string]func(object){
			"first bit of the signature":   func(b object) { flip(signature(b), "sig", 0) },
			"last bit of the signature":    func(b object) { flip(signature(b), "sig", -1) },
			"no signature bytes":           func(b object) { signature(b)["sig"] = "" },
			"signature cut short":          func(b object) { signature(b)["sig"] = signature(b)["sig"].(string)[:8] },
			"signature with bytes after":   func(b object) { signature(b)["sig"] = append(decode64(t, signature(b)["sig"]), 0) },
			"signature field is gone":      func(b object) { delete(signature(b), "sig") },
			"signature of another message": func(b object) { signature(b)["sig"] = sign(t, []byte("another message")) },
			"signature of the payload":     func(b object) { signature(b)["sig"] = sign(t, decode64(t, dsse(b)["payload"])) },
			"two signatures":               func(b object) { dsse(b)["signatures"] = []any{signature(b), signature(b)} },
			"no signatures":                func(b object) { dsse(b)["signatures"] = []any{} },
			"first byte of the payload":    func(b object) { flip(dsse(b), "payload", 0) },
			"last byte of the payload":     func(b object) { flip(dsse(b), "payload", -1) },
			"white space in the payload":   func(b object) { dsse(b)["payload"] = append([]byte(" "), decode64(t, dsse(b)["payload"])...) },
			"an empty payload":             func(b object) { dsse(b)["payload"] = "" },
			"the payload type":             func(b object) { dsse(b)["payloadType"] = "application/vnd.in-toto+json; x=1" },
			"the media type":               func(b object) { b["mediaType"] = "application/vnd.dev.sigstore.bundle.v9+json" },
			"the subject's digest":         within(func(s object) { subject(s)["digest"] = object{"sha256": otherHex} }),
			"the subject's name":           within(func(s object) { subject(s)["name"] = "evil.example/app" }),
			"an annotation":                within(func(s object) { subject(s)["annotations"] = object{"env": "test"} }),
			"no annotations":               within(func(s object) { delete(subject(s), "annotations") }),
			"a second subject":             within(func(s object) { s["subject"] = append(s["subject"].([]any), subjectOf(otherHex)) }),
			"the predicate type":           within(func(s object) { s["predicateType"] = "https://slsa.dev/provenance/v1" }),
			"the predicate":                within(func(s object) { s["predicate"] = object{"x": "y"} }),
			"the statement type":           within(func(s object) { s["_type"] = "https://in-toto.io/Statement/v0.1" }),
			"the order of keys":            func(b object) { dsse(b)["payload"] = reversed(t, decode64(t, dsse(b)["payload"])) },
			"a message signature instead":  func(b object) { delete(b, "dsseEnvelope"); b["messageSignature"] = object{"signature": "AAAA"} },
			"a certificate instead": func(b object) {
				b["verificationMaterial"] = object{"certificate": object{"rawBytes": selfSigned(t, key())}}
			},
			"no verification material": func(b object) { delete(b, "verificationMaterial") },
		} {
			var b object
			if err := json.Unmarshal(marshal(t, bundleOf(t, sign, marshal(t, statement()))), &b); err != nil {
				t.Fatal(err)
			}
			wantAccepted(t, v, bundleCandidate(t, b))
			alter(b)
			candidate := bundleCandidate(t, b)
			t.Run(kind+" "+name, func(t *testing.T) {
				t.Parallel()
				wantRejected(t, v, candidate, "")
			})
		}
	}
}

// TestPublishedSignatureVectors: in each way in which a signature by a key can be
// shown, the vectors that are valid are accepted, and no others.
func TestPublishedSignatureVectors(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob(filepath.Join(wycheproofVectors, "*.json.gz"))
	if err != nil || len(paths) != len(wycheproofFiles) {
		t.Fatalf("%d files, want %d; %v", len(paths), len(wycheproofFiles), err)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".json.gz")
		want, ok := wycheproofFiles[name]
		if !ok {
			t.Errorf("%s is not expected", name)
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			results, accepted := map[string]int{}, map[string]int{}
			for _, group := range wycheproofGroups(t, path) {
				key, err := verify.ParsePublicKey(group.Key)
				if err != nil {
					t.Fatal(err)
				}
				for _, vector := range group.Tests {
					results[vector.Result]++
					for _, way := range want.show(t, key, vector) {
						accepted[way]++
					}
				}
			}
			if results["valid"] != want.valid || results["invalid"] != want.invalid || results["acceptable"] != want.acceptable || len(results) > 3 {
				t.Errorf("the file has %v vectors, want %+v", results, want)
			}
			for _, way := range []string{byContent, byDigest, asImage, asPayload} {
				if n := want.accepted(way); accepted[way] != n {
					t.Errorf("%d are accepted %s, want %d", accepted[way], way, n)
				}
			}
			t.Logf("%v: accepted %v", results, accepted)
		})
	}
}

// TestVectorKeysOpen holds that each private key that a release wrote opens, and
// is that of the public key beside it.
func TestVectorKeysOpen(t *testing.T) {
	t.Parallel()
	set := vectors(t)
	for _, k := range set.Keys {
		t.Run(k.Tool+" "+k.Kind, func(t *testing.T) {
			t.Parallel()
			private, err := keyfile.Open(t.Context(), set.Path(k.File), signing.Passphrase([]byte(k.Passphrase)))
			if err != nil {
				t.Fatal(err)
			}
			public, err := verify.LoadPublicKey(set.Path(k.PublicKey))
			if err != nil {
				t.Fatal(err)
			}
			if key, ok := private.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !key.Equal(public) {
				t.Error("the public key is another one")
			}
		})
	}
}

// TestConfusedTypes puts values of every type into every place of what is read
// as JSON. What is signed or sealed is so after that.
func TestConfusedTypes(t *testing.T) {
	t.Parallel()
	second := newCA("second", ours.root, noon.Add(-year), noon.Add(year))
	everything := func(form signing.Form) *attempt {
		a := newAttempt(form)
		through(second)(a)
		stamped(a)
		a.policy.Annotations = map[string]string{"env": "prod"}
		return a
	}
	ofEntry := func(kind, version string, form signing.Form) func() *attempt {
		return func() *attempt {
			a := newAttempt(form)
			a.records[0].kind, a.records[0].version = kind, version
			return a
		}
	}
	v2 := func() *attempt {
		a := newAttempt(signing.Bundle)
		a.inRekorV2()
		return a
	}
	bundle := func(a *attempt, f func([]byte) []byte) {
		served(func(c *verify.Candidate) { c.Bundle = append([]byte{}, f(c.Bundle)...) })(a)
	}
	annotation := func(key string) func(*attempt, func([]byte) []byte) {
		return func(a *attempt, f func([]byte) []byte) {
			served(func(c *verify.Candidate) { c.Annotations[key] = string(f([]byte(c.Annotations[key]))) })(a)
		}
	}
	content := func(a *attempt, f func([]byte) []byte) { a.content = f(a.content) }
	byKey := func() *attempt {
		a := newAttempt(signing.Bundle)
		a.byKey()
		return a
	}
	body := func(a *attempt, f func([]byte) []byte) {
		altered(func(p *parts) {
			e, r := p.entries[0], a.records[0]
			e.body = f(e.body)
			if r.v2 {
				e.proof = r.by.include(e.body, r.by.host)
				return
			}
			e.seal(r)
		})(a)
	}
	const entry = "verificationMaterial/tlogEntries/0/"
	for name, test := range map[string]struct {
		honest func() *attempt
		// in calls the function with the JSON that is to be confused.
		in func(*attempt, func([]byte) []byte)
		// harmless are the places that nothing follows from.
		harmless []string
	}{
		// Beside a proof and a timestamp, the promise is not needed. The root
		// of the tree, which the log signs, is compared, and not its size.
		"bundle": {
			func() *attempt { return everything(signing.Bundle) }, bundle,
			[]string{entry + "inclusionPromise", entry + "inclusionPromise/signedEntryTimestamp", entry + "inclusionProof/treeSize"},
		},
		"bundle by key": {
			byKey, bundle, []string{
				entry + "inclusionPromise", entry + "inclusionPromise/signedEntryTimestamp", entry + "inclusionProof/treeSize",
				"verificationMaterial/publicKey", "verificationMaterial/publicKey/hint",
			},
		},
		// The checkpoint has size and root, the entry its index, and no time.
		"bundle in Rekor v2": {
			v2, bundle, []string{
				entry + "inclusionProof/logIndex", entry + "inclusionProof/rootHash", entry + "inclusionProof/treeSize",
				entry + "integratedTime",
			},
		},
		"statement": {
			func() *attempt { return everything(signing.Bundle) }, content,
			[]string{"predicate", "subject/0/name"},
		},
		"payload": {
			func() *attempt { return everything(signing.Legacy) }, content,
			[]string{"critical/identity", "critical/identity/docker-reference"},
		},
		"log annotation":       {func() *attempt { return everything(signing.Legacy) }, annotation(logKey), nil},
		"timestamp annotation": {func() *attempt { return everything(signing.Legacy) }, annotation(timestampKey), nil},
		// What binds an entry is its signature, key and hash of the payload.
		"entry, dsse": {
			ofEntry("dsse", "0.0.1", signing.Bundle), body, []string{"spec/envelopeHash/value"},
		},
		"entry, intoto": {
			ofEntry("intoto", "0.0.2", signing.Bundle), body,
			[]string{"spec/content/envelope/payloadType", "spec/content/hash", "spec/content/hash/value"},
		},
		"entry, hashedrekord":       {ofEntry("hashedrekord", "0.0.1", signing.Legacy), body, nil},
		"entry, hashedrekord of v2": {v2, body, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.honest().accepted(t)
			var original any
			a := test.honest()
			test.in(a, func(b []byte) []byte {
				if err := json.Unmarshal(b, &original); err != nil {
					t.Error(err)
				}
				return b
			})
			a.candidate(t)
			verifier := a.verifier(t)
			for _, path := range places(nil, original) {
				for kind, v := range confusions {
					a := test.honest()
					test.in(a, func(b []byte) []byte { return confused(t, b, path, v) })
					result, err := verifier.Verify(t.Context(), a.image, []verify.Candidate{a.candidate(t)})
					if err == nil {
						if !slices.Contains(test.harmless, slashed(path)) {
							t.Errorf("accepted with %s in the place of %s", kind, slashed(path))
						}
						continue
					}
					wantFamily(t, err, verify.ErrRejected)
					if reason := result.Signatures[0].Err; reason == nil || strings.Contains(reason.Error(), "panic") {
						t.Errorf("%s in the place of %s: reason is %v", kind, slashed(path), reason)
					}
				}
			}
		})
	}
}
