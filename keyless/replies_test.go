// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// overlapping is a timestamp whose elements are longer than what contains them, so
// that a parser that believes them reads what follows once more for each.
func overlapping(n int) []byte {
	long := func(tag byte, b []byte) []byte {
		return append(binary.BigEndian.AppendUint16([]byte{tag, 0x82}, uint16(len(b))), b...)
	}
	inner := append(bytes.Repeat([]byte{0x31, 0x7f, 0x31, 0x02}, n), make([]byte, 260)...)
	return long(0x30, append([]byte{0x30, 0x03, 0x02, 0x01, 0x00}, long(0x30, inner)...))
}

// TestTimestampsAreCheckedBeforeTheyAreParsed counts what a hostile timestamp
// authority makes a signer allocate. It counts for the whole process, and so runs
// alone.
func TestTimestampsAreCheckedBeforeTheyAreParsed(t *testing.T) {
	for name, stamp := range map[string][]byte{
		"elements that overlap":  overlapping(16),
		"of indefinite length":   append(bytes.Repeat([]byte{0x30, 0x80}, 1000), make([]byte, 2000)...),
		"elements in each other": nestedDER(5000),
	} {
		t.Run(name, func(t *testing.T) {
			d := newDeployment()
			client := d.client(t, ServiceURLs{Timestamp: stampURL})
			d.handle("tsa.test", func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusCreated)
				_, _ = w.Write(stamp)
			})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			signatures, err := record(t.Context(), t, client, newP256(), signing.Bundle)
			runtime.ReadMemStats(&after)
			wantFault(t, err, verify.ErrInconclusive, "timestamp authority")
			if signatures != nil {
				t.Error("a signature beside an error")
			}
			if got := after.TotalAlloc - before.TotalAlloc; got > 2<<20 {
				t.Errorf("%d bytes allocated for a reply of %d", got, len(stamp))
			}
		})
	}
}

func nestedDER(n int) []byte {
	var b []byte
	for range n {
		b = tlv(0x30, b)
	}
	return b
}

// TestRepliesThatCanBeReadInTwoWays: what one parser reads and another does not.
func TestRepliesThatCanBeReadInTwoWays(t *testing.T) {
	t.Parallel()
	for service, c := range map[string]struct {
		urls  ServiceURLs
		host  string
		stage string
	}{
		"Rekor v1": {ServiceURLs{Rekor: v1URL}, "rekor.test", "transparency log"},
		"Rekor v2": {ServiceURLs{Rekor: v2URL, RekorVersion: 2}, "tiles.test", "transparency log"},
	} {
		for name, change := range map[string]func([]byte) []byte{
			"something after it": func(b []byte) []byte { return append(b, "{}"...) },
			"a field twice": func(b []byte) []byte {
				return bytes.ReplaceAll(b, []byte(`"logIndex":`), []byte(`"logIndex":0,"logIndex":`))
			},
			"too many values": func(b []byte) []byte {
				many := "[0" + strings.Repeat(",0", limits.JSONValues) + "]"
				return bytes.ReplaceAll(b, []byte(`"logIndex":`), []byte(`"other":`+many+`,"logIndex":`))
			},
			"too deep": func(b []byte) []byte {
				deep := strings.Repeat("[", limits.JSONDepth) + strings.Repeat("]", limits.JSONDepth)
				return bytes.ReplaceAll(b, []byte(`"logIndex":`), []byte(`"other":`+deep+`,"logIndex":`))
			},
		} {
			t.Run(service+" "+name, func(t *testing.T) {
				t.Parallel()
				d := newDeployment()
				honest := d.handlers[c.host]
				d.handle(c.host, func(w http.ResponseWriter, r *http.Request) {
					changeReply(w, r, honest, change)
				})
				_, err := record(t.Context(), t, d.client(t, c.urls), newP256(), signing.Bundle)
				wantFault(t, err, verify.ErrInconclusive, c.stage)
				if strings.HasPrefix(name, "too ") && !errors.Is(err, limits.ErrExceeded) {
					t.Errorf("error is %v, want one of a limit", err)
				}
			})
		}
	}
}

// changeReply answers as handler does, but for the content.
func changeReply(w http.ResponseWriter, r *http.Request, handler http.Handler, change func([]byte) []byte) {
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, r)
	for name, values := range recorder.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(recorder.Code)
	_, _ = w.Write(change(recorder.Body.Bytes()))
}

// TestEntriesAsProposedAreRefused: the parsers of Rekor verify each signature of an
// entry in that form with each of its keys. A log never shows it.
func TestEntriesAsProposedAreRefused(t *testing.T) {
	t.Parallel()
	for service, c := range map[string]struct {
		urls ServiceURLs
		host string
		want string
	}{
		"Rekor v1": {ServiceURLs{Rekor: v1URL}, "rekor.test", "transparency log"},
		"Rekor v2": {ServiceURLs{Rekor: v2URL, RekorVersion: 2}, "tiles.test", "check of what was recorded"},
	} {
		for name, body := range map[string]string{
			"dsse":             `{"apiVersion":"0.0.1","kind":"dsse","spec":{"proposedContent":{"envelope":"{}","verifiers":["AAAA"]}}}`,
			"intoto":           `{"apiVersion":"0.0.2","kind":"intoto","spec":{"content":{"envelope":{"payload":"AAAA"}}}}`,
			"another kind":     `{"apiVersion":"0.0.1","kind":"rekord","spec":{}}`,
			"more than a body": `{"apiVersion":"0.0.1","kind":"dsse","spec":{}} {}`,
		} {
			t.Run(service+" "+name, func(t *testing.T) {
				t.Parallel()
				d := newDeployment()
				honest := d.handlers[c.host]
				d.handle(c.host, func(w http.ResponseWriter, r *http.Request) {
					changeReply(w, r, honest, func(reply []byte) []byte {
						return regexp.MustCompile(`(?i)("(canonicalized)?body":)"[^"]*"`).ReplaceAll(reply, []byte("$1"+string(marshalled([]byte(body)))))
					})
				})
				_, err := record(t.Context(), t, d.client(t, c.urls), newP256(), signing.Bundle)
				wantFault(t, err, verify.ErrInconclusive, c.want, "log entry: ")
			})
		}
	}
}

// TestOnlyJSONOfALogIsRead: its client has parsers for other types of content, which
// the log chooses.
func TestOnlyJSONOfALogIsRead(t *testing.T) {
	t.Parallel()
	for _, mediaType := range []string{"application/x-yaml", "application/yaml", "application/xml", "text/csv", "text/html", "text/plain", "application/octet-stream"} {
		d := newDeployment()
		d.handle("rekor.test", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", mediaType)
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, "a: &a [b]\n")
		})
		_, err := record(t.Context(), t, d.client(t, ServiceURLs{Rekor: v1URL}), newP256(), signing.Bundle)
		wantFault(t, err, verify.ErrInconclusive, "no consumer")
	}
}

func TestChainsOfFulcioAreBounded(t *testing.T) {
	t.Parallel()
	chain := func(n int, name string) []byte {
		return marshalled(object{name: object{"chain": object{"certificates": make([]string, n)}}})
	}
	for name, c := range map[string]struct {
		reply []byte
		want  string // empty if it passes
	}{
		"the longest":           {chain(limits.Chain, "signedCertificateEmbeddedSct"), ""},
		"one more":              {chain(limits.Chain+1, "signedCertificateEmbeddedSct"), "number of certificates"},
		"with a detached SCT":   {chain(limits.Chain+1, "signedCertificateDetachedSct"), "number of certificates"},
		"by another case":       {chain(limits.Chain+1, "SIGNEDCERTIFICATEEMBEDDEDSCT"), "number of certificates"},
		"in both cases":         {[]byte(`{"signedCertificateEmbeddedSct":{},"SignedCertificateEmbeddedSct":{}}`), "is there twice"},
		"something after":       {[]byte(`{} {}`), "something after the end"},
		"not a chain":           {[]byte(`{"signedCertificateEmbeddedSct":[]}`), "not a chain"},
		"of an unknown version": {[]byte(`{"signedCertificate":[]}`), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := checkFulcioReply(c.reply); c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error is %v, want %q", err, c.want)
			}
		})
	}
}

// TestErrorsOfServicesAreNotChecked: they are shown, and need be no JSON.
func TestErrorsOfServicesAreNotChecked(t *testing.T) {
	t.Parallel()
	d := newDeployment()
	d.handle("tsa.test", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, "no such policy")
	})
	_, err := record(t.Context(), t, d.client(t, ServiceURLs{Timestamp: stampURL}), newP256(), signing.Bundle)
	wantFault(t, err, verify.ErrMisconfigured, "no such policy")
}
