// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/verify"
)

// DefaultIssuer is the OpenID Connect issuer of the public Sigstore instance.
const DefaultIssuer = "https://oauth2.sigstore.dev/auth"

// OIDCClient is what [Browser], [Device] and [ClientCredentials] need to know of
// an OpenID Connect issuer, and of the client that the program is there.
type OIDCClient struct {
	// Issuer is the issuer's URL, such as [DefaultIssuer]. Required: a token of
	// one instance must not go to another by accident.
	Issuer string
	// ClientID is the program's client ID at the issuer, which becomes the
	// audience of its tokens. Empty means the audience that a token is asked
	// for, and no other is accepted: see SignerConfig.Audience.
	ClientID string
	// ClientSecret is for confidential clients. Empty means that the client is
	// public, as programs that people run are.
	ClientSecret string
	// Transport sends the requests. Nil means [http.DefaultTransport].
	Transport http.RoundTripper
	// InsecureAllowHTTP lets the issuer be plain HTTP on another machine than
	// this one: whoever is in between gets the tokens. An https issuer still has
	// nothing sent over plain HTTP.
	InsecureAllowHTTP bool
}

// scopes are those of an identity with an email address.
var scopes = []string{oidc.ScopeOpenID, oidc.ScopeEmail}

// issuerError tells which issuer an error is about.
func (c OIDCClient) issuerError(err error) error {
	return tokenError(verify.ErrInconclusive, fault.OneLine(withoutSecrets(c.Issuer)), err)
}

// provider is an issuer as its metadata describes it. All of its addresses that
// are not empty passed checkEndpoint.
type provider struct {
	sender
	metadata

	clientID, clientSecret string
}

// metadata is of OpenID Connect Discovery 1.0, section 3. The names of RFC 8414
// are the same.
type metadata struct {
	Issuer        string   `json:"issuer"`
	AuthURL       string   `json:"authorization_endpoint"`
	TokenURL      string   `json:"token_endpoint"`
	DeviceAuthURL string   `json:"device_authorization_endpoint"`
	JWKSURL       string   `json:"jwks_uri"`
	AuthMethods   []string `json:"token_endpoint_auth_methods_supported"`
}

// discover gets the issuer's metadata.
//
// go-oidc can do that as well. It puts all of an answer that it does not
// understand into the error, for the terminal to obey.
func (c OIDCClient) discover(ctx context.Context, audience string) (*provider, error) {
	if c.Issuer == "" {
		return nil, humanError{errors.New("no issuer is set")}
	}
	if c.ClientID != "" && c.ClientID != audience {
		return nil, humanError{fmt.Errorf("the tokens of client %s are not for the audience %s", quote(c.ClientID), quote(audience))}
	}
	address, err := checkEndpoint(c.Issuer, true, c.InsecureAllowHTTP)
	if err != nil {
		return nil, humanError{fmt.Errorf("issuer: %w", err)}
	}
	p := &provider{
		sender:   sender{base: c.Transport, allowHTTP: c.InsecureAllowHTTP},
		clientID: cmp.Or(c.ClientID, audience), clientSecret: c.ClientSecret,
	}
	if err := p.get(ctx, strings.TrimSuffix(address, "/")+"/.well-known/openid-configuration", &p.metadata); err != nil {
		return nil, err
	}
	if p.Issuer != c.Issuer {
		return nil, humanError{fmt.Errorf("the metadata is of another issuer, %s", quote(p.Issuer))}
	}
	// An issuer elsewhere has no business with the services of this machine, and what
	// was begun over TLS ends over TLS.
	plain := strings.HasPrefix(address, "http://")
	p.allowHTTP = p.allowHTTP && plain
	for name, endpoint := range map[string]*string{
		"authorization endpoint": &p.AuthURL, "token endpoint": &p.TokenURL,
		"device authorization endpoint": &p.DeviceAuthURL, "JWKS": &p.JWKSURL,
	} {
		if *endpoint == "" {
			continue
		}
		if *endpoint, err = checkEndpoint(*endpoint, plain, p.allowHTTP); err != nil {
			return nil, humanError{fmt.Errorf("%s: %w", name, err)}
		}
	}
	return p, nil
}

// config is the client for x/oauth2, which builds the URL that a browser opens.
//
// The requests are not its own: its device flow heeds no context when it begins,
// and panics if the issuer says that the interval is negative; and it finds out
// how to authenticate by trying, which uses up the code.
func (p *provider) config(redirectURL string) *oauth2.Config {
	return &oauth2.Config{
		ClientID: p.clientID, Endpoint: oauth2.Endpoint{AuthURL: p.AuthURL},
		RedirectURL: redirectURL, Scopes: scopes,
	}
}

// tokenReply is of RFC 6749, sections 5.1 and 5.2.
type tokenReply struct {
	oauthError
	IDToken     string `json:"id_token"`
	AccessToken string `json:"access_token"`
}

// requestToken sends a grant to the token endpoint.
func (p *provider) requestToken(ctx context.Context, grant url.Values) (tokenReply, error) {
	var reply tokenReply
	if err := p.post(ctx, "token endpoint", p.TokenURL, grant, &reply, &reply.oauthError); err != nil {
		return tokenReply{}, err
	}
	if reply.IDToken == "" {
		return tokenReply{}, errors.New("the issuer's reply has no id_token")
	}
	return reply, nil
}

// post sends a form to an endpoint, as the client. Name is the endpoint's;
// problem is where in reply the issuer puts one.
func (p *provider) post(ctx context.Context, name, endpoint string, form url.Values, reply any, problem *oauthError) error {
	if endpoint == "" {
		return humanError{fmt.Errorf("the issuer has no %s", name)}
	}
	// RFC 6749, section 2.3.1. Basic is what issuers support that do not say.
	basic := p.clientSecret != "" &&
		(len(p.AuthMethods) == 0 || slices.Contains(p.AuthMethods, "client_secret_basic"))
	if !basic {
		form.Set("client_id", p.clientID)
		if p.clientSecret != "" {
			form.Set("client_secret", p.clientSecret)
		}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if basic {
		request.SetBasicAuth(url.QueryEscape(p.clientID), url.QueryEscape(p.clientSecret))
	}
	problem.status, err = p.send(request, reply)
	if err == nil && (problem.Code != "" || problem.status != http.StatusOK) {
		err = problem
	}
	return err
}

// oauthError is how an issuer says no.
type oauthError struct {
	Code        string `json:"error"`
	Description string `json:"error_description"`
	status      int    // zero if the browser brought it
}

func (e *oauthError) Error() string {
	switch {
	case e.Code == "":
		return fmt.Sprintf("the issuer answers with status %d", e.status)
	case e.Description == "":
		return "the issuer answers " + quote(e.Code)
	}
	return fmt.Sprintf("the issuer answers %s: %s", quote(e.Code), quote(e.Description))
}

// Is tells the answers that will be the same until somebody changes the
// configuration, here or at the issuer.
func (e *oauthError) Is(target error) bool {
	return target == verify.ErrMisconfigured && slices.Contains([]string{
		"invalid_client", "unauthorized_client", "invalid_scope", "invalid_request",
		"unsupported_grant_type", "unsupported_response_type",
	}, e.Code)
}
