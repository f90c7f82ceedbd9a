// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/verify"
)

// DeviceConfig configures [Device].
type DeviceConfig struct {
	OIDCClient
	// Output gets the code for the user, and where to enter it. Required.
	Output io.Writer
	// Open opens a URL in a browser, as that of [BrowserConfig] does, to spare
	// the user the typing. Nil, or an error, leaves that to the user.
	Open func(ctx context.Context, url string) error
}

// Device is a source of the token of a person who logs in with a browser on any
// device: the device authorization grant of RFC 8628, with PKCE for issuers that
// know it there. Every token is a login; the source keeps none.
//
// A person can be talked into entering a code that somebody else was given. Use
// [Browser] where there is one.
func Device(config DeviceConfig) TokenSource {
	return tokenFunc(func(ctx context.Context, audience string) (string, error) {
		token, err := config.token(ctx, audience)
		if err != nil {
			return "", config.issuerError(err)
		}
		return token, nil
	})
}

func (c DeviceConfig) token(ctx context.Context, audience string) (string, error) {
	if c.Output == nil {
		return "", humanError{errors.New("no Output is set: nobody would see the code")}
	}
	p, err := c.discover(ctx, audience)
	if err != nil {
		return "", err
	}
	verifier := oauth2.GenerateVerifier()
	code, err := p.deviceCode(ctx, verifier)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, code.life(), errDeviceExpired)
	defer cancel()
	_, err = fmt.Fprintf(c.Output, "To log in, open this page in a browser and enter the code %s:\n\n    %s\n\n", code.UserCode, code.URL)
	if err != nil {
		return "", err
	}
	if c.Open != nil {
		opening := runOpen(ctx, c.Open, code.CompleteURL)
		defer opening.stop()
	}
	reply, err := p.poll(ctx, code, verifier)
	if err != nil {
		return "", err
	}
	if _, err := p.verifyReply(ctx, reply, p.clientID, ""); err != nil {
		return "", err
	}
	return reply.IDToken, nil
}

// errDeviceExpired is a deadline's: nobody has to change anything.
var errDeviceExpired = fmt.Errorf("the code expired before it was entered: %w", context.DeadlineExceeded)

// deviceReply is of RFC 8628, section 3.2.
type deviceReply struct {
	oauthError
	DeviceCode  string `json:"device_code"`
	UserCode    string `json:"user_code"`
	URL         string `json:"verification_uri"`
	CompleteURL string `json:"verification_uri_complete"`
	ExpiresIn   int64  `json:"expires_in"`
	Interval    int64  `json:"interval"`
}

// life is how long the code can be entered.
func (r deviceReply) life() time.Duration {
	return seconds(r.ExpiresIn, limits.DeviceLogin)
}

// seconds is no more than limit, and is limit if n is nothing.
func seconds(n int64, limit time.Duration) time.Duration {
	if n <= 0 || n > int64(limit/time.Second) {
		return limit
	}
	return time.Duration(n) * time.Second
}

// deviceCode begins the flow. What it returns can be shown to the user.
func (p *provider) deviceCode(ctx context.Context, verifier string) (deviceReply, error) {
	var reply deviceReply
	err := p.post(ctx, "device authorization endpoint", p.DeviceAuthURL, url.Values{
		"scope":          {strings.Join(scopes, " ")},
		"code_challenge": {oauth2.S256ChallengeFromVerifier(verifier)}, "code_challenge_method": {"S256"},
	}, &reply, &reply.oauthError)
	if err != nil {
		return deviceReply{}, err
	}
	reply.UserCode = strings.TrimSpace(fault.OneLine(reply.UserCode))
	if reply.DeviceCode == "" || reply.UserCode == "" {
		return deviceReply{}, errors.New("the issuer's reply has no code")
	}
	local := strings.HasPrefix(p.Issuer, "http://")
	if reply.URL, err = checkEndpoint(reply.URL, local, p.allowHTTP); err != nil {
		return deviceReply{}, fmt.Errorf("verification_uri: %w", err)
	}
	if reply.CompleteURL == "" {
		reply.CompleteURL = reply.URL
	}
	if reply.CompleteURL, err = checkEndpoint(reply.CompleteURL, local, p.allowHTTP); err != nil {
		return deviceReply{}, fmt.Errorf("verification_uri_complete: %w", err)
	}
	return reply, nil
}

// poll asks for the token until the user has logged in, or ctx ends.
func (p *provider) poll(ctx context.Context, code deviceReply, verifier string) (tokenReply, error) {
	interval := limits.DeviceInterval
	if code.Interval > 0 {
		interval = seconds(code.Interval, limits.DeviceLogin)
	}
	// The interval is the issuer's to set: nothing is sent again sooner.
	once := *p
	once.attempts = 1
	timer := time.NewTimer(interval)
	defer timer.Stop()
	for failures := 0; ; timer.Reset(interval) {
		select {
		case <-ctx.Done():
			return tokenReply{}, context.Cause(ctx)
		case <-timer.C:
		}
		reply, err := once.requestToken(ctx, url.Values{
			"grant_type":  {"urn:ietf:params:oauth:grant-type:device_code"},
			"device_code": {code.DeviceCode}, "code_verifier": {verifier},
		})
		var problem *oauthError
		switch {
		case err == nil:
			return reply, nil
		case ctx.Err() != nil:
			return tokenReply{}, context.Cause(ctx)
		case errors.As(err, &problem) && problem.Code == "authorization_pending":
			failures = 0
		case errors.As(err, &problem) && problem.Code == "slow_down":
			failures = 0
			interval += limits.DeviceInterval
		case failures < limits.ServiceAttempts && passing(err):
			failures++
			interval *= 2 // RFC 8628, section 3.5
		default:
			return tokenReply{}, err
		}
	}
}

// passing reports whether an error may be gone the next time: that of a network
// that a laptop left, or of an issuer that restarts.
func passing(err error) bool {
	var problem *oauthError
	if errors.As(err, &problem) {
		return problem.Code == "" && (problem.status >= 500 || problem.status == http.StatusTooManyRequests)
	}
	var request *url.Error
	return errors.As(err, &request) && !errors.Is(err, verify.ErrMisconfigured) && !errors.Is(err, limits.ErrExceeded)
}
