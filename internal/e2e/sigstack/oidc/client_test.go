// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package oidc_test

import (
	"net/http"
	"testing"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/cosignkit/cosignkit/internal/e2e/sigstack/oidc"
)

func TestClientCredentials(t *testing.T) {
	t.Parallel()
	p, issuer, config := serve(t)
	for name, style := range map[string]oauth2.AuthStyle{
		"header": oauth2.AuthStyleInHeader,
		"form":   oauth2.AuthStyleInParams,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := clientcredentials.Config{
				ClientID:     oidc.ClientID,
				ClientSecret: p.ClientSecret,
				TokenURL:     config.Endpoint.TokenURL,
				AuthStyle:    style,
			}
			token, err := client.Token(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if c := verify(t, issuer, token); c != (idClaims{"user-machine", oidc.MachineUser, true, ""}) {
				t.Errorf("claims are %+v", c)
			}
			for _, secret := range []string{"", "wrong"} {
				client.ClientSecret = secret
				_, err := client.Token(t.Context())
				refused(t, err, http.StatusUnauthorized, "invalid_client")
			}
		})
	}
}
