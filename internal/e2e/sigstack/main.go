// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Sigstack starts Sigstore's services on loopback for tests: Fulcio with a
// certificate transparency log, Rekor v1 and v2, a timestamp authority, OpenID
// Connect issuers, a TUF repository and a registry. When all answer it writes
// one line of JSON, the Endpoints of package internal/sigstack, to standard
// output. It ends when its standard input does, so that it does not outlive
// the program that started it:
//
//	cat | go run . -dir DIR
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/cosignkit/cosignkit/internal/e2e/sigstack/services"
)

func main() {
	// Not flag.CommandLine, which is full of the flags of what is linked.
	flags := flag.NewFlagSet("sigstack", flag.ExitOnError)
	dir := flags.String("dir", "", "directory for the files of the services")
	config := flags.String("signing-config", "v2", "which signing configuration the TUF repository has: v1 or v2")
	_ = flags.Parse(os.Args[1:]) // It exits on an error.
	if *dir == "" || *config != "v1" && *config != "v2" || flags.NArg() > 0 {
		flags.Usage()
		os.Exit(2)
	}
	if err := run(*dir, *config == "v1"); err != nil {
		fmt.Fprintln(os.Stderr, "sigstack:", err)
		os.Exit(1)
	}
}

func run(dir string, serveV1 bool) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()

	// The line of JSON is all that may be there, whatever a server prints.
	stdout := os.Stdout
	os.Stdout = os.Stderr

	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	endpoints, err := services.Start(ctx, services.Options{Dir: dir, ServeV1: serveV1})
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.NewEncoder(stdout).Encode(endpoints); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}
