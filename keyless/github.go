// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/cosignkit/cosignkit/verify"
)

// GitHubActionsConfig configures [GitHubActions].
type GitHubActionsConfig struct {
	// Transport sends the request. Nil means [http.DefaultTransport].
	Transport http.RoundTripper
}

// What GitHub's runner hands to a workflow that has the permission
// "id-token: write".
const (
	envActionsURL   = "ACTIONS_ID_TOKEN_REQUEST_URL"
	envActionsToken = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
)

// GitHubActions is a source of the tokens of the GitHub Actions workflow that
// the program runs in. It reads the variables ACTIONS_ID_TOKEN_REQUEST_URL and
// ACTIONS_ID_TOKEN_REQUEST_TOKEN each time. If neither is set, that is
// [ErrNoToken]. If only one is, or neither in a workflow (GITHUB_ACTIONS is
// true), which then has not the permission "id-token: write", it is
// misconfigured: nobody is there to log in otherwise.
func GitHubActions(config GitHubActionsConfig) TokenSource {
	return tokenFunc(func(ctx context.Context, audience string) (string, error) {
		address := os.Getenv(envActionsURL)                           //nolint:forbidigo // documented
		requestToken := strings.TrimSpace(os.Getenv(envActionsToken)) //nolint:forbidigo // documented
		switch {
		case address == "" && requestToken == "" && os.Getenv("GITHUB_ACTIONS") == "true": //nolint:forbidigo // documented
			return "", tokenError(verify.ErrMisconfigured, "GitHub Actions", errors.New("the workflow has not the permission id-token: write"))
		case address == "" && requestToken == "":
			return "", tokenError(verify.ErrMisconfigured, "GitHub Actions", ErrNoToken)
		case address == "":
			return "", tokenError(verify.ErrMisconfigured, "GitHub Actions", errors.New(envActionsURL+" is not set"))
		case requestToken == "":
			return "", tokenError(verify.ErrMisconfigured, "GitHub Actions", errors.New(envActionsToken+" is not set"))
		}
		if strings.ContainsFunc(requestToken, func(c rune) bool { return c <= ' ' || c > '~' }) {
			return "", tokenError(verify.ErrMisconfigured, "GitHub Actions", errors.New(envActionsToken+" has characters that no token has"))
		}
		token, err := config.token(ctx, address, requestToken, audience)
		if err != nil {
			return "", tokenError(verify.ErrInconclusive, "GitHub Actions", err)
		}
		return token, nil
	})
}

func (c GitHubActionsConfig) token(ctx context.Context, address, requestToken, audience string) (string, error) {
	request, err := actionsRequest(ctx, address, audience)
	if err != nil {
		return "", humanError{fmt.Errorf("%s: %w", envActionsURL, err)}
	}
	request.Header.Set("Authorization", "Bearer "+requestToken)
	var answer struct {
		Value string `json:"value"`
	}
	status, err := sender{base: c.Transport}.send(request, &answer)
	switch {
	case err != nil:
		return "", err
	case status >= 400 && status < 500 && status != http.StatusTooManyRequests && status != http.StatusRequestTimeout:
		return "", humanError{fmt.Errorf("the request was refused with status %d", status)}
	case status != http.StatusOK:
		return "", fmt.Errorf("the request was answered with status %d", status)
	case answer.Value == "":
		return "", errors.New("the answer has no token")
	}
	return answer.Value, nil
}

// actionsRequest adds the audience to the URL, which has a query already.
func actionsRequest(ctx context.Context, address, audience string) (*http.Request, error) {
	address, err := checkEndpoint(address, true, false)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil) //nolint:gosec // to where the runner says, and over HTTPS or to this machine
	if err != nil {
		return nil, err
	}
	query, err := url.ParseQuery(request.URL.RawQuery)
	if err != nil {
		return nil, errors.New("the query of the URL is malformed")
	}
	query.Set("audience", audience)
	request.URL.RawQuery = query.Encode()
	return request, nil
}
