// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cosignkit/cosignkit/verify"
)

var tokenTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// tokenWith makes a token of the claims that pass, changed.
func tokenWith(t *testing.T, change map[string]any) string {
	t.Helper()
	all := map[string]any{
		"iss": "https://issuer.example", "sub": "subject", "aud": "sigstore",
		"email": "name@example.com", "email_verified": true,
		"exp": tokenTime.Add(time.Minute).Unix(), "nbf": tokenTime.Unix(),
	}
	for name, value := range change {
		if all[name] = value; value == nil {
			delete(all, name)
		}
	}
	b, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return encode(`{"alg":"RS256"}`) + "." + encode(string(b)) + ".c2ln"
}

func encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

func TestCheckToken(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]map[string]any{
		"of a person":              nil,
		"for several":              {"aud": []any{"other", 1, "sigstore"}},
		"with a fraction":          {"exp": float64(tokenTime.Unix()) + 1.5},
		"of a program":             {"email": nil, "email_verified": nil},
		"of an email alone":        {"sub": nil},
		"not verified, says text":  {"email_verified": "true"},
		"verification is not said": {"email_verified": nil},
		"clock is behind":          {"nbf": tokenTime.Add(time.Minute).Unix()},
		"no not-before":            {"nbf": nil},
		"nobody's address":         {"email": nil, "email_verified": false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := checkToken(tokenWith(t, change), "sigstore", tokenTime); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCheckTokenReadsClaims(t *testing.T) {
	t.Parallel()
	token := tokenWith(t, map[string]any{
		"aud": []string{"other", "sigstore"}, "job_workflow_ref": "o/r/.github/workflows/w.yml@refs/heads/main",
		"federated_claims": map[string]string{"connector_id": "https://github.com/login/oauth", "user_id": "1"},
		"repository_id":    json.Number("12345678901234567890"),
	})
	c, err := checkToken(token, "sigstore", tokenTime)
	if err != nil {
		t.Fatal(err)
	}
	if c.Issuer != "https://issuer.example" || c.Subject != "subject" || c.Email != "name@example.com" ||
		!slices.Equal(c.Audience, []string{"other", "sigstore"}) || !c.Expiry.Equal(tokenTime.Add(time.Minute)) ||
		c.FederatedConnector != "https://github.com/login/oauth" ||
		c.JobWorkflowRef != "o/r/.github/workflows/w.yml@refs/heads/main" {
		t.Errorf("claims are %+v", c)
	}
	if got := c.raw["repository_id"]; got != json.Number("12345678901234567890") {
		t.Errorf("a large number is %v", got)
	}
}

func TestCheckTokenRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change map[string]any
		want   string
	}{
		"expired":                      {map[string]any{"exp": tokenTime.Unix() - 1}, `it is expired; it is from issuer "https://issuer.example", of email "name@example.com", for audience "sigstore", expires 2026-01-02T03:04:04Z`},
		"expiring now":                 {map[string]any{"exp": tokenTime.Unix()}, "it is expired"},
		"no expiry":                    {map[string]any{"exp": nil}, "no expiry time; it is from"},
		"expiry is text":               {map[string]any{"exp": "9999999999"}, "no expiry time"},
		"expiry is beyond":             {map[string]any{"exp": 1e300}, "no expiry time"},
		"expiry is negative":           {map[string]any{"exp": -1}, "expires never"},
		"not yet":                      {map[string]any{"nbf": tokenTime.Add(time.Minute).Unix() + 1}, "not valid yet"},
		"another audience":             {map[string]any{"aud": "other"}, `not for the audience "sigstore"; it is from issuer`},
		"other audiences":              {map[string]any{"aud": []string{"a", "b"}}, `for audience "a b"`},
		"no audience":                  {map[string]any{"aud": nil}, "not for the audience"},
		"audience is a number":         {map[string]any{"aud": 1}, "not for the audience"},
		"no issuer":                    {map[string]any{"iss": nil}, "no issuer"},
		"issuer is a list":             {map[string]any{"iss": []string{"x"}}, "no issuer"},
		"nobody":                       {map[string]any{"sub": nil, "email": nil}, "neither a subject nor an email address"},
		"not verified":                 {map[string]any{"email_verified": false}, "did not verify the email address"},
		"not verified, in text":        {map[string]any{"email_verified": "false"}, "did not verify the email address"},
		"not verified, in other text":  {map[string]any{"email_verified": "yes"}, "did not verify the email address"},
		"not verified, in numbers":     {map[string]any{"email_verified": 1}, "did not verify the email address"},
		"escape sequence in issuer":    {map[string]any{"iss": "\x1b[2J", "aud": "x"}, `issuer "\x1b[2J"`},
		"escape sequence in subject":   {map[string]any{"sub": "\u202e", "email": nil, "aud": "x"}, `subject "\u202e"`},
		"escape sequence in audience":  {map[string]any{"aud": "\x07"}, `audience "\a"`},
		"long issuer":                  {map[string]any{"iss": strings.Repeat("x", 9000), "aud": "x"}, "xxx"},
		"claims differ in letter case": {map[string]any{"iss": nil, "ISS": "https://issuer.example"}, "no issuer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			token := tokenWith(t, c.change)
			_, err := checkToken(token, "sigstore", tokenTime)
			wantUnusable(t, err, token, c.want)
		})
	}
}

func TestCheckTokenWantsJWT(t *testing.T) {
	t.Parallel()
	good := tokenWith(t, nil)
	parts := strings.Split(good, ".")
	for name, c := range map[string]struct{ token, want string }{
		"nothing":               {"", "three parts"},
		"a password":            {"hunter2-hunter2", "three parts"},
		"two parts":             {parts[0] + "." + parts[1], "three parts"},
		"five parts, as JWE":    {good + ".x.y", "three parts"},
		"no signature":          {parts[0] + "." + parts[1] + ".", "without a signature"},
		"no header":             {"." + parts[1] + ".x", "header: not a JSON object"},
		"no claims":             {parts[0] + "..x", "claims: not a JSON object"},
		"padded":                {parts[0] + "." + encode(`{"a":1}`) + "==.x", "claims: not base64url"},
		"base64, not base64url": {parts[0] + ".e30+/w.x", "claims: not base64url"},
		"line break":            {parts[0] + "." + parts[1][:8] + "\n" + parts[1][8:] + ".x", "claims: not"},
		"claims are a list":     {parts[0] + "." + encode(`[]`) + ".x", "claims: not a JSON object"},
		"claims are null":       {parts[0] + "." + encode(`null`) + ".x", "claims: not a JSON object"},
		"claims go on":          {parts[0] + "." + encode(`{} {}`) + ".x", "not a JSON object"},
		"too long":              {strings.Repeat("x", 1<<17), "limit exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := checkToken(c.token, "sigstore", tokenTime)
			wantUnusable(t, err, c.token, c.want)
		})
	}
}

// wantUnusable checks that err says why, of the family misconfigured, and shows
// nothing of the token.
func wantUnusable(t *testing.T, err error, token, want string) {
	t.Helper()
	if err == nil || !errors.Is(err, verify.ErrMisconfigured) || !strings.Contains(err.Error(), want) {
		t.Fatalf("error is %v, want %q", err, want)
	}
	for part := range strings.SplitSeq(token, ".") {
		if len(part) > 3 && strings.Contains(err.Error(), part) {
			t.Errorf("the token is in the error: %v", err)
		}
	}
	if strings.ContainsAny(err.Error(), "\x1b\u202e\x07\n") || len(err.Error()) > 1200 {
		t.Errorf("not fit for a terminal: %q", err)
	}
}
