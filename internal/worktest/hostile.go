// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package worktest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// Hostile returns an input that is like seed in all but one place, in which about
// size bytes more are. It knows ASN.1, JSON and PEM, and base64 of either. Other
// seeds are repeated.
func Hostile(random *rand.Rand, seed []byte, size int) []byte {
	if block, rest := pem.Decode(seed); block != nil {
		return hostilePEM(random, block, rest, seed, size)
	}
	if tree, ok := parseDER(seed); ok {
		return hostileDER(random, tree, size)
	}
	var value any
	if decoder := json.NewDecoder(bytes.NewReader(seed)); decoder.Decode(&value) == nil {
		return hostileJSON(random, value, size)
	}
	return bytes.Repeat(seed, 1+size/max(1, len(seed)))
}

func hostilePEM(random *rand.Rand, block *pem.Block, rest, seed []byte, size int) []byte {
	switch random.IntN(5) {
	case 0:
		return bytes.Repeat(seed, 1+size/len(seed))
	case 1: // headers without an end
		return append(bytes.Repeat([]byte("-----BEGIN "+block.Type+"-----\n"), 1+size/32), seed...)
	case 2: // names that differ at the end
		return append(bytes.Repeat([]byte("-----BEGIN X-----\n-----END Y-----\n"), 1+size/32), seed...)
	}
	block.Bytes = Hostile(random, block.Bytes, size)
	return append(pem.EncodeToMemory(block), rest...)
}

// hostileJSON writes value, with something else in one place.
func hostileJSON(random *rand.Rand, value any, size int) []byte {
	text, _ := json.Marshal(graft(random, value, size))
	// The encoder would refuse junk; a marker stands for it until then.
	junk := junkJSON(random, size)
	text = bytes.Replace(text, []byte(`"`+marker+`"`), []byte(junk), 1)
	if random.IntN(8) == 0 {
		text = append(text, junk...)
	}
	return text
}

const marker = "hostile"

// graft goes down to a random place.
func graft(random *rand.Rand, value any, size int) any {
	switch v := value.(type) {
	case map[string]any:
		if len(v) == 0 || random.IntN(10) == 0 {
			return marker
		}
		out := maps.Clone(v)
		key := slices.Sorted(maps.Keys(v))[random.IntN(len(v))]
		if random.IntN(10) == 0 {
			key = key + " " // an unknown field
		}
		out[key] = graft(random, v[key], size)
		return out
	case []any:
		if len(v) == 0 {
			return []any{marker}
		}
		if random.IntN(3) == 0 { // the same element, again and again
			text, _ := json.Marshal(v[0])
			return slices.Repeat(v[:1], 1+size/max(1, len(text)))
		}
		out := slices.Clone(v)
		at := random.IntN(len(v))
		out[at] = graft(random, v[at], size)
		return out
	case string:
		if inner, err := base64.StdEncoding.DecodeString(v); err == nil && len(inner) > 8 && random.IntN(4) > 0 {
			return base64.StdEncoding.EncodeToString(Hostile(random, inner, size))
		}
		if strings.HasPrefix(v, "-----BEGIN") || strings.HasPrefix(v, "{") {
			return string(Hostile(random, []byte(v), size))
		}
	}
	return marker
}

// junkJSON is a value that is costly for some parser, or not valid at all.
func junkJSON(random *rand.Rand, size int) string {
	fill := func(unit string) string { return strings.Repeat(unit, 1+size/len(unit)) }
	switch random.IntN(12) {
	case 0:
		return fill("[")
	case 1:
		n := 1 + size/2
		return strings.Repeat("[", n) + strings.Repeat("]", n)
	case 2:
		return fill(`{"a":`)
	case 3:
		n := 1 + size/6
		return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n)
	case 4:
		return "[0" + fill(",0") + "]"
	case 5:
		return "[{}" + fill(",{}") + "]"
	case 6: // one key
		return `{"a":0` + fill(`,"a":0`) + "}"
	case 7: // many keys
		var b strings.Builder
		for i := 0; b.Len() < size; i++ {
			b.WriteString(`,"` + string(rune('a'+i%26)) + string(rune(0x100+i%0x1000)) + `":0`)
		}
		return `{"":0` + b.String() + "}"
	case 8:
		return "1" + fill("0")
	case 9:
		return "1e" + fill("9")
	case 10:
		return `"` + fill(`\u0000`) + `"`
	default:
		return `"` + fill("A") + `"`
	}
}
