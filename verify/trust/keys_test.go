// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package trust_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/cosignkit/cosignkit/internal/tufrepo"
)

// refresh is what a process does on the next day: it returns nil if what the
// mirror has was taken.
func (m *mirror) refresh(t *testing.T) error {
	t.Helper()
	m.log.Reset()
	mkdir(t, m.cache)
	m.aDayPasses(t)
	_, err := m.start(t).TrustedRoot(t.Context())
	if err == nil && m.warnings() > 0 {
		return errors.New(m.log.String())
	}
	return err
}

// takes holds that the mirror's state is taken, which leaves these versions.
func (m *mirror) takes(t *testing.T, kept string) {
	t.Helper()
	if err := m.refresh(t); err != nil {
		t.Errorf("refused: %v", err)
	}
	m.wantKept(t, kept)
}

// refuses holds that the mirror's state is not taken, for a reason.
func (m *mirror) refuses(t *testing.T, reason, kept string) {
	t.Helper()
	if err := m.refresh(t); err == nil || !strings.Contains(err.Error(), reason) {
		t.Errorf("error is %v, want one that says %q", err, reason)
	}
	m.wantKept(t, kept)
}

func (m *mirror) wantKept(t *testing.T, kept string) {
	t.Helper()
	if got := m.kept(t); got != kept {
		t.Errorf("the cache has versions %s, want %s", got, kept)
	}
}

func newKey(t *testing.T, kind tufrepo.Kind) *tufrepo.Key {
	t.Helper()
	key, err := tufrepo.NewKey(kind)
	must(t, err)
	return key
}

func tenKeys(t *testing.T) func(...int) []*tufrepo.Key {
	t.Helper()
	all := make([]*tufrepo.Key, 10)
	for i := range all {
		all[i] = newKey(t, tufrepo.Ed25519)
	}
	return func(numbers ...int) (some []*tufrepo.Key) {
		for _, i := range numbers {
			some = append(some, all[i])
		}
		return some
	}
}

type of []int

// signedBy is what one version of metadata says of its keys, by their numbers, and
// whose signatures it has.
type signedBy struct {
	threshold  int
	keys, sigs of
}

func TestTUFRootSignatures(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		versions []signedBy
		refused  bool // the last one
	}{
		"another key":                       {versions: []signedBy{{1, of{1}, of{1}}, {1, of{2}, of{2, 1}}, {1, of{2}, of{2}}}},
		"signatures of strangers":           {versions: []signedBy{{1, of{1}, of{3, 1, 4}}, {1, of{2}, of{3, 2, 1, 4}}, {1, of{2}, of{3, 2, 4}}}},
		"three of five, in turn":            {versions: []signedBy{{3, of{0, 1, 2, 3, 4}, of{0, 2, 4}}, {3, of{0, 1, 2, 3, 4}, of{0, 4, 1}}, {3, of{0, 1, 2, 3, 4}, of{1, 3, 4}}}},
		"one of five is another":            {versions: []signedBy{{3, of{0, 1, 2, 3, 4}, of{0, 2, 4}}, {3, of{0, 1, 3, 4, 5}, of{0, 4, 1}}}},
		"one of five, both sides sign":      {versions: []signedBy{{3, of{0, 1, 2, 3, 4}, of{0, 2, 4}}, {3, of{0, 1, 3, 4, 5}, of{0, 2, 4, 5}}, {3, of{0, 1, 3, 4, 5}, of{0, 4, 5}}}},
		"all of five are others":            {versions: []signedBy{{3, of{0, 1, 2, 3, 4}, of{0, 2, 4}}, {3, of{5, 6, 7, 8, 9}, of{0, 2, 4, 5, 6, 7}}, {3, of{5, 6, 7, 8, 9}, of{5, 6, 7}}}},
		"a higher threshold":                {versions: []signedBy{{1, of{1, 2, 3}, of{1}}, {2, of{1, 2, 3}, of{1, 2}}}},
		"a lower threshold":                 {versions: []signedBy{{2, of{1, 2, 3}, of{1, 2}}, {1, of{1, 2, 3}, of{1, 2}}, {1, of{1, 2, 3}, of{1}}}},
		"one more key and one more to sign": {versions: []signedBy{{1, of{1}, of{1}}, {2, of{1, 2}, of{1, 2}}}},

		"not by the old key":            {versions: []signedBy{{1, of{1}, of{1}}, {1, of{2}, of{2, 3, 4}}}, refused: true},
		"not by the new key":            {versions: []signedBy{{1, of{1}, of{1}}, {1, of{2}, of{1, 3, 4}}}, refused: true},
		"not by three new keys":         {versions: []signedBy{{3, of{0, 1, 2, 3, 4}, of{0, 2, 4}}, {3, of{0, 1, 3, 4, 5}, of{0, 2, 4}}}, refused: true},
		"not by three old keys":         {versions: []signedBy{{3, of{0, 1, 2, 3, 4}, of{0, 2, 4}}, {3, of{0, 1, 3, 4, 5}, of{0, 4, 5}}}, refused: true},
		"fewer than the new threshold":  {versions: []signedBy{{1, of{1, 2, 3}, of{1}}, {2, of{1, 2, 3}, of{2}}}, refused: true},
		"fewer than the old threshold":  {versions: []signedBy{{2, of{1, 2, 3}, of{1, 2}}, {1, of{1, 2, 3}, of{1}}}, refused: true},
		"no signature":                  {versions: []signedBy{{1, of{1}, of{1}}, {1, of{1}, nil}}, refused: true},
		"more to sign than can":         {versions: []signedBy{{1, of{1}, of{1}}, {3, of{1, 2}, of{1, 2}}}, refused: true},
		"one key twice":                 {versions: []signedBy{{1, of{1}, of{1}}, {2, of{1, 1}, of{1}}}, refused: true},
		"nobody has to sign":            {versions: []signedBy{{1, of{1}, of{1}}, {0, of{1}, of{1}}}, refused: true},
		"fewer than nobody has to sign": {versions: []signedBy{{1, of{1}, of{1}}, {-1, of{1}, of{1}}}, refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, keys := newMirror(t), tenKeys(t)
			// The client starts from the root with the first of the keys.
			m.SetVersion(metadata.ROOT, 1)
			for i, v := range test.versions {
				must(t, m.SetKeys(metadata.ROOT, v.threshold, keys(v.keys...)...))
				m.SignWith(metadata.ROOT, keys(v.sigs...)...)
				must(t, m.PublishRoot())
				if i == 0 {
					m.initial = readFile(t, m.RootFile())
				}
			}
			want := ""
			for version := 2; version <= len(test.versions); version++ {
				if !test.refused || version < len(test.versions) {
					want += fmt.Sprintf("%d ", version)
				}
			}
			if test.refused {
				m.refuses(t, fmt.Sprintf("%d.root.json", len(test.versions)), want+"- - -")
			} else {
				m.takes(t, want+"1 1 1")
			}
		})
	}
}

func TestTUFRoleSignatures(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		signedBy
		reason string
	}{
		"another key":              {signedBy: signedBy{1, of{2}, of{2}}},
		"signatures of strangers":  {signedBy: signedBy{1, of{1}, of{3, 1, 4}}},
		"three of five":            {signedBy: signedBy{3, of{0, 1, 2, 3, 4}, of{0, 2, 4}}},
		"three others of five":     {signedBy: signedBy{3, of{0, 1, 2, 3, 4}, of{3, 2, 1}}},
		"not by its key":           {signedBy: signedBy{1, of{2}, of{1, 3, 4}}, reason: "not enough signatures"},
		"by two, and a stranger":   {signedBy: signedBy{3, of{0, 1, 3, 4, 5}, of{0, 2, 4}}, reason: "not enough signatures"},
		"by two of three":          {signedBy: signedBy{3, of{0, 1, 3, 4, 5}, of{0, 4}}, reason: "not enough signatures"},
		"by nobody":                {signedBy: signedBy{1, of{0}, nil}, reason: "not enough signatures"},
		"more to sign than there":  {signedBy: signedBy{3, of{0, 1}, of{0, 1}}, reason: "not enough signatures"},
		"one key twice":            {signedBy: signedBy{2, of{0, 0}, of{0}}, reason: "not enough signatures"},
		"nobody has to sign":       {signedBy: signedBy{0, of{0}, of{0}}, reason: "insufficient threshold"},
		"the role has no keys":     {signedBy: signedBy{1, nil, of{0}}, reason: "no delegation found"},
		"the keys of another role": {signedBy: signedBy{1, of{0}, of{9}}, reason: "not enough signatures"},
	} {
		for i, role := range everyRole[1:] {
			t.Run(role+", "+name, func(t *testing.T) {
				t.Parallel()
				m, keys := newMirror(t), tenKeys(t)
				must(t, m.SetKeys(role, test.threshold, keys(test.keys...)...))
				must(t, m.PublishRoot())
				m.SignWith(role, keys(test.sigs...)...)
				m.publish(t, "two")
				if test.reason == "" {
					m.takes(t, "2 2 2 2")
				} else {
					m.refuses(t, test.reason, "2 "+[]string{"- - -", "2 - -", "2 2 -"}[i])
				}
			})
		}
	}
}

// edited changes metadata that was signed.
func edited(t *testing.T, change func(m map[string]any)) func([]byte) []byte {
	t.Helper()
	return func(b []byte) []byte {
		var m map[string]any
		must(t, json.Unmarshal(b, &m))
		change(m)
		return marshal(t, m)
	}
}

func TestTUFSignatureList(t *testing.T) {
	t.Parallel()
	signature := func(m map[string]any, i int) map[string]any { return m["signatures"].([]any)[i].(map[string]any) }
	for name, test := range map[string]struct {
		change func(m map[string]any)
		reason string
	}{
		"a wrong one besides a right one":  {change: func(m map[string]any) { signature(m, 0)["sig"] = strings.Repeat("00", 64) }},
		"an empty one besides a right one": {change: func(m map[string]any) { signature(m, 0)["sig"] = "" }},
		"one of the right ones is missing": {change: func(m map[string]any) { m["signatures"] = m["signatures"].([]any)[1:] }},
		"both are wrong":                   {change: func(m map[string]any) { signature(m, 0)["sig"], signature(m, 1)["sig"] = "", "00" }, reason: "not enough signatures"},
		"both are under another key's name": {change: func(m map[string]any) {
			signature(m, 0)["keyid"], signature(m, 1)["keyid"] = signature(m, 1)["keyid"], signature(m, 0)["keyid"]
		}, reason: "not enough signatures"},
		"one is there twice": {change: func(m map[string]any) { m["signatures"] = append(m["signatures"].([]any), signature(m, 0)) }, reason: "multiple signatures"},
		"one is no hex":      {change: func(m map[string]any) { signature(m, 0)["sig"] = "xyz" }, reason: "hex"},
		"none":               {change: func(m map[string]any) { m["signatures"] = []any{} }, reason: "not enough signatures"},
		"null":               {change: func(m map[string]any) { m["signatures"] = nil }, reason: "not enough signatures"},
		"what they sign":     {change: func(m map[string]any) { m["signed"].(map[string]any)["version"] = 3 }, reason: "not enough signatures"},
	} {
		for i, role := range everyRole[1:] {
			t.Run(role+", "+name, func(t *testing.T) {
				t.Parallel()
				m, keys := newMirror(t), tenKeys(t)
				must(t, m.SetKeys(role, 1, keys(0, 1)...))
				must(t, m.PublishRoot())
				m.Rewrite(role, edited(t, test.change))
				m.publish(t, "two")
				if test.reason == "" {
					m.takes(t, "2 2 2 2")
				} else {
					m.refuses(t, test.reason, "2 "+[]string{"- - -", "2 - -", "2 2 -"}[i])
				}
			})
		}
	}
}

func TestTUFKinds(t *testing.T) {
	t.Parallel()
	for _, kind := range []tufrepo.Kind{tufrepo.Ed25519, tufrepo.ECDSA, tufrepo.ECDSAOldName, tufrepo.ECDSAP384, tufrepo.RSAPSS} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			m, key := newMirror(t), newKey(t, kind)
			both := append(m.Keys(metadata.ROOT), key)
			must(t, m.SetKeys(metadata.ROOT, 2, both...))
			for _, role := range everyRole[1:] {
				must(t, m.SetKeys(role, 1, key))
			}
			must(t, m.PublishRoot())
			m.publish(t, "two")
			m.takes(t, "2 2 2 2")

			// A signature of the right form, of something else.
			m.Rewrite(metadata.ROOT, edited(t, func(m map[string]any) {
				b, err := key.SignMessage(strings.NewReader("another message"))
				must(t, err)
				for _, signature := range m["signatures"].([]any) {
					if signature := signature.(map[string]any); signature["keyid"] == key.ID() {
						signature["sig"] = fmt.Sprintf("%x", b)
					}
				}
			}))
			must(t, m.PublishRoot())
			m.refuses(t, "not enough signatures", "2 2 2 2")
		})
	}
}
