// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package strictyaml_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"unicode/utf16"

	"go.yaml.in/yaml/v3"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/internal/strictyaml"
)

// directives are n of them, which a parser keeps until the document begins.
func directives(n int, lineBreak string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%%TAG !t%d! x%s", i, lineBreak)
	}
	return b.String() + "---" + lineBreak + "a: b" + lineBreak
}

func inUTF16(order binary.AppendByteOrder, text string) []byte {
	b := order.AppendUint16(nil, 0xfeff)
	for _, unit := range utf16.Encode([]rune(text)) {
		b = order.AppendUint16(b, unit)
	}
	return b
}

func TestDirectivesAreBounded(t *testing.T) {
	t.Parallel()
	for name, encode := range map[string]func(n int) []byte{
		"lines":                 func(n int) []byte { return []byte(directives(n, "\n")) },
		"lines of DOS":          func(n int) []byte { return []byte(directives(n, "\r\n")) },
		"lines of old Macs":     func(n int) []byte { return []byte(directives(n, "\r")) },
		"next line":             func(n int) []byte { return []byte(directives(n, "\u0085")) },
		"line separator":        func(n int) []byte { return []byte(directives(n, "\u2028")) },
		"paragraph separator":   func(n int) []byte { return []byte(directives(n, "\u2029")) },
		"after a mark":          func(n int) []byte { return []byte("\ufeff" + directives(n, "\n")) },
		"UTF-16, little endian": func(n int) []byte { return inUTF16(binary.LittleEndian, directives(n, "\n")) },
		"UTF-16, big endian":    func(n int) []byte { return inUTF16(binary.BigEndian, directives(n, "\n")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n, want := range map[int]error{0: nil, limits.YAMLDirectives: nil, limits.YAMLDirectives + 1: limits.ErrExceeded} {
				b := encode(n)
				if err := strictyaml.Check(b); !errors.Is(err, want) {
					t.Errorf("%d directives: error is %v, want %v", n, err, want)
				}
				var node yaml.Node
				if err := yaml.Unmarshal(b, &node); err != nil || len(node.Content) != 1 {
					t.Errorf("%d directives are no YAML: %v", n, err)
				}
			}
		})
	}
}

func TestPercentSignsInLinesAreNoDirectives(t *testing.T) {
	t.Parallel()
	if err := strictyaml.Check([]byte(strings.Repeat("a: 100%%%\n  %\n", 1000))); err != nil {
		t.Error(err)
	}
}

// TestParsingIsLinear counts what the parser allocates for each byte of files that
// pass, which are twice as large each time. It counts for the whole process, and so
// runs alone.
func TestParsingIsLinear(t *testing.T) {
	const most = 512 // bytes per byte
	for name, part := range map[string]string{
		"lists": "- [a, {b: c}]\n", "one list": "- a\n", "names": "a%d: b\n", "same names": "a: b\n", "comments": "# c\n- a #d\n",
		"anchors": "- &a%d [*a%d]\n", "texts": "- \"\\x41\\\n  b\"\n", "blocks": "- |\n  a\n\n", "depths": "- [[[[[[[[[[]]]]]]]]]]\n",
		"keys": "- ? a\n  : b\n", "documents": "---\na\n", "percent signs": "- %\n",
	} {
		for size := 1 << 12; size <= 1<<15; size *= 2 {
			var text strings.Builder
			for i := 0; text.Len() < size; i++ {
				text.WriteString(strings.ReplaceAll(part, "%d", fmt.Sprint(i)))
			}
			b := []byte(text.String())
			if err := strictyaml.Check(b); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			var before, after runtime.MemStats
			var node yaml.Node
			runtime.ReadMemStats(&before)
			err := yaml.Unmarshal(b, &node)
			runtime.ReadMemStats(&after)
			if got := int(after.TotalAlloc-before.TotalAlloc) / len(b); got > most {
				t.Errorf("%s: %d bytes for each of %d, error is %v", name, got, len(b), err)
			}
		}
	}
}
