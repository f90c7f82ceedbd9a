// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/internal/strictjson"
	"github.com/cosignkit/cosignkit/verify"
)

// claims is what an identity token says.
type claims struct {
	Issuer   string
	Subject  string
	Email    string
	Audience []string
	Expiry   time.Time

	// FederatedConnector is, in a token of a Dex issuer such as Sigstore's, the
	// provider where the user logged in.
	FederatedConnector string
	// JobWorkflowRef is, in a token of GitHub Actions, the workflow.
	JobWorkflowRef string

	// raw is every claim; numbers are of type json.Number.
	raw map[string]any
}

// notBeforeLeeway is how far the issuer's clock may be ahead of this one. There
// is none for the expiry: a token that is about to expire serves no request.
const notBeforeLeeway = time.Minute

// checkToken parses a token and refuses one that Fulcio would refuse, before
// anything is sent. It does NOT verify the token's signature: Fulcio does, which
// is who has to believe it, and knows the keys of issuers that this machine may
// not reach. Nothing may be granted for what the claims say.
func checkToken(token, audience string, now time.Time) (claims, error) {
	c, err := parseToken(token)
	if err == nil {
		err = c.check(audience, now)
	}
	if err != nil {
		return claims{}, fault.New(verify.ErrMisconfigured, "check identity token", "", "", err)
	}
	return c, nil
}

func (c claims) check(audience string, now time.Time) error {
	var fault string
	switch {
	case c.Issuer == "":
		fault = "it names no issuer"
	case c.Subject == "" && c.Email == "":
		fault = "it names neither a subject nor an email address"
	case c.Email != "" && c.falsehood("email_verified"):
		fault = "its issuer did not verify the email address"
	case c.Expiry.IsZero():
		fault = "it has no expiry time"
	case !now.Before(c.Expiry):
		fault = "it is expired"
	case c.raw["nbf"] != nil && c.time("nbf").IsZero() && c.raw["nbf"] != json.Number("0"),
		c.time("nbf").After(now.Add(notBeforeLeeway)):
		fault = "it is not valid yet"
	case !slices.Contains(c.Audience, audience):
		fault = fmt.Sprintf("it is not for the audience %s", quote(audience))
	default:
		return nil
	}
	return fmt.Errorf("the token cannot be used: %s; it is %s", fault, c)
}

// String describes the token for an error message. It never has the token.
func (c claims) String() string {
	who := "subject " + quote(c.Subject)
	if c.Email != "" {
		who = "email " + quote(c.Email)
	}
	expiry := "never"
	if !c.Expiry.IsZero() {
		expiry = c.Expiry.UTC().Format(time.RFC3339)
	}
	return fmt.Sprintf("from issuer %s, of %s, for audience %s, expires %s",
		quote(c.Issuer), who, quote(strings.Join(c.Audience, " ")), expiry)
}

// quote renders text that somebody else wrote, without what a terminal would
// obey, and of bounded length.
func quote(text string) string { return fmt.Sprintf("%.256q", text) }

// parseToken parses the compact serialization of RFC 7515, section 7.1.
func parseToken(token string) (claims, error) {
	if len(token) > limits.Token {
		return claims{}, limits.Exceeded("identity token in bytes", limits.Token)
	}
	parts := strings.SplitN(token, ".", 4)
	if len(parts) != 3 {
		return claims{}, errors.New("is not a JWT: it has not three parts")
	}
	if _, err := decodePart(parts[0]); err != nil {
		return claims{}, fmt.Errorf("is not a JWT: header: %w", err)
	}
	raw, err := decodePart(parts[1])
	if err != nil {
		return claims{}, fmt.Errorf("is not a JWT: claims: %w", err)
	}
	if parts[2] == "" {
		return claims{}, errors.New("is a JWT without a signature")
	}
	c := claims{raw: raw}
	c.Issuer, c.Subject, c.Email = c.text("iss"), c.text("sub"), c.text("email")
	c.JobWorkflowRef = c.text("job_workflow_ref")
	c.Expiry = c.time("exp")
	c.Audience = c.audience()
	if federated, ok := raw["federated_claims"].(map[string]any); ok {
		c.FederatedConnector, _ = federated["connector_id"].(string)
	}
	return c, nil
}

var errNoObject = errors.New("not a JSON object, or not one that every parser reads alike")

// decodePart decodes one JSON object. Errors do not quote it.
func decodePart(part string) (map[string]any, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil || strings.ContainsAny(part, "\r\n") { // which Go's decoder skips
		return nil, errors.New("not base64url without padding")
	}
	if err := strictjson.CheckFolded(b); err != nil {
		return nil, errNoObject
	}
	decoder := json.NewDecoder(bytes.NewReader(b))
	decoder.UseNumber()
	var object map[string]any
	if err := decoder.Decode(&object); err != nil || object == nil {
		return nil, errNoObject
	}
	return object, nil
}

func (c claims) text(name string) string {
	text, _ := c.raw[name].(string)
	return text
}

// falsehood reports whether a claim is there and not true. Some issuers write
// booleans as text.
func (c claims) falsehood(name string) bool {
	switch value := c.raw[name].(type) {
	case nil:
		return false
	case bool:
		return !value
	case string:
		return value != "true"
	}
	return true
}

// time returns the time of a NumericDate, which may have a fraction, or the zero
// time. One that no time.Time can hold is zero as well.
func (c claims) time(name string) time.Time {
	number, ok := c.raw[name].(json.Number)
	if !ok {
		return time.Time{}
	}
	seconds, err := number.Float64()
	if err != nil || seconds <= 0 || seconds > math.MaxInt32*1000 {
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0)
}

// audience is one text or several, by RFC 7519, section 4.1.3.
func (c claims) audience() []string {
	switch value := c.raw["aud"].(type) {
	case string:
		return []string{value}
	case []any:
		var audience []string
		for _, one := range value {
			if text, ok := one.(string); ok {
				audience = append(audience, text)
			}
		}
		return audience
	}
	return nil
}
