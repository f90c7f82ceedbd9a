// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package cosignkit

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

var variableRow = regexp.MustCompile("(?m)^\\| `(?:COSIGN|SIGSTORE|TUF)_.*$")

// TestTheDocumentListsTheVariables: docs/nerdctl.md has a row for each variable,
// and no other.
func TestTheDocumentListsTheVariables(t *testing.T) {
	t.Parallel()
	operations := map[operation]string{signs: "sign", verifies: "verify", both: "both"}
	effects := map[effect]string{
		honoured: "honoured", weakens: "honoured, **with a warning**", refused: "refused",
		refusedIfTrue: "true is refused", refusedIfFalse: "false is refused", noEffect: "no effect",
	}
	var want []string
	for _, v := range variables {
		want = append(want, "| `"+v.name+"` | "+operations[v.of]+" | "+effects[v.effect]+" | "+v.meaning+" |")
	}
	document, err := os.ReadFile("docs/nerdctl.md")
	if err != nil {
		t.Fatal(err)
	}
	got := variableRow.FindAllString(strings.ReplaceAll(string(document), "\r\n", "\n"), -1)
	if text := strings.Join(want, "\n"); text != strings.Join(got, "\n") {
		t.Errorf("the table in docs/nerdctl.md is not\n%s", text)
	}
}
