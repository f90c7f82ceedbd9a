// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/internal/origin"
)

// roundTrip makes a transport of a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// serve has handler answer without a network, and heeds the request's context as
// net/http does.
func serve(handler http.Handler, request *http.Request) (*http.Response, error) {
	if request.Body == nil {
		request.Body = http.NoBody
	}
	defer func() { _ = request.Body.Close() }()
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	if err := request.Context().Err(); err != nil {
		return nil, err
	}
	return recorder.Result(), nil
}

// script answers requests one after the other, and the last way from then on.
type script struct {
	answers []http.HandlerFunc
	at      []time.Time
	bodies  []string
	agents  []string
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	n := len(s.at)
	s.at = append(s.at, time.Now())
	body := ""
	if r.Body != nil {
		body = string(must(io.ReadAll(r.Body)))
	}
	s.bodies = append(s.bodies, body)
	s.agents = append(s.agents, r.Header.Get("User-Agent"))
	return serve(s.answers[min(n, len(s.answers)-1)], r)
}

// waits are the times between the requests.
func (s *script) waits() (all []time.Duration) {
	for i := 1; i < len(s.at); i++ {
		all = append(all, s.at[i].Sub(s.at[i-1]))
	}
	return all
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func statusAfter(code int, retryAfter string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", retryAfter)
		w.WriteHeader(code)
	}
}

func text(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
}

func newTransport(ctx context.Context, base http.RoundTripper) *transport {
	return &transport{ctx: ctx, base: base, logger: slog.New(slog.DiscardHandler)}
}

func newRequest(t *testing.T, address, body string) *http.Request {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, address, strings.NewReader(body)) //nolint:noctx // as the services' clients make it
	if err != nil {
		t.Fatal(err)
	}
	return request
}

// TestTransportAsksAgain runs on a clock of its own.
func TestTransportAsksAgain(t *testing.T) {
	t.Parallel()
	const wait = limits.ServiceWait
	for name, c := range map[string]struct {
		answers []http.HandlerFunc
		status  int
		// least and most are the bounds of each wait; a wait has up to a half added.
		least []time.Duration
	}{
		"once, if all is well":    {[]http.HandlerFunc{text("yes")}, 200, nil},
		"not after a refusal":     {[]http.HandlerFunc{status(403), text("yes")}, 403, nil},
		"not after a conflict":    {[]http.HandlerFunc{status(409), text("yes")}, 409, nil},
		"after 500":               {[]http.HandlerFunc{status(500), text("yes")}, 200, []time.Duration{wait}},
		"after 429":               {[]http.HandlerFunc{status(429), text("yes")}, 200, []time.Duration{wait}},
		"longer each time":        {[]http.HandlerFunc{status(502), status(503), status(504), text("yes")}, 200, []time.Duration{wait, 2 * wait, 4 * wait}},
		"a bounded number":        {[]http.HandlerFunc{status(500)}, 500, []time.Duration{wait, 2 * wait, 4 * wait}},
		"as late as it is told":   {[]http.HandlerFunc{statusAfter(429, "7"), text("yes")}, 200, []time.Duration{7 * time.Second}},
		"as late as a 503 says":   {[]http.HandlerFunc{statusAfter(503, "7"), text("yes")}, 200, []time.Duration{7 * time.Second}},
		"no sooner than it would": {[]http.HandlerFunc{statusAfter(429, "0"), text("yes")}, 200, []time.Duration{wait}},
		"whatever junk it is told": {
			[]http.HandlerFunc{statusAfter(429, "-7"), statusAfter(429, "soon"), statusAfter(429, "1.5"), text("yes")},
			200, []time.Duration{wait, 2 * wait, 4 * wait},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &script{answers: c.answers}
				tr := newTransport(t.Context(), s)
				response, err := tr.RoundTrip(newRequest(t, "https://service.test/", "the body"))
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = response.Body.Close() }()
				if response.StatusCode != c.status || tr.status != c.status {
					t.Errorf("status is %d, and kept as %d, want %d", response.StatusCode, tr.status, c.status)
				}
				waits := s.waits()
				if len(waits) != len(c.least) || len(s.at) > limits.ServiceAttempts {
					t.Fatalf("waits are %v, want %d", waits, len(c.least))
				}
				for i, got := range waits {
					if got < c.least[i] || got > c.least[i]*3/2 {
						t.Errorf("wait %d is %v, want %v and at most half as much again", i+1, got, c.least[i])
					}
				}
				for _, body := range s.bodies {
					if body != "the body" {
						t.Errorf("a request has the body %q", body)
					}
				}
			})
		})
	}
}

func TestTransportAsksAgainAfterABrokenConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		broken, asked := errors.New("connection reset"), 0
		tr := newTransport(t.Context(), roundTrip(func(r *http.Request) (*http.Response, error) {
			if asked++; asked < 3 {
				return nil, broken
			}
			if body := must(io.ReadAll(r.Body)); string(body) != "the body" || r.ContentLength != 8 {
				t.Errorf("the body is %q, of %d bytes", body, r.ContentLength)
			}
			if body := must(io.ReadAll(must(r.GetBody()))); string(body) != "the body" {
				t.Errorf("the body, for a transport that asks again itself, is %q", body)
			}
			return serve(text("yes"), r)
		}))
		response, err := tr.RoundTrip(newRequest(t, "https://service.test/", "the body"))
		if err != nil || asked != 3 {
			t.Fatalf("asked %d times: %v", asked, err)
		}
		_ = response.Body.Close()

		asked = -limits.ServiceAttempts
		if _, err := tr.RoundTrip(newRequest(t, "https://service.test/", "")); !errors.Is(err, broken) || asked != 0 { //nolint:bodyclose // there is none
			t.Errorf("asked %d times: %v", asked+limits.ServiceAttempts, err)
		}
	})
}

// TestTransportBeginsNoWaitThatEndsAfterTheDeadline: what was answered is then
// the result.
func TestTransportBeginsNoWaitThatEndsAfterTheDeadline(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]string{"seconds": "10", "years": "2147483647", "a date": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				if after == "" {
					after = began.Add(time.Hour).UTC().Format(http.TimeFormat)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				s := &script{answers: []http.HandlerFunc{statusAfter(429, after)}}
				response, err := newTransport(ctx, s).RoundTrip(newRequest(t, "https://service.test/", ""))
				if err != nil {
					t.Fatal(err)
				}
				_ = response.Body.Close()
				if response.StatusCode != 429 || len(s.at) != 1 || time.Since(began) != 0 {
					t.Errorf("status %d after %d requests and %v, want 429 at once", response.StatusCode, len(s.at), time.Since(began))
				}
			})
		})
	}
}

func TestTransportWaitEndsWithTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("the user gave up")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(cause) })
		s := &script{answers: []http.HandlerFunc{statusAfter(503, "3600")}}
		_, err := newTransport(ctx, s).RoundTrip(newRequest(t, "https://service.test/", "")) //nolint:bodyclose // there is none
		if !errors.Is(err, cause) || len(s.at) != 1 {
			t.Errorf("after %d requests: %v", len(s.at), err)
		}
	})
}

// TestTransportContextIsItsOwn: the services' clients send requests without one.
func TestTransportContextIsItsOwn(t *testing.T) {
	t.Parallel()
	cause := errors.New("the user gave up")
	ctx, cancel := context.WithCancelCause(t.Context())
	hanging := func(r *http.Request) (*http.Response, error) {
		cancel(cause)
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	tr := newTransport(ctx, roundTrip(hanging))
	if _, err := tr.RoundTrip(newRequest(t, "https://service.test/", "")); !errors.Is(err, cause) { //nolint:bodyclose // there is none
		t.Errorf("while it hangs: %v", err)
	}
	never := roundTrip(func(*http.Request) (*http.Response, error) { t.Error("asked"); return nil, cause })
	if _, err := newTransport(ctx, never).RoundTrip(newRequest(t, "https://service.test/", "")); !errors.Is(err, cause) { //nolint:bodyclose // there is none
		t.Errorf("afterwards: %v", err)
	}
}

// body is a response's, made of a reader.
type body struct {
	io.Reader
	closed *bool
}

func (b body) Close() error { *b.closed = true; return nil }

func TestTransportReadsABoundedAnswer(t *testing.T) {
	t.Parallel()
	broken := errors.New("unexpected end")
	for name, c := range map[string]struct {
		body io.Reader
		want error
	}{
		"the limit":      {strings.NewReader(strings.Repeat("x", limits.ServiceReply)), nil},
		"one byte more":  {strings.NewReader(strings.Repeat("x", limits.ServiceReply+1)), limits.ErrExceeded},
		"without an end": {endlessly{}, limits.ErrExceeded},
		"cut short":      {io.MultiReader(strings.NewReader("{"), iotest.ErrReader(broken)), broken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			closed, asked := false, 0
			tr := newTransport(t.Context(), roundTrip(func(*http.Request) (*http.Response, error) {
				asked++
				return &http.Response{StatusCode: 200, Body: body{c.body, &closed}}, nil
			}))
			response, err := tr.RoundTrip(newRequest(t, "https://service.test/", ""))
			if !errors.Is(err, c.want) {
				t.Fatalf("error is %v, want %v", err, c.want)
			}
			if !closed || asked != 1 {
				t.Errorf("closed: %t, asked %d times", closed, asked)
			}
			if err != nil {
				return
			}
			defer func() { _ = response.Body.Close() }()
			if n := len(must(io.ReadAll(response.Body))); n != limits.ServiceReply || response.ContentLength != int64(n) {
				t.Errorf("%d bytes, announced %d", n, response.ContentLength)
			}
		})
	}
}

type endlessly struct{}

func (endlessly) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// TestTransportCancelledInTheBody: headers came, and then nothing.
func TestTransportCancelledInTheBody(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	closed := false
	tr := newTransport(ctx, roundTrip(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: body{readFunc(func([]byte) (int, error) {
			cancel()
			<-r.Context().Done()
			return 0, io.ErrUnexpectedEOF
		}), &closed}}, nil
	}))
	if _, err := tr.RoundTrip(newRequest(t, "https://service.test/", "")); !errors.Is(err, context.Canceled) { //nolint:bodyclose // there is none
		t.Error(err)
	}
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

func TestTransportBoundsWhatIsSent(t *testing.T) {
	t.Parallel()
	never := roundTrip(func(*http.Request) (*http.Response, error) { t.Error("asked"); return nil, io.EOF })
	tr := newTransport(t.Context(), never)
	large := newRequest(t, "https://service.test/", strings.Repeat("x", limits.Bundle+1))
	if _, err := tr.RoundTrip(large); !errors.Is(err, limits.ErrExceeded) { //nolint:bodyclose // there is none
		t.Error(err)
	}
}

func TestTransportFollowsNoRedirect(t *testing.T) {
	t.Parallel()
	for _, code := range []int{300, 301, 302, 303, 304, 307, 308} {
		asked := []string{}
		tr := newTransport(t.Context(), roundTrip(func(r *http.Request) (*http.Response, error) {
			asked = append(asked, r.URL.Host)
			return serve(http.RedirectHandler("https://elsewhere.test/", code), r)
		}))
		// As the clients of the services use it.
		_, err := (&http.Client{Transport: tr}).Do(newRequest(t, "https://service.test/", "body")) //nolint:bodyclose // there is none
		if err == nil || !strings.Contains(err.Error(), "redirects") || tr.status != code {
			t.Errorf("%d: error is %v, status kept %d", code, err, tr.status)
		}
		if !slices.Equal(asked, []string{"service.test"}) {
			t.Errorf("%d: asked %q", code, asked)
		}
	}
}

func TestTransportUserAgent(t *testing.T) {
	t.Parallel()
	for agent, want := range map[string]string{"": "client/1", "mine/2": "mine/2"} {
		s := &script{answers: []http.HandlerFunc{text("yes")}}
		tr := newTransport(t.Context(), s)
		tr.userAgent = agent
		request := newRequest(t, "https://service.test/", "")
		request.Header.Set("User-Agent", "client/1")
		response, err := tr.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if s.agents[0] != want || request.Header.Get("User-Agent") != "client/1" {
			t.Errorf("sent %q, want %q; and the caller's request has %q", s.agents[0], want, request.Header.Get("User-Agent"))
		}
	}
}

// TestTransportPlainHTTP: what is not certainly this machine is another one.
func TestTransportPlainHTTP(t *testing.T) {
	t.Parallel()
	for address, local := range map[string]bool{
		"http://localhost/":                   true,
		"http://localhost:8080/":              true,
		"http://127.0.0.1/":                   true,
		"http://127.0.0.1:8080/":              true,
		"http://127.8.7.6/":                   true,
		"http://[::1]/":                       true,
		"http://[::1]:8080/":                  true,
		"http://[::ffff:127.0.0.1]/":          true, // 127.0.0.1 in another notation, and nothing else
		"http://localhost.evil.example/":      false,
		"http://localhost./":                  false,
		"http://LOCALHOST/":                   false,
		"http://localhost.localdomain/":       false,
		"http://evil.example/":                false,
		"http://evil.example/localhost":       false,
		"http://evil.example?127.0.0.1":       false,
		"http://127.0.0.1.nip.io/":            false,
		"http://127.0.0.1@evil.example/":      false,
		"http://127.0.0.1:80@evil.example/":   false,
		"http://localhost%00.evil.example/":   false,
		"http://127.1/":                       false,
		"http://0x7f000001/":                  false,
		"http://2130706433/":                  false,
		"http://0177.0.0.1/":                  false,
		"http://127.0.0.1./":                  false,
		"http://0.0.0.0/":                     false,
		"http://[::]/":                        false,
		"http://[::1%25eth0]/":                false,
		"http://[::ffff:10.0.0.1]/":           false,
		"http://10.0.0.1/":                    false,
		"http://169.254.169.254/":             false,
		"http://①②⑦.⓪.⓪.①/":                   false,
		"http:///path":                        false,
		"ftp://evil.example/":                 false,
		"file:///etc/passwd":                  false,
		"HTTP://evil.example/":                false,
		"http://xn--lcalhost-g8c.example.com": false,
	} {
		u, err := url.Parse(address)
		if err != nil {
			continue // net/http would not get as far
		}
		asked := 0
		tr := newTransport(t.Context(), roundTrip(func(r *http.Request) (*http.Response, error) {
			asked++
			return serve(text("yes"), r)
		}))
		response, err := tr.RoundTrip(&http.Request{Method: http.MethodGet, URL: u, Header: http.Header{}})
		if err == nil {
			_ = response.Body.Close()
		}
		if local != (err == nil) || !local && !errors.Is(err, origin.ErrPlainHTTP) || local != (asked == 1) {
			t.Errorf("%s: asked %d times, %v", address, asked, err)
		}
		tr.allowHTTP = true
		response, err = tr.RoundTrip(&http.Request{Method: http.MethodGet, URL: u, Header: http.Header{}})
		if err == nil {
			_ = response.Body.Close()
		}
		if allowed := u.Scheme == "http"; allowed != (err == nil) {
			t.Errorf("%s, allowed: %v", address, err)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"0":                              0,
		"1":                              time.Second,
		"120":                            2 * time.Minute,
		"2147483647":                     2147483647 * time.Second,
		"Sun, 01 Mar 2026 12:00:30 GMT":  30 * time.Second,
		"Sunday, 01-Mar-26 12:00:30 GMT": 30 * time.Second,
		"Sun Mar  1 12:00:30 2026":       30 * time.Second,
		"Sun, 01 Mar 2026 11:00:00 GMT":  0, // it has passed
		"Thu, 01 Jan 1970 00:00:00 GMT":  0,
	} {
		got, ok := retryAfter(&http.Response{Header: http.Header{"Retry-After": {value}}}, now)
		if !ok || got != want {
			t.Errorf("%q: %v, %t, want %v", value, got, ok, want)
		}
	}
	for _, value := range []string{
		"", " ", "-1", "+1", "1.5", "1e3", "0x10", "1s", "soon", "2147483648", "18446744073709551616", "99999999999999999999999",
		"Sun, 01 Mar 2026", "2026-03-01T12:00:30Z", "\x00", "1 2", "1,2", "٣",
	} {
		if got, ok := retryAfter(&http.Response{Header: http.Header{"Retry-After": {value}}}, now); ok || got != 0 {
			t.Errorf("%q: %v, %t, want nothing", value, got, ok)
		}
	}
	if _, ok := retryAfter(&http.Response{Header: http.Header{}}, now); ok {
		t.Error("something without the header")
	}
}

func TestBudgetSaysWhatItIs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &Client{Config{Budget: 3 * time.Second}}
		ctx, cancel := c.budget(t.Context())
		defer cancel()
		<-ctx.Done()
		if err := context.Cause(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "budget of 3s") {
			t.Error(err)
		}
	})
}
