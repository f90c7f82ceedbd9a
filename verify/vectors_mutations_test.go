// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"

	"github.com/cosignkit/cosignkit/internal/golden"
)

// alteration is a kind of change to a vector that makes it unacceptable.
type alteration struct {
	kind  string
	alter change
	why   reasons
}

// change alters s, and reports whether there was what it alters. another is of a
// vector of the same form, logs and kind of signer; it is not altered.
type change func(t testing.TB, s, another *specimen) bool

// reasons are regular expressions for why a specimen is rejected, by the words
// that describe it. The last one of which it has all words is for it.
type reasons []struct{ words, text string }

func because(text string) reasons { return reasons{{"", text}} }

// in adds what the reasons are for specimens with these words.
func (r reasons) in(words string, others reasons) reasons {
	all := slices.Clone(r)
	for _, o := range others {
		o.words = words + " " + o.words
		all = append(all, o)
	}
	return all
}

func (r reasons) of(s *specimen) string {
	words := s.words()
	text := ""
	for _, reason := range r {
		if !slices.ContainsFunc(strings.Fields(reason.words), func(word string) bool { return !slices.Contains(words, word) }) {
			text = reason.text
		}
	}
	return text
}

// words describe a specimen: its form, who signed, and the log.
func (s *specimen) words() []string {
	form, signer := "legacy", "key"
	if s.Form == golden.Bundle {
		form = "bundle"
	}
	if s.Identity != nil {
		signer = "identity"
	}
	return []string{form, signer, strings.TrimPrefix(string(s.Log), "rekor ")}
}

// What several kinds have in common. Which of the checks fails first depends on
// what there is to check.
var (
	notLogged     = because("not enough verified log entries from transparency log: 0 < 1")
	notStamped    = because("verified signed timestamps: 0 < 1")
	badProof      = because("calculated root: .* does not match expected root|index is beyond size|wrong proof size")
	badBody       = because("body of the log entry: calculated root: .* does not match expected root")
	badCheckpoint = because("signature on checkpoint did not verify").in("v2", because("failed to verify signatures on checkpoint"))
	unreadable    = because("entry body is not a recognizable")

	badSignature  = because("does not verify with")
	badContent    = because("does not verify with|statement: JSON: |payload: JSON: ")
	anotherName   = because("signed by .*: expected SAN value")
	noName        = because("no Subject Alternative Name found")
	anotherDigest = because("provided artifact digest does not match any digest in statement").
			in("legacy", because("the payload is for digest"))
)

func alterations() []alteration {
	return slices.Concat(inSignature(), inMaterial(), inEntry(), inTimestamp(), inPolicy(), inRoot())
}

// similar finds another vector for one, of the same form, log and kind of signer,
// and by the same signer if there is one.
func similar(set vectorSet, v golden.Vector) golden.Vector {
	return slices.MaxFunc(set.Vectors, func(a, b golden.Vector) int { return cmp.Compare(likeness(a, v), likeness(b, v)) })
}

func likeness(a, v golden.Vector) int {
	if a.Digest == v.Digest {
		return -1
	}
	sameSigner := a.PublicKey == v.PublicKey && (a.Identity == nil || v.Identity == nil || a.Identity.Subject == v.Identity.Subject)
	score := 0
	for i, same := range []bool{
		a.Tool == v.Tool, a.Signers == v.Signers, sameSigner, a.Timestamp == v.Timestamp,
		(a.Identity == nil) == (v.Identity == nil), a.Log == v.Log, (a.Form == golden.Bundle) == (v.Form == golden.Bundle),
	} {
		if same {
			score += 1 << i
		}
	}
	return score
}

// tally counts the vectors that a kind was applied to, by their form.
type tally struct {
	mu    sync.Mutex
	count map[string]map[golden.Form]int
}

func (c *tally) add(kind string, form golden.Form) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count == nil {
		c.count = map[string]map[golden.Form]int{}
	}
	if c.count[kind] == nil {
		c.count[kind] = map[golden.Form]int{}
	}
	c.count[kind][form]++
}

// check wants each kind to have been applied, and shows to how many vectors.
func (c *tally) check(t *testing.T, vectors int, all []alteration) {
	t.Helper()
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "kind\tlegacy\toci11\tbundle")
	total := 0
	for _, a := range all {
		n := c.count[a.kind]
		if len(n) == 0 {
			t.Errorf("%s was applied to nothing", a.kind)
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\n", a.kind, n[golden.Legacy], n[golden.OCI11], n[golden.Bundle])
		total += n[golden.Legacy] + n[golden.OCI11] + n[golden.Bundle]
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d vectors, %d kinds, %d alterations\n%s", vectors, len(all), total, &table)
}
