// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package oidc_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/cosignkit/cosignkit/internal/e2e/sigstack/oidc"
)

// poll asks for a token once; the oauth2 package does not.
func poll(t *testing.T, config oauth2.Config, deviceCode string, options ...oauth2.AuthCodeOption) (*oauth2.Token, error) {
	t.Helper()
	config.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	return config.Exchange(t.Context(), "", append(options,
		oauth2.SetAuthURLParam("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
		oauth2.SetAuthURLParam("device_code", deviceCode))...)
}

func TestDevice(t *testing.T) {
	t.Parallel()
	_, issuer, config := serve(t)
	verifier := oauth2.GenerateVerifier()
	device, err := config.DeviceAuth(t.Context(), oauth2.S256ChallengeOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	if device.Interval != 1 || device.VerificationURI == "" {
		t.Errorf("the device is to %+v", device)
	}
	_, err = poll(t, config, device.DeviceCode)
	refused(t, err, http.StatusBadRequest, "authorization_pending")
	if got := visit(t, device.VerificationURIComplete+"&login_hint=person@example.com"); got != http.StatusOK {
		t.Fatalf("the user gets %d", got)
	}
	token, err := config.DeviceAccessToken(t.Context(), device, oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	if c := verify(t, issuer, token); c != (idClaims{"user-person", "person@example.com", true, ""}) {
		t.Errorf("claims are %+v", c)
	}
	_, err = poll(t, config, device.DeviceCode, oauth2.VerifierOption(verifier))
	refused(t, err, http.StatusBadRequest, "invalid_grant")
}

func TestDeviceRefused(t *testing.T) {
	t.Parallel()
	_, _, config := serve(t)
	for hint, want := range map[string]string{
		"&deny=1":   "access_denied",
		"&expire=1": "expired_token",
		"&slow=1":   "slow_down",
		"":          "invalid_grant", // approved, but there is no verifier
	} {
		device, err := config.DeviceAuth(t.Context(), oauth2.S256ChallengeOption("verifier"))
		if err != nil {
			t.Fatal(err)
		}
		visit(t, device.VerificationURIComplete+hint)
		_, err = poll(t, config, device.DeviceCode)
		refused(t, err, http.StatusBadRequest, want)
	}
	_, err := poll(t, config, "other")
	refused(t, err, http.StatusBadRequest, "invalid_grant")
	if got := visit(t, config.Endpoint.DeviceAuthURL[:len(config.Endpoint.DeviceAuthURL)-len("/code")]+"?user_code=other"); got != http.StatusBadRequest {
		t.Errorf("the user of another code gets %d", got)
	}
}

// TestDeviceSlowDown: after a request that was too early, the interval is
// longer by five seconds.
func TestDeviceSlowDown(t *testing.T) {
	t.Parallel()
	p, _, config := serve(t)
	now := time.Now()
	p.Now = func() time.Time { return now }
	device, err := config.DeviceAuth(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		after time.Duration
		want  string
	}{
		{0, "authorization_pending"},
		{time.Second, "authorization_pending"},
		{time.Second - 1, "slow_down"},
		{6*time.Second - 1, "slow_down"},
		{11 * time.Second, "authorization_pending"},
	} {
		now = now.Add(c.after)
		_, err := poll(t, config, device.DeviceCode)
		refused(t, err, http.StatusBadRequest, c.want)
	}
}

func TestDeviceStartRefused(t *testing.T) {
	t.Parallel()
	_, _, config := serve(t)
	for _, test := range []struct {
		form   url.Values
		status int
	}{
		{url.Values{"client_id": {"other"}, "scope": {"openid"}}, 401},
		{url.Values{"client_id": {oidc.ClientID}, "scope": {"email"}}, 400},
		{url.Values{"client_id": {oidc.ClientID}, "scope": {"openid"}, "code_challenge": {"x"}}, 400},
	} {
		response, err := http.PostForm(config.Endpoint.DeviceAuthURL, test.form)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if response.StatusCode != test.status {
			t.Errorf("%v: %d, want %d", test.form, response.StatusCode, test.status)
		}
	}
}
