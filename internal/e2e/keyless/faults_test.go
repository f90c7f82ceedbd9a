// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/pkg/namespaces"

	"github.com/cosignkit/cosignkit/internal/embedded"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/internal/testimage"
	"github.com/cosignkit/cosignkit/keyless"
	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/registry/hooks"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// service is one of those that a signature needs. It is put behind a proxy, at
// which things go wrong.
type service struct {
	address func() string
	place   func(urls *keyless.ServiceURLs, address string)
	// named is how errors call it.
	named string
}

var faulty = map[string]service{
	"Fulcio": {
		func() string { return stack.Fulcio },
		func(u *keyless.ServiceURLs, address string) { u.Fulcio = address }, "request certificate",
	},
	"Rekor v1": {
		func() string { return stack.Rekor },
		func(u *keyless.ServiceURLs, address string) { u.Rekor = address }, "transparency log",
	},
	"Rekor v2": {
		func() string { return stack.RekorV2 },
		func(u *keyless.ServiceURLs, address string) { u.Rekor, u.RekorVersion = address, 2 }, "transparency log",
	},
	"timestamp authority": {
		func() string { return stack.Timestamp },
		func(u *keyless.ServiceURLs, address string) { u.Timestamp = address }, "timestamp authority",
	},
}

// fault answers a request in the place of a service, or lets it pass.
type fault struct {
	// answer returns false to let the request, the n-th one, pass.
	answer func(w http.ResponseWriter, r *http.Request, n int64) bool
	// family of the error; nil if there is none.
	family error
	// requests is how many there are.
	requests int64
	// hangs is whether there is no more then, until the client gives up.
	hangs bool
}

// given is f with cancel called when it hangs, so that however long it took until
// then, there is no more to wait for.
func (f fault) given(up func()) fault {
	answer := f.answer
	f.answer = func(w http.ResponseWriter, r *http.Request, n int64) bool {
		if !answer(w, r, n) {
			return false
		}
		if f.hangs {
			up()
			gone(r)
		}
		return true
	}
	return f
}

func status(code int) func(http.ResponseWriter, *http.Request, int64) bool {
	return says(code, "no")
}

func says(code int, body string) func(http.ResponseWriter, *http.Request, int64) bool {
	return func(w http.ResponseWriter, _ *http.Request, _ int64) bool {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
		return true
	}
}

// busy says when to come back, as often as times.
func busy(retryAfter func() string, times int64) func(http.ResponseWriter, *http.Request, int64) bool {
	return func(w http.ResponseWriter, _ *http.Request, n int64) bool {
		if n > times {
			return false
		}
		w.Header().Set("Retry-After", retryAfter())
		w.WriteHeader(http.StatusTooManyRequests)
		return true
	}
}

// gone waits until the client is. A server notices it once it has read the body.
func gone(r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

func text(s string) func() string { return func() string { return s } }

const (
	always  = int64(1 << 40)
	retried = int64(limits.ServiceAttempts)
)

var faults = map[string]fault{
	"hangs": {func(http.ResponseWriter, *http.Request, int64) bool { return true }, verify.ErrInconclusive, 1, true},
	"stalls in the answer": {func(w http.ResponseWriter, _ *http.Request, _ int64) bool {
		w.WriteHeader(http.StatusOK)
		_, _ = io.WriteString(w, "{")
		_ = http.NewResponseController(w).Flush()
		return true
	}, verify.ErrInconclusive, 1, true},
	"is endless": {func(w http.ResponseWriter, _ *http.Request, _ int64) bool {
		for {
			if _, err := w.Write(bytes.Repeat([]byte(" "), 1<<16)); err != nil {
				return true
			}
		}
	}, verify.ErrInconclusive, 1, false},
	"is busy, once":             {busy(text("1"), 1), nil, 2, false},
	"is busy, until a date":     {busy(func() string { return time.Now().Add(time.Second).UTC().Format(http.TimeFormat) }, 1), nil, 2, false},
	"is busy beyond the budget": {busy(text("3600"), always), verify.ErrInconclusive, 1, false},
	"fails twice": {func(w http.ResponseWriter, r *http.Request, n int64) bool {
		return n <= 2 && status(http.StatusServiceUnavailable)(w, r, n)
	}, nil, 3, false},
	"fails":        {status(http.StatusInternalServerError), verify.ErrInconclusive, retried, false},
	"forbids":      {status(http.StatusForbidden), verify.ErrMisconfigured, 1, false},
	"is not there": {status(http.StatusNotFound), verify.ErrMisconfigured, 1, false},
	"redirects": {func(w http.ResponseWriter, r *http.Request, _ int64) bool {
		http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusTemporaryRedirect)
		return true
	}, verify.ErrInconclusive, 1, false},
	"says HTML":          {says(http.StatusCreated, "<html>\x1b[2J</html>"), verify.ErrInconclusive, 1, false},
	"says nothing":       {says(http.StatusCreated, ""), verify.ErrInconclusive, 1, false},
	"says null":          {says(http.StatusCreated, "null"), verify.ErrInconclusive, 1, false},
	"says little":        {says(http.StatusCreated, "{}"), verify.ErrInconclusive, 1, false},
	"says half":          {says(http.StatusCreated, `{"logIndex":`), verify.ErrInconclusive, 1, false},
	"says what it isn't": {says(http.StatusCreated, `{"logIndex":[],"signedCertificateEmbeddedSct":7}`), verify.ErrInconclusive, 1, false},
}

// proxy is in front of a service.
func proxy(t *testing.T, f fault, to string) (address string, requests *atomic.Int64) {
	t.Helper()
	target := must(url.Parse(to))
	base := *target
	base.Path = ""
	forward := httputil.NewSingleHostReverseProxy(&base)
	requests = &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// That a client is gone, a server notices once it has read the request.
		r.Body = io.NopCloser(bytes.NewReader(must(io.ReadAll(r.Body))))
		if !f.answer(w, r, requests.Add(1)) {
			forward.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL + target.Path, requests
}

// around is a client of the services, of which s is at address.
func around(t *testing.T, s service, address string, budget time.Duration) *keyless.Client {
	t.Helper()
	urls := keyless.ServiceURLs{Fulcio: stack.Fulcio, Rekor: stack.Rekor, Timestamp: stack.Timestamp}
	s.place(&urls, address)
	// A transport of its own, so that no connection outlives the proxy.
	transport := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(transport.CloseIdleConnections)
	return newClient(t, keyless.Config{SigningConfig: must(keyless.NewSigningConfig(urls)), Transport: transport, Budget: budget})
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for name, s := range faulty {
		for what, f := range faults {
			t.Run(name+" "+what, func(t *testing.T) {
				t.Parallel()
				ctx, cancel := context.WithCancel(limited(t))
				defer cancel()
				address, requests := proxy(t, f.given(cancel), s.address())
				token := mint(t, url.Values{"email": {"fault@example.com"}})
				signer := newSigner(t, around(t, s, address, 0), keyless.StaticToken(token))
				signatures, err := signer.Sign(ctx, request(t.Name(), signing.Bundle))
				if got := requests.Load(); got != f.requests {
					t.Errorf("%d requests, want %d", got, f.requests)
				}
				if f.family == nil {
					if err != nil {
						t.Fatal(err)
					}
					verifies(t, person("fault@example.com"), t.Name(), signatures)
					return
				}
				wantFault(t, err, f.family, s.named, token)
				if len(signatures) > 0 {
					t.Error("signatures beside an error")
				}
			})
		}
	}
}

// wantFault wants an error of one family that names the service and has neither
// the token nor what a terminal would obey.
func wantFault(t *testing.T, err, family error, named, token string) {
	t.Helper()
	for _, other := range []error{verify.ErrRejected, verify.ErrInconclusive, verify.ErrMisconfigured} {
		if errors.Is(err, other) != (other == family) {
			t.Errorf("errors.Is(err, %v) is %t", other, other != family)
		}
	}
	if message := fmt.Sprint(err); !strings.Contains(message, named) && !strings.Contains(message, "check of what was recorded") || strings.Contains(message, token) || strings.ContainsAny(message, "\x1b\n") {
		t.Errorf("error is %q, want one that names the %s", message, named)
	}
}

func TestServiceDown(t *testing.T) {
	t.Parallel()
	for name, s := range faulty {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			token := mint(t, url.Values{})
			address := unused + must(url.Parse(s.address())).Path
			signer := newSigner(t, around(t, s, address, 0), keyless.StaticToken(token))
			_, err := signer.Sign(limited(t), request(t.Name(), signing.Bundle))
			wantFault(t, err, verify.ErrInconclusive, s.named, token)
		})
	}
}

// TestCancelWhileAServiceHangs: the error is the context's.
func TestCancelWhileAServiceHangs(t *testing.T) {
	t.Parallel()
	for name, s := range faulty {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(limited(t))
			defer cancel()
			address, _ := proxy(t, faults["hangs"].given(cancel), s.address())
			signer := newSigner(t, around(t, s, address, 0), keyless.StaticToken(mint(t, url.Values{})))
			if _, err := signer.Sign(ctx, request(t.Name(), signing.Bundle)); !errors.Is(err, context.Canceled) || !errors.Is(err, verify.ErrInconclusive) {
				t.Error(err)
			}
		})
	}
}

// TestBudgetWhileAServiceHangs: the services that are asked before may use up the
// budget on a machine that is busy.
func TestBudgetWhileAServiceHangs(t *testing.T) {
	t.Parallel()
	for name, s := range faulty {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, requests := proxy(t, faults["hangs"].given(func() {}), s.address())
			token := mint(t, url.Values{})
			signer := newSigner(t, around(t, s, address, time.Second), keyless.StaticToken(token))
			ctx := limited(t)
			signatures, err := signer.Sign(ctx, request(t.Name(), signing.Bundle))
			wantFault(t, err, verify.ErrInconclusive, "", token)
			if ctx.Err() != nil || len(signatures) > 0 || requests.Load() > 1 {
				t.Errorf("%v, %d signatures, %d requests: %v", ctx.Err(), len(signatures), requests.Load(), err)
			}
		})
	}
}

// TestReplays: a true answer, to another request.
func TestReplays(t *testing.T) {
	t.Parallel()
	for name, s := range faulty {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var first *reply
			f := fault{answer: func(w http.ResponseWriter, r *http.Request, n int64) bool {
				return altered(s.address(), func(said *reply) {
					if first == nil {
						first = &reply{said.path, said.status, said.header.Clone(), said.body}
					}
					*said = reply{said.path, first.status, first.header.Clone(), first.body}
				})(w, r, n)
			}}
			address, _ := proxy(t, f, s.address())
			client := around(t, s, address, 0)
			token := mint(t, url.Values{"email": {"replay@example.com"}})
			signatures, err := newSigner(t, client, keyless.StaticToken(token)).Sign(limited(t), request("first", signing.Bundle))
			if err != nil {
				t.Fatal(err)
			}
			verifies(t, person("replay@example.com"), "first", signatures)
			_, err = newSigner(t, client, keyless.StaticToken(token)).Sign(limited(t), request("second", signing.Bundle))
			wantFault(t, err, verify.ErrInconclusive, "check of", token)
		})
	}
}

// TestPushWithoutAService: no tag, and nothing attached.
func TestPushWithoutAService(t *testing.T) {
	t.Parallel()
	for name, s := range faulty {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := namespaces.WithNamespace(limited(t), "default")
			ref := stack.Registry + "/faults/" + strings.ReplaceAll(strings.ToLower(name), " ", "-") + ":v1"
			cd, err := embedded.Open(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = cd.Close() }()
			var archive bytes.Buffer
			if err := testimage.WriteArchive(&archive, testimage.Image{Name: ref, Content: name}); err != nil {
				t.Fatal(err)
			}
			images, err := cd.Import(ctx, &archive)
			if err != nil || len(images) != 1 {
				t.Fatalf("%d images: %v", len(images), err)
			}
			client, err := registry.New(registry.Config{InsecureRegistries: []string{stack.Registry}})
			if err != nil {
				t.Fatal(err)
			}
			defer client.CloseIdleConnections()
			address, _ := proxy(t, faults["forbids"], s.address())
			token := mint(t, url.Values{})
			signer := newSigner(t, around(t, s, address, 0), keyless.StaticToken(token))
			_, err = hooks.Push(ctx, client, cd.Client, ref, images[0].Target, signer, nil)
			wantFault(t, err, verify.ErrMisconfigured, s.named, token)
			if body, code := ask(t, "/v2/"+strings.TrimSuffix(strings.TrimPrefix(ref, stack.Registry+"/"), ":v1")+"/tags/list"); strings.Contains(body, `"v1"`) {
				t.Errorf("status %d, tags %s", code, body)
			}
		})
	}
}

func ask(t *testing.T, path string) (string, int) {
	t.Helper()
	response, err := http.Get("http://" + stack.Registry + path) //nolint:noctx // a test's
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	return string(must(io.ReadAll(response.Body))), response.StatusCode
}
