// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime/metrics"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/registry/hooks"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// allocated returns what the process allocates while f runs, which is no less
// than what f ever holds. It is for tests that run alone.
func allocated(f func()) uint64 {
	read := func() uint64 {
		s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
		metrics.Read(s)
		return s[0].Value.Uint64()
	}
	before := read()
	f()
	return read() - before
}

// sendUpTo writes chunk again and again until the client has had enough, or has
// taken far more than it should.
func sendUpTo(w io.Writer, chunk []byte, most int64) (sent int64) {
	for sent < most {
		n, err := w.Write(chunk)
		sent += int64(n)
		if err != nil {
			break
		}
	}
	return sent
}

// theSignature returns where the signature that place leads to is, so that a
// verification reads from that place.
func theSignature(place string) (api bool, form signing.Form) {
	return place != "referrers tag", map[bool]signing.Form{true: signing.Legacy, false: signing.Bundle}[place == "signature tag"]
}

// TestCompressedAnswersAreRejected: nothing that this package reads for itself
// is compressed. The small answer would become any number of bytes.
func TestCompressedAnswersAreRejected(t *testing.T) {
	t.Parallel()
	for _, place := range []string{"referrers API", "referrers tag", "signature tag", "manifest", "signature blobs"} {
		for _, encoding := range []string{"gzip", "zstd", "deflate", "br"} {
			t.Run(place+" as "+encoding, func(t *testing.T) {
				t.Parallel()
				api, form := theSignature(place)
				reg, c, verifier, _ := signedImage(t, api, form)
				sent := make(chan int64, 16)
				reg.onRequest(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
					if r.Method != http.MethodGet || !lookUps[place](r) {
						next.ServeHTTP(w, r)
						return
					}
					if accept := r.Header.Get("Accept-Encoding"); accept != "identity" {
						t.Errorf("the client accepts %q", accept)
					}
					w.Header().Set("Content-Encoding", encoding)
					w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
					sent <- sendUpTo(w, bytes.Repeat([]byte{0}, 1<<16), 64<<20)
				})
				_, err := c.Verify(t.Context(), reg.ref("app:v1"), verifier)
				wantFamily(t, err, verify.ErrRejected)
				wantText(t, err, "content encoding")
				if n := <-sent; n > 32<<20 {
					t.Errorf("%d bytes were taken", n)
				}
			})
		}
	}
}

// zipped is b, by gzip.
func zipped(t *testing.T, b []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// framed is a zstd frame of 2 KiB, for 64 MiB: blocks that repeat one byte, and
// a window of that size, which is what a decoder keeps.
func framed() []byte {
	b := []byte{0x28, 0xb5, 0x2f, 0xfd, 0, (26 - 10) << 3}
	for i := range 512 {
		header := 128<<10<<3 | 1<<1 | i/511
		b = append(b, byte(header), byte(header>>8), byte(header>>16), ' ')
	}
	return b
}

// TestContentEncodingBombTakesLittleMemory runs alone, since it measures.
func TestContentEncodingBombTakesLittleMemory(t *testing.T) {
	reg, c, verifier, _ := signedImage(t, true, signing.Bundle)
	for encoding, body := range map[string][]byte{
		"gzip": bytes.Repeat(zipped(t, bytes.Repeat([]byte(" "), 1<<20)), 256), // as a file of many members
		"zstd": framed(),
	} {
		for _, place := range []string{"referrers API", "manifest", "signature blobs"} {
			t.Run(encoding+" for "+place, func(t *testing.T) {
				reg.onRequest(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
					if r.Method != http.MethodGet || !lookUps[place](r) {
						next.ServeHTTP(w, r)
						return
					}
					w.Header().Set("Content-Encoding", encoding)
					w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
					_, _ = w.Write(body)
				})
				n := allocated(func() {
					_, err := c.Verify(t.Context(), reg.ref("app:v1"), verifier)
					wantFamily(t, err, verify.ErrRejected)
				})
				if n > 16<<20 {
					t.Errorf("%d bytes were allocated", n)
				}
			})
		}
	}
}

// TestTruncatedCompressionIsQuiet runs alone, since it takes stderr. containerd's
// decoder logs there what it cannot decode, whatever the logger of the context.
func TestTruncatedCompressionIsQuiet(t *testing.T) {
	whole := zipped(t, bytes.Repeat([]byte("x"), 100))
	reg, c, verifier, _ := signedImage(t, true, signing.Legacy)
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, stderr := os.Stdout, os.Stderr
	os.Stdout, os.Stderr = writer, writer
	func() {
		defer func() { os.Stdout, os.Stderr = stdout, stderr }()
		for _, length := range []int{0, 1, 9, 12, len(whole) - 1} {
			reg.onRequest(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if r.Method != http.MethodGet || !lookUps["signature blobs"](r) {
					next.ServeHTTP(w, r)
					return
				}
				w.Header().Set("Content-Encoding", "gzip")
				_, _ = w.Write(whole[:length])
			})
			_, err := c.Verify(t.Context(), reg.ref("app:v1"), verifier)
			wantFamily(t, err, verify.ErrRejected)
		}
	}()
	_ = writer.Close()
	if out, _ := io.ReadAll(reader); len(out) > 0 {
		t.Errorf("written to stdout or stderr: %s", out)
	}
}

// manyAnnotations are size bytes of them, which take a dozen times that in memory.
func manyAnnotations(size int) string {
	var b strings.Builder
	b.WriteString(`"annotations":{"":""`)
	for i := 0; b.Len() < size-16; i++ {
		fmt.Fprintf(&b, `,"%x":""`, i)
	}
	return b.String() + "}"
}

// tagOf is the referrers tag of a digest.
func tagOf(d digest.Digest) string { return strings.Replace(d.String(), ":", "-", 1) }

// putRaw puts a manifest into the registry, under the tag or else its digest.
func putRaw(t *testing.T, reg *testRegistry, repo, tag, mediaType string, b []byte) digest.Digest {
	t.Helper()
	d := digest.FromBytes(b)
	if tag == "" {
		tag = d.String()
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, reg.url+"/v2/"+repo+"/manifests/"+tag, bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", mediaType)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("put %s: %s", tag, resp.Status)
	}
	return d
}

// getRaw asks the registry, past everything under test, for what is under a tag.
func getRaw(t *testing.T, reg *testRegistry, repo, tag string) []byte {
	t.Helper()
	resp, err := http.Get(reg.url + "/v2/" + repo + "/manifests/" + tag)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("get %s: %s, %v", tag, resp.Status, err)
	}
	return b
}

// TestEndlessResolve: without the digest in a header, containerd reads the
// manifest itself to resolve a tag, to its end.
func TestEndlessResolve(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"verify", "sign"} {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			reg, c, verifier, _ := signedImage(t, true, signing.Bundle)
			sent := make(chan int64, 8)
			reg.onRequest(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if !lookUps["resolve"](r) {
					next.ServeHTTP(w, r)
					return
				}
				w.Header().Set("Content-Type", ocispec.MediaTypeImageManifest)
				if r.Method != http.MethodHead {
					sent <- sendUpTo(w, bytes.Repeat([]byte(" "), 1<<16), 128<<20)
				}
			})
			var err error
			if op == "verify" {
				_, err = c.Verify(t.Context(), reg.ref("app:v1"), verifier)
			} else {
				_, err = c.Sign(t.Context(), reg.ref("app:v1"), signerOf(t, newKey(t)))
			}
			wantFamily(t, err, verify.ErrRejected)
			if !errors.Is(err, verify.ErrLimit) {
				t.Errorf("error is %v, want the limit", err)
			}
			if n := <-sent; n > 32<<20 {
				t.Errorf("%d bytes were taken", n)
			}
		})
	}
}

// notImages are media types of what can be no image.
var notImages = []string{"application/octet-stream", "text/html", "", ocispec.MediaTypeImageConfig, ocispec.MediaTypeImageLayer, "application/vnd.docker.distribution.manifest.v1+prettyjws"}

// TestPullOfWhatIsNoImage has the registry answer with the digest of a signed
// image and the media type of something else, under which containerd would
// record one blob as the whole image.
func TestPullOfWhatIsNoImage(t *testing.T) {
	t.Parallel()
	for _, mediaType := range notImages {
		t.Run(fmt.Sprintf("%q", mediaType), func(t *testing.T) {
			t.Parallel()
			reg, c, verifier, desc := signedImage(t, true, signing.Bundle)
			reg.onRequest(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if r.Method == http.MethodHead && lookUps["resolve"](r) {
					w.Header()["Content-Type"] = []string{mediaType}
					w.Header().Set("Docker-Content-Digest", desc.Digest.String())
					w.Header().Set("Content-Length", fmt.Sprint(desc.Size))
					return
				}
				if strings.HasSuffix(r.URL.Path, "/blobs/"+desc.Digest.String()) {
					r.URL.Path = strings.Replace(r.URL.Path, "/blobs/", "/manifests/", 1)
				}
				next.ServeHTTP(w, r)
			})
			cd, ctx := newStore(t)
			_, _, err := hooks.Pull(ctx, c, cd.Client, reg.ref("app:v1"), verifier, nil)
			wantFamily(t, err, verify.ErrRejected)
			wantText(t, err, "not that of an image")
			if names := imageNames(ctx, t, cd); len(names) > 0 || hasContent(ctx, t, cd) {
				t.Errorf("recorded %v, content %v", names, hasContent(ctx, t, cd))
			}
		})
	}
}

// TestPushOfWhatIsNoImage: without what a manifest refers to, one blob would be
// signed and tagged as the whole image.
func TestPushOfWhatIsNoImage(t *testing.T) {
	t.Parallel()
	for _, mediaType := range notImages {
		t.Run(fmt.Sprintf("%q", mediaType), func(t *testing.T) {
			t.Parallel()
			reg := newTestRegistry(t, true)
			c := newClient(t, registry.Config{})
			cd, ctx := newStore(t)
			desc := putImage(ctx, t, cd, "image")
			desc.MediaType = mediaType
			attached, err := hooks.Push(ctx, c, cd.Client, reg.ref("app:v1"), desc, signerOf(t, newKey(t)), nil)
			wantFamily(t, err, verify.ErrMisconfigured)
			wantText(t, err, "not that of an image")
			if got := reg.recorded(); len(attached) > 0 || len(got) > 0 {
				t.Errorf("%d signatures, requests %q", len(attached), got)
			}
			_, err = c.SignImage(ctx, verify.Image{Name: reg.ref("app:v1"), Target: desc}, signerOf(t, newKey(t)))
			wantFamily(t, err, verify.ErrMisconfigured)
		})
	}
}

// answering resolves everything to one descriptor.
type answering struct {
	remotes.Resolver
	desc ocispec.Descriptor
}

func (a answering) Resolve(_ context.Context, ref string) (string, ocispec.Descriptor, error) {
	return ref, a.desc, nil
}

// TestResolverThatAnswersAnotherDigest: a signed image must not be taken for
// the one that a reference names by digest.
func TestResolverThatAnswersAnotherDigest(t *testing.T) {
	t.Parallel()
	reg, plain, verifier, desc := signedImage(t, true, signing.Bundle)
	c := newClient(t, registry.Config{Resolver: answering{plain.Resolver(), desc}})
	if _, err := c.Verify(t.Context(), reg.ref("app@"+desc.Digest.String()), verifier); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"app@", "app:v1@"} {
		ref := reg.ref(name) + digest.FromString("another").String()
		_, err := c.Verify(t.Context(), ref, verifier)
		wantFamily(t, err, verify.ErrRejected)
		_, err = c.Sign(t.Context(), ref, signerOf(t, newKey(t)))
		wantFamily(t, err, verify.ErrRejected)
		cd, ctx := newStore(t)
		_, _, err = hooks.Pull(ctx, c, cd.Client, ref, verifier, nil)
		wantFamily(t, err, verify.ErrRejected)
		if names := imageNames(ctx, t, cd); len(names) > 0 {
			t.Errorf("recorded %v", names)
		}
	}
}

// TestErrorsHoldNoTerminalEscapes has a registry put into its answers what a
// terminal obeys, or would take for another line of the program's.
func TestErrorsHoldNoTerminalEscapes(t *testing.T) {
	t.Parallel()
	const unseen = "\u009b2J\u202e accepted" // which net/http lets through in headers
	const evil = "\x1b[2J\x1b[31m" + unseen
	quoted, _ := json.Marshal(evil + "\nverify: accepted" + strings.Repeat("A", 50000))
	denied := fmt.Appendf(nil, `{"errors":[{"code":"DENIED","message":%s,"detail":%s}]}`, quoted, quoted)
	list := func(format string) []byte { return fmt.Appendf(nil, format, ocispec.MediaTypeImageIndex, quoted) }
	tests := map[string]struct {
		place  string
		answer func(w http.ResponseWriter, r *http.Request)
		want   error
	}{
		"a refusal of the image":   {"resolve", refusing(denied), verify.ErrInconclusive},
		"a refusal of the API":     {"referrers API", refusing(denied), verify.ErrInconclusive},
		"a refusal of the tag":     {"signature tag", refusing(denied), verify.ErrInconclusive},
		"a refusal of the content": {"signature blobs", refusing(denied), verify.ErrInconclusive},
		"the digest of a referrer": {"referrers API", serving(list(
			`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":"x","digest":%s,"size":1}]}`)), verify.ErrRejected},
		"a list that is none":            {"referrers API", serving(list(`{"mediaType":%q,"manifests":%s}`)), verify.ErrRejected},
		"a digest in a list that is not": {"referrers API", serving([]byte(evil)), verify.ErrRejected},
		"the status line":                {"referrers API", raw("HTTP/1.1 500 " + evil + "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"), verify.ErrInconclusive},
		"the media type":                 {"resolve", raw("HTTP/1.1 200 OK\r\nContent-Type: " + unseen + "\r\nDocker-Content-Digest: " + digest.FromString("x").String() + "\r\nContent-Length: 7\r\nConnection: close\r\n\r\n"), verify.ErrRejected},
		"the digest":                     {"resolve", raw("HTTP/1.1 200 OK\r\nContent-Type: " + ocispec.MediaTypeImageManifest + "\r\nDocker-Content-Digest: " + unseen + "\r\nContent-Length: 7\r\nConnection: close\r\n\r\n"), nil},
		"the encoding":                   {"referrers API", raw("HTTP/1.1 200 OK\r\nContent-Encoding: " + unseen + "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"), verify.ErrRejected},
		"the next page": {"referrers API", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", "<http://evil\u009b2J.example/?\u202e>; rel=next")
			writeIndex(w, ocispec.Index{})
		}, verify.ErrRejected},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg, c, verifier, _ := signedImage(t, true, signing.Bundle)
			reg.onRequest(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if !lookUps[test.place](r) {
					next.ServeHTTP(w, r)
					return
				}
				test.answer(w, r)
			})
			if test.place == "signature tag" {
				verifier = verifierOf(t, newKey(t)) // so that the failure is not beside a good signature
			}
			_, err := c.Verify(t.Context(), reg.ref("app:v1"), verifier)
			if err == nil {
				t.Fatal("verified")
			}
			if test.want != nil {
				wantFamily(t, err, test.want)
			}
			text := err.Error()
			if strings.ContainsAny(text, "\x1b\n\r\u009b\u202e") || len(text) > 5000 {
				t.Errorf("%d bytes: %.300q", len(text), text)
			}
		})
	}
}

func refusing(body []byte) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		if r.Method != http.MethodHead {
			_, _ = w.Write(body)
		}
	}
}

func serving(body []byte) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
		_, _ = w.Write(body)
	}
}

// raw answers with what net/http would not write.
func raw(answer string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(conn, answer)
		_ = conn.Close()
	}
}
