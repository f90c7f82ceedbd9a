// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
)

var errUsage = errors.New("usage")

// command is a command line.
type command struct {
	run func(context.Context, command) error

	staging       bool
	bundle        string
	trustedRoot   string
	identityToken string
	signingConfig string
	inToto        bool
	identity      string
	issuer        string
	key           string
	argument      string
}

func parse(arguments []string) (command, error) {
	if len(arguments) == 0 {
		return command{}, fmt.Errorf("%w: want sign-bundle or verify-bundle", errUsage)
	}
	var c command
	flags := flag.NewFlagSet(arguments[0], flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.BoolVar(&c.staging, "staging", false, "")
	flags.StringVar(&c.bundle, "bundle", "", "")
	flags.StringVar(&c.trustedRoot, "trusted-root", "", "")
	switch arguments[0] {
	case "sign-bundle":
		c.run = sign
		flags.BoolVar(&c.inToto, "in-toto", false, "")
		flags.StringVar(&c.identityToken, "identity-token", "", "")
		flags.StringVar(&c.signingConfig, "signing-config", "", "")
	case "verify-bundle":
		c.run = verifyBundle
		flags.StringVar(&c.identity, "certificate-identity", "", "")
		flags.StringVar(&c.issuer, "certificate-oidc-issuer", "", "")
		flags.StringVar(&c.key, "key", "", "")
	default:
		return command{}, fmt.Errorf("%w: there is no command %.64q", errUsage, arguments[0])
	}
	if err := flags.Parse(arguments[1:]); err != nil {
		return command{}, fmt.Errorf("%w: %w", errUsage, err)
	}
	if flags.NArg() != 1 {
		return command{}, fmt.Errorf("%w: %d arguments after the flags, want 1", errUsage, flags.NArg())
	}
	c.argument = flags.Arg(0)
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) {
		// Nobody means an empty value: it is a variable that was not set.
		given[f.Name] = f.Value.String() != ""
	})
	return c, checkGiven(arguments[0], given)
}

// checkGiven wants the flags of one form of the command.
func checkGiven(name string, given map[string]bool) error {
	for flagName, ok := range given {
		if !ok {
			return fmt.Errorf("%w: --%s is empty", errUsage, flagName)
		}
	}
	want := []string{"bundle"}
	switch {
	case name == "sign-bundle":
		want = append(want, "identity-token")
	case !given["key"]:
		want = append(want, "certificate-identity", "certificate-oidc-issuer")
	case given["certificate-identity"] || given["certificate-oidc-issuer"]:
		return fmt.Errorf("%w: either --key or an identity", errUsage)
	}
	for _, flagName := range want {
		if !given[flagName] {
			return fmt.Errorf("%w: --%s is missing", errUsage, flagName)
		}
	}
	return nil
}
