// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"golang.org/x/sync/errgroup"

	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/registry/hooks"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// withTokens has reg serve only who has the token that grantToken gives out. The
// token server is reg itself; token answers for it.
func withTokens(reg *testRegistry, token http.HandlerFunc) {
	reg.onRequest(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		switch {
		case r.URL.Path == "/token":
			token(w, r)
		case r.Header.Get("Authorization") != "Bearer good":
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+reg.url+`/token",service="test"`)
			w.WriteHeader(http.StatusUnauthorized)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func grantToken(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, `{"token":"good","access_token":"good","expires_in":300}`)
}

// returns fails the test if f hangs. The time is not what is tested: it is what
// makes a hang a failure of this test and not of the whole run.
func returns(t *testing.T, f func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-time.After(30 * time.Second):
		t.Fatal("it hangs past the end of its context")
		return nil
	}
}

// TestFailedTokenIsNotRemembered has the token server, or the credentials, fail
// once. The next operation of the same client must not know of it.
func TestFailedTokenIsNotRemembered(t *testing.T) {
	t.Parallel()
	failures := map[string]func(w http.ResponseWriter, r *http.Request){
		"the token server throttles": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) },
		"the token server is broken": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"the token server refuses":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) },
		"the token server has none":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) },
		"the answer is no JSON":      func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
		"the answer has no token":    func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") },
		"the connection breaks":      func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"the credentials fail":       nil,
	}
	for name, fail := range failures {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg, _, verifier, _ := signedImage(t, true, signing.Bundle)
			var broken atomic.Bool
			broken.Store(true)
			withTokens(reg, func(w http.ResponseWriter, r *http.Request) {
				if fail != nil && broken.Load() {
					fail(w, r)
					return
				}
				grantToken(w, r)
			})
			c := newClient(t, registry.Config{Credentials: func(string) (string, string, error) {
				if fail == nil && broken.Load() {
					return "", "", errors.New("the helper crashed")
				}
				return "me", "s3cret", nil
			}})
			_, err := c.Verify(t.Context(), reg.ref("app:v1"), verifier)
			wantFamily(t, err, verify.ErrInconclusive)
			broken.Store(false)
			if _, err := c.Verify(t.Context(), reg.ref("app:v1"), verifier); err != nil {
				t.Errorf("the failure is remembered: %v", err)
			}
		})
	}
}

// TestCancelledTokenIsNotRemembered ends the context of who asks for a token.
func TestCancelledTokenIsNotRemembered(t *testing.T) {
	t.Parallel()
	reg, _, verifier, _ := signedImage(t, true, signing.Bundle)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var later atomic.Bool
	withTokens(reg, func(w http.ResponseWriter, r *http.Request) {
		if later.Load() {
			grantToken(w, r)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		cancel()
		<-r.Context().Done()
	})
	c := newClient(t, registry.Config{})
	_, err := c.Verify(ctx, reg.ref("app:v1"), verifier)
	wantFamily(t, err, verify.ErrInconclusive)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want the context's", err)
	}
	later.Store(true)
	if _, err := c.Verify(t.Context(), reg.ref("app:v1"), verifier); err != nil {
		t.Errorf("the end of another's context is remembered: %v", err)
	}
}

// TestHangingTokenServerHoldsUpNobodyElse has one operation hang on the token
// server. Another ends with its own context, and a third is served.
func TestHangingTokenServerHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	reg, _, verifier, _ := signedImage(t, true, signing.Bundle)
	asked, once := make(chan struct{}), sync.Once{}
	var answers atomic.Bool
	withTokens(reg, func(w http.ResponseWriter, r *http.Request) {
		if answers.Load() {
			grantToken(w, r)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		once.Do(func() { close(asked) })
		<-r.Context().Done()
	})
	c := newClient(t, registry.Config{})
	first, cancel := context.WithCancel(t.Context())
	firstDone := make(chan error, 1)
	go func() {
		_, err := c.Verify(first, reg.ref("app:v1"), verifier)
		firstDone <- err
	}()
	<-asked

	second, cancelSecond := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancelSecond()
	defer cancel() // also where the second does not return
	err := returns(t, func() error {
		_, err := c.Verify(second, reg.ref("app:v1"), verifier)
		return err
	})
	wantFamily(t, err, verify.ErrInconclusive)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v, want the context's", err)
	}

	answers.Store(true)
	err = returns(t, func() error {
		_, err := c.Verify(t.Context(), reg.ref("app:v1"), verifier)
		return err
	})
	if err != nil {
		t.Error(err)
	}
	cancel()
	wantFamily(t, <-firstDone, verify.ErrInconclusive)
}

// TestHangingCredentialsEndWithTheContext: the function has no context of its
// own, as with a credential helper that waits for a person.
func TestHangingCredentialsEndWithTheContext(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"Bearer", "Basic"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			reg, _, verifier, _ := signedImage(t, true, signing.Bundle)
			withTokens(reg, grantToken)
			if scheme == "Basic" {
				reg.onRequest(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
					if _, _, ok := r.BasicAuth(); ok {
						next.ServeHTTP(w, r)
						return
					}
					w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
					w.WriteHeader(http.StatusUnauthorized)
				})
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			release := make(chan struct{})
			defer close(release)
			var later atomic.Bool
			c := newClient(t, registry.Config{Credentials: func(string) (string, string, error) {
				if !later.Load() {
					cancel()
					<-release
				}
				return "me", "s3cret", nil
			}})
			err := returns(t, func() error {
				_, err := c.Verify(ctx, reg.ref("app:v1"), verifier)
				return err
			})
			wantFamily(t, err, verify.ErrInconclusive)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("error is %v, want the context's", err)
			}
			later.Store(true)
			err = returns(t, func() error {
				_, err := c.Verify(t.Context(), reg.ref("app:v1"), verifier)
				return err
			})
			if err != nil {
				t.Errorf("the call that hangs is waited for: %v", err)
			}
		})
	}
}

// TestUploadAddressThatCannotBeParsed: containerd's uploader waits for ever when
// the address cannot be parsed again once its path is decoded.
func TestUploadAddressThatCannotBeParsed(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"/v2/%25zz", "/v2/%zz", "http://[::1", "/v2/%25zz?_state=x"} {
		t.Run(address, func(t *testing.T) {
			t.Parallel()
			reg, c, _, _ := signedImage(t, true, signing.Bundle)
			reg.onRequest(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if r.Method != http.MethodPost {
					next.ServeHTTP(w, r)
					return
				}
				w.Header().Set("Location", address)
				w.WriteHeader(http.StatusAccepted)
			})
			err := returns(t, func() error {
				_, err := c.Sign(t.Context(), reg.ref("app:v1"), signerOf(t, newKey(t)))
				return err
			})
			wantFamily(t, err, verify.ErrRejected)
			wantText(t, err, "address of an upload")
		})
	}
}

// authorizerFunc is an authorizer of the caller's.
type authorizerFunc func() error

func (f authorizerFunc) Authorize(context.Context, *http.Request) error       { return f() }
func (f authorizerFunc) AddResponses(context.Context, []*http.Response) error { return f() }
func hostOf(reg *testRegistry, authorizer docker.Authorizer) docker.RegistryHosts {
	return func(string) ([]docker.RegistryHost, error) {
		return []docker.RegistryHost{{
			Client: http.DefaultClient, Host: reg.host, Scheme: "http", Path: "/v2", Authorizer: authorizer,
			Capabilities: docker.HostCapabilityPull | docker.HostCapabilityResolve | docker.HostCapabilityPush | docker.HostCapabilityReferrers,
		}}, nil
	}
}

// TestTokenThatExpiresDuringAnUpload: between the request that starts an upload
// and the one with its content, the token expires and cannot be renewed. What
// writes the content must not wait for a request that is never sent.
func TestTokenThatExpiresDuringAnUpload(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"image", "signature"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			reg := newTestRegistry(t, true)
			var expired atomic.Bool
			reg.onRequest(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				next.ServeHTTP(w, r)
				if r.Method == http.MethodPost {
					expired.Store(true)
				}
			})
			c := newClient(t, registry.Config{Hosts: hostOf(reg, authorizerFunc(func() error {
				if expired.Load() {
					return errors.New("the token has expired")
				}
				return nil
			}))})
			cd, ctx := newStore(t)
			image := putImage(ctx, t, cd, "image")
			if what == "signature" {
				pushUnsigned(ctx, t, newClient(t, registry.Config{}), cd, reg.ref("app:v1"), image)
				expired.Store(false)
			}
			err := returns(t, func() error {
				if what == "signature" {
					_, err := c.Sign(ctx, reg.ref("app:v1"), signerOf(t, newKey(t)))
					return err
				}
				_, err := hooks.Push(ctx, c, cd.Client, reg.ref("app:v1"), image, signerOf(t, newKey(t)), nil)
				return err
			})
			wantFamily(t, err, verify.ErrInconclusive)
			wantText(t, err, "the token has expired")
		})
	}
}

// TestOneClientForManyAtOnce is of use under the race detector: tokens are
// asked for, and options set on one resolver, by several goroutines.
func TestOneClientForManyAtOnce(t *testing.T) {
	t.Parallel()
	reg, _, verifier, _ := signedImage(t, true, signing.Bundle)
	withTokens(reg, grantToken)
	c := newClient(t, registry.Config{Credentials: func(string) (string, string, error) { return "me", "s3cret", nil }})
	verifying, plain := c.VerifyingResolver(verifier), c.Resolver()
	cd, ctx := newStore(t)
	var g errgroup.Group
	for i := range 4 {
		g.Go(func() error {
			_, err := c.Verify(ctx, reg.ref("app:v1"), verifier)
			return err
		})
		for _, resolver := range []struct {
			name string
			of   func() error
		}{
			{"verifying", func() error { _, err := cd.Pull(ctx, reg.ref("app:v1"), withResolver(verifying)); return err }},
			{"plain", func() error { _, err := cd.Fetch(ctx, reg.ref("app:v1"), withResolver(plain)); return err }},
		} {
			g.Go(func() error {
				if err := resolver.of(); err != nil {
					return fmt.Errorf("%s resolver, %d: %w", resolver.name, i, err)
				}
				return nil
			})
		}
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}
