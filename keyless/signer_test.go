// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// fulcioService is Fulcio's API v2, which believes every token.
type fulcioService struct {
	deployment *deployment
	// change is what it does otherwise than it should.
	change func(w *wish)
	// life of certificates. Zero means that of the real one.
	life time.Duration
}

func (f *fulcioService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var request struct {
		PublicKeyRequest struct {
			PublicKey struct{ Algorithm, Content string }
		}
	}
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	claims, err := parseToken(token)
	if err == nil {
		err = json.NewDecoder(r.Body).Decode(&request)
	}
	block, _ := pem.Decode([]byte(request.PublicKeyRequest.PublicKey.Content))
	if err != nil || block == nil || r.URL.Path != "/api/v2/signingCert" {
		http.Error(w, "bad request", http.StatusBadRequest)
		return
	}
	wished := f.deployment.wish(must(x509.ParsePKIXPublicKey(block.Bytes)), claims.subject(), claims.Issuer)
	if f.life != 0 {
		wished.to = wished.from.Add(f.life)
	}
	if f.change != nil {
		f.change(wished)
	}
	_ = json.NewEncoder(w).Encode(object{"signedCertificateEmbeddedSct": object{"chain": object{"certificates": []string{
		string(pemOf("CERTIFICATE", wished.issue().Raw)),
		string(pemOf("CERTIFICATE", f.deployment.intermediate.cert.Raw)),
	}}}})
}

var everything = ServiceURLs{Fulcio: fulcioURL, Rekor: v1URL, Timestamp: stampURL}

// tokens is a source of the same person's tokens, that counts.
type tokens struct {
	mu    sync.Mutex
	asked int
	// fail is the error of the first times that it is asked.
	fail []error
	// hang is closed when somebody waits, for ever, the first time.
	hang chan struct{}
}

func (s *tokens) Token(ctx context.Context, audience string) (string, error) {
	s.mu.Lock()
	s.asked++
	n, hang := s.asked, s.hang
	s.mu.Unlock()
	if hang != nil && n == 1 {
		close(hang)
		<-ctx.Done()
		return "", ctx.Err()
	}
	if n <= len(s.fail) {
		return "", s.fail[n-1]
	}
	claims := theClaims()
	claims["aud"] = audience
	return jwt(claims), nil
}

func newSigner(t testing.TB, client *Client, config SignerConfig) *Signer {
	t.Helper()
	s, err := NewSigner(client, config)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSignerSigns(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		urls  ServiceURLs
		forms []signing.Form
	}{
		"Rekor v1":               {ServiceURLs{Fulcio: fulcioURL, Rekor: v1URL}, []signing.Form{signing.Bundle, signing.Legacy, signing.Both}},
		"Rekor v1 and timestamp": {everything, []signing.Form{signing.Bundle, signing.Legacy, signing.Both}},
		"Rekor v2 and timestamp": {ServiceURLs{Fulcio: fulcioURL, Rekor: v2URL, RekorVersion: 2, Timestamp: stampURL}, []signing.Form{"", signing.Bundle}},
		"Fulcio, slash at end":   {ServiceURLs{Fulcio: fulcioURL + "/", Rekor: v1URL}, []signing.Form{signing.Bundle}},
	} {
		for _, form := range c.forms {
			t.Run(name+" "+string(form), func(t *testing.T) {
				t.Parallel()
				d := newDeployment()
				s := newSigner(t, d.client(t, c.urls), SignerConfig{Tokens: &tokens{}})
				signatures, err := s.Sign(t.Context(), theRequest(form))
				if err != nil {
					t.Fatal(err)
				}
				if want := map[signing.Form]int{signing.Both: 2}[form]; len(signatures) != max(want, 1) {
					t.Errorf("%d signatures", len(signatures))
				}
				for _, signature := range signatures {
					wantVerified(t, signature, verify.Policy{
						Identities: []verify.Identity{{Subject: theSubject, Issuer: theIssuer}}, TrustedRoots: d.trusted(t),
					})
				}
			})
		}
	}
}

func TestNewSignerRefusesWhatCannotBeUsed(t *testing.T) {
	t.Parallel()
	d := newDeployment()
	future, err := ParseSigningConfig([]byte(`{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json",` +
		`"caUrls":[{"url":"https://fulcio.test","majorApiVersion":1,"validFor":{"start":"2999-01-01T00:00:00Z"}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		client *Client
		config SignerConfig
		want   string
	}{
		"no client": {nil, SignerConfig{Tokens: &tokens{}}, "no client"},
		"no tokens": {d.client(t, everything), SignerConfig{}, "no source of identity tokens"},
		"no Fulcio": {d.client(t, ServiceURLs{Rekor: v1URL}), SignerConfig{Tokens: &tokens{}}, "no certificate authority"},
		"no Fulcio yet": {
			d.client(t, everything, func(c *Config) { c.SigningConfig = future }), SignerConfig{Tokens: &tokens{}}, "no matching service",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := NewSigner(c.client, c.config)
			wantFault(t, err, verify.ErrMisconfigured, "new keyless signer", c.want)
			if s != nil {
				t.Error("a signer beside an error")
			}
		})
	}
}

// TestSignerSharesACertificate: many sign at the same time, with one token and
// one certificate.
func TestSignerSharesACertificate(t *testing.T) {
	t.Parallel()
	d := newDeployment()
	source := &tokens{}
	s := newSigner(t, d.client(t, ServiceURLs{Fulcio: fulcioURL, Timestamp: stampURL}), SignerConfig{Tokens: source})
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			if _, err := s.Sign(t.Context(), theRequest(signing.Bundle)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if source.asked != 1 || d.asked("fulcio.test") != 1 || d.asked("tsa.test") != 16 {
		t.Errorf("%d tokens, %d certificates, %d timestamps", source.asked, d.asked("fulcio.test"), d.asked("tsa.test"))
	}
}

func TestSignerRenewsACertificateThatIsAboutToEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDeployment()
		source := &tokens{}
		s := newSigner(t, d.client(t, ServiceURLs{Fulcio: fulcioURL, Timestamp: stampURL}), SignerConfig{Tokens: source})
		certificate := func() *x509.Certificate {
			c, err := s.Certificate(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		first := certificate()
		// Certificates have times of whole seconds.
		time.Sleep(time.Until(first.NotAfter) - limits.CertificateMargin - time.Second)
		if second := certificate(); !second.Equal(first) || source.asked != 1 {
			t.Errorf("renewed with %v left", time.Until(first.NotAfter))
		}
		time.Sleep(time.Second)
		second := certificate()
		if second.Equal(first) || source.asked != 2 || d.asked("fulcio.test") != 2 {
			t.Errorf("not renewed with %v left", time.Until(first.NotAfter))
		}
		if bytes.Equal(first.RawSubjectPublicKeyInfo, second.RawSubjectPublicKeyInfo) || second.SerialNumber.Cmp(first.SerialNumber) == 0 {
			t.Error("the same key or number again")
		}

		// A life below the margin is good for one signature.
		d.fulcio.life = limits.CertificateMargin / 2
		time.Sleep(time.Until(second.NotAfter))
		for n := range 3 {
			if _, err := s.Sign(t.Context(), theRequest(signing.Bundle)); err != nil {
				t.Fatal(err)
			}
			if d.asked("fulcio.test") != 3+n {
				t.Errorf("%d certificates, want %d", d.asked("fulcio.test"), 3+n)
			}
		}
	})
}

func TestSignerMakesAKeyForEachCertificate(t *testing.T) {
	t.Parallel()
	d := newDeployment()
	d.fulcio.life = limits.CertificateMargin / 2
	s := newSigner(t, d.client(t, everything), SignerConfig{Tokens: &tokens{}})
	seen := map[string]bool{}
	for range 3 {
		c, err := s.Certificate(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		seen[string(c.RawSubjectPublicKeyInfo)] = true
	}
	if len(seen) != 3 {
		t.Errorf("%d keys for 3 certificates", len(seen))
	}
}

// TestSignerKeepsNoFailure: a login that failed is tried again by the next who
// signs, and what was obtained is then kept.
func TestSignerKeepsNoFailure(t *testing.T) {
	t.Parallel()
	d := newDeployment()
	refused := errors.New("the window was closed")
	source := &tokens{fail: []error{refused, refused}}
	s := newSigner(t, d.client(t, ServiceURLs{Fulcio: fulcioURL, Timestamp: stampURL}), SignerConfig{Tokens: source})
	for range 2 {
		_, err := s.Sign(t.Context(), theRequest(signing.Bundle))
		wantFault(t, err, verify.ErrInconclusive, "get identity token", "the window was closed")
		if !errors.Is(err, refused) {
			t.Error("the cause is not found")
		}
	}
	if len(d.requests) != 0 {
		t.Errorf("asked %v", d.requests)
	}
	for range 2 {
		if _, err := s.Sign(t.Context(), theRequest(signing.Bundle)); err != nil {
			t.Fatal(err)
		}
	}
	if source.asked != 3 {
		t.Errorf("%d logins, want 3", source.asked)
	}

	d.fulcio.change = func(w *wish) { w.ct = nil }
	s = newSigner(t, d.client(t, ServiceURLs{Fulcio: fulcioURL, Timestamp: stampURL}), SignerConfig{Tokens: source})
	_, err := s.Certificate(t.Context())
	wantFault(t, err, verify.ErrInconclusive, "signed certificate timestamp")
	d.fulcio.change = nil
	if _, err := s.Certificate(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestSignerPreflightGetsTheCertificate(t *testing.T) {
	t.Parallel()
	d := newDeployment()
	source := &tokens{}
	s := newSigner(t, d.client(t, everything), SignerConfig{Tokens: source})
	request := theRequest(signing.Bundle)
	request.Digest = ""
	if err := s.Preflight(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	if source.asked != 1 || d.asked("fulcio.test") != 1 || d.asked("rekor.test") != 0 {
		t.Errorf("%d tokens; asked %v", source.asked, d.requests)
	}
	if _, err := s.Sign(t.Context(), theRequest(signing.Bundle)); err != nil || source.asked != 1 {
		t.Errorf("%d tokens, %v", source.asked, err)
	}
}

// TestSignerAsksNobodyInVain: what cannot be signed, nobody has to log in for.
func TestSignerAsksNobodyInVain(t *testing.T) {
	t.Parallel()
	d := newDeployment()
	v2 := ServiceURLs{Fulcio: fulcioURL, Rekor: v2URL, RekorVersion: 2, Timestamp: stampURL}
	noTime := ServiceURLs{Fulcio: fulcioURL, Rekor: v2URL, RekorVersion: 2}
	for name, c := range map[string]struct {
		urls   ServiceURLs
		change func(*signing.Request)
		want   string
		signs  bool // only Sign refuses: the digest is not known before
	}{
		"a form that is none":     {everything, func(r *signing.Request) { r.Form = "pgp" }, "unknown signature format", false},
		"legacy in Rekor v2":      {v2, func(r *signing.Request) { r.Form = signing.Legacy }, "has only Rekor v2", false},
		"no time":                 {noTime, func(*signing.Request) {}, "vouches for no time", false},
		"legacy of no repository": {everything, func(r *signing.Request) { r.Form, r.Repository = signing.Legacy, "" }, "needs a repository", false},
		"no digest":               {everything, func(r *signing.Request) { r.Digest = "" }, "sign", true},
		"a digest that is none":   {everything, func(r *signing.Request) { r.Digest = "sha256:00" }, "sign", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source := &tokens{}
			s := newSigner(t, d.client(t, c.urls), SignerConfig{Tokens: source})
			request := theRequest(signing.Bundle)
			c.change(&request)
			if !c.signs {
				wantFault(t, s.Preflight(t.Context(), request), verify.ErrMisconfigured, c.want)
			}
			signatures, err := s.Sign(t.Context(), request)
			wantFault(t, err, verify.ErrMisconfigured, c.want)
			if signatures != nil || source.asked != 0 {
				t.Errorf("%d signatures, %d tokens", len(signatures), source.asked)
			}
		})
	}
}

// TestSignerWaitEndsWithItsOwnContext: one waits for a person to log in; another
// one, who waits for that, gives up, and the first does then.
func TestSignerWaitEndsWithItsOwnContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDeployment()
		source := &tokens{hang: make(chan struct{})}
		s := newSigner(t, d.client(t, ServiceURLs{Fulcio: fulcioURL, Timestamp: stampURL}), SignerConfig{Tokens: source})
		first, cancelFirst := context.WithCancel(t.Context())
		second, cancelSecond := context.WithCancel(t.Context())
		errs := make(chan error)
		sign := func(ctx context.Context) {
			_, err := s.Sign(ctx, theRequest(signing.Bundle))
			errs <- err
		}
		go sign(first)
		<-source.hang
		go sign(second)
		synctest.Wait()
		cancelSecond()
		if err := <-errs; !errors.Is(err, context.Canceled) {
			t.Errorf("the one who waits: %v", err)
		} else {
			wantFault(t, err, verify.ErrInconclusive, "get certificate")
		}
		if source.asked != 1 {
			t.Errorf("%d logins", source.asked)
		}
		go sign(t.Context())
		synctest.Wait()
		cancelFirst()
		cancelled := 0
		for range 2 {
			if err := <-errs; errors.Is(err, context.Canceled) {
				cancelled++
			} else if err != nil {
				t.Error(err)
			}
		}
		// The one who was next logged in for itself.
		if cancelled != 1 || source.asked != 2 {
			t.Errorf("%d were cancelled, %d logins", cancelled, source.asked)
		}
	})
}

func TestSignerIsNotAskedWhenCancelled(t *testing.T) {
	t.Parallel()
	d := newDeployment()
	source := &tokens{}
	s := newSigner(t, d.client(t, everything), SignerConfig{Tokens: source})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 { // select is fair
		_, err := s.Certificate(ctx)
		wantFault(t, err, verify.ErrInconclusive)
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	if source.asked != 0 || len(d.requests) != 0 {
		t.Errorf("%d tokens; asked %v", source.asked, d.requests)
	}
}

func TestSignerIdentity(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		identity *verify.Identity
		change   func(*wish)
		family   error
		want     string
	}{
		"the token's":            {},
		"the one that is wanted": {identity: &verify.Identity{Subject: theSubject, Issuer: theIssuer}},
		"not the one that is wanted": {
			identity: &verify.Identity{Subject: "release@example.com", Issuer: theIssuer},
			family:   verify.ErrMisconfigured, want: "release@example.com",
		},
		"not the token's": {
			change: func(w *wish) { w.name = subjectName("mallory@example.com") },
			family: verify.ErrInconclusive, want: "mallory@example.com",
		},
		"of another issuer": {
			change: func(w *wish) { w.issuer = "https://issuer.example" },
			family: verify.ErrInconclusive, want: "https://issuer.example",
		},
		"for another key": {
			change: func(w *wish) { w.key = newP256().Public() },
			family: verify.ErrInconclusive, want: "another key",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDeployment()
			d.fulcio.change = c.change
			s := newSigner(t, d.client(t, everything), SignerConfig{Tokens: &tokens{}, Identity: c.identity})
			signatures, err := s.Sign(t.Context(), theRequest(signing.Bundle))
			if c.family == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantFault(t, err, c.family, fulcioURL, c.want)
			if signatures != nil || d.asked("rekor.test")+d.asked("tsa.test") != 0 {
				t.Errorf("%d signatures; asked %v", len(signatures), d.requests)
			}
		})
	}
}

func TestSignerAudience(t *testing.T) {
	t.Parallel()
	d := newDeployment()
	for audience, want := range map[string]string{"": DefaultAudience, "private": "private"} {
		got := ""
		source := tokenFunc(func(ctx context.Context, audience string) (string, error) {
			got = audience
			return (&tokens{}).Token(ctx, audience)
		})
		s := newSigner(t, d.client(t, everything), SignerConfig{Tokens: source, Audience: audience})
		if _, err := s.Certificate(t.Context()); err != nil || got != want {
			t.Errorf("asked for the audience %q, want %q: %v", got, want, err)
		}
	}
}

// TestSignerSendsNoTokenInVain: a token that Fulcio would refuse stays here.
func TestSignerSendsNoTokenInVain(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(map[string]any){
		"expired":          func(m map[string]any) { m["exp"] = time.Now().Add(-time.Hour).Unix() },
		"another audience": func(m map[string]any) { m["aud"] = "other" },
		"nobody":           func(m map[string]any) { delete(m, "email"); delete(m, "sub") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDeployment()
			claims := theClaims()
			change(claims)
			token := jwt(claims)
			s := newSigner(t, d.client(t, everything), SignerConfig{Tokens: StaticToken(token)})
			_, err := s.Certificate(t.Context())
			wantFault(t, err, verify.ErrMisconfigured)
			if len(d.requests) != 0 || strings.Contains(err.Error(), token) {
				t.Errorf("asked %v: %v", d.requests, err)
			}
		})
	}
}

// TestFulcioAnswers: none of its answers is believed, repeated with a token in
// it, or taken for another service's.
func TestFulcioAnswers(t *testing.T) {
	t.Parallel()
	certificate := func(b []byte) string {
		return string(marshalled(object{"signedCertificateEmbeddedSct": object{"chain": object{"certificates": []string{string(b)}}}}))
	}
	echo := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(code)
			_, _ = fmt.Fprintf(w, "{\"message\":\"no: %s\x1b[31m\n\"}", r.Header.Get("Authorization"))
		}
	}
	answer := func(body string) http.HandlerFunc { return text(body) }
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		family  error
		asked   int
		want    string
	}{
		"400":               {echo(400), verify.ErrMisconfigured, 1, "returned 400"},
		"401":               {echo(401), verify.ErrMisconfigured, 1, "returned 401"},
		"403":               {echo(403), verify.ErrMisconfigured, 1, "returned 403"},
		"404":               {echo(404), verify.ErrMisconfigured, 1, "returned 404"},
		"429":               {echo(429), verify.ErrInconclusive, limits.ServiceAttempts, "429"},
		"500":               {echo(500), verify.ErrInconclusive, limits.ServiceAttempts, "500"},
		"a redirect":        {http.RedirectHandler("https://evil.test/", http.StatusTemporaryRedirect).ServeHTTP, verify.ErrInconclusive, 1, "redirects"},
		"201":               {echo(201), verify.ErrInconclusive, 1, "201"},
		"nothing":           {answer(""), verify.ErrInconclusive, 1, "JSON"},
		"HTML":              {answer("<html>\n</html>"), verify.ErrInconclusive, 1, "not a chain of certificates in JSON"},
		"null":              {answer("null"), verify.ErrInconclusive, 1, "no certificates"},
		"an empty object":   {answer("{}"), verify.ErrInconclusive, 1, "no certificates"},
		"cut short":         {answer(`{"signedCertificateEmbeddedSct":{"chain":`), verify.ErrInconclusive, 1, "JSON"},
		"of wrong types":    {answer(`{"signedCertificateEmbeddedSct":"chain"}`), verify.ErrInconclusive, 1, "unmarshal"},
		"no PEM":            {answer(certificate([]byte("x"))), verify.ErrInconclusive, 1, "unable to parse"},
		"no certificate":    {answer(certificate(pemOf("CERTIFICATE", []byte("x")))), verify.ErrInconclusive, 1, "check of the certificate"},
		"another PEM":       {answer(certificate(pemOf("PUBLIC KEY", publicDER(newP256().Public())))), verify.ErrInconclusive, 1, "check of the certificate"},
		"more than is read": {answer(strings.Repeat(" ", limits.ServiceReply+1)), verify.ErrInconclusive, 1, "limit exceeded"},
		"panic":             {func(http.ResponseWriter, *http.Request) { panic("index out of range") }, verify.ErrInconclusive, 1, "panic: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := newDeployment()
				d.handle("fulcio.test", c.handler)
				token := jwt(theClaims())
				s := newSigner(t, d.client(t, everything), SignerConfig{Tokens: StaticToken(token)})
				signatures, err := s.Sign(t.Context(), theRequest(signing.Bundle))
				wantFault(t, err, c.family, "request certificate", fulcioURL, c.want)
				if signatures != nil || d.asked("fulcio.test") != c.asked || len(d.requests) != 1 {
					t.Errorf("%d signatures; asked %v, want fulcio %d times", len(signatures), d.requests, c.asked)
				}
				if err == nil {
					return
				}
				if strings.Contains(err.Error(), token) || strings.Contains(err.Error(), "record signature") {
					t.Errorf("error has the token, or another operation: %v", err)
				}
				for e := err; e != nil; e = errors.Unwrap(e) {
					if strings.Contains(fmt.Sprintf("%+v", e), token) {
						t.Errorf("a cause has the token: %+v", e)
					}
				}
			})
		})
	}
}

func TestFulcioEnds(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"cancelled", "out of budget"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := newDeployment()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				want := context.DeadlineExceeded
				if how == "cancelled" {
					want = context.Canceled
				}
				d.handle("fulcio.test", func(_ http.ResponseWriter, r *http.Request) {
					if how == "cancelled" {
						cancel()
					}
					<-r.Context().Done()
				})
				s := newSigner(t, d.client(t, everything, func(c *Config) { c.Budget = time.Second }), SignerConfig{Tokens: &tokens{}})
				_, err := s.Certificate(ctx)
				wantFault(t, err, verify.ErrInconclusive, "request certificate")
				if !errors.Is(err, want) {
					t.Errorf("error is %v, want %v", err, want)
				}
			})
		})
	}
}

// TestTokensGoToFulcioAlone: not over plain HTTP to another machine, and not to
// any other service.
func TestTokensGoToFulcioAlone(t *testing.T) {
	t.Parallel()
	d := newDeployment()
	var mu sync.Mutex
	sent := map[string]bool{}
	client := d.client(t, everything, func(c *Config) {
		c.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			body := must(io.ReadAll(r.Body))
			r.Body = io.NopCloser(strings.NewReader(string(body)))
			mu.Lock()
			sent[r.URL.Host] = sent[r.URL.Host] || r.Header.Get("Authorization") != "" || strings.Contains(string(body), jwt(nil)[:12])
			mu.Unlock()
			return d.RoundTrip(r)
		})
	})
	s := newSigner(t, client, SignerConfig{Tokens: &tokens{}})
	if _, err := s.Sign(t.Context(), theRequest(signing.Both)); err != nil {
		t.Fatal(err)
	}
	for host, has := range sent {
		if has != (host == "fulcio.test") {
			t.Errorf("%s got a token: %t", host, has)
		}
	}
	if len(sent) != 3 {
		t.Errorf("asked %v", sent)
	}

	plain := newSigner(t, d.client(t, ServiceURLs{Fulcio: "http://fulcio.test", Timestamp: stampURL}), SignerConfig{Tokens: &tokens{}})
	before := d.asked("fulcio.test")
	_, err := plain.Certificate(t.Context())
	wantFault(t, err, verify.ErrMisconfigured, "plain HTTP")
	if d.asked("fulcio.test") != before {
		t.Error("sent over plain HTTP")
	}
}

func TestSignerWithoutATrustedRoot(t *testing.T) {
	t.Parallel()
	d := newDeployment()
	broken := errors.New("the mirror is down")
	s := newSigner(t, d.client(t, everything, func(c *Config) { c.TrustedRoots = brokenRoots{broken} }), SignerConfig{Tokens: &tokens{}})
	_, err := s.Certificate(t.Context())
	wantFault(t, err, verify.ErrInconclusive, "the mirror is down")
	if !errors.Is(err, broken) || len(d.requests) != 0 {
		t.Errorf("%v; asked %v", err, d.requests)
	}
}

func TestWithoutToken(t *testing.T) {
	t.Parallel()
	plain := errors.New("nothing in it")
	if got := withoutToken(plain, "a.b.c"); got != plain {
		t.Errorf("changed into %v", got)
	}
	if got := withoutToken(plain, ""); got != plain {
		t.Errorf("changed into %v", got)
	}
	if got := withoutToken(fmt.Errorf("a.b.c and %w", errors.New("Bearer a.b.c")), "a.b.c"); strings.Contains(fmt.Sprintf("%+v", got), "a.b.c") {
		t.Errorf("still there: %v", got)
	}
}
