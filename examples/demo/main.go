// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Demo shows what cosignkit is for, in a few seconds: an image that is pushed
// signed, pulled verified, and refused where it should be. It starts a registry
// of its own on loopback, and runs minictl as a user would. It fails if anything
// turns out other than it says. With the argument keyless it shows signing with
// an identity, for which it also starts the services of Sigstore.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	perform := show
	if len(os.Args) > 1 && os.Args[1] == "keyless" {
		perform = showKeyless
	}
	if err := perform(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}
