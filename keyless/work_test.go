// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/digitorus/timestamp"
	"github.com/go-jose/go-jose/v4"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/rekor/pkg/generated/models"
	"github.com/sigstore/rekor/pkg/tle"
	"github.com/sigstore/sigstore-go/pkg/tlog"

	"github.com/cosignkit/cosignkit/internal/bundles"
	"github.com/cosignkit/cosignkit/internal/leash"
	"github.com/cosignkit/cosignkit/internal/strictjson"
	"github.com/cosignkit/cosignkit/signing"
)

// decoder is what one reply goes through, up to the parsers of the packages behind.
type decoder struct {
	decode func([]byte) error
	seed   []byte // which it accepts
}

// decoders are all that read replies.
func decoders(t testing.TB) map[string]decoder {
	t.Helper()
	d, key := newDeployment(), newP256()
	fulcio, trusted := d.client(t, everything), d.trusted(t)
	entry := d.reply(t, "rekor.test", ServiceURLs{Rekor: v1URL})
	leaf := d.wish(key.Public(), "name@example.com", "https://issuer.example").issue()
	text := func(s string) []byte { return []byte(s) }
	return map[string]decoder{
		"timestamp":           {decodeStamp, d.reply(t, "tsa.test", ServiceURLs{Timestamp: stampURL})},
		"entry of Rekor v1":   {decodeLogReply, entry},
		"entries of Rekor v1": {decodeSearchReply, text("[" + string(entry) + "]")},
		"entry of Rekor v2":   {decodeRekorV2, d.reply(t, "tiles.test", ServiceURLs{Rekor: v2URL, RekorVersion: 2})},
		"chain of Fulcio": {checkFulcioReply, marshalled(object{"signedCertificateEmbeddedSct": object{
			"chain": object{"certificates": []string{string(pemOf("CERTIFICATE", leaf.Raw))}},
		}})},
		"certificate of Fulcio": {func(b []byte) error {
			_, err := fulcio.checkCertificate(b, key.Public(), trusted)
			return err
		}, leaf.Raw},
		"keys of an issuer": {decodeKeys, text(`{"keys":[` + string(keyJSON(t, key.Public())) + `,` + string(keyJSON(t, rsaOf(2048))) + `]}`)},
		"header of a token": {func(b []byte) error {
			return decodeToken(encode(string(b)), encode(`{"iss":"a"}`))
		}, text(`{"alg":"RS256","kid":"key","typ":"JWT"}`)},
		"claims of a token": {func(b []byte) error {
			return decodeToken(encode(`{"alg":"RS256"}`), encode(string(b)))
		}, marshalled(theClaims())},
		"metadata of an issuer": {func(b []byte) error { return strictjson.Decode(b, &metadata{}) },
			text(`{"issuer":"https://issuer.example","jwks_uri":"https://issuer.example/keys","scopes_supported":["openid"]}`)},
		"reply with a token": {func(b []byte) error { return strictjson.Decode(b, &tokenReply{}) },
			text(`{"id_token":"a.b.c","access_token":"d","expires_in":1}`)},
		"reply with a code": {func(b []byte) error { return strictjson.Decode(b, &deviceReply{}) },
			text(`{"device_code":"a","user_code":"b","interval":5}`)},
		"signing config": {func(b []byte) error { _, err := ParseSigningConfig(b); return err },
			text(`{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json","caUrls":[{"url":"https://fulcio.test",` +
				`"majorApiVersion":1,"validFor":{"start":"2020-01-01T00:00:00Z"},"operator":"a"}]}`)},
	}
}

// reply is what the service of a host answers a signer.
func (d *deployment) reply(t testing.TB, host string, urls ServiceURLs) (content []byte) {
	t.Helper()
	client := d.client(t, urls, func(c *Config) {
		c.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			response, err := d.RoundTrip(r)
			if err != nil || r.URL.Host != host {
				return response, err
			}
			content, err = io.ReadAll(response.Body)
			response.Body = io.NopCloser(bytes.NewReader(content))
			return response, err
		})
	})
	if _, err := record(context.Background(), t, client, newP256(), signing.Bundle); err != nil {
		t.Fatal(err)
	}
	return content
}

// FuzzReplies holds that no reply panics, and that no error of one spoils a terminal
// or is long. The first byte says which decoder reads it.
func FuzzReplies(f *testing.F) {
	all := decoders(f)
	names := slices.Sorted(maps.Keys(all))
	for i, name := range names {
		f.Add(byte(i), all[name].seed)
		f.Add(byte(i), []byte("null"))
	}
	f.Add(byte(slices.Index(names, "timestamp")), overlapping(14))
	f.Fuzz(func(t *testing.T, which byte, b []byte) {
		if err := all[names[int(which)%len(names)]].decode(b); err != nil {
			if text := describe(err).Error(); strings.ContainsFunc(text, unicode.IsControl) || len(text) > 8<<10 {
				t.Errorf("error is not one short line: %.1000q", text)
			}
		}
	})
}

func decodeStamp(b []byte) error {
	err := checkStampReply(b)
	if err == nil {
		_, err = timestamp.ParseResponse(b)
	}
	return err
}

func decodeLogReply(b []byte) error {
	var reply models.LogEntry
	if err := consumeLogReply(bytes.NewReader(b), &reply); err != nil {
		return err
	}
	return parseEntries(reply)
}

func decodeSearchReply(b []byte) error {
	var reply []models.LogEntry
	if err := consumeLogReply(bytes.NewReader(b), &reply); err != nil {
		return err
	}
	return parseEntries(reply...)
}

// parseEntries is what sigstore-go does with each entry that it asked for.
func parseEntries(replies ...models.LogEntry) error {
	for _, reply := range replies {
		for _, entry := range reply {
			if err := leash.Recovered(func() error { _, err := tle.GenerateTransparencyLogEntry(entry); return err }); err != nil {
				return err
			}
		}
	}
	return nil
}

// decodeRekorV2 is what the client, verifyRecord and sigstore-go do with an entry.
func decodeRekorV2(b []byte) error {
	made, err := parseEntry(b)
	if err != nil {
		return err
	}
	entries := []*protorekor.TransparencyLogEntry{made}
	err = bundles.CheckEntries(&protobundle.Bundle{VerificationMaterial: &protobundle.VerificationMaterial{TlogEntries: entries}})
	if err == nil {
		_, err = tlog.ParseTransparencyLogEntry(made)
	}
	return err
}

func decodeKeys(b []byte) error {
	var answer struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := strictjson.Decode(b, &answer); err != nil {
		return err
	}
	_, err := parseKeys(answer.Keys)
	return err
}

func decodeToken(header, payload string) error {
	token := header + "." + payload + ".AAAA"
	if err := checkCompact(token); err != nil {
		return err
	}
	_, err := jose.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256})
	return err
}
