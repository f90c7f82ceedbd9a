// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package sigstack

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec" //nolint:depguard // starts the services; no program of a user links this
	"path/filepath"
	"time"
)

// stopTimeout is how long the program may take to end.
const stopTimeout = 10 * time.Second

// Stack is a running program.
type Stack struct {
	Endpoints

	command *exec.Cmd
	stdin   io.Closer
}

// Start starts the program that Build built, and waits until every service
// answers. The services keep their files in dir, and their errors in
// sigstack.log there; each Stack needs a directory of its own. The context is
// for the start alone: the program then runs until Stop, or until this process
// ends.
func Start(ctx context.Context, binary, dir string, flags ...string) (*Stack, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	logFile := filepath.Join(dir, "sigstack.log")
	stderr, err := os.OpenFile(logFile, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = stderr.Close() }()

	command := exec.Command(binary, append([]string{"-dir", dir}, flags...)...) //nolint:gosec // the caller's program, and no shell
	command.Stderr = stderr
	stdin, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	s := &Stack{command: command, stdin: stdin}
	unwatch := context.AfterFunc(ctx, func() { _ = command.Process.Kill() })
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	unwatch()
	if err == nil {
		err = json.Unmarshal(line, &s.Endpoints)
	}
	if err != nil {
		_ = command.Process.Kill()
		_ = command.Wait()
		said, _ := os.ReadFile(logFile)
		return nil, fmt.Errorf("sigstack did not start: %w\n%s", errors.Join(context.Cause(ctx), err), said)
	}
	return s, nil
}

// Stop ends the program, and with it all services.
func (s *Stack) Stop() error {
	_ = s.stdin.Close()
	kill := time.AfterFunc(stopTimeout, func() { _ = s.command.Process.Kill() })
	defer kill.Stop()
	return s.command.Wait()
}
