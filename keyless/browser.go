// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/cosignkit/cosignkit/internal/limits"
)

// BrowserConfig configures [Browser].
type BrowserConfig struct {
	OIDCClient
	// RedirectURL is where on this machine the issuer sends the browser back
	// to, if it is one that was registered there: an http URL of localhost,
	// 127.0.0.1 or ::1. Port 0, or none, means a free one. Empty means
	// http://localhost:0/auth/callback.
	RedirectURL string
	// Open opens a URL in the user's browser. It may take as long as the login
	// does; it must return when ctx ends, which is at the latest when the login
	// does. If Open is nil or returns an error, the URL is written to Output
	// for the user to open.
	Open func(ctx context.Context, url string) error
	// Output gets the messages for the user. Nil discards them.
	Output io.Writer
	// ReadCode asks the user for the code that the issuer shows, for when no
	// browser can reach this machine. It is used if Open is nil or fails, and
	// has to return when ctx ends. Nil means to wait for the browser, which the
	// user may have elsewhere with this machine's port forwarded.
	ReadCode func(ctx context.Context) (string, error)
	// ConnectorID asks a Dex issuer, as Sigstore's is, for one of its
	// providers, such as https://github.com/login/oauth. Empty lets the user
	// choose.
	ConnectorID string
}

// outOfBandRedirect makes an issuer show the code, for the user to copy.
const outOfBandRedirect = "urn:ietf:wg:oauth:2.0:oob"

// Browser is a source of the token of a person, who logs in with a browser: the
// authorization code flow of OpenID Connect with PKCE, and a redirect to a server
// on loopback that lives as long as the login, which is five minutes at most.
// Every token is a login; the source keeps none.
func Browser(config BrowserConfig) TokenSource {
	return tokenFunc(func(ctx context.Context, audience string) (string, error) {
		ctx, cancel := context.WithTimeoutCause(ctx, limits.Login,
			fmt.Errorf("nobody logged in within %s: %w", limits.Login, context.DeadlineExceeded))
		defer cancel()
		token, err := config.token(ctx, audience)
		if err != nil {
			return "", config.issuerError(err)
		}
		return token, nil
	})
}

func (c BrowserConfig) token(ctx context.Context, audience string) (string, error) {
	if c.Open == nil && c.Output == nil {
		return "", humanError{errors.New("neither Open nor Output is set: nobody would see where to log in")}
	}
	redirect, err := parseRedirect(cmp.Or(c.RedirectURL, "http://localhost:0/auth/callback"))
	if err != nil {
		return "", err
	}
	p, err := c.discover(ctx, audience)
	if err != nil {
		return "", err
	}
	if p.AuthURL == "" {
		return "", humanError{errors.New("the issuer has no authorization endpoint")}
	}
	if c.Open == nil && c.ReadCode != nil {
		return c.outOfBand(ctx, p)
	}
	token, err := c.loopback(ctx, p, redirect)
	if errors.Is(err, errNotOpened) && c.ReadCode != nil && ctx.Err() == nil {
		return c.outOfBand(ctx, p)
	}
	return token, err
}

// errNotOpened is that there is no browser here.
var errNotOpened = errors.New("the browser could not be opened")

// attempt is the secrets of one login.
type attempt struct {
	state    string // in the redirect: the browser that comes is the one that was sent
	nonce    string // in the ID token: it was made for this login
	verifier string // of PKCE: who has the code began the login
}

func newAttempt() attempt {
	return attempt{state: rand.Text(), nonce: rand.Text(), verifier: oauth2.GenerateVerifier()}
}

// url is where the user logs in.
func (a attempt) url(p *provider, redirectURL, connectorID string) string {
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(a.verifier), oidc.Nonce(a.nonce)}
	if connectorID != "" {
		options = append(options, oauth2.SetAuthURLParam("connector_id", connectorID))
	}
	return p.config(redirectURL).AuthCodeURL(a.state, options...)
}

// exchange returns the verified ID token that the issuer gives for code.
func (a attempt) exchange(ctx context.Context, p *provider, redirectURL, code string) (raw string, _ *oidc.IDToken, err error) {
	// A code is good for one request, whatever becomes of the answer.
	once := *p
	once.attempts = 1
	reply, err := once.requestToken(ctx, url.Values{
		"grant_type": {"authorization_code"}, "code": {code},
		"redirect_uri": {redirectURL}, "code_verifier": {a.verifier},
	})
	if err != nil {
		return "", nil, err
	}
	token, err := p.verifyReply(ctx, reply, p.clientID, a.nonce)
	return reply.IDToken, token, err
}

// loopback is the login that ends with a redirect to this machine.
func (c BrowserConfig) loopback(ctx context.Context, p *provider, redirect *url.URL) (string, error) {
	a := newAttempt()
	server, err := listen(ctx, redirect, a.state, p.Issuer, successPage)
	if err != nil {
		return "", err
	}
	address := a.url(p, server.redirectURL, c.ConnectorID)
	opening := c.open(ctx, address)
	defer opening.stop()
	defer server.close() //nolint:contextcheck // First, as the browser's end may be that of Open, and also when ctx has ended.

	opened := opening.done
	for {
		select {
		case answer := <-server.answers:
			if answer.err != nil {
				return "", answer.err
			}
			raw, token, err := a.exchange(ctx, p, server.redirectURL, answer.code)
			if err != nil {
				return "", err
			}
			server.succeed(token)
			return raw, nil
		case err := <-opened:
			opened = nil
			if err == nil {
				continue
			}
			if err := c.notOpened(ctx, err, address); err != nil {
				return "", err
			}
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
}

// notOpened tells the user to open address, or returns why that is no use.
func (c BrowserConfig) notOpened(ctx context.Context, err error, address string) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case c.ReadCode != nil || c.Output == nil:
		return humanError{fmt.Errorf("%w: %w", errNotOpened, err)}
	}
	_, err = fmt.Fprintf(c.Output, "To log in, open this page in a browser:\n\n    %s\n\n", address)
	return err
}

// outOfBand is the login that ends with a code that the user copies.
func (c BrowserConfig) outOfBand(ctx context.Context, p *provider) (string, error) {
	a := newAttempt()
	if c.Output == nil {
		return "", humanError{fmt.Errorf("%w, and Output is not set: nobody would see where to log in", errNotOpened)}
	}
	_, err := fmt.Fprintf(c.Output, "To log in, open this page in a browser, and enter the code that it shows:\n\n    %s\n\n",
		a.url(p, outOfBandRedirect, c.ConnectorID))
	if err != nil {
		return "", err
	}
	code, err := c.ReadCode(ctx)
	if err != nil {
		return "", err
	}
	if code = strings.TrimSpace(code); code == "" {
		return "", humanError{errors.New("no code was entered")}
	}
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	raw, _, err := a.exchange(ctx, p, outOfBandRedirect, code)
	return raw, err
}

// opening is a call of Open under way.
type opening struct {
	done chan error // what Open returned
	stop func()     // waits until it did
}

func (c BrowserConfig) open(ctx context.Context, address string) opening {
	if c.Open == nil {
		done := make(chan error, 1)
		done <- errNotOpened
		return opening{done: done, stop: func() {}}
	}
	return runOpen(ctx, c.Open, address)
}

// runOpen calls open beside what else is done, which open may wait for.
func runOpen(ctx context.Context, open func(context.Context, string) error, address string) opening {
	ctx, cancel := context.WithCancel(ctx)
	done, ended := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(ended)
		done <- open(ctx, address)
	}()
	return opening{done: done, stop: func() {
		defer cancel()
		// It may still be reading the last page, if it is the browser itself.
		select {
		case <-ended:
		case <-time.After(limits.LoginPage):
			cancel()
			<-ended
		}
	}}
}
