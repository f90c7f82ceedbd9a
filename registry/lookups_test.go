// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// This file breaks one look-up of a verification at a time, in each way in which
// a registry can.

// brokenAnswer is an answer that is none, or a bad one.
type brokenAnswer struct {
	name string
	// answer gives it; elsewhere is another server, and good what the registry
	// would have answered.
	answer func(w http.ResponseWriter, r *http.Request, good http.Handler, elsewhere *httptest.Server)
	// content is whether it counts as an answer, and a bad one: of a list, and of
	// what has a digest.
	content struct{ list, digested bool }
	// most is how often the look-up is asked for again.
	most int
}

func statusOnly(status int, header ...string) func(http.ResponseWriter, *http.Request, http.Handler, *httptest.Server) {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler, _ *httptest.Server) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
	}
}

func okWith(mediaType, body string) func(http.ResponseWriter, *http.Request, http.Handler, *httptest.Server) {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler, _ *httptest.Server) {
		w.Header().Set("Content-Type", mediaType)
		_, _ = io.WriteString(w, body)
	}
}

// redirectTo sends the client to another server, which answers path.
func redirectTo(path string) func(http.ResponseWriter, *http.Request, http.Handler, *httptest.Server) {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler, elsewhere *httptest.Server) {
		http.Redirect(w, r, elsewhere.URL+path, http.StatusTemporaryRedirect)
	}
}

func brokenAnswers() []brokenAnswer {
	all := []brokenAnswer{
		{name: "429", answer: statusOnly(429)},
		{name: "429, at once", answer: statusOnly(429, "Retry-After", "0")},
		{name: "429, after 5 seconds", answer: statusOnly(429, "Retry-After", "5")},
		{name: "429, after an hour", answer: statusOnly(429, "Retry-After", "3600")},
		{name: "500", answer: statusOnly(500)},
		{name: "503", answer: statusOnly(503, "Retry-After", "3600")},
		{name: "401", answer: statusOnly(401)},
		{name: "401 with a challenge", answer: statusOnly(401, "WWW-Authenticate", `Basic realm="x"`)},
		{name: "403", answer: statusOnly(403)},
		{name: "the connection is reset", answer: func(http.ResponseWriter, *http.Request, http.Handler, *httptest.Server) {
			panic(http.ErrAbortHandler)
		}},
		{name: "a body that breaks off", answer: func(w http.ResponseWriter, r *http.Request, good http.Handler, _ *httptest.Server) {
			rec := newRecorder()
			good.ServeHTTP(rec, r)
			for k, v := range rec.header {
				w.Header()[k] = v
			}
			w.Header().Set("Content-Length", fmt.Sprint(rec.body.Len()))
			_, _ = w.Write(rec.body.Bytes()[:rec.body.Len()/2])
			panic(http.ErrAbortHandler)
		}},
		{name: "garbage in the place of JSON", answer: okWith(ocispec.MediaTypeImageIndex, "<html>garbage</html>")},
		{name: "a page of another type", answer: okWith("text/html", "<html>log in</html>")},
		{name: "a body without end", answer: func(w http.ResponseWriter, _ *http.Request, _ http.Handler, _ *httptest.Server) {
			w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
			sendUpTo(w, []byte(strings.Repeat(" ", 1<<16)), 64<<20)
		}},
		{name: "a redirect to what refuses", answer: redirectTo("/403")},
		{name: "a redirect to what has nothing", answer: redirectTo("/404")},
		{name: "a redirect to garbage", answer: redirectTo("/garbage")},
		{name: "a redirect to itself", answer: func(w http.ResponseWriter, r *http.Request, _ http.Handler, _ *httptest.Server) {
			http.Redirect(w, r, r.URL.RequestURI(), http.StatusFound)
		}},
	}
	for i := range all {
		b := &all[i]
		switch b.name {
		case "garbage in the place of JSON", "a body without end":
			b.content.list, b.content.digested = true, true
		case "a page of another type":
			b.content.digested = true
		case "a redirect to garbage", "a redirect to what has nothing":
			b.content.digested = true // blob stores are elsewhere
		}
		b.most = 12 // five attempts of containerd's, those of net/http, or ten redirects
	}
	return all
}

// otherServer is where redirects lead to.
func otherServer(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/403":
			w.WriteHeader(http.StatusForbidden)
		case "/404":
			w.WriteHeader(http.StatusNotFound)
		default:
			_, _ = io.WriteString(w, "garbage")
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// lookUp is one look-up of a verification.
type lookUp struct {
	name string
	// place is what is read by it.
	place junkPlace
	// other is where the good signature is when it is somewhere else.
	other junkPlace
	// matches finds its request, that for a blob by the last layer there.
	matches func(b *brokenRegistry, repo string, r *http.Request) bool
	// digested is whether what it reads has a digest already.
	digested bool
	// before is how many referrers are listed before the good one.
	before int
}

func pathIs(r *http.Request, repo, kind, name string) bool {
	return r.URL.Path == "/v2/"+repo+"/"+kind+"/"+name
}

var brokenLookUps = []lookUp{
	{
		name: "the first page of the referrers API", place: junkPlaces[0], other: junkPlaces[6],
		matches: func(j *brokenRegistry, repo string, r *http.Request) bool {
			return pathIs(r, repo, "referrers", j.image.Target.Digest.String()) && r.URL.RawQuery == ""
		},
	},
	{
		name: "a later page of the referrers API", place: referrerPages(2), other: junkPlaces[6], before: 3,
		matches: func(j *brokenRegistry, repo string, r *http.Request) bool {
			return pathIs(r, repo, "referrers", j.image.Target.Digest.String()) && r.URL.RawQuery != ""
		},
	},
	{
		name: "the referrers tag", place: junkPlaces[3], other: junkPlaces[6],
		matches: func(j *brokenRegistry, repo string, r *http.Request) bool {
			return pathIs(r, repo, "manifests", tagOf(j.image.Target.Digest))
		},
	},
	{
		name: "the signature tag", place: junkPlaces[6], other: junkPlaces[0],
		matches: func(j *brokenRegistry, repo string, r *http.Request) bool {
			return pathIs(r, repo, "manifests", signatureTagOf(j.image.Target))
		},
	},
	{
		name: "the manifest of a referrer", place: junkPlaces[0], other: junkPlaces[6], digested: true,
		matches: func(j *brokenRegistry, repo string, r *http.Request) bool {
			list := j.referrers[repo]
			return len(list) > 0 && pathIs(r, repo, "manifests", list[len(list)-1].Digest.String())
		},
	},
	{
		name: "the blob of a bundle", place: junkPlaces[0], other: junkPlaces[6], digested: true,
		matches: func(j *brokenRegistry, repo string, r *http.Request) bool {
			return pathIs(r, repo, "blobs", j.last.layer.Digest.String())
		},
	},
	{
		name: "the blob of a payload", place: junkPlaces[6], other: junkPlaces[0], digested: true,
		matches: func(j *brokenRegistry, repo string, r *http.Request) bool {
			return pathIs(r, repo, "blobs", j.last.layer.Digest.String())
		},
	},
}

// brokenRegistry is an image with signatures in one repository and one look-up
// that is broken. Good signatures that are not behind it are in another form, in
// the repository elsewhere.
type brokenRegistry struct {
	*junkTest
	client *registry.Client
	last   piece

	mu    sync.Mutex
	asked int
}

// breakLookUp breaks l in repo, with the good signature behind it, or else in the
// other form in the repository elsewhere.
func breakLookUp(t *testing.T, l lookUp, repo, elsewhere string, behind bool, answer func(http.ResponseWriter, *http.Request, http.Handler)) *brokenRegistry {
	t.Helper()
	b := &brokenRegistry{junkTest: newJunkTest(t)}
	pieces := junkOf(l.place.form, l.before, otherKey)
	if behind {
		pieces = append(pieces, goodPiece(l.place.form))
	} else {
		pieces = append(pieces, junkOf(l.place.form, 1, otherKey)...)
	}
	b.last = pieces[len(pieces)-1]
	l.place.fill(b.shelf, repo, b.image.Target, pieces)
	if !behind {
		pages := b.pageSize
		other := l.other
		if elsewhere != repo {
			other = l.place // the same, of the other repository
		}
		other.fill(b.shelf, elsewhere, b.image.Target, []piece{goodPiece(other.form)})
		b.pageSize = pages
	}
	b.client = newClient(t, registry.Config{SignatureRepository: b.reg.ref("signatures")})
	b.reg.onRequest(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		if !l.matches(b, repo, r) {
			b.ServeHTTP(w, r)
			return
		}
		b.mu.Lock()
		b.asked++
		b.mu.Unlock()
		answer(w, r, b.shelf)
	})
	return b
}

func (b *brokenRegistry) times() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.asked
}

func (b *brokenRegistry) verifyAll(ctx context.Context, t *testing.T, opts ...registry.VerifyOption) (*verify.Result, error) {
	t.Helper()
	return b.client.VerifyImage(ctx, b.image, junkVerifier(t, verify.Limits{}), opts...)
}

// TestOneBrokenLookUp: a look-up that fails hides nothing that is elsewhere, and
// what is behind it is unknown, and never "not there".
func TestOneBrokenLookUp(t *testing.T) {
	t.Parallel()
	elsewhere := otherServer(t)
	for _, l := range brokenLookUps {
		for _, repo := range []string{"app", "signatures"} {
			for _, broken := range brokenAnswers() {
				t.Run(fmt.Sprintf("%s in %s: %s", l.name, repo, broken.name), func(t *testing.T) {
					t.Parallel()
					answer := func(w http.ResponseWriter, r *http.Request, good http.Handler) { broken.answer(w, r, good, elsewhere) }
					for _, in := range []string{"app", "signatures"} {
						b := breakLookUp(t, l, repo, in, false, answer)
						result, err := b.verifyAll(t.Context(), t)
						if err != nil || !result.Accepted {
							t.Errorf("with a good signature elsewhere in %s: %v", in, err)
						}
						if n := len(b.reg.recorded()); n > 20+broken.most {
							t.Errorf("%d requests", n)
						}
					}
					if broken.name == "429, after 5 seconds" {
						return // which it would wait for
					}
					b := breakLookUp(t, l, repo, "", true, answer)
					result, err := b.verifyAll(t.Context(), t)
					wantUnknown(t, l, broken, result, err)
					if n := b.times(); n == 0 || n > broken.most {
						t.Errorf("asked for %d times", n)
					}
				})
			}
		}
	}
}

// wantUnknown checks the outcome where the good signature is behind what is
// broken.
func wantUnknown(t *testing.T, l lookUp, broken brokenAnswer, result *verify.Result, err error) {
	t.Helper()
	if err == nil {
		t.Errorf("accepted: %+v", result)
		return
	}
	if strings.Contains(err.Error(), "no signatures found") {
		t.Errorf("a look-up that failed was read as none: %v", err)
		return
	}
	family, bad := verify.ErrInconclusive, broken.content.list
	if l.digested {
		bad = broken.content.digested
	}
	if bad || broken.name == "a page of another type" && strings.HasSuffix(l.name, "tag") {
		family = verify.ErrRejected // what arrived is an answer, and a bad one
	}
	wantFamily(t, err, family)
}

// TestHungLookUpElsewhere: what hangs does not keep back a good signature that is
// elsewhere, and is not waited for once the image is accepted.
func TestHungLookUpElsewhere(t *testing.T) {
	t.Parallel()
	for _, l := range brokenLookUps {
		for _, repo := range []string{"app", "signatures"} {
			for _, in := range []string{"app", "signatures"} {
				for _, half := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s in %s, the signature in %s, half an answer: %v", l.name, repo, in, half), func(t *testing.T) {
						t.Parallel()
						given := make(chan struct{}, 64)
						b := breakLookUp(t, l, repo, in, false, hanging(half, nil, given))
						ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
						defer cancel()
						err := returns(t, func() error {
							_, err := b.verifyAll(ctx, t)
							return err
						})
						if err != nil {
							t.Error(err)
						}
						if n := b.times(); n > 1 {
							t.Errorf("asked for %d times", n)
						}
						for range b.times() {
							<-given // or the test hangs: each was given up
						}
					})
				}
			}
		}
	}
}

// hanging answers nothing, or half, until the client has given up. begun and given
// are told, if they are there.
func hanging(half bool, begun, given chan<- struct{}) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		if half {
			w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
			w.Header().Set("Content-Length", "100000")
			_, _ = io.WriteString(w, `{"manifests":[`)
			_ = http.NewResponseController(w).Flush()
		}
		if begun != nil {
			begun <- struct{}{}
		}
		<-r.Context().Done()
		if given != nil {
			given <- struct{}{}
		}
	}
}

// TestHungLookUpInTheWay: where the good signature is behind what hangs, the
// context ends it.
func TestHungLookUpInTheWay(t *testing.T) {
	t.Parallel()
	for _, l := range brokenLookUps {
		for _, repo := range []string{"app", "signatures"} {
			for _, half := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s in %s, half an answer: %v", l.name, repo, half), func(t *testing.T) {
					t.Parallel()
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					begun := make(chan struct{}, 64)
					b := breakLookUp(t, l, repo, "", true, hanging(half, begun, nil))
					go func() { <-begun; cancel() }()
					err := returns(t, func() error {
						_, err := b.verifyAll(ctx, t)
						return err
					})
					wantFamily(t, err, verify.ErrInconclusive)
					if !errors.Is(err, context.Canceled) {
						t.Errorf("error is %v, want the context's", err)
					}
				})
			}
		}
	}
}

// TestHungReferrerAmongOthers: one referrer that hangs does not keep back one
// that is listed after it, whichever of them it is.
func TestHungReferrerAmongOthers(t *testing.T) {
	t.Parallel()
	const n = 24
	for _, what := range []string{"manifests", "blobs"} {
		for at := range n {
			t.Run(fmt.Sprintf("%s %d", what, at), func(t *testing.T) {
				t.Parallel()
				j := newJunkTest(t)
				junkPlaces[0].fill(j.shelf, "app", j.image.Target, append(junkOf(signing.Bundle, n, otherKey), goodPiece(signing.Bundle)))
				hung := j.referrers["app"][at].Digest
				if what == "blobs" {
					hung = layerOf(t, j, hung)
				}
				j.reg.onRequest(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
					if strings.HasSuffix(r.URL.Path, "/"+hung.String()) {
						<-r.Context().Done()
						return
					}
					j.ServeHTTP(w, r)
				})
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // which only ends what hangs
				defer cancel()
				if _, err := newClient(t, registry.Config{}).VerifyImage(ctx, j.image, junkVerifier(t, verify.Limits{})); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// layerOf is the digest of the one layer of a manifest.
func layerOf(t *testing.T, j *junkTest, manifest digest.Digest) digest.Digest {
	t.Helper()
	for d := range strings.SplitSeq(string(j.manifests["app/"+manifest.String()].data), `"digest":"`) {
		name, _, _ := strings.Cut(d, `"`)
		if j.blobs["app/"+name] != nil {
			return digest.Digest(name)
		}
	}
	t.Fatalf("%s has no layer", manifest)
	return ""
}

// TestLaterPageThatIsNone: a list that goes on where nothing is, is not complete,
// and does not mean that there is no list.
func TestLaterPageThatIsNone(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 404, 405, 406, 501} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			b := breakLookUp(t, brokenLookUps[1], "app", "", true, func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { refuse(w, status, "UNSUPPORTED") })
			_, err := b.verifyAll(t.Context(), t)
			wantFamily(t, err, verify.ErrInconclusive)
			b.open(b.reg)
			if _, err := b.verifyAll(t.Context(), t); err != nil {
				t.Errorf("the client has forgotten that there is a list: %v", err)
			}
		})
	}
}

// TestPagesInACircle: a list that goes on where it began ends soon.
func TestPagesInACircle(t *testing.T) {
	t.Parallel()
	for _, pages := range []int{1, 2, 5} {
		t.Run(fmt.Sprint(pages), func(t *testing.T) {
			t.Parallel()
			j := newJunkTest(t)
			junkPlaces[6].fill(j.shelf, "app", j.image.Target, junkOf(signing.Legacy, 1, otherKey))
			var n atomic.Int64
			j.reg.onRequest(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
				if !lookUps["referrers API"](r) {
					j.ServeHTTP(w, r)
					return
				}
				w.Header().Set("Link", fmt.Sprintf(`<%s?page=%d>; rel="next"`, r.URL.Path, int(n.Add(1))%pages))
				writeIndex(w, ocispec.Index{})
			})
			_, err := j.verify(t, verify.Limits{}, registry.Config{})
			wantFamily(t, err, verify.ErrRejected)
			if got := n.Load(); got > int64(pages)+1 {
				t.Errorf("%d requests for a list of %d pages", got, pages)
			}
		})
	}
}

// TestReferrersOfAnotherType: a list with another media type is no list, whatever
// is in it; nor is it taken for none.
func TestReferrersOfAnotherType(t *testing.T) {
	t.Parallel()
	for _, mediaType := range []string{"", "text/html", "application/json", ocispec.MediaTypeImageManifest, "text/html; charset=utf-8"} {
		t.Run(fmt.Sprintf("%q", mediaType), func(t *testing.T) {
			t.Parallel()
			b := breakLookUp(t, brokenLookUps[0], "app", "", true, func(w http.ResponseWriter, r *http.Request, good http.Handler) {
				rec := newRecorder()
				good.ServeHTTP(rec, r)
				w.Header()["Content-Type"] = []string{mediaType}
				_, _ = w.Write(rec.body.Bytes())
			})
			_, err := b.verifyAll(t.Context(), t)
			wantFamily(t, err, verify.ErrInconclusive)
		})
	}
}

// countReferrers counts requests for the referrers API.
func countReferrers(requests []string) (n int) {
	for _, r := range requests {
		if strings.Contains(r, "/referrers/") {
			n++
		}
	}
	return n
}

// severalImages fills in n images of repositories app0 and so on, each with a
// signature, and returns them.
func severalImages(j *junkTest, place junkPlace, n int, repo func(int) string) (images []verify.Image) {
	for i := range n {
		b := manifestOf(nil, "", i+1)
		desc := j.putManifest(repo(i), ocispec.MediaTypeImageManifest, b)
		p := signatureOf(place.form, theJunkKeys().right, desc.Digest, i)
		p.number = 1
		place.fill(j.shelf, repo(i), desc, []piece{p})
		images = append(images, verify.Image{Name: j.reg.ref(repo(i) + ":v1"), Target: desc})
	}
	return images
}

// TestMissingAPIIsAskedForOnce: that a registry does not have the referrers API is
// found out once in the life of a client, and not for each image.
func TestMissingAPIIsAskedForOnce(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"as the specification has it": func(w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusNotFound, "UNSUPPORTED") },
		"404 and a page":              func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "404 page not found", http.StatusNotFound) },
		"405":                         func(w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusMethodNotAllowed, "UNSUPPORTED") },
		"501":                         func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotImplemented) },
	} {
		for where, repo := range map[string]func(int) string{
			"of one repository":     func(int) string { return "app" },
			"of five repositories":  func(i int) string { return fmt.Sprint("app", i) },
			"beside one repository": nil,
		} {
			t.Run(name+", images "+where, func(t *testing.T) {
				t.Parallel()
				j := newJunkTest(t)
				config := registry.Config{}
				if repo == nil {
					config.SignatureRepository = j.reg.ref("signatures")
					repo = func(int) string { return "app" }
				}
				images := severalImages(j, junkPlaces[3], 5, repo)
				j.reg.onRequest(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
					if lookUps["referrers API"](r) {
						answer(w, r)
						return
					}
					j.ServeHTTP(w, r)
				})
				c := newClient(t, config)
				for i := range 20 {
					// All there is, so that the answer is waited for.
					_, err := c.VerifyImage(t.Context(), images[i%5], junkVerifier(t, verify.Limits{}), registry.WithEverySignature())
					if err != nil {
						t.Fatal(err)
					}
				}
				most := 1
				if config.SignatureRepository != "" {
					most = 2 // at the same time
				}
				if n := countReferrers(j.reg.recorded()); n < 1 || n > most {
					t.Errorf("asked for %d times in 20 verifications, want %d", n, most)
				}
				if n := countReferrers(j.reg.recorded()[len(j.reg.recorded())/2:]); n != 0 {
					t.Errorf("asked for %d times again", n)
				}
			})
		}
	}
}

// TestUnknownRepositoryIsNotAMissingAPI: what a registry says about one repository
// or image does not make a client forget that it has the referrers API.
func TestUnknownRepositoryIsNotAMissingAPI(t *testing.T) {
	t.Parallel()
	for _, refusal := range []struct {
		status int
		code   string
	}{
		{404, "NAME_UNKNOWN"}, {404, "MANIFEST_UNKNOWN"}, {404, "NOT_FOUND"}, {404, "REPOSITORY_NOT_FOUND"}, {404, "UNKNOWN"}, {404, ""},
		{400, "NAME_INVALID"}, {400, "DIGEST_INVALID"}, {400, "MANIFEST_INVALID"}, {400, "MANIFEST_UNKNOWN"}, {400, "BAD_REQUEST"},
		{401, "UNAUTHORIZED"}, {403, "DENIED"}, {429, "TOOMANYREQUESTS"}, {500, "UNKNOWN"},
	} {
		t.Run(fmt.Sprintf("%d %s", refusal.status, refusal.code), func(t *testing.T) {
			t.Parallel()
			j := newJunkTest(t)
			images := severalImages(j, junkPlaces[0], 2, func(i int) string { return fmt.Sprint("app", i) })
			j.reg.onRequest(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
				if strings.HasPrefix(r.URL.Path, "/v2/app0/referrers/") {
					refuse(w, refusal.status, refusal.code)
					return
				}
				j.ServeHTTP(w, r)
			})
			c := newClient(t, registry.Config{})
			for range 3 {
				_, err := c.VerifyImage(t.Context(), images[0], junkVerifier(t, verify.Limits{}))
				if err == nil {
					t.Fatal("accepted without the list of its signatures")
				}
				if refusal.status != 404 && refusal.status != 400 {
					wantFamily(t, err, verify.ErrInconclusive)
				}
				if _, err := c.VerifyImage(t.Context(), images[1], junkVerifier(t, verify.Limits{})); err != nil {
					t.Fatalf("the client has forgotten that there is a list for another repository: %v", err)
				}
			}
		})
	}
}

// TestEnoughIsEnough: where the first signature is good, most of the others are
// not asked for.
func TestEnoughIsEnough(t *testing.T) {
	t.Parallel()
	for _, place := range junkPlaces {
		t.Run(place.name, func(t *testing.T) {
			t.Parallel()
			j := newJunkTest(t)
			pieces := slices.Concat([]piece{goodPiece(place.form)}, junkOf(place.form, 1000, otherKey))
			place.fill(j.shelf, "app", j.image.Target, pieces)
			// The others are not there before it is.
			first, answered := pieces[0].layer.Digest.String(), make(chan struct{})
			answer := sync.OnceFunc(func() { close(answered) })
			j.reg.onRequest(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
				if path.Base(r.URL.Path) == first {
					defer answer()
				} else if strings.Contains(r.URL.Path, "/blobs/") {
					select {
					case <-answered:
					case <-r.Context().Done():
						return
					}
				}
				j.ServeHTTP(w, r)
			})
			result, err := j.verify(t, verify.Limits{}, registry.Config{})
			wantAcceptedAmong(t, result, err)
			// Some are fetched while it is verified, eight at a time.
			if n := len(j.reg.recorded()); n > len(pieces)/2 {
				t.Errorf("%d requests for an image of which the first of %d signatures is good", n, len(pieces))
			}
			j.open(j.reg)
			result, err = j.verify(t, verify.Limits{}, registry.Config{}, registry.WithEverySignature())
			if err != nil || len(result.Signatures) != len(pieces) {
				t.Errorf("with every signature: %v", err)
			}
		})
	}
}
