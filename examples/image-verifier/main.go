// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Command image-verifier decides for a containerd daemon which images it may pull.
// The daemon's bindir plugin runs it for each, between resolving and fetching:
//
//	image-verifier -name NAME -digest DIGEST -stdin-media-type TYPE
//
// with the descriptor on standard input. It exits with 0 if the image may be
// pulled, with 1 if the policy refuses it, and with 2 if that could not be found
// out; nothing but 0 lets an image through. Standard output has the reason, in one
// line. Policy and credentials are in a file, see [settings]. docs/image-verifier.md
// says how to set it up.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/containerd/v2/pkg/imageverifier"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/registry"
)

// configPath is the file that is read unless -config names another. containerd
// passes no flag of its own, so build with another default where it has to be:
//
//	go build -ldflags '-X main.configPath=/path/to/file.yaml' ./examples/image-verifier
var configPath = "/etc/containerd/image-verifier.yaml"

// defaultTimeout is below the ten seconds after which containerd kills a verifier,
// so that the reason gets through.
const defaultTimeout = 8 * time.Second

// maxDescriptor bounds standard input. A descriptor takes a few hundred bytes.
const maxDescriptor = 64 << 10

const (
	exitAllowed  = 0
	exitRefused  = 1
	exitNoAnswer = 2
)

func main() {
	code, reason := supervise(os.Args[1:], os.Stdin, slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if _, err := fmt.Println(line(reason)); err != nil && code == exitAllowed {
		code = exitNoAnswer
	}
	os.Exit(code)
}

type outcome struct {
	code   int
	reason string
}

// supervise returns what decide does, or that it did not in time. Files on a
// network and credential helpers hang in ways that no context ends.
func supervise(args []string, stdin io.Reader, log *slog.Logger) (int, string) {
	started := time.Now()
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, os.Interrupt, syscall.SIGTERM)
	limit := make(chan time.Duration, 1)
	done := make(chan outcome, 1)
	go func() {
		defer func() {
			if r := recover(); r != nil {
				done <- outcome{exitNoAnswer, fmt.Sprintf("panic: %v", r)}
			}
		}()
		code, reason := decide(args, stdin, log, started, limit)
		done <- outcome{code, reason}
	}()
	timeout := defaultTimeout
	timer := time.NewTimer(timeout)
	for {
		select {
		case o := <-done:
			return o.code, o.reason
		case timeout = <-limit:
			timer.Reset(time.Until(started.Add(timeout)))
		case <-timer.C:
			return exitNoAnswer, fmt.Sprintf("could not be checked: no answer after %s", timeout)
		case s := <-ended:
			return exitNoAnswer, fmt.Sprintf("could not be checked: %s", s)
		}
	}
}

// decide returns the exit code and the reason. limit is told how long it may take.
func decide(args []string, stdin io.Reader, log *slog.Logger, started time.Time, limit chan<- time.Duration) (int, string) {
	r, err := parseRequest(args, stdin)
	if err != nil {
		return exitNoAnswer, fmt.Sprintf("wrong call: %v", err)
	}
	c, err := loadSettings(r.config)
	if err != nil {
		return exitNoAnswer, fmt.Sprintf("configuration %s: %v", r.config, err)
	}
	limit <- c.timeout
	ctx, cancel := context.WithDeadline(context.Background(), started.Add(c.timeout))
	defer cancel()
	for _, dir := range c.absent {
		log.Warn("a directory of hostsDirs does not exist", "directory", dir)
	}
	judgement, err := judge(ctx, c, r, log)
	switch {
	case err != nil && len(c.absent) > 0:
		return exitNoAnswer, fmt.Sprintf("could not be checked, and of hostsDirs there is no %s: %v", strings.Join(c.absent, ", "), err)
	case err != nil:
		return exitNoAnswer, fmt.Sprintf("could not be checked: %v", err)
	case judgement.OK:
		return exitAllowed, judgement.Reason
	default:
		return exitRefused, judgement.Reason
	}
}

func judge(ctx context.Context, c *settings, r *request, log *slog.Logger) (*imageverifier.Judgement, error) {
	policy, err := c.loadPolicy(log)
	if err != nil {
		return nil, err
	}
	client, err := registry.New(c.registry(log))
	if err != nil {
		return nil, err
	}
	verifier, err := client.ImageVerifier(policy)
	if err != nil {
		return nil, err
	}
	return verifier.VerifyImage(ctx, r.name, r.descriptor)
}

// request is what containerd asks.
type request struct {
	config     string
	name       string
	descriptor ocispec.Descriptor
}

func parseRequest(args []string, stdin io.Reader) (*request, error) {
	var r request
	var digest, mediaType string
	flags := flag.NewFlagSet("image-verifier", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&r.config, "config", configPath, "configuration `FILE`")
	flags.StringVar(&r.name, "name", "", "`NAME` that is to be pulled")
	flags.StringVar(&digest, "digest", "", "`DIGEST` that it stands for")
	flags.StringVar(&mediaType, "stdin-media-type", "", "`TYPE` of what is on standard input")
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return nil, errors.New("image-verifier [-config FILE] -name NAME -digest DIGEST -stdin-media-type " + ocispec.MediaTypeDescriptor)
	case err != nil:
		return nil, err
	case flags.NArg() > 0:
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case r.name == "":
		return nil, errors.New("no -name")
	case digest == "":
		return nil, errors.New("no -digest")
	case mediaType != ocispec.MediaTypeDescriptor:
		return nil, fmt.Errorf("-stdin-media-type is %q, want %s", mediaType, ocispec.MediaTypeDescriptor)
	}
	b, err := read(stdin, maxDescriptor)
	if err != nil {
		return nil, fmt.Errorf("standard input: %w", err)
	}
	if err := json.Unmarshal(b, &r.descriptor); err != nil {
		return nil, fmt.Errorf("standard input is no descriptor: %w", err)
	}
	if r.descriptor.Digest.String() != digest {
		return nil, fmt.Errorf("-digest is %q, and that of the descriptor %q", digest, r.descriptor.Digest)
	}
	return &r, nil
}
