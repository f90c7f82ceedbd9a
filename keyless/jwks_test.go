// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless

import (
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/cosignkit/cosignkit/internal/limits"
)

// keyJSON is a key as an issuer publishes it, with more fields.
func keyJSON(t testing.TB, key any, more ...string) json.RawMessage {
	t.Helper()
	b, err := json.Marshal(jose.JSONWebKey{Key: key, KeyID: "key", Use: "sig"})
	if err != nil {
		t.Fatal(err)
	}
	return json.RawMessage(strings.TrimSuffix(string(b), "}") + strings.Join(append([]string{""}, more...), ",") + "}")
}

func rsaOf(bits int) *rsa.PublicKey {
	n := new(big.Int).SetBit(big.NewInt(1), bits-1, 1)
	return &rsa.PublicKey{N: n, E: 65537}
}

func TestParseKeys(t *testing.T) {
	t.Parallel()
	p256 := newP256()
	ed := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	for name, c := range map[string]struct {
		keys  []json.RawMessage
		found int
		limit bool
	}{
		"none":                         {nil, 0, false},
		"of all kinds":                 {[]json.RawMessage{keyJSON(t, p256.Public()), keyJSON(t, ed.Public()), keyJSON(t, rsaOf(2048))}, 3, false},
		"the largest":                  {[]json.RawMessage{keyJSON(t, rsaOf(limits.RSABits))}, 1, false},
		"one that is too large":        {[]json.RawMessage{keyJSON(t, p256.Public()), keyJSON(t, rsaOf(limits.RSABits+1))}, 0, true},
		"as many as there can be":      {repeated(keyJSON(t, p256.Public()), limits.IssuerKeys), limits.IssuerKeys, false},
		"one more":                     {repeated(keyJSON(t, p256.Public()), limits.IssuerKeys+1), 0, true},
		"one more, of which none is":   {repeated(json.RawMessage(`{}`), limits.IssuerKeys+1), 0, true},
		"for encryption":               {[]json.RawMessage{[]byte(strings.Replace(string(keyJSON(t, p256.Public())), `"sig"`, `"enc"`, 1))}, 0, false},
		"private":                      {[]json.RawMessage{keyJSON(t, p256), keyJSON(t, ed)}, 0, false},
		"shared secrets":               {[]json.RawMessage{keyJSON(t, []byte("secret"))}, 0, false},
		"of an unknown kind":           {[]json.RawMessage{[]byte(`{"kty":"unknown"}`), []byte(`{}`), []byte(`null`), []byte(`1`)}, 0, false},
		"with certificates, of no use": {[]json.RawMessage{keyJSON(t, p256.Public(), `"x5c":["AAAA","AAAA"]`, `"x5t":"x"`, `"x5u":"%"`)}, 1, false},
		"with a field of a wrong type": {[]json.RawMessage{keyJSON(t, p256.Public(), `"alg":{}`)}, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keys, err := parseKeys(c.keys)
			if c.limit != errors.Is(err, limits.ErrExceeded) || !c.limit && err != nil {
				t.Fatalf("error is %v, of a limit: want %t", err, c.limit)
			}
			if len(keys) != c.found {
				t.Errorf("found %d keys, want %d", len(keys), c.found)
			}
			for _, key := range keys {
				if !key.IsPublic() || len(key.Certificates) > 0 || key.CertificatesURL != nil || key.KeyID != "key" {
					t.Errorf("found %+v", key)
				}
			}
		})
	}
}

func repeated(key json.RawMessage, n int) []json.RawMessage {
	all := make([]json.RawMessage, n)
	for i := range all {
		all[i] = key
	}
	return all
}

func TestCheckCompact(t *testing.T) {
	t.Parallel()
	payload := encode(`{"iss":"https://issuer.example","sub":"me"}`)
	for name, c := range map[string]struct {
		header, payload string
		want            string // empty if it passes
	}{
		"plain":                    {`{"alg":"RS256","kid":"key","typ":"JWT","x5t":"AAAA","b64":true,"n":1}`, payload, ""},
		"with a key of its own":    {`{"alg":"RS256","jwk":{"kty":"RSA"}}`, payload, `"jwk" in its header`},
		"with certificates":        {`{"alg":"RS256","x5c":["AAAA"]}`, payload, `"x5c" in its header`},
		"with extensions":          {`{"alg":"RS256","crit":["b64"]}`, payload, `"crit" in its header`},
		"with two algorithms":      {`{"alg":"RS256","alg":"ES256"}`, payload, "every parser reads alike"},
		"with two, by case":        {`{"alg":"RS256","ALG":"ES256"}`, payload, "every parser reads alike"},
		"from two issuers":         {`{"alg":"RS256"}`, encode(`{"iss":"a","iss":"b"}`), "every parser reads alike"},
		"from two issuers by case": {`{"alg":"RS256"}`, encode(`{"iss":"a","ISS":"b"}`), "every parser reads alike"},
		"deep":                     {`{"alg":"RS256"}`, encode(strings.Repeat(`{"a":`, limits.JSONDepth+1) + "1" + strings.Repeat("}", limits.JSONDepth+1)), "every parser reads alike"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := checkCompact(encode(c.header) + "." + c.payload + ".AAAA")
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error is %v, want %q", err, c.want)
			}
		})
	}
	// The other serialization of RFC 7515, which go-jose reads as well.
	if err := checkCompact(`{"payload":"e30","signatures":[{"protected":"e30","signature":"AA"}]}`); err == nil {
		t.Error("a token that is not compact passes")
	}
}
