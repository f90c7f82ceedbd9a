// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cosignkit/cosignkit/internal/golden"
	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/trust"
)

// TestVectors has the golden vectors in the table, with what older releases of
// cosign signed. It verifies each from its layout.
func TestVectors(t *testing.T) {
	set, err := golden.Open("../../../testdata/golden")
	if err != nil {
		t.Fatal(err)
	}
	roots, err := trust.Load(set.TrustedRoot())
	if err != nil {
		t.Fatal(err)
	}
	if len(set.Vectors) == 0 {
		t.Fatal("no vectors")
	}
	for _, v := range set.Vectors {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			policy, err := set.Policy(v, roots)
			if err != nil {
				t.Fatal(err)
			}
			verifier, err := verify.New(policy)
			if err != nil {
				t.Fatal(err)
			}
			client, err := registry.New(registry.Config{Resolver: registry.LayoutResolver(set.Layout(v))})
			if err != nil {
				t.Fatal(err)
			}
			in := row{"golden vector", string(v.Form), v.Key, v.Tool, here}
			if v.Identity != nil {
				in.key = noKey
			}
			vectorResults.expect(t, in, columnOf(v), verified, func(t *testing.T) {
				for _, d := range v.Signed {
					if _, err := client.Verify(t.Context(), "registry.example/golden@"+d.String(), verifier); err != nil {
						t.Errorf("%s: %v", d, err)
					}
				}
			})
		})
	}
}

// vectorResults has a table of its own, since logs are columns of another one.
var vectorResults = recorder{cells: map[row]map[string]string{}}

func vectorTable() string {
	var b strings.Builder
	var notes noteNumbers
	vectorResults.table(&b, &notes, []string{"recorded", "form", "key", "signed by", "verified by"}, vectorColumns)
	return b.String()
}

// vectorColumns are those of the table.
var vectorColumns = []string{"no log", "TSA", "Rekor v1", "Rekor v1, TSA", "Rekor v2", "Rekor v2, TSA"}

func columnOf(v golden.Vector) string {
	log := map[golden.Log]string{golden.NoLog: "", golden.RekorV1: "Rekor v1", golden.RekorV2: "Rekor v2"}[v.Log]
	switch {
	case v.Timestamp && log == "":
		return "TSA"
	case v.Timestamp:
		return fmt.Sprintf("%s, TSA", log)
	case log == "":
		return "no log"
	default:
		return log
	}
}
