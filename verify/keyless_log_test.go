// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"crypto"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/internal/merkle"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// notCounted is what is said of an entry that no trusted log vouches for.
const notCounted = "not enough verified log entries from transparency log"

// another is an honest signature of another image by the same workflow.
func another(t *testing.T, a *attempt) *parts {
	t.Helper()
	b := newAttempt(a.form)
	b.bare, b.records, b.stamps = a.bare, a.records, a.stamps
	b.content = bytes.ReplaceAll(b.content, []byte(theHex), []byte(otherHex))
	return b.make(t)
}

// resealed alters the body of the entry, and the log signs for it: an attacker
// can have anything recorded.
func resealed(edit func(a *attempt, p *parts) (kind string, use *parts)) func(*attempt) {
	return func(a *attempt) {
		a.alter = append(a.alter, func(p *parts) {
			kind, use := edit(a, p)
			e, hash := p.entries[0], hashFor(a.key)
			if a.records[0].v2 {
				e.body = a.bodyV2(use, hash, sumOf(hash, use.message()))
				e.proof = a.records[0].by.include(e.body, a.records[0].by.host)
				return
			}
			if kind != "" {
				e.kind = kind
			}
			e.body = a.bodyV1(use, e.kind, e.version, hash, sumOf(hash, use.message()))
			e.seal(a.records[0])
		})
	}
}

func TestLogEntriesOfRekorV1(t *testing.T) {
	t.Parallel()
	entry := func(f func(*logEntry)) func(*attempt) { return altered(func(p *parts) { f(p.entries[0]) }) }
	proof := func(f func(*inclusion)) func(*attempt) { return altered(func(p *parts) { f(p.entries[0].proof) }) }
	proofOnly := func(a *attempt) {
		a.records[0].noSET = true
		a.stamps = []stamp{{ours.tsa, noon}}
	}
	runTrials(t, []trial{
		{name: "no entry", attack: func(a *attempt) { a.records = nil }, why: notCounted},
		{name: "signed entry timestamp altered", attack: entry(func(e *logEntry) { e.set = flipped(e.set) }), why: notCounted},
		{name: "signed entry timestamp of another entry", attack: func(a *attempt) {
			a.alter = append(a.alter, func(p *parts) { p.entries[0].set = another(t, a).entries[0].set })
		}, why: notCounted},
		{name: "signed entry timestamp by another log", attack: entry(func(e *logEntry) { e.set = ours.otherRekor.set(e) }), why: notCounted},
		{name: "integrated time altered", attack: entry(func(e *logEntry) { e.time++ }), why: notCounted},
		{name: "integrated time removed", attack: entry(func(e *logEntry) { e.time = 0 }), why: notCounted},
		{name: "integrated time below zero", attack: entry(func(e *logEntry) { e.time = -e.time }), why: notCounted},
		{name: "index altered", attack: entry(func(e *logEntry) { e.index++ }), why: notCounted},
		{name: "index below zero", attack: entry(func(e *logEntry) { e.index = -1 }), why: "nil value in transaction log entry"},
		{name: "log id of another trusted log", attack: entry(func(e *logEntry) { e.logID = ours.otherRekor.id[:] }), why: notCounted},
		{name: "log id that nobody has", attack: entry(func(e *logEntry) { e.logID = make([]byte, 32) }), why: notCounted},
		{name: "entry of a log that is not trusted", attack: func(a *attempt) { a.records[0].by = foreign.rekor }, why: notCounted},
		{name: "log before its time", attack: func(a *attempt) {
			a.trust.log[0].valid = period{from: noon.Add(time.Second)}
		}, why: notCounted},
		{name: "log after its time", attack: func(a *attempt) {
			a.trust.log[0].valid.to = noon.Add(-time.Second)
		}, why: notCounted},

		// An inclusion proof is checked where there is one, whatever else
		// there is.
		{name: "inclusion hash altered", only: signing.Bundle, attack: proof(func(p *inclusion) {
			p.hashes[0] = flipped(p.hashes[0])
		}), why: "calculated root"},
		{name: "inclusion hash left out", only: signing.Bundle, attack: proof(func(p *inclusion) {
			p.hashes = p.hashes[1:]
		}), why: "wrong proof size"},
		{name: "inclusion index altered", only: signing.Bundle, attack: proof(func(p *inclusion) { p.index-- }), why: "calculated root"},
		{name: "inclusion index beyond the tree", only: signing.Bundle, attack: proof(func(p *inclusion) { p.index = p.size }), why: "index is beyond size"},
		{name: "inclusion index below zero", only: signing.Bundle, attack: proof(func(p *inclusion) { p.index = -1 }), why: "index is beyond size"},
		{name: "tree size altered", only: signing.Bundle, attack: proof(func(p *inclusion) { p.size = 4 }), why: "wrong proof size"},
		{name: "root hash altered", only: signing.Bundle, attack: proof(func(p *inclusion) { p.root = flipped(p.root) }), why: "calculated root"},
		{name: "proof of a tree that nobody signed", only: signing.Bundle, attack: altered(func(p *parts) {
			fake := foreign.rekor.include(p.entries[0].body, ours.rekor.originV1())
			fake.checkpoint = p.entries[0].proof.checkpoint
			fake.hashes[0] = flipped(fake.hashes[0])
			fake.size, fake.index, fake.hashes = 1, 0, nil
			fake.root = merkle.Leaf(p.entries[0].body)
			p.entries[0].proof = fake
		}), why: "proof root hash does not match signed tree head"},
		{name: "checkpoint altered", only: signing.Bundle, attack: proof(func(p *inclusion) {
			p.checkpoint = strings.Replace(p.checkpoint, "\n7\n", "\n8\n", 1)
		}), why: "signature on checkpoint did not verify"},
		{name: "checkpoint of another log", only: signing.Bundle, attack: proof(func(p *inclusion) {
			p.checkpoint = ours.otherRekor.checkpoint(ours.rekor.originV1(), int(p.size), p.root)
		}), why: "signature on checkpoint did not verify"},
		{name: "checkpoint of another log after its own", only: signing.Bundle, attack: proof(func(p *inclusion) {
			other := ours.otherRekor.checkpoint(ours.rekor.originV1(), int(p.size), p.root)
			p.checkpoint += other[strings.Index(other, "\u2014"):]
		}), why: "signature on checkpoint did not verify"},
		{name: "checkpoint of another log with its key hash", only: signing.Bundle, attack: proof(func(p *inclusion) {
			evil := *ours.otherRekor
			evil.id = ours.rekor.id
			p.checkpoint = evil.checkpoint(ours.rekor.originV1(), int(p.size), p.root)
		}), why: "signature on checkpoint did not verify"},
		{name: "checkpoint without signature", only: signing.Bundle, attack: proof(func(p *inclusion) {
			p.checkpoint = p.checkpoint[:strings.Index(p.checkpoint, "\u2014")]
		}), why: "malformed note"},
		{name: "no checkpoint", only: signing.Bundle, attack: proof(func(p *inclusion) { p.checkpoint = "" }), why: "checkpoint empty"},
		{name: "checkpoint of Rekor v2 with an entry of v1", only: signing.Bundle, attack: altered(func(p *parts) {
			p.entries[0].proof = ours.rekor.include(p.entries[0].body, ours.rekor.host)
		}), why: "verifying log entry"},
		{name: "proof altered and no promise", only: signing.Bundle, honest: proofOnly, attack: proof(func(p *inclusion) {
			p.hashes[0] = flipped(p.hashes[0])
		}), why: "calculated root"},
		// Nothing but the promise is signed with the time.
		{name: "time that only the proof comes with", only: signing.Bundle, honest: proofOnly, attack: func(a *attempt) {
			a.stamps = nil
		}, why: "threshold not met for verified signed & log entry integrated timestamps"},
		{name: "neither proof nor promise", only: signing.Bundle, attack: entry(func(e *logEntry) {
			e.set, e.proof = nil, nil
		}), why: "inclusion proof missing"},
		{name: "no promise", only: signing.Legacy, attack: entry(func(e *logEntry) { e.set = nil }), why: "no signed entry timestamp"},

		{name: "kind altered", attack: entry(func(e *logEntry) { e.kind = "rekord" }), only: signing.Bundle, why: "is said to be"},
		{name: "version altered", attack: entry(func(e *logEntry) { e.version = "0.0.2" }), only: signing.Bundle, why: "is said to be"},
		{name: "body that is no entry", attack: entry(func(e *logEntry) { e.body = []byte(`{}`) }), why: "not a recognizable"},
		{name: "body that is no JSON", attack: entry(func(e *logEntry) { e.body = []byte("entry") }), why: "not a recognizable", legacyWhy: "body: JSON"},
		{name: "body with spaces", attack: entry(func(e *logEntry) { e.body = append([]byte(" "), e.body...) }), why: notCounted},
	})
}

// TestAdvisoryGHSA_whqx_f9j3_ch6m: an entry that is truly in the log, of
// something else.
func TestAdvisoryGHSA_whqx_f9j3_ch6m(t *testing.T) {
	t.Parallel()
	const wrongKey = "transparency log certificate does not match"
	// Such a hashedrekord does not hold together, and no log would take it.
	const unlogged = "verifying signature"
	foreignKey := func(a *attempt, p *parts) (string, *parts) {
		other := *p
		b := *a
		b.key = newECDSA(elliptic.P256())
		other.certificate = ours.intermediate.issue(b.key, leafTemplate(), a.promises...)
		return "", &other
	}
	v1 := []trial{
		{name: "of another image", attack: func(a *attempt) {
			a.alter = append(a.alter, func(p *parts) { p.entries = another(t, a).entries })
		}, why: "transparency log signature does not match"},
		{name: "of another signature over the same", attack: resealed(func(a *attempt, p *parts) (string, *parts) {
			other := *p
			other.signature = a.sign(t, p.message())
			return "", &other
		}), why: "transparency log signature does not match"},
		{name: "with another key", attack: resealed(foreignKey), why: wrongKey, legacyWhy: unlogged},
		{name: "with another certificate of the key", attack: resealed(func(a *attempt, p *parts) (string, *parts) {
			other := *p
			other.certificate = ours.intermediate.issue(a.key, leafTemplate(), a.promises...)
			return "", &other
		}), why: wrongKey},
		{name: "with the bare key of the certificate", attack: resealed(func(_ *attempt, p *parts) (string, *parts) {
			other := *p
			other.certificate = nil
			return "", &other
		}), why: wrongKey},
		{name: "with another digest", attack: resealed(func(_ *attempt, p *parts) (string, *parts) {
			other := *p
			other.content = bytes.ReplaceAll(p.content, []byte(theHex), []byte(otherHex))
			return "", &other
		}), why: "does not match envelope payload hash", legacyWhy: unlogged},
	}
	for i := range v1 {
		v1[i].name = "entry of Rekor v1 " + v1[i].name
	}
	runTrials(t, v1)
	v2 := []trial{
		{name: "of another image", attack: func(a *attempt) {
			a.alter = append(a.alter, func(p *parts) { p.entries = another(t, a).entries })
		}},
		{name: "of another signature over the same", attack: v1[1].attack},
		{name: "with another key", attack: v1[2].attack},
		{name: "with another certificate of the key", attack: v1[3].attack},
		{name: "with the bare key of the certificate", attack: v1[4].attack},
		{name: "with another digest", attack: v1[5].attack},
	}
	for i := range v2 {
		v2[i].name = "entry of Rekor v2 " + v2[i].name
		v2[i].only, v2[i].honest, v2[i].why = signing.Bundle, (*attempt).inRekorV2, "verifying log entry"
	}
	runTrials(t, v2)
	key := []trial{
		{name: "of another key", attack: resealed(func(a *attempt, p *parts) (string, *parts) {
			other := *p
			other.certificate = ours.intermediate.issue(a.key, leafTemplate())
			return "", &other
		}), why: wrongKey},
		{name: "of another image by the key", attack: v1[0].attack, why: "transparency log signature does not match"},
	}
	for i := range key {
		key[i].name, key[i].honest = "signed with a key, entry "+key[i].name, (*attempt).byKey
	}
	runTrials(t, key)
}

func TestLogEntriesOfRekorV2(t *testing.T) {
	t.Parallel()
	entry := func(f func(*logEntry)) func(*attempt) { return altered(func(p *parts) { f(p.entries[0]) }) }
	trials := []trial{
		{name: "no timestamp", attack: func(a *attempt) { a.stamps = nil }, why: "threshold not met for verified signed & log entry integrated timestamps"},
		{name: "a time of its own in the place of a timestamp", attack: func(a *attempt) {
			a.stamps, a.records[0].at = nil, noon
		}, why: "threshold not met for verified signed & log entry integrated timestamps"},
		{name: "inclusion hash altered", attack: entry(func(e *logEntry) { e.proof.hashes[0] = flipped(e.proof.hashes[0]) }), why: "verifying inclusion"},
		{name: "inclusion hash left out", attack: entry(func(e *logEntry) { e.proof.hashes = e.proof.hashes[1:] }), why: "verifying inclusion"},
		{name: "index altered", attack: entry(func(e *logEntry) { e.index-- }), why: "verifying inclusion"},
		{name: "no proof", attack: entry(func(e *logEntry) { e.proof = nil }), why: "inclusion proof missing"},
		{name: "promise in the place of a proof", attack: entry(func(e *logEntry) {
			e.set, e.proof = ours.tiles.set(e), nil
		}), why: "inclusion proof missing"},
		{name: "promise beside a proof", attack: entry(func(e *logEntry) { e.set = ours.tiles.set(e) }), why: notCounted},
		{name: "checkpoint altered", attack: entry(func(e *logEntry) {
			e.proof.checkpoint = strings.Replace(e.proof.checkpoint, "\n7\n", "\n8\n", 1)
		}), why: "unverified checkpoint signature"},
		{name: "checkpoint of another log", attack: entry(func(e *logEntry) {
			e.proof.checkpoint = ours.otherTiles.checkpoint(ours.tiles.host, int(e.proof.size), e.proof.root)
		}), why: "unverified checkpoint signature"},
		{name: "checkpoint of another log in its name", attack: entry(func(e *logEntry) {
			evil := *ours.otherTiles
			evil.id, evil.host = ours.tiles.id, ours.tiles.host
			e.proof.checkpoint = evil.checkpoint(evil.host, int(e.proof.size), e.proof.root)
		}), why: "unverified checkpoint signature"},
		{name: "checkpoint with another origin", attack: entry(func(e *logEntry) {
			e.proof.checkpoint = ours.tiles.checkpoint("other.test", int(e.proof.size), e.proof.root)
		}), why: "unverified checkpoint signature"},
		{name: "log id of another trusted log", attack: entry(func(e *logEntry) { e.logID = ours.otherTiles.id[:] }), why: "unverified checkpoint signature"},
		{name: "log that is not trusted", attack: func(a *attempt) { a.records[0].by = foreign.tiles }, why: notCounted},
		{name: "checkpoint of Rekor v1 with an entry of v2", attack: entry(func(e *logEntry) {
			e.proof = ours.tiles.include(e.body, ours.tiles.originV1())
		}), why: "Rekor v1"},
		// The entry is then bound to nothing that was signed.
		{name: "checkpoint of Rekor v1 with an entry of v2 of another image", attack: func(a *attempt) {
			a.alter = append(a.alter, func(p *parts) {
				e := another(t, a).entries[0]
				e.proof = ours.tiles.include(e.body, ours.tiles.originV1())
				p.entries = []*logEntry{e}
			})
		}, why: "Rekor v1"},
		{name: "kind altered", attack: entry(func(e *logEntry) { e.version = "0.0.1" }), why: "is said to be"},
		{name: "log before its time", attack: func(a *attempt) { a.trust.log[2].valid = period{from: noon.Add(time.Second)} }, why: notCounted},
		{name: "log after its time", attack: func(a *attempt) { a.trust.log[2].valid.to = noon.Add(-time.Second) }, why: notCounted},
	}
	for i := range trials {
		trials[i].only, trials[i].honest = signing.Bundle, (*attempt).inRekorV2
	}
	runTrials(t, trials)
}

// TestRekorV2WithAKey: a key lives for years, and needs no time at which it was
// used.
func TestRekorV2WithAKey(t *testing.T) {
	t.Parallel()
	runTrials(t, []trial{
		{name: "no timestamp where one is asked for", only: signing.Bundle, honest: func(a *attempt) {
			a.inRekorV2()
			a.byKey()
			a.policy.TimestampThreshold = 1
		}, attack: func(a *attempt) { a.stamps = nil }, why: "threshold not met for verified signed timestamps"},
		{name: "no entry", only: signing.Bundle, honest: func(a *attempt) {
			a.inRekorV2()
			a.byKey()
			a.stamps = nil
		}, attack: func(a *attempt) { a.records = nil }, why: notCounted},
	})
}

// TestAdvisoryGHSA_9vcr_p3rj_q5q6: what one log or authority says twice is not
// what two say.
func TestAdvisoryGHSA_9vcr_p3rj_q5q6(t *testing.T) {
	t.Parallel()
	twoLogs := func(a *attempt) {
		a.policy.LogThreshold = 2
		a.records = append(a.records, record{by: ours.otherRekor, at: noon})
	}
	twoStamps := func(a *attempt) {
		a.policy.TimestampThreshold = 2
		a.stamps = []stamp{{ours.tsa, noon}, {ours.otherTSA, noon}}
	}
	const tooFewLogs, tooFewStamps = notCounted + ": 1 < 2", "threshold not met for verified signed timestamps: 1 < 2"
	runTrials(t, []trial{
		{name: "one log", only: signing.Bundle, honest: twoLogs, attack: func(a *attempt) { a.records = a.records[:1] }, why: tooFewLogs},
		{name: "two entries of one log", only: signing.Bundle, honest: twoLogs, attack: func(a *attempt) {
			a.records[1] = record{by: ours.rekor, at: noon, index: 4}
		}, why: tooFewLogs},
		{name: "one entry twice", only: signing.Bundle, honest: twoLogs, attack: altered(func(p *parts) {
			p.entries[1] = p.entries[0]
		}), why: "duplicate tlog entries"},
		{name: "one entry of Rekor v1 under two kinds", only: signing.Bundle, honest: twoLogs, attack: func(a *attempt) {
			a.records[1] = record{by: ours.rekor, at: noon, index: 4, kind: "intoto", version: "0.0.2"}
		}, why: tooFewLogs},
		{name: "one log with and without promise", only: signing.Bundle, honest: twoLogs, attack: func(a *attempt) {
			a.records[1] = record{by: ours.rekor, at: noon, index: 4, noSET: true}
		}, why: tooFewLogs},
		{name: "one log of Rekor v2 in both formats", only: signing.Bundle, honest: func(a *attempt) {
			twoLogs(a)
			a.records[1] = record{by: ours.tiles, v2: true}
		}, attack: func(a *attempt) {
			a.records[0] = record{by: ours.tiles, at: noon, index: 4}
		}, why: tooFewLogs},
		{name: "a log that is not trusted", only: signing.Bundle, honest: twoLogs, attack: func(a *attempt) {
			a.records[1].by = foreign.rekor
		}, why: tooFewLogs},
		{name: "a second entry of another image", only: signing.Bundle, honest: twoLogs, attack: func(a *attempt) {
			a.alter = append(a.alter, func(p *parts) { p.entries[1] = another(t, a).entries[1] })
		}, why: "transparency log signature does not match"},
		{name: "33 entries", only: signing.Bundle, attack: func(a *attempt) {
			for i := range 32 {
				a.records = append(a.records, record{by: ours.rekor, at: noon, index: int64(10 + i)})
			}
		}, why: "too many tlog entries"},

		{name: "one timestamp", only: signing.Bundle, honest: twoStamps, attack: func(a *attempt) { a.stamps = a.stamps[:1] }, why: tooFewStamps},
		{name: "one timestamp twice", only: signing.Bundle, honest: twoStamps, attack: altered(func(p *parts) {
			p.timestamps[1] = p.timestamps[0]
		}), why: tooFewStamps},
		{name: "two timestamps of one authority", only: signing.Bundle, honest: twoStamps, attack: func(a *attempt) {
			a.stamps[1] = stamp{ours.tsa, noon.Add(time.Second)}
		}, why: tooFewStamps},
		{name: "the time of the log in the place of a timestamp", only: signing.Bundle, honest: twoStamps, attack: func(a *attempt) {
			a.stamps = a.stamps[:1]
			a.policy.LogThreshold = 1
		}, why: tooFewStamps},
		{name: "an authority that is not trusted", only: signing.Bundle, honest: twoStamps, attack: func(a *attempt) {
			a.stamps[1].by = foreign.otherTSA
		}, why: tooFewStamps},
		{name: "33 timestamps", only: signing.Bundle, honest: twoStamps, attack: altered(func(p *parts) {
			for range 32 {
				p.timestamps = append(p.timestamps, p.timestamps[0])
			}
		}), why: "too many signed timestamps"},
	})
}

// TestLogEntryKindsOfLegacySignatures: only a hashedrekord is about a payload.
func TestLogEntryKindsOfLegacySignatures(t *testing.T) {
	t.Parallel()
	kind := func(kind, version string) func(*attempt) {
		return func(a *attempt) { a.records[0].kind, a.records[0].version = kind, version }
	}
	runTrials(t, []trial{
		{name: "dsse", only: signing.Legacy, attack: kind("dsse", "0.0.1"), why: "not a hashedrekord"},
		{name: "intoto", only: signing.Legacy, attack: kind("intoto", "0.0.2"), why: "not a hashedrekord"},
		{name: "rekord", only: signing.Legacy, attack: kind("rekord", "0.0.1"), why: "not a recognizable type: kind \"rekord\""},
		{name: "unknown", only: signing.Legacy, attack: kind("something", "0.0.1"), why: "not a recognizable"},
		{name: "unknown version", only: signing.Legacy, attack: kind("hashedrekord", "9.0.0"), why: "not a recognizable"},
	})
}

// TestLogEntryKindsOfEnvelopes: a log of version 1 may have an envelope by the
// hashes of its parts, or by that of what is signed.
func TestLogEntryKindsOfEnvelopes(t *testing.T) {
	t.Parallel()
	for kind, version := range map[string]string{"dsse": "0.0.1", "intoto": "0.0.2", "hashedrekord": "0.0.1"} {
		a := newAttempt(signing.Bundle)
		a.records[0].kind, a.records[0].version = kind, version
		a.accepted(t)
		a.byKey()
		a.accepted(t)
	}
	hashed := func(a *attempt) { a.records[0].kind, a.records[0].version = "hashedrekord", "0.0.1" }
	body := func(f func(a *attempt, p *parts) []byte) func(*attempt) {
		return func(a *attempt) {
			a.alter = append(a.alter, func(p *parts) {
				p.entries[0].body = f(a, p)
				p.entries[0].seal(a.records[0])
			})
		}
	}
	// Each of these entries is truly in the log.
	sum := func(b []byte) []byte { return sumOf(crypto.SHA256, b) }
	runTrials(t, []trial{
		{name: "of the content", only: signing.Bundle, honest: hashed, attack: body(func(a *attempt, p *parts) []byte {
			return a.bodyV1(p, "hashedrekord", "0.0.1", crypto.SHA256, sum(p.content))
		}), why: "not a recognizable"},
		{name: "of another message", only: signing.Bundle, honest: hashed, attack: body(func(a *attempt, p *parts) []byte {
			return a.bodyV1(p, "hashedrekord", "0.0.1", crypto.SHA256, sum([]byte("another")))
		}), why: "not a recognizable"},
		{name: "by another hash", only: signing.Bundle, honest: hashed, attack: body(func(a *attempt, p *parts) []byte {
			return a.bodyV1(p, "hashedrekord", "0.0.1", crypto.SHA512, sum(p.message()))
		}), why: "not a recognizable"},
		{name: "of another signature of it", only: signing.Bundle, honest: hashed, attack: body(func(a *attempt, p *parts) []byte {
			q := *p
			q.signature = a.sign(t, p.message())
			return a.bodyV1(&q, "hashedrekord", "0.0.1", crypto.SHA256, sum(p.message()))
		}), why: "signature does not match"},
		{name: "by another certificate", only: signing.Bundle, honest: hashed, attack: body(func(a *attempt, p *parts) []byte {
			q := *p
			q.certificate = another(t, a).certificate
			return a.bodyV1(&q, "hashedrekord", "0.0.1", crypto.SHA256, sum(p.message()))
		}), why: "certificate does not match"},
		{name: "of a file", only: signing.Bundle, honest: hashed, attack: func(a *attempt) {
			a.alter = append(a.alter, func(p *parts) {
				p.signature = a.sign(t, p.content)
				p.entries[0].body = a.bodyV1(p, "hashedrekord", "0.0.1", crypto.SHA256, sum(p.content))
				p.entries[0].seal(a.records[0])
			})
		}, why: "does not verify with the key of the certificate"},
		{name: "of another image", only: signing.Bundle, honest: hashed, attack: func(a *attempt) {
			a.image.Target.Digest = digest.FromString("another")
		}, why: "no subject of the statement is the image"},
		{name: "content altered, and the signature is that of the log", only: signing.Bundle, honest: hashed, attack: altered(func(p *parts) {
			p.content = append(p.content, ' ')
		}), why: "does not verify with the key of the certificate"},
		{name: "of a statement with a field that nobody knows", only: signing.Bundle, honest: hashed, attack: func(a *attempt) {
			a.content = append(bytes.TrimSuffix(a.content, []byte("}")), `,"x":1}`...)
		}, why: "json"},
		{name: "of a statement with too many subjects", only: signing.Bundle, honest: hashed, attack: func(a *attempt) {
			s := statement()
			for range limits.Subjects {
				s["subject"] = append(s["subject"].([]any), subjectOf(otherHex))
			}
			a.content = marshalled(s)
		}, why: "number of subjects"},
		{name: "and the envelope has two signatures", only: signing.Bundle, honest: hashed, attack: served(func(c *verify.Candidate) {
			var o object
			if err := json.Unmarshal(c.Bundle, &o); err != nil {
				t.Error(err)
			}
			envelope := o["dsseEnvelope"].(object)
			envelope["signatures"] = append(envelope["signatures"].([]any), object{"sig": "AAAA"})
			c.Bundle = marshalled(o)
		}), why: "exactly one signature is required"},
		{name: "of no statement", only: signing.Bundle, honest: hashed, attack: func(a *attempt) { a.content = []byte("text") }, why: "JSON"},
		{name: "beside one of the parts", only: signing.Bundle, honest: hashed, attack: func(a *attempt) {
			a.records = append(a.records, record{by: ours.otherRekor, at: noon})
		}, why: "not a dsse_v001 or intoto_v002"},
	})
}

// TestHostileAnnotations: what cosign's own packages panic on is a rejected
// candidate, with a reason.
func TestHostileAnnotations(t *testing.T) {
	t.Parallel()
	// edited changes a member of the log annotation.
	edited := func(edit func(payload object)) func(*attempt) {
		return served(func(c *verify.Candidate) {
			var o object
			if err := json.Unmarshal([]byte(c.Annotations[logKey]), &o); err != nil {
				t.Error(err)
			}
			edit(o["Payload"].(object))
			c.Annotations[logKey] = string(marshalled(o))
		})
	}
	body := func(v any) func(*attempt) { return edited(func(payload object) { payload["body"] = v }) }
	chainOf := func(n int, c *x509.Certificate) string {
		return strings.Repeat(string(pemOf("CERTIFICATE", c.Raw)), n)
	}
	huge := strings.Repeat("A", limits.Bundle+1)
	stamped := func(a *attempt) {
		a.stamps = []stamp{{ours.tsa, noon}}
		a.policy.TimestampThreshold = 1
	}
	const noCertificate = "signed with a key, and the policy names only identities"
	trials := []trial{
		{name: "certificate is white space", attack: annotated(certificateKey, " \n"), why: noCertificate},
		{name: "certificate is a line break", attack: annotated(certificateKey, "\r\n\t"), why: noCertificate},
		{name: "certificate is empty", attack: annotated(certificateKey, ""), why: noCertificate},
		{name: "certificate is a NUL", attack: annotated(certificateKey, "\x00"), why: "certificate: not a certificate in PEM"},
		{name: "certificate is no PEM", attack: annotated(certificateKey, "certificate"), why: "certificate: not a certificate in PEM"},
		{name: "certificate is null", attack: annotated(certificateKey, "null"), why: "certificate: not a certificate in PEM"},
		{name: "certificate is an empty block", attack: annotated(certificateKey, string(pemOf("CERTIFICATE", nil))), why: "malformed certificate"},
		{name: "certificate is a block of junk", attack: annotated(certificateKey, string(pemOf("CERTIFICATE", []byte("junk")))), why: "x509"},
		{name: "certificate is a key", attack: annotated(certificateKey, string(pemOf("PUBLIC KEY", []byte("junk")))), why: "certificate: not a certificate in PEM"},
		{name: "certificate is huge", attack: annotated(certificateKey, huge), why: "limit exceeded"},
		{name: "certificate twice", attack: served(func(c *verify.Candidate) {
			c.Annotations[certificateKey] += c.Annotations[certificateKey]
		}), why: "2 certificates, want 1"},
		{name: "certificate with junk after it", attack: served(func(c *verify.Candidate) {
			c.Annotations[certificateKey] += "junk"
		}), why: "certificate: not a certificate in PEM"},

		{name: "chain is junk", attack: annotated(chainKey, "junk"), why: "certificate chain: not a certificate in PEM"},
		{name: "chain is a block of junk", attack: annotated(chainKey, string(pemOf("CERTIFICATE", []byte("junk")))), why: "certificate chain: x509"},
		{name: "chain is a key", attack: annotated(chainKey, string(pemOf("PUBLIC KEY", []byte("junk")))), why: "certificate chain: not a certificate in PEM"},
		{name: "chain of 1000 certificates", attack: annotated(chainKey, chainOf(1000, ours.intermediate.cert)), why: "number of certificates is larger than"},
		{name: "chain is huge", attack: annotated(chainKey, huge), why: "limit exceeded"},

		{name: "log entry is empty JSON", attack: annotated(logKey, "{}"), why: "no signed entry timestamp"},
		{name: "log entry is null", attack: annotated(logKey, "null"), why: "no signed entry timestamp"},
		{name: "log entry is an array", attack: annotated(logKey, "[]"), why: "log entry"},
		{name: "log entry is junk", attack: annotated(logKey, "junk"), why: "log entry"},
		{name: "log entry is white space", attack: annotated(logKey, " \n"), why: "log entry"},
		{name: "log entry is empty", attack: annotated(logKey, ""), why: notCounted},
		{name: "log entry is huge", attack: annotated(logKey, huge), why: "limit exceeded"},
		{name: "log entry is deep", attack: annotated(logKey, strings.Repeat("[", 100_000)), why: "log entry"},
		{name: "body is a number", attack: body(1), why: "log entry: json: cannot unmarshal number"},
		{name: "body is null", attack: body(nil), why: "log entry: body"},
		{name: "body is a bool", attack: body(true), why: "log entry: json: cannot unmarshal bool"},
		{name: "body is an array", attack: body([]any{"a"}), why: "log entry: json: cannot unmarshal"},
		{name: "body is an object", attack: body(object{"a": 1}), why: "log entry: json: cannot unmarshal object"},
		{name: "body is no base64", attack: body("?"), why: "log entry: illegal base64"},
		{name: "body is empty", attack: body(""), why: "log entry: body"},
		{name: "body is huge", attack: body(strings.Repeat("AAAA", limits.Bundle/4)), why: "limit exceeded"},
		{name: "body is null in base64", attack: body([]byte("null")), why: "not a recognizable"},
		{name: "log id is no hexadecimal", attack: edited(func(p object) { p["logID"] = "?" }), why: "log entry: log id"},
		{name: "log id is empty", attack: edited(func(p object) { p["logID"] = "" }), why: notCounted},
		{name: "log id is null", attack: edited(func(p object) { p["logID"] = nil }), why: notCounted},
		{name: "time is a string", attack: edited(func(p object) { p["integratedTime"] = "1" }), why: "log entry: json"},
		{name: "time is a fraction", attack: edited(func(p object) { p["integratedTime"] = 1.5 }), why: "log entry: json"},
		{name: "time is out of range", attack: edited(func(p object) { p["integratedTime"] = 1e300 }), why: "log entry: json"},

		{name: "signature is white space", attack: annotated(sigKey, " \n"), why: "the layer carries no signature"},
		{name: "signature is no base64", attack: annotated(sigKey, "?"), why: "signature: illegal base64"},

		{name: "timestamp is empty JSON", honest: stamped, attack: annotated(timestampKey, "{}"), why: "threshold not met for verified signed timestamps"},
		{name: "timestamp is null", honest: stamped, attack: annotated(timestampKey, "null"), why: "threshold not met for verified signed timestamps"},
		{name: "timestamp is junk", honest: stamped, attack: annotated(timestampKey, "junk"), why: "timestamp: JSON"},
		{name: "timestamp is a number", honest: stamped, attack: annotated(timestampKey, `{"SignedRFC3161Timestamp":1}`), why: "timestamp: json"},
		{name: "timestamp is no base64", honest: stamped, attack: annotated(timestampKey, `{"SignedRFC3161Timestamp":"?"}`), why: "timestamp: illegal base64"},
		{name: "timestamp is bytes of junk", honest: stamped, attack: annotated(timestampKey, `{"SignedRFC3161Timestamp":"AAAA"}`), why: "threshold not met for verified signed timestamps"},
		{name: "timestamp is huge", honest: stamped, attack: annotated(timestampKey, huge), why: "limit exceeded"},
	}
	for i := range trials {
		trials[i].only = signing.Legacy
	}
	runTrials(t, trials)
}

// TestHostileBundles is the same for members of a bundle.
func TestHostileBundles(t *testing.T) {
	t.Parallel()
	edited := func(edit func(material object)) func(*attempt) {
		return served(func(c *verify.Candidate) {
			var o object
			if err := json.Unmarshal(c.Bundle, &o); err != nil {
				t.Error(err)
			}
			edit(o["verificationMaterial"].(object))
			c.Bundle = marshalled(o)
		})
	}
	entry := func(key string, v any) func(*attempt) {
		return edited(func(m object) { m["tlogEntries"].([]any)[0].(object)[key] = v })
	}
	stamps := func(v ...any) func(*attempt) {
		return edited(func(m object) { m["timestampVerificationData"] = object{"rfc3161Timestamps": v} })
	}
	chain := func(certificates ...any) func(*attempt) {
		return edited(func(m object) {
			all := append([]any{m["certificate"]}, certificates...)
			delete(m, "certificate")
			m["x509CertificateChain"] = object{"certificates": all}
		})
	}
	raw := func(c *x509.Certificate) any { return object{"rawBytes": c.Raw} }
	stamped := func(a *attempt) {
		a.stamps = []stamp{{ours.tsa, noon}}
		a.policy.TimestampThreshold = 1
	}
	trials := []trial{
		{name: "certificate is empty", attack: edited(func(m object) { m["certificate"] = object{} }), why: "bundle"},
		{name: "certificate is junk", attack: edited(func(m object) { m["certificate"] = object{"rawBytes": []byte("junk")} }), why: "x509"},
		{name: "chain without certificates", attack: edited(func(m object) {
			delete(m, "certificate")
			m["x509CertificateChain"] = object{}
		}), why: "verification material"},
		{name: "chain with its root", attack: chain(raw(ours.intermediate.cert), raw(ours.root.cert)), why: "self-signed certificate found in certificate chain"},
		{name: "chain with a leaf", attack: chain(raw(ours.tsa.leaf.cert)), why: "non-CA certificate found in certificate chain"},
		{name: "chain with junk", attack: chain(object{"rawBytes": []byte("junk")}), why: "x509"},
		{name: "chain of 1000 certificates", attack: func(a *attempt) {
			many := make([]any, 1000)
			for i := range many {
				many[i] = raw(ours.intermediate.cert)
			}
			chain(many...)(a)
		}, why: "number of certificates is larger than"},
		{name: "entry without log id", attack: entry("logId", nil), why: "nil value"},
		{name: "entry without kind", attack: entry("kindVersion", nil), why: "nil value"},
		{name: "entry without body", attack: entry("canonicalizedBody", nil), why: "nil value"},
		{name: "entry with a body that is null", attack: entry("canonicalizedBody", []byte("null")), why: "not a recognizable"},
		{name: "entry that is empty", attack: edited(func(m object) { m["tlogEntries"] = []any{object{}} }), why: "nil value"},
		{name: "proof that is empty", attack: entry("inclusionProof", object{}), why: "missing required checkpoint"},
		{name: "timestamp is empty", honest: stamped, attack: stamps(object{}), why: "threshold not met for verified signed timestamps"},
		{name: "timestamp is junk", honest: stamped, attack: stamps(object{"signedTimestamp": []byte("junk")}), why: "threshold not met for verified signed timestamps"},
		{name: "a form of its own", attack: served(func(c *verify.Candidate) {
			c.Bundle = bytes.Replace(c.Bundle, []byte("v0.3+json"), []byte("v0.4+json"), 1)
		}), why: "not yet supported"},
	}
	for i := range trials {
		trials[i].only = signing.Bundle
	}
	runTrials(t, trials)

	// What is left over of an older version is no harm.
	for _, mediaType := range []string{"+json;version=0.3", "+json;version=0.2"} {
		a := newAttempt(signing.Bundle)
		served(func(c *verify.Candidate) {
			c.Bundle = bytes.Replace(c.Bundle, []byte(".v0.3+json"), []byte(mediaType), 1)
		})(a)
		a.accepted(t)
	}
	a := newAttempt(signing.Bundle)
	chain(raw(ours.intermediate.cert), raw(ours.root.cert))(a)
	served(func(c *verify.Candidate) {
		c.Bundle = bytes.Replace(c.Bundle, []byte(".v0.3+json"), []byte("+json;version=0.1"), 1)
	})(a)
	a.accepted(t)
}
