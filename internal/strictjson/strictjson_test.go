// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package strictjson_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/internal/strictjson"
)

func nested(open, inner, end string, n int) string {
	return strings.Repeat(open, n) + inner + strings.Repeat(end, n)
}

func TestAcceptsWhatEveryParserReadsTheSame(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"an object":                          ` { "a" : [ 1 , -0.5e+7 , true , false , null , "x" ] , "b" : { } } ` + "\n",
		"a string":                           `"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00é😀"`,
		"a number":                           "0",
		"empty":                              "[[],{}]",
		"one key in two objects":             `[{"a":1},{"a":{"a":2}}]`,
		"a key again behind its object":      `{"a":{"b":1},"b":2}`,
		"keys of which one begins the other": `{"a":1,"ab":2,"":3}`,
		"keys in two cases":                  `{"a":1,"A":2}`,
		"the deepest":                        nested("[", "1", "]", limits.JSONDepth),
		"the longest number":                 strings.Repeat("1", limits.JSONNumber),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := strictjson.Check([]byte(text)); err != nil {
				t.Error(err)
			}
			if !json.Valid([]byte(text)) {
				t.Error("encoding/json does not accept it")
			}
		})
	}
}

func TestRefusesWhatParsersReadDifferently(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, why string }{
		"nothing":                     {"", "no value"},
		"a second value":              {"{} {}", "something after the end"},
		"a byte after the end":        {"{}x", "something after the end"},
		"a NUL after the end":         {"{}\x00", "something after the end"},
		"a byte order mark":           {"\ufeff{}", "no value"},
		"a comment":                   {"{}//", "something after the end"},
		"a trailing comma":            {"[1,]", "no value"},
		"a trailing comma in objects": {`{"a":1,}`, "no key"},
		"a key without a value":       {`{"a"}`, "no colon"},
		"a key without quotes":        {`{a:1}`, "no key"},
		"no comma":                    {`[1 2]`, "neither a comma"},
		"the wrong end":               {`{"a":1]`, "neither a comma"},
		"no end":                      {`{"a":[`, "no value"},
		"a string without an end":     {`"a`, "without an end"},
		"an escape without an end":    {`"\`, "an escape"},
		"an unknown escape":           {`"\x"`, "an escape"},
		"an escape of three digits":   {`"\u12"`, "an escape"},
		"an escape that is no number": {`"\u12g4"`, "an escape"},
		"a lone high surrogate":       {`"\ud800"`, "an escape"},
		"a lone low surrogate":        {`"\udc00"`, "an escape"},
		"two high surrogates":         {`"\ud800\ud800"`, "an escape"},
		"a line break in a string":    {"\"\n\"", "a control character"},
		"bytes that are not UTF-8":    {"\"\xff\"", "not UTF-8"},
		"an encoded surrogate":        {"\"\xed\xa0\x80\"", "not UTF-8"},
		"a leading zero":              {"01", "a number"},
		"a minus alone":               {"-", "a number"},
		"a point at the end":          {"1.", "a number"},
		"an exponent without digits":  {"1e+", "a number"},
		"a plus":                      {"+1", "no value"},
		"not a number":                {"NaN", "no value"},
		"a word cut off":              {"tru", "no value"},
		"a key twice":                 {`{"a":1,"b":2,"a":3}`, "is there twice"},
		"a key twice, once escaped":   {`{"a":1,"\u0061":3}`, "is there twice"},
		"a key twice, far inside":     {`[{"x":{"k":1,"k":1}}]`, "is there twice"},
		"the empty key twice":         {`{"":1,"":1}`, "is there twice"},
		"one level too deep":          {nested("[", "", "]", limits.JSONDepth+1), limits.ErrExceeded.Error()},
		"objects too deep":            {nested(`{"a":`, "1", "}", limits.JSONDepth+1), limits.ErrExceeded.Error()},
		"deep and cut off":            {strings.Repeat("[", 1<<20), limits.ErrExceeded.Error()},
		"a long number":               {strings.Repeat("1", limits.JSONNumber+1), limits.ErrExceeded.Error()},
		"a long fraction":             {"0." + strings.Repeat("1", limits.JSONNumber), limits.ErrExceeded.Error()},
		"a long exponent":             {"1e" + strings.Repeat("1", limits.JSONNumber), limits.ErrExceeded.Error()},
		"many values":                 {"[1" + strings.Repeat(",1", limits.JSONValues) + "]", limits.ErrExceeded.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, err := range []error{
				strictjson.Check([]byte(c.text)), strictjson.CheckFolded([]byte(c.text)),
				strictjson.Decode([]byte(c.text), new(any)), strictjson.DecodeKnown([]byte(c.text), new(any)),
			} {
				if err == nil || !strings.Contains(err.Error(), c.why) {
					t.Errorf("error is %v, want one that says %q", err, c.why)
				}
			}
		})
	}
}

func TestCheckFoldedRefusesKeysThatDifferOnlyInCase(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{"kind":1,"Kind":2}`, `{"kind":1,"\u212aind":2}`, "{\"kind\":1,\"\u212aIND\":2}", `{"s":1,"ſ":2}`, `{"é":1,"É":2}`,
	} {
		if err := strictjson.CheckFolded([]byte(text)); err == nil {
			t.Errorf("%s is accepted", text)
		}
		if err := strictjson.Check([]byte(text)); err != nil {
			t.Errorf("%s: %v, and is not folded", text, err)
		}
	}
	if err := strictjson.CheckFolded([]byte(`{"a":1,"ä":2,"@":3,"` + "`" + `":4,"[":5,"{":6}`)); err != nil {
		t.Errorf("different keys: %v", err)
	}
}

func TestDecodeKnownRefusesUnknownFields(t *testing.T) {
	t.Parallel()
	var into struct {
		A int `json:"a"`
	}
	if err := strictjson.DecodeKnown([]byte(`{"a":7}`), &into); err != nil || into.A != 7 {
		t.Errorf("read %v, %v", into, err)
	}
	if err := strictjson.DecodeKnown([]byte(`{"a":7,"b":8}`), &into); err == nil {
		t.Error("an unknown field is accepted")
	}
	if err := strictjson.Decode([]byte(`{"a":9,"b":8}`), &into); err != nil || into.A != 9 {
		t.Errorf("read %v, %v", into, err)
	}
}

// TestAllocatesNextToNothing: text without objects costs nothing, and keys cost what
// finds them again. Allocations are counted, so the test runs alone.
func TestAllocatesNextToNothing(t *testing.T) {
	var keys bytes.Buffer
	for i := range 1000 {
		fmt.Fprintf(&keys, `%c"%d":0`, ",{"[min(1, max(0, 1-i))], i)
	}
	keys.WriteByte('}')
	for text, most := range map[string]float64{
		nested("[", `"text"`, "]", 100): 1,
		nested(`{"a":`, "1", "}", 100):  12,
		keys.String():                   20,
	} {
		if got := testing.AllocsPerRun(10, func() { _ = strictjson.Check([]byte(text)) }) - 1; got > most {
			t.Errorf("%d bytes made %v allocations, want %v at most", len(text), got, most)
		}
	}
}

// FuzzCheck holds that what passes is valid JSON, and that what is valid fails for a
// reason of ours alone.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,-0.5e+7,true,false,null,"x"],"b":{}}`, `"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00é😀"`, `{"a":1,"\u0061":3}`,
		`{"k":1,"\u212a":2}`, "[[[", `{"a":{"a":1}}`, "1e400", "\xff", `"\ud800"`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		values, err := strictjson.Values(text)
		if values > len(text)+1 {
			t.Errorf("visited %d values in %d bytes", values, len(text))
		}
		if valid := json.Valid(text); err == nil && !valid {
			t.Error("encoding/json does not accept it")
		} else if err != nil && valid {
			ours := errors.Is(err, limits.ErrExceeded)
			for _, why := range []string{"is there twice", "not UTF-8", "an escape"} {
				ours = ours || strings.Contains(err.Error(), why)
			}
			if !ours {
				t.Errorf("valid, and refused: %v", err)
			}
		}
		folded := strictjson.CheckFolded(text)
		if folded == nil && err != nil {
			t.Errorf("accepted when folded, though %v", err)
		}
		if err != nil {
			return
		}
		var fields map[string]json.RawMessage
		if json.Unmarshal(text, &fields) != nil {
			return
		}
		for a := range fields {
			for b := range fields {
				if a != b && strings.EqualFold(a, b) && folded == nil {
					t.Errorf("keys %q and %q are different when folded", a, b)
				}
			}
		}
	})
}
