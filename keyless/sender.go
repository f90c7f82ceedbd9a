// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/internal/origin"
	"github.com/cosignkit/cosignkit/internal/strictjson"
	"github.com/cosignkit/cosignkit/verify"
)

// humanError is a cause of the family misconfigured.
type humanError struct{ error }

func (e humanError) Unwrap() error { return e.error }

func (humanError) Is(target error) bool { return target == verify.ErrMisconfigured }

// sender asks issuers. It follows no redirect: none of what it sends may go to
// where the configuration, or the issuer's metadata, does not say.
type sender struct {
	base      http.RoundTripper // nil means http.DefaultTransport
	attempts  int               // zero means as often as transport does
	allowHTTP bool
}

// send sends request, and decodes the answer into the struct that answer points
// to. An answer that is not strict JSON is an error if its status is a success. No error
// quotes the answer, whose author may write what he was sent, or what is meant
// for a terminal.
func (s sender) send(request *http.Request, answer any) (status int, err error) {
	ctx, cancel := context.WithTimeoutCause(request.Context(), limits.ServiceBudget,
		fmt.Errorf("no answer within %s: %w", limits.ServiceBudget, context.DeadlineExceeded))
	defer cancel()
	client := &http.Client{Transport: &transport{
		ctx:  ctx,
		base: cmp.Or(s.base, http.DefaultTransport), logger: slog.New(slog.DiscardHandler),
		allowHTTP: s.allowHTTP, attempts: s.attempts,
	}}
	request.Header.Set("Accept", "application/json")
	response, err := client.Do(request) //nolint:gosec // to where the caller configured
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body) // Bounded by transport.
	if err != nil {
		return 0, err
	}
	if err := strictjson.Decode(body, answer); err != nil && response.StatusCode < 300 {
		return 0, fmt.Errorf("%s %s: the answer is not the JSON that was expected", request.Method, quoteURL(request.URL.String()))
	}
	return response.StatusCode, nil
}

func (s sender) get(ctx context.Context, address string, answer any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	status, err := s.send(request, answer)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("get %s: status %d", quoteURL(address), status)
	}
	return err
}

// checkEndpoint returns address, normalised, if tokens may be sent there and a
// browser may be sent there: over HTTPS, or over HTTP to this machine or if that
// is allowed. The result is ASCII, so that it can be shown in a terminal.
func checkEndpoint(address string, allowLoopback, allowHTTP bool) (string, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "":
		return "", fmt.Errorf("%s is not a URL of a service, without user information", quoteURL(address))
	case u.Scheme == "http" && !allowHTTP && (!allowLoopback || !origin.IsLoopback(u)):
		return "", fmt.Errorf("%s: %w", quoteURL(address), origin.ErrPlainHTTP)
	case u.Scheme != "http" && u.Scheme != "https":
		return "", fmt.Errorf("%s is neither an https nor an http URL", quoteURL(address))
	}
	// String escapes what a host name cannot have; the name must not have it.
	address = u.String()
	if strings.ContainsFunc(u.Host+address, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return "", fmt.Errorf("%s has characters that no URL has", quoteURL(address))
	}
	return address, nil
}

// quoteURL is quote without the secret parts of a URL.
func quoteURL(address string) string { return quote(withoutSecrets(address)) }

// withoutSecrets is fault.HideSecrets for what was meant as a URL.
func withoutSecrets(address string) string {
	if at := strings.LastIndex(address, "@"); at >= 0 && !strings.Contains(address, "://") {
		address = address[at+1:]
	}
	return fault.HideSecrets(address)
}
