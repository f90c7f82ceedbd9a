// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package verify_test

import (
	"fmt"
	"sort"
	"strings"
	"sync"
	"testing"

	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/cosign"
)

func TestProbe(t *testing.T) {
	set, all := vectors(t), alterations()
	var mu sync.Mutex
	seen := map[string]int{}
	ex := map[string]string{}
	tot := map[string]int{}
	t.Run("v", func(t *testing.T) {
		for _, v := range set.Vectors {
			t.Run(v.Name, func(t *testing.T) {
				t.Parallel()
				fresh, another := specimens(t, set, v), specimens(t, set, similar(set, v))()
				judge := func(kind string, s *specimen) {
					candidates := s.now(t)
					_, err := newVerifier(t, s.policy).Verify(t.Context(), s.image, candidates)
					c, cerr := cosign.New(s.policy)
					if cerr == nil {
						_, cerr = c.Verify(t.Context(), s.image, candidates)
					}
					w := strings.Join(append([]string{kind, string(v.Form)}, s.words()[1:]...), " | ")
					mu.Lock()
					defer mu.Unlock()
					tot[w]++
					if (err == nil) != (cerr == nil) {
						e := err
						who := "cosign"
						if err == nil {
							e = cerr
							who = "here"
						}
						seen[w+" | "+who]++
						ex[w+" | "+who] = v.Name + ": " + e.Error()
					}
				}
				judge("none", fresh())
				for _, a := range all {
					s := fresh()
					if a.alter(t, s, another) {
						judge(a.kind, s)
					}
				}
			})
		}
	})
	var ks []string
	for k := range seen {
		ks = append(ks, k)
	}
	sort.Strings(ks)
	for _, k := range ks {
		fmt.Printf("%s | %d/%d | %.500s\n", k, seen[k], tot[k[:strings.LastIndex(k, " | ")]], ex[k])
	}
	_ = verify.New
}
