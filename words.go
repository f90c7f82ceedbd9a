// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package cosignkit

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// longest is as much of what somebody else wrote as a message repeats.
const longest = 80

// quote returns s for messages, which are for terminals.
func quote(s string) string {
	return strconv.QuoteToGraphic(shortened(s))
}

// printable is quote for names that people expect bare.
func printable(s string) string {
	if s != "" && s == shortened(s) && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return s
	}
	return quote(s)
}

func shortened(s string) string {
	if len(s) <= longest {
		return s
	}
	cut := longest
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

// describe says what a value of a wrong type is, as YAML's users call it.
func describe(value any) string {
	switch v := value.(type) {
	case nil:
		return "nothing"
	case string:
		return "the string " + quote(v)
	case bool:
		return fmt.Sprintf("the boolean %t", v)
	case int, int64, uint64, float64:
		return fmt.Sprintf("the number %v", v)
	case time.Time:
		return "a date"
	case []any:
		return "a list"
	case map[string]any:
		if len(v) == 0 {
			return "an empty mapping"
		}
		return "a mapping"
	default:
		return fmt.Sprintf("a %T", v)
	}
}

// lookAlike stands for a letter of another alphabet, which may look like any.
const lookAlike = 0

// folded is the name of a field as it looks: in small letters, without what is
// invisible, and with hyphens for what people write in their place. Of a name that
// is mostly in another alphabet it is empty.
func folded(name string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case r == '_' || unicode.Is(unicode.Pd, r):
			return '-'
		case unicode.In(r, unicode.Cf, unicode.Mn):
			return -1
		case r > unicode.MaxASCII:
			return lookAlike
		default:
			return r
		}
	}, strings.ToLower(name))
	if 2*strings.Count(name, string(rune(lookAlike))) > len(name) {
		return ""
	}
	return name
}

// nearestField returns the field whose name takes the fewest edits to become the
// folded name, and how many.
func nearestField(name string) (nearest string, distance int) {
	distance = math.MaxInt
	if len(name) > 2*longest { // no typo, and costly
		return "", distance
	}
	for _, field := range fieldNames {
		if max(len(field)-len(name), len(name)-len(field)) >= distance {
			continue // that many edits are needed
		}
		if d := edits(name, field); d < distance {
			nearest, distance = field, d
		}
	}
	return nearest, distance
}

// nearPrefix reports whether a folded name begins with FieldPrefix but for a typo.
func nearPrefix(name string) bool {
	parts := strings.SplitN(name, "-", 3)
	return len(parts) == 3 && len(parts[1]) < 2*len(FieldPrefix) && edits(parts[0]+"-"+parts[1]+"-", FieldPrefix) <= 2
}

// edits is the Levenshtein distance of two strings, in bytes. In a, lookAlike equals
// any.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] || a[i] == lookAlike {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
