// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package distribution

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Find looks for the program that the Debian package docker-registry installs, a
// registry of 2023 that is still deployed widely.
func Find() (string, error) {
	binary, err := exec.LookPath("docker-registry")
	if err != nil {
		return "", errors.New("docker-registry is not in PATH; install Debian's package: apt-get install docker-registry")
	}
	return filepath.Abs(binary)
}

// Config is a configuration of either version, for plain HTTP on a port of
// loopback that is free, and data in dir. Start reads the port from the log.
func Config(dir string) string {
	return Storage(dir) + "http: {addr: \"127.0.0.1:0\"}\n"
}

// Storage is [Config] without the part about HTTP.
func Storage(dir string) string {
	return fmt.Sprintf(`version: 0.1
log: {level: info, formatter: json, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: %q}}
`, filepath.Join(dir, "data"))
}

// StartTimeout is how long a registry may take until it answers. They take a
// tenth of a second; a loaded machine may be slower.
const StartTimeout = time.Minute

// Start starts a registry that keeps its files in dir. It hands the lines of its
// log to logged, unless that is nil, until stop returns, which is never nil.
func Start(ctx context.Context, binary, dir, config string, logged func(line []byte)) (address string, stop func(), err error) {
	stop = func() {}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", stop, err
	}
	file := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return "", stop, err
	}
	self, err := os.Executable()
	if err != nil {
		return "", stop, err
	}
	cmd := exec.CommandContext(ctx, self, binary, "serve", file)
	cmd.Env = []string{"HOME=" + dir, superviseVariable + "=1"}
	logs, writer := io.Pipe()
	cmd.Stdout, cmd.Stderr = writer, writer
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return "", stop, err
	}
	cmd.Cancel = stdin.Close // killed, it could not end the registry
	if err := cmd.Start(); err != nil {
		return "", stop, err
	}
	go func() { writer.CloseWithError(cmd.Wait()) }()
	read := make(chan struct{})
	stop = func() {
		_ = stdin.Close()
		<-read
	}
	timer := time.AfterFunc(StartTimeout, func() { writer.CloseWithError(errors.New("no address in the log in time")) })
	defer timer.Stop()
	lines := bufio.NewScanner(logs)
	address, err = listening(lines)
	go func() {
		for lines.Scan() {
			if logged != nil {
				logged(lines.Bytes())
			}
		}
		_, _ = io.Copy(io.Discard, logs)
		close(read)
	}()
	return address, stop, err
}

// listening reads a registry's log up to the line that names its address.
func listening(lines *bufio.Scanner) (string, error) {
	var seen bytes.Buffer
	for lines.Scan() {
		var entry struct{ Msg string }
		if json.Unmarshal(lines.Bytes(), &entry) == nil {
			if address, ok := strings.CutPrefix(entry.Msg, "listening on "); ok {
				return strings.TrimSuffix(address, ", tls"), nil
			}
		}
		seen.Write(append(lines.Bytes(), '\n'))
	}
	return "", errors.Join(fmt.Errorf("it ended without listening:\n%s", seen.Bytes()), lines.Err())
}

const superviseVariable = "COSIGNKIT_SUPERVISE"

// Supervise does nothing in a process that [Start] did not start. A registry must
// not outlive the tests, however they end. It runs below a second copy of the test
// binary, which ends it when its own standard input closes: the operating system
// does that for a process that was killed.
func Supervise() {
	if os.Getenv(superviseVariable) == "" {
		return
	}
	cmd := exec.Command(os.Args[1], os.Args[2:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = cmd.Process.Kill()
	}()
	_ = cmd.Wait()
	os.Exit(0)
}
