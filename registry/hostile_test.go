// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/registry/hooks"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// signedImage is a registry with one image, app:v1, signed in the form.
func signedImage(t *testing.T, api bool, form signing.Form) (*testRegistry, *registry.Client, verify.Verifier, ocispec.Descriptor) {
	t.Helper()
	reg := newTestRegistry(t, api)
	c := newClient(t, registry.Config{})
	cd, ctx := newStore(t)
	key := newKey(t)
	desc := putImage(ctx, t, cd, "image")
	if _, err := hooks.Push(ctx, c, cd.Client, reg.ref("app:v1"), desc, signerOf(t, key), nil, registry.WithForm(form)); err != nil {
		t.Fatal(err)
	}
	return reg, c, verifierOf(t, key), desc
}

// The look-ups of a verification, as a registry sees them.
var lookUps = map[string]func(*http.Request) bool{
	"resolve":       func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/manifests/v1") },
	"referrers API": func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/referrers/") },
	"referrers tag": func(r *http.Request) bool { return isTag(r) && !strings.HasSuffix(r.URL.Path, ".sig") },
	"signature tag": func(r *http.Request) bool { return isTag(r) && strings.HasSuffix(r.URL.Path, ".sig") },
	"manifest": func(r *http.Request) bool {
		return r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/manifests/sha256:")
	},
	"signature blobs": func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/blobs/") },
}

func isTag(r *http.Request) bool { return strings.Contains(r.URL.Path, "/manifests/sha256-") }

// TestFailedLookUpIsInconclusive breaks one look-up at a time, the one that
// would have found the signature.
func TestFailedLookUpIsInconclusive(t *testing.T) {
	t.Parallel()
	needed := map[string]struct {
		api  bool
		form signing.Form
	}{
		"resolve":         {true, signing.Bundle},
		"referrers API":   {true, signing.Bundle},
		"referrers tag":   {false, signing.Bundle},
		"signature tag":   {true, signing.Legacy},
		"manifest":        {true, signing.Bundle},
		"signature blobs": {true, signing.Legacy},
	}
	for place, setup := range needed {
		for _, status := range []int{401, 403, 429, 500, 502, 503} {
			t.Run(fmt.Sprintf("%s answers %d", place, status), func(t *testing.T) {
				t.Parallel()
				reg, c, verifier, _ := signedImage(t, setup.api, setup.form)
				reg.failing(status, lookUps[place])
				_, err := c.Verify(t.Context(), reg.ref("app:v1"), verifier)
				wantFamily(t, err, verify.ErrInconclusive)
				wantText(t, err, fmt.Sprint(status))
			})
		}
	}
}

// TestFailedLookUpElsewhereDoesNotMatter breaks the look-ups that the good
// signature is not behind.
func TestFailedLookUpElsewhereDoesNotMatter(t *testing.T) {
	t.Parallel()
	tests := []struct {
		broken string
		form   signing.Form
	}{
		{"signature tag", signing.Bundle},
		{"referrers tag", signing.Bundle},
		{"referrers API", signing.Legacy},
		{"referrers tag", signing.Legacy},
	}
	for _, test := range tests {
		t.Run(test.broken+" fails and the signature is a "+string(test.form), func(t *testing.T) {
			t.Parallel()
			reg, c, verifier, _ := signedImage(t, true, test.form)
			reg.failing(http.StatusTooManyRequests, lookUps[test.broken])
			if _, err := c.Verify(t.Context(), reg.ref("app:v1"), verifier); err != nil {
				t.Fatal(err)
			}
			result, err := c.Verify(t.Context(), reg.ref("app:v1"), verifier, registry.WithEverySignature())
			if err != nil {
				t.Fatal(err)
			}
			var failed int
			for _, s := range result.Signatures {
				if s.Err != nil && string(s.Origin.Source) == test.broken {
					failed++
				}
			}
			if failed != 1 {
				t.Errorf("the failed look-up is not in the result: %+v", result.Signatures)
			}
		})
	}
}

func TestThrottledUnsignedImageIsInconclusive(t *testing.T) {
	t.Parallel()
	for _, place := range []string{"referrers API", "referrers tag", "signature tag"} {
		t.Run(place, func(t *testing.T) {
			t.Parallel()
			reg := newTestRegistry(t, place == "referrers API")
			c := newClient(t, registry.Config{})
			cd, ctx := newStore(t)
			pushUnsigned(ctx, t, c, cd, reg.ref("app:v1"), putImage(ctx, t, cd, "image"))
			verifier := verifierOf(t, newKey(t))
			_, err := c.Verify(ctx, reg.ref("app:v1"), verifier)
			wantFamily(t, err, verify.ErrRejected)
			reg.failing(http.StatusTooManyRequests, lookUps[place])
			_, err = c.Verify(ctx, reg.ref("app:v1"), verifier)
			wantFamily(t, err, verify.ErrInconclusive)
		})
	}
}

// TestThrottledReferrersRespectRetryAfter has the registry ask for patience.
func TestThrottledReferrersRespectRetryAfter(t *testing.T) {
	t.Parallel()
	reg, c, verifier, _ := signedImage(t, true, signing.Bundle)
	throttled := make(chan struct{}, 1)
	throttled <- struct{}{}
	reg.onRequest(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if lookUps["referrers API"](r) {
			select {
			case <-throttled:
				w.Header().Set("Retry-After", "0")
				w.WriteHeader(http.StatusTooManyRequests)
				return
			default:
			}
		}
		next.ServeHTTP(w, r)
	})
	if _, err := c.Verify(t.Context(), reg.ref("app:v1"), verifier); err != nil {
		t.Fatal(err)
	}
}

// TestRetryAfterIsRespectedOnce: a registry that asks for patience again and
// again, or for much of it, gets no more than one wait.
func TestRetryAfterIsRespectedOnce(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]int64{"0": 2, "3600": 1, "-1": 1, "soon": 1, "99999999999999999999": 1, "": 1} {
		t.Run(fmt.Sprintf("%q", value), func(t *testing.T) {
			t.Parallel()
			for _, place := range []string{"referrers API", "referrers tag", "signature tag"} {
				reg, c, _, _ := signedImage(t, true, signing.Bundle)
				var asked atomic.Int64
				reg.onRequest(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
					if !lookUps[place](r) {
						next.ServeHTTP(w, r)
						return
					}
					asked.Add(1)
					if value != "" {
						w.Header().Set("Retry-After", value)
					}
					w.WriteHeader(http.StatusTooManyRequests)
				})
				_, err := c.Verify(t.Context(), reg.ref("app:v1"), verifierOf(t, newKey(t)))
				wantFamily(t, err, verify.ErrInconclusive)
				if n := asked.Load(); n != want {
					t.Errorf("%s: asked %d times, want %d", place, n, want)
				}
			}
		})
	}
}

// TestHangingRegistryEndsWithTheContext hangs one look-up at a time. TestMain
// sees to it that nothing is left running.
func TestHangingRegistryEndsWithTheContext(t *testing.T) {
	t.Parallel()
	for place, match := range lookUps {
		t.Run(place, func(t *testing.T) {
			t.Parallel()
			reg, c, verifier, _ := signedImage(t, place != "referrers tag", signing.Both)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			cause := errors.New("enough")
			reg.onRequest(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if !match(r) {
					next.ServeHTTP(w, r)
					return
				}
				cancel(cause)
				<-r.Context().Done()
			})
			_, err := c.Verify(ctx, reg.ref("app:v1"), verifier, registry.WithEverySignature())
			wantFamily(t, err, verify.ErrInconclusive)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("error is %v, want the context's", err)
			}
		})
	}
}

// TestHangingPushEndsWithTheContext hangs each step of a push in turn.
func TestHangingPushEndsWithTheContext(t *testing.T) {
	t.Parallel()
	steps := map[string]func(*http.Request) bool{
		"blob upload": func(r *http.Request) bool { return r.Method == http.MethodPost },
		"manifest": func(r *http.Request) bool {
			return r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/sha256:")
		},
		"referrers":     lookUps["referrers API"],
		"signature tag": func(r *http.Request) bool { return r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, ".sig") },
		"tag": func(r *http.Request) bool {
			return r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/manifests/v1")
		},
	}
	for name, match := range steps {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := newTestRegistry(t, true)
			c := newClient(t, registry.Config{})
			cd, ctx := newStore(t)
			desc := putImage(ctx, t, cd, "image")
			pushCtx, cancel := context.WithCancel(ctx)
			defer cancel()
			reg.onRequest(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if !match(r) {
					next.ServeHTTP(w, r)
					return
				}
				_, _ = io.Copy(io.Discard, r.Body)
				cancel()
				<-r.Context().Done()
			})
			_, err := hooks.Push(pushCtx, c, cd.Client, reg.ref("app:v1"), desc, signerOf(t, newKey(t)), nil, registry.WithForm(signing.Both))
			wantFamily(t, err, verify.ErrInconclusive)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("error is %v, want the context's", err)
			}
			reg.onRequest(nil)
			if got := reg.digestOf(t, "app", "v1"); got != "" {
				t.Errorf("the tag exists: %s", got)
			}
		})
	}
}

func TestConnectionClosedEarlyIsInconclusive(t *testing.T) {
	t.Parallel()
	for place, match := range lookUps {
		if place == "referrers tag" {
			continue // needs a registry without the API, see below
		}
		t.Run(place, func(t *testing.T) {
			t.Parallel()
			form := signing.Bundle
			if place == "signature tag" {
				form = signing.Legacy
			}
			reg, c, verifier, _ := signedImage(t, true, form)
			reg.onRequest(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if !match(r) {
					next.ServeHTTP(w, r)
					return
				}
				w.Header().Set("Content-Length", "1000")
				w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
				_, _ = w.Write([]byte("{"))
				panic(http.ErrAbortHandler)
			})
			_, err := c.Verify(t.Context(), reg.ref("app:v1"), verifier)
			if place == "resolve" || place == "signature tag" {
				// A HEAD has no body to break off; what it promised is not what
				// arrives.
				if err == nil {
					t.Fatal("verified")
				}
				return
			}
			wantFamily(t, err, verify.ErrInconclusive)
		})
	}
}

// endless sends zeros until the client has had enough, and reports how many it
// took.
func endless(w http.ResponseWriter, sent *int64) {
	chunk := bytes.Repeat([]byte(" "), 1<<16)
	for {
		n, err := w.Write(chunk)
		*sent += int64(n)
		if err != nil {
			return
		}
	}
}

func TestEndlessDataIsRejected(t *testing.T) {
	t.Parallel()
	for _, place := range []string{"referrers API", "manifest", "signature blobs"} {
		t.Run(place, func(t *testing.T) {
			t.Parallel()
			reg, c, verifier, _ := signedImage(t, true, signing.Bundle)
			var sent int64
			done := make(chan struct{}, 8)
			reg.onRequest(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if !lookUps[place](r) {
					next.ServeHTTP(w, r)
					return
				}
				w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
				endless(w, &sent)
				done <- struct{}{}
			})
			_, err := c.Verify(t.Context(), reg.ref("app:v1"), verifier)
			wantFamily(t, err, verify.ErrRejected)
			<-done
			if sent > 32<<20 {
				t.Errorf("%d bytes were taken", sent)
			}
		})
	}
}

// altering changes the body of answers that match.
func altering(reg *testRegistry, match func(*http.Request) bool, alter func([]byte) []byte) {
	reg.onRequest(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method != http.MethodGet || !match(r) {
			next.ServeHTTP(w, r)
			return
		}
		rec := newRecorder()
		next.ServeHTTP(rec, r)
		body := alter(rec.body.Bytes())
		for k, v := range rec.header {
			w.Header()[k] = v
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		w.WriteHeader(rec.status)
		_, _ = w.Write(body)
	})
}

type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func newRecorder() *recorder                          { return &recorder{header: http.Header{}, status: http.StatusOK} }
func (r *recorder) Header() http.Header               { return r.header }
func (r *recorder) WriteHeader(status int)            { r.status = status }
func (r *recorder) Write(b []byte) (n int, err error) { return r.body.Write(b) }

func flip(b []byte) []byte {
	b = bytes.Clone(b)
	b[len(b)/2] ^= 1
	return b
}

func TestAlteredSignatureIsRejectedByDigest(t *testing.T) {
	t.Parallel()
	alterations := map[string]func([]byte) []byte{
		"one bit":   flip,
		"truncated": func(b []byte) []byte { return b[:len(b)-1] },
		"longer":    func(b []byte) []byte { return append(bytes.Clone(b), ' ') },
		"empty":     func([]byte) []byte { return nil },
	}
	for _, place := range []string{"manifest", "signature blobs"} {
		for name, alter := range alterations {
			t.Run(place+" "+name, func(t *testing.T) {
				t.Parallel()
				reg, c, verifier, _ := signedImage(t, true, signing.Bundle)
				altering(reg, lookUps[place], alter)
				_, err := c.Verify(t.Context(), reg.ref("app:v1"), verifier)
				wantFamily(t, err, verify.ErrRejected)
				wantText(t, err, "does not match its descriptor")
			})
		}
	}
}

func TestAlteredImageIsNotPulled(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"manifest", "layer"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			reg, c, verifier, desc := signedImage(t, true, signing.Bundle)
			altering(reg, func(r *http.Request) bool {
				if what == "manifest" {
					return strings.HasSuffix(r.URL.Path, "/manifests/"+desc.Digest.String())
				}
				return strings.HasSuffix(r.URL.Path, "/blobs/"+digest.FromString("layer of image").String())
			}, flip)
			cd, ctx := newStore(t)
			ctx, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			_, _, err := hooks.Pull(ctx, c, cd.Client, reg.ref("app:v1"), verifier, nil)
			wantFamily(t, err, verify.ErrRejected)
			if names := imageNames(ctx, t, cd); len(names) > 0 {
				t.Errorf("recorded %v", names)
			}
		})
	}
}

// referrersAnswer answers the referrers API with what f makes of the true list.
func referrersAnswer(reg *testRegistry, f func(w http.ResponseWriter, r *http.Request, index ocispec.Index)) {
	reg.onRequest(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if !lookUps["referrers API"](r) {
			next.ServeHTTP(w, r)
			return
		}
		rec := newRecorder()
		next.ServeHTTP(rec, r)
		var index ocispec.Index
		_ = json.Unmarshal(rec.body.Bytes(), &index)
		f(w, r, index)
	})
}

func writeIndex(w http.ResponseWriter, index ocispec.Index) {
	w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex+"; charset=utf-8")
	_ = json.NewEncoder(w).Encode(index)
}

func TestReferrersPages(t *testing.T) {
	t.Parallel()
	t.Run("the signature is on the last page", func(t *testing.T) {
		t.Parallel()
		reg, c, verifier, _ := signedImage(t, true, signing.Bundle)
		referrersAnswer(reg, func(w http.ResponseWriter, r *http.Request, index ocispec.Index) {
			switch page := r.URL.Query().Get("page"); page {
			case "":
				w.Header().Set("Link", `<`+r.URL.Path+`?page=2>; rel="next"`)
				writeIndex(w, ocispec.Index{})
			case "2":
				w.Header().Set("Link", `<?page=3>; rel=next`)
				writeIndex(w, ocispec.Index{})
			default:
				writeIndex(w, index)
			}
		})
		if _, err := c.Verify(t.Context(), reg.ref("app:v1"), verifier); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("pages without end", func(t *testing.T) {
		t.Parallel()
		reg, c, verifier, _ := signedImage(t, true, signing.Bundle)
		var pages atomic.Int64
		referrersAnswer(reg, func(w http.ResponseWriter, _ *http.Request, _ ocispec.Index) {
			w.Header().Set("Link", fmt.Sprintf(`<?page=%d>; rel="next"`, pages.Add(1)))
			writeIndex(w, ocispec.Index{})
		})
		_, err := c.Verify(t.Context(), reg.ref("app:v1"), verifier)
		wantFamily(t, err, verify.ErrRejected)
		if !errors.Is(err, verify.ErrLimit) && !strings.Contains(err.Error(), "limit exceeded") {
			t.Errorf("error is %v, want the limit", err)
		}
	})
	t.Run("the next page is on another host", func(t *testing.T) {
		t.Parallel()
		reg, c, verifier, _ := signedImage(t, true, signing.Bundle)
		other := newTestRegistry(t, true)
		referrersAnswer(reg, func(w http.ResponseWriter, r *http.Request, _ ocispec.Index) {
			w.Header().Set("Link", `<`+other.url+r.URL.Path+`>; rel="next"`)
			writeIndex(w, ocispec.Index{})
		})
		_, err := c.Verify(t.Context(), reg.ref("app:v1"), verifier)
		wantFamily(t, err, verify.ErrRejected)
		if got := other.recorded(); len(got) > 0 {
			t.Errorf("the other host was asked: %q", got)
		}
	})
}

func TestOddReferrers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		alter func(*ocispec.Index)
		ok    bool
	}{
		{"cosign v2's artifact type", func(x *ocispec.Index) { x.Manifests[0].ArtifactType = ocispec.MediaTypeEmptyJSON }, true},
		{"no artifact type", func(x *ocispec.Index) { x.Manifests[0].ArtifactType = "" }, true},
		{"an attestation beside the signature", func(x *ocispec.Index) {
			other := x.Manifests[0]
			other.Digest = digest.FromString("attestation")
			other.Annotations = map[string]string{"dev.sigstore.bundle.predicateType": "https://slsa.dev/provenance/v1"}
			x.Manifests = append([]ocispec.Descriptor{other}, x.Manifests...)
		}, true},
		{"junk beside the signature", func(x *ocispec.Index) {
			for i := range 50 {
				other := x.Manifests[0]
				other.Digest = digest.FromString(fmt.Sprint(i))
				x.Manifests = append([]ocispec.Descriptor{other}, x.Manifests...)
			}
		}, true},
		{"a digest that is none", func(x *ocispec.Index) { x.Manifests[0].Digest = "../../etc/passwd" }, false},
		{"another digest algorithm", func(x *ocispec.Index) { x.Manifests[0].Digest = digest.SHA512.FromString("x") }, false},
		{"a negative size", func(x *ocispec.Index) { x.Manifests[0].Size = -1 }, false},
		{"a huge size", func(x *ocispec.Index) { x.Manifests[0].Size = 1 << 60 }, false},
		{"a wrong size", func(x *ocispec.Index) { x.Manifests[0].Size++ }, false},
		{"the same one many times", func(x *ocispec.Index) {
			for range 3000 {
				x.Manifests = append(x.Manifests, x.Manifests[0])
			}
		}, true},
		{"more junk than is looked at before the signature", func(x *ocispec.Index) {
			for i := range 3000 {
				other := x.Manifests[0]
				other.Digest, other.Size = digest.FromString(fmt.Sprint(i)), 1<<40
				x.Manifests = append([]ocispec.Descriptor{other}, x.Manifests...)
			}
		}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			reg, c, verifier, _ := signedImage(t, true, signing.Bundle)
			referrersAnswer(reg, func(w http.ResponseWriter, _ *http.Request, index ocispec.Index) {
				test.alter(&index)
				writeIndex(w, index)
			})
			_, err := c.Verify(t.Context(), reg.ref("app:v1"), verifier)
			if test.ok {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantFamily(t, err, verify.ErrRejected)
		})
	}
}

// TestURLsOfDescriptorsAreNotFollowed: a descriptor in a manifest may carry
// URLs, and a registry must not choose who else is asked.
func TestURLsOfDescriptorsAreNotFollowed(t *testing.T) {
	t.Parallel()
	reg, c, verifier, _ := signedImage(t, true, signing.Bundle)
	other := newTestRegistry(t, true)
	referrersAnswer(reg, func(w http.ResponseWriter, _ *http.Request, index ocispec.Index) {
		index.Manifests[0].URLs = []string{other.url + "/stolen"}
		writeIndex(w, index)
	})
	if _, err := c.Verify(t.Context(), reg.ref("app:v1"), verifier); err != nil {
		t.Fatal(err)
	}
	if got := other.recorded(); len(got) > 0 {
		t.Errorf("the other host was asked: %q", got)
	}
}

func TestErrorsShowNoSecretsOfURLs(t *testing.T) {
	t.Parallel()
	reg, c, verifier, _ := signedImage(t, true, signing.Bundle)
	reg.onRequest(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		switch {
		case r.URL.Path == "/store":
			w.WriteHeader(http.StatusForbidden)
		case lookUps["signature blobs"](r):
			http.Redirect(w, r, "/store?X-Amz-Signature=topsecret", http.StatusTemporaryRedirect)
		default:
			next.ServeHTTP(w, r)
		}
	})
	_, err := c.Verify(t.Context(), reg.ref("app:v1"), verifier)
	wantFamily(t, err, verify.ErrInconclusive)
	if strings.Contains(err.Error(), "topsecret") {
		t.Errorf("the error shows the signature of a URL: %v", err)
	}
}

func TestReferencesThatAreNone(t *testing.T) {
	t.Parallel()
	c := newClient(t, registry.Config{})
	verifier, signer := verifierOf(t, newKey(t)), signerOf(t, newKey(t))
	for _, ref := range []string{"", "host/UPPER", "host/app:", "host/app@sha256:short", "http://host/app", "host/app:tag\n", strings.Repeat("a", 5000)} {
		_, err := c.Verify(t.Context(), ref, verifier)
		wantFamily(t, err, verify.ErrMisconfigured)
		_, err = c.Sign(t.Context(), ref, signer)
		wantFamily(t, err, verify.ErrMisconfigured)
	}
}
