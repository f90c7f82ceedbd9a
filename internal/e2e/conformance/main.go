// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Conformance is the library behind the command line that Sigstore's
// conformance suite calls, https://github.com/sigstore/sigstore-conformance:
//
//	conformance sign-bundle [--staging] [--in-toto] --identity-token TOKEN --bundle FILE
//		[--trusted-root FILE] [--signing-config FILE] FILE
//	conformance verify-bundle [--staging] --bundle FILE
//		(--certificate-identity IDENTITY --certificate-oidc-issuer URL | --key FILE)
//		[--trusted-root FILE] FILE_OR_DIGEST
//
// It says nothing and ends with 0, or writes one line to standard error and ends
// with 1, or with 2 if the command line is wrong. `make conformance-client` builds
// it. What is not given as a file comes from Sigstore's public instance, or its
// staging instance, by TUF.
//
// It is the shortest path to package verify and package keyless, and knows
// nothing of the suite's cases.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(arguments []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	c, err := parse(arguments)
	if err == nil {
		err = c.run(ctx, c)
	}
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "conformance:", strings.Join(strings.Fields(err.Error()), " "))
	if errors.Is(err, errUsage) {
		return 2
	}
	return 1
}
