// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Minictl is a small container tool that signs what it pushes and verifies what
// it pulls. It shows how a tool puts cosignkit to use: each command is a file
// of its own, and says little that is not a call of the library or of
// containerd's client.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second interrupt ends the process
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
