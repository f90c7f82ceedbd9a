// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cosignkit/cosignkit/keyless"
)

func ExampleStaticToken() {
	source := keyless.StaticToken("header.claims.signature")
	fmt.Println(source.Token(context.Background(), keyless.DefaultAudience))
	// Output: header.claims.signature <nil>
}

func ExampleTokenFile() {
	source := keyless.TokenFile(filepath.Join(os.TempDir(), "there", "is", "none"))
	_, err := source.Token(context.Background(), keyless.DefaultAudience)
	fmt.Println(errors.Is(err, keyless.ErrNoToken))
	// Output: true
}

func ExampleTokenFromEnvironment() {
	source := keyless.TokenFromEnvironment() // reads SIGSTORE_ID_TOKEN
	if _, err := source.Token(context.Background(), keyless.DefaultAudience); errors.Is(err, keyless.ErrNoToken) {
		fmt.Println("the variable is not set")
	}
}

func ExampleGitHubActions() {
	source := keyless.GitHubActions(keyless.GitHubActionsConfig{})
	if _, err := source.Token(context.Background(), keyless.DefaultAudience); errors.Is(err, keyless.ErrNoToken) {
		fmt.Println("not in a workflow")
	}
}

func ExampleAmbient() {
	source := keyless.Ambient(keyless.AmbientConfig{
		// For what only this machine has.
		More: []keyless.TokenSource{keyless.TokenFile("/run/secrets/id-token")},
	})
	if _, err := source.Token(context.Background(), keyless.DefaultAudience); errors.Is(err, keyless.ErrNoToken) {
		fmt.Println("a person has to log in")
	}
}

func ExampleFirstOf() {
	source := keyless.FirstOf(
		keyless.TokenFile(filepath.Join(os.TempDir(), "there", "is", "none")),
		keyless.StaticToken("header.claims.signature"),
	)
	fmt.Println(source.Token(context.Background(), keyless.DefaultAudience))
	// Output: header.claims.signature <nil>
}

// A person logs in with a browser, or where there is none copies a code.
func ExampleBrowser() {
	source := keyless.Browser(keyless.BrowserConfig{
		OIDCClient: keyless.OIDCClient{Issuer: "https://issuer.example"},
		Open: func(context.Context, string) error {
			return errors.New("how to open a browser depends on the system")
		},
		Output: os.Stderr,
		ReadCode: func(context.Context) (string, error) {
			return bufio.NewReader(os.Stdin).ReadString('\n') // A program that goes on afterwards heeds the context.
		},
	})
	_ = keyless.FirstOf(keyless.Ambient(keyless.AmbientConfig{}), source) // Only if the machine has no token.
}

// A person logs in on another device, and the code is all that both have.
func ExampleDevice() {
	source := keyless.Device(keyless.DeviceConfig{
		OIDCClient: keyless.OIDCClient{Issuer: keyless.DefaultIssuer},
		Output:     os.Stderr,
	})
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // The user gave up.
	_, err := source.Token(ctx, keyless.DefaultAudience)
	fmt.Println(errors.Is(err, context.Canceled))
	// Output: true
}

func ExampleClientCredentials() {
	source := keyless.ClientCredentials(keyless.ClientCredentialsConfig{
		OIDCClient: keyless.OIDCClient{Issuer: "https://issuer.example", ClientID: "robot"},
	})
	_, err := source.Token(context.Background(), keyless.DefaultAudience)
	fmt.Println(err)
	// Output: get identity token: https://issuer.example: no ClientSecret is set
}
