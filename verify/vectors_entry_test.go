// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cosignkit/cosignkit/internal/golden"
)

// inEntry are changes to the entry of a transparency log.
func inEntry() []alteration {
	body := func(f func(object) bool) change {
		return func(t testing.TB, s, _ *specimen) bool { return editObject(t, s.first().body(), f) }
	}
	// v1 is for what says nothing in an entry of Rekor v2: the entry whose
	// inclusion is proved there is computed from the signature, and the size and
	// the root of the tree are those of the checkpoint. What else a body says, it
	// may only say if it is that entry.
	v1 := func(alter change) change {
		return func(t testing.TB, s, another *specimen) bool { return s.Log == golden.RekorV1 && alter(t, s, another) }
	}
	flipText := func(p *place) bool { return p != nil && flipAt(p, 10) }
	proof := func(f func(proof, other object) bool) change {
		return func(_ testing.TB, s, another *specimen) bool {
			return s.first().proof() != nil && f(s.first().proof(), another.first().proof())
		}
	}
	checkpoint := func(f func(lines []string)) change {
		return proof(func(o, _ object) bool {
			c := within(o, "checkpoint")
			lines := strings.Split(c["envelope"].(string), "\n")
			f(lines)
			return put(c, "envelope", strings.Join(lines, "\n"))
		})
	}
	return []alteration{
		{"entry, gone", func(_ testing.TB, s, _ *specimen) bool {
			had := s.first().logged != nil
			s.first().logged = nil
			return had || without(s.first().material(), "tlogEntries")
		}, notLogged},
		{"entry, of another signature", func(_ testing.TB, s, another *specimen) bool { return entryOf(s, another) }, because("transparency log signature does not match").in("v2", badProof)},
		{"entry, twice and both wanted", func(_ testing.TB, s, _ *specimen) bool {
			if s.first().bundle == nil || s.first().entry() == nil {
				return false
			}
			s.policy.LogThreshold = 2
			s.first().material()["tlogEntries"] = []any{s.first().entry(), s.first().entry()}
			return true
		}, because("duplicate tlog entries found")},
		{"entry, twice", func(_ testing.TB, s, _ *specimen) bool {
			if s.first().bundle == nil || s.first().entry() == nil {
				return false
			}
			s.first().material()["tlogEntries"] = []any{s.first().entry(), s.first().entry()}
			return true
		}, because("duplicate tlog entries found")},
		{"entry, and one of another signature", func(_ testing.TB, s, another *specimen) bool {
			if s.first().bundle == nil || s.first().entry() == nil {
				return false
			}
			s.first().material()["tlogEntries"] = []any{s.first().entry(), another.first().entry()}
			return true
		}, because("transparency log signature does not match").in("v2", badProof)},
		{"entry, promise, a bit of it", func(_ testing.TB, s, _ *specimen) bool { return flipAt(s.first().promise(), -1) }, notLogged},
		{"entry, promise, of another entry", func(_ testing.TB, s, another *specimen) bool {
			return copied(s.first().promise(), another.first().promise())
		}, notLogged},
		{"entry, promise, gone", func(_ testing.TB, s, _ *specimen) bool {
			// A proof is as good, where no time is needed or there is another.
			needed := s.Identity != nil && !s.Timestamp
			return without(s.first().logged, "SignedEntryTimestamp") || needed && without(s.first().entry(), "inclusionPromise")
		}, because("no signed entry timestamp").in("bundle", because("log entry integrated timestamps: 0 < 1"))},
		{"entry, integrated time", func(_ testing.TB, s, _ *specimen) bool {
			// Nobody signs one in Rekor v2, and none is believed; but it is to fit
			// a certificate.
			return (s.Log == golden.RekorV1 || s.Identity != nil) && raised(s.first().numbers(), "integratedTime")
		}, notLogged.in("v2", because("integrated time outside certificate validity"))},
		{"entry, index", func(_ testing.TB, s, _ *specimen) bool { return raised(s.first().numbers(), "logIndex") }, notLogged.in("v2", badProof)},
		{"entry, id of the other log", func(t testing.TB, s, _ *specimen) bool {
			p := s.first().logID()
			if p == nil {
				return false
			}
			for _, i := range []int{0, 1} {
				if id := base64In(within(s.trusted(t), "tlogs", i, "logId"), "keyId").get(); !bytes.Equal(id, p.get()) {
					return setBytes(p, id)
				}
			}
			return false
		}, notLogged.in("v2", badCheckpoint)},
		{"entry, id of no log", func(_ testing.TB, s, _ *specimen) bool { return flipAt(s.first().logID(), 0) }, notLogged},
		{"entry, body, hash", v1(body(func(o object) bool {
			return flipText(hexIn(within(o, "spec", "data", "hash"), "value")) ||
				flipText(hexIn(within(o, "spec", "payloadHash"), "value"))
		})), notLogged.in("legacy", unreadable)},
		{"entry, body, hash of the envelope", body(func(o object) bool {
			return flipText(hexIn(within(o, "spec", "envelopeHash"), "value"))
		}), notLogged},
		{"entry, body, signature", v1(body(func(o object) bool {
			return flipText(base64In(within(o, "spec", "signature"), "content")) ||
				flipText(base64In(within(o, "spec", "signatures", 0), "signature"))
		})), notLogged.in("legacy", unreadable)},
		{"entry, body, key or certificate", v1(func(t testing.TB, s, _ *specimen) bool {
			other := otherSigner(t, s)
			if other == nil {
				return false
			}
			of := func(o object) *place {
				if p := base64In(within(o, "spec", "signature", "publicKey"), "content"); p != nil {
					return p
				}
				return base64In(within(o, "spec", "signatures", 0), "verifier")
			}
			theirs := of(parseObject(t, other.first().body().get()))
			return editObject(t, s.first().body(), func(o object) bool { return copied(of(o), theirs) })
		}), notLogged.in("legacy", unreadable)},
		{"entry, body, kind", body(func(o object) bool {
			if o["kind"] == "dsse" {
				return put(o, "kind", "hashedrekord")
			}
			return put(o, "kind", "dsse")
		}), unreadable},
		{"entry, body, version", body(func(o object) bool {
			if o["apiVersion"] == "0.0.2" {
				return put(o, "apiVersion", "0.0.1")
			}
			return put(o, "apiVersion", "0.0.2")
		}), unreadable},
		{"entry, body, white space", func(_ testing.TB, s, _ *specimen) bool {
			return edit(s.first().body(), func(b []byte) []byte { return append(b, ' ') })
		}, notLogged.in("v2", badBody)},
		{"entry, body, of another entry", func(_ testing.TB, s, another *specimen) bool {
			return copied(s.first().body(), another.first().body())
		}, notLogged.in("v2", badBody)},
		{"entry, kind beside it", func(_ testing.TB, s, _ *specimen) bool {
			return put(within(s.first().entry(), "kindVersion"), "kind", "intoto")
		}, because("entry of kind .* is said to be")},
		{"entry, version beside it", func(_ testing.TB, s, _ *specimen) bool {
			return put(within(s.first().entry(), "kindVersion"), "version", "0.0.3")
		}, because("entry of kind .* is said to be")},
		{"proof, gone", func(_ testing.TB, s, _ *specimen) bool { return without(s.first().entry(), "inclusionProof") }, because("inclusion proof missing in bundle")},
		{"proof, of another entry", func(_ testing.TB, s, another *specimen) bool {
			return s.first().proof() != nil && put(s.first().entry(), "inclusionProof", another.first().proof())
		}, badProof},
		{"proof, a bit of a hash", proof(func(o, _ object) bool {
			hashes, _ := o["hashes"].([]any)
			if len(hashes) == 0 {
				return false
			}
			list := object{"0": hashes[0]}
			flipAt(base64In(list, "0"), 0)
			hashes[0] = list["0"]
			return true
		}), because("calculated root: .* does not match expected root")},
		{"proof, no hashes", proof(func(o, _ object) bool { return without(o, "hashes") }), because("wrong proof size 0, want")},
		{"proof, a hash more", proof(func(o, _ object) bool {
			hashes, _ := o["hashes"].([]any)
			o["hashes"] = append(hashes, o["rootHash"])
			return true
		}), because("wrong proof size")},
		{"proof, index", v1(proof(func(o, _ object) bool { return raised(o, "logIndex") })), because("index is beyond size")},
		{"proof, tree size", v1(proof(func(o, _ object) bool { return raised(o, "treeSize") })), because("wrong proof size|does not match")},
		{"proof, root hash", v1(proof(func(o, _ object) bool { return flipAt(base64In(o, "rootHash"), 0) })), because("calculated root: .* does not match expected root")},
		{"checkpoint, gone", proof(func(o, _ object) bool { return without(o, "checkpoint") }), because("inclusion proof missing required checkpoint")},
		{"checkpoint, of another entry", proof(func(o, other object) bool { return put(o, "checkpoint", other["checkpoint"]) }), because("proof root hash does not match signed tree head").in("v2", badProof)},
		{"checkpoint, origin", checkpoint(func(lines []string) {
			lines[0] = "evil.example" + strings.TrimLeft(lines[0], "0123456789.abcdefghijklmnopqrstuvwxyz")
		}), badCheckpoint},
		{"checkpoint, tree size", checkpoint(func(lines []string) { lines[1] += "0" }), badCheckpoint},
		{"checkpoint, root hash", checkpoint(func(lines []string) {
			o := object{"": lines[2]}
			flipAt(base64In(o, ""), 0)
			lines[2] = o[""].(string)
		}), badCheckpoint},
		{"checkpoint, a bit of its signature", checkpoint(func(lines []string) {
			last := strings.LastIndex(lines[4], " ") + 1
			o := object{"": lines[4][last:]}
			flipAt(base64In(o, ""), -1)
			lines[4] = lines[4][:last] + o[""].(string)
		}), badCheckpoint},
		{"checkpoint, no signature", checkpoint(func(lines []string) { lines[4] = "" }), because("malformed note")},
	}
}

// entryOf gives the signature the entry of another one.
func entryOf(s, another *specimen) bool {
	if s.first().entry() == nil {
		return false
	}
	if s.first().bundle == nil {
		s.first().logged = another.first().logged
		return true
	}
	return put(s.first().material(), "tlogEntries", []any{another.first().entry()})
}

// otherSigner is a specimen of the same form and log that another one signed.
func otherSigner(t testing.TB, s *specimen) *specimen {
	t.Helper()
	i := slices.IndexFunc(s.set.Vectors, func(v golden.Vector) bool {
		return v.Log == s.Log && (v.Form == golden.Bundle) == (s.Form == golden.Bundle) && v.Digest != s.Digest &&
			(v.Identity == nil) == (s.Identity == nil) && (v.Identity != nil || v.PublicKey != s.PublicKey)
	})
	if i < 0 {
		return nil
	}
	return specimens(t, s.set, s.set.Vectors[i])()
}

// generalizedTime finds the last digit of a year as ASN.1 has it, first the time of
// the timestamp itself.
var generalizedTime = regexp.MustCompile(`\x18\x0f[0-9]{3}([0-9])[0-9]{10}Z`)

// inTimestamp are changes to the timestamp of an authority.
func inTimestamp() []alteration {
	return []alteration{
		{"timestamp, gone", func(_ testing.TB, s, _ *specimen) bool {
			had := s.first().stamped != nil
			s.first().stamped = nil
			return had || without(s.first().material(), "timestampVerificationData")
		}, notStamped},
		{"timestamp, empty", func(_ testing.TB, s, _ *specimen) bool { return setBytes(s.first().timestamp(), nil) }, notStamped},
		{"timestamp, a bit of its signature", func(_ testing.TB, s, _ *specimen) bool { return flipAt(s.first().timestamp(), -1) }, because("0 < 1; error: unable to verify signed timestamps: .*ECDSA verification failure")},
		{"timestamp, its time", func(_ testing.TB, s, _ *specimen) bool {
			return edit(s.first().timestamp(), func(b []byte) []byte {
				b[generalizedTime.FindSubmatchIndex(b)[2]] ^= 1
				return b
			})
		}, because("0 < 1; error: unable to verify signed timestamps: .*Message digest mismatch")},
		{"timestamp, of another signature", func(_ testing.TB, s, another *specimen) bool {
			return copied(s.first().timestamp(), another.first().timestamp())
		}, because("0 < 1; error: unable to verify signed timestamps: hashed messages don't match")},
		{"timestamp, twice and both wanted", func(t testing.TB, s, _ *specimen) bool {
			list, _ := s.first().timestamps()["rfc3161Timestamps"].([]any)
			if len(list) == 0 {
				return false
			}
			list = append(list, list[0])
			s.first().timestamps()["rfc3161Timestamps"] = list
			s.policy.TimestampThreshold = 2
			// New wants that there could be two.
			root := s.trusted(t)
			second := parseObject(t, marshal(t, within(root, "timestampAuthorities", 0)))
			second["uri"] = "https://timestamp.example"
			root["timestampAuthorities"] = []any{within(root, "timestampAuthorities", 0), second}
			return true
		}, because("signed timestamps: 1 < 2; error: duplicate timestamps from the same authority")},
	}
}
