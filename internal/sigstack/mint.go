// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package sigstack

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// Mint returns an identity token with claims of the caller's choice, in the
// place of those that the issuer would choose:
//
//   - exp, nbf and iat are seconds from now, and may be negative;
//   - email_verified is true or false;
//   - iss may be Actions, for the claims of a workflow, or any other issuer;
//   - any other claim is text, or a list if it has several values; an empty one
//     is left out;
//   - forge=1 signs with a key that the issuer does not publish.
func (s *Stack) Mint(ctx context.Context, claims url.Values) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Issuer+"/mint?"+claims.Encode(), nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("mint: %s: %s", response.Status, body)
	}
	return string(body), nil
}
