// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/cosignkit/cosignkit/registry"
)

// testRegistry is a registry that runs while the tests do.
type testRegistry struct {
	name      string
	address   string // host:port on loopback
	referrers bool   // it has the referrers API
	client    *registry.Client
}

// startTimeout is how long a registry may take until it answers. They take a
// tenth of a second; a loaded machine may be slower.
const startTimeout = time.Minute

// startRegistries sets registries. The function that it returns stops them, and
// is not nil beside an error.
func startRegistries(ctx context.Context, dockerRegistry, distribution string) (stop func(), err error) {
	var stops []func()
	stop = func() {
		for _, s := range stops {
			s()
		}
	}
	for _, referrers := range []bool{true, false} {
		server := httptest.NewServer(ggcr.New(ggcr.WithReferrersSupport(referrers), ggcr.Logger(log.New(io.Discard, "", 0))))
		stops = append(stops, server.Close)
		title := "ggcr, referrers API"
		if !referrers {
			title = "ggcr, no referrers"
		}
		registries = append(registries, testRegistry{name: title, address: server.Listener.Addr().String(), referrers: referrers})
	}
	for _, p := range []struct{ name, binary string }{
		{"docker-registry", dockerRegistry},
		{"distribution v3", distribution},
	} {
		address, s, err := startProcess(ctx, p.binary, filepath.Join(scratch, p.name))
		stops = append(stops, s)
		if err != nil {
			return stop, fmt.Errorf("start %s: %w", p.name, err)
		}
		registries = append(registries, testRegistry{name: p.name, address: address})
	}
	for i := range registries {
		r := &registries[i]
		if r.client, err = registry.New(registry.Config{}); err != nil {
			return stop, err
		}
		stops = append(stops, r.client.CloseIdleConnections)
		if err := r.check(ctx); err != nil {
			return stop, fmt.Errorf("%s: %w", r.name, err)
		}
	}
	return stop, nil
}

// check asks whether the registry answers.
func (r testRegistry) check(ctx context.Context) error {
	status, _, err := get(ctx, "http://"+r.address+"/v2/", "")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("GET /v2/ answers with status %d", status)
	}
	return err
}

func get(ctx context.Context, url, accept string) (status int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Accept", accept)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	return response.StatusCode, body, err
}

// processConfig works for docker-registry and for distribution. Port 0 is a
// free port, which the process logs.
const processConfig = `version: 0.1
log: {level: info, formatter: json, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: %q}}
http: {addr: "127.0.0.1:0"}
`

// startProcess starts a registry as a child process that keeps its data in dir.
func startProcess(ctx context.Context, binary, dir string) (address string, stop func(), err error) {
	stop = func() {}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", stop, err
	}
	config := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(config, fmt.Appendf(nil, processConfig, filepath.Join(dir, "data")), 0o600); err != nil {
		return "", stop, err
	}
	self, err := os.Executable()
	if err != nil {
		return "", stop, err
	}
	cmd := exec.CommandContext(ctx, self, binary, "serve", config)
	cmd.Env = []string{"HOME=" + dir, superviseVariable + "=1"}
	logs, writer := io.Pipe()
	cmd.Stdout, cmd.Stderr = writer, writer
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return "", stop, err
	}
	if err := cmd.Start(); err != nil {
		return "", stop, err
	}
	exited := make(chan struct{})
	go func() {
		writer.CloseWithError(cmd.Wait())
		close(exited)
	}()
	stop = func() {
		_ = stdin.Close()
		<-exited
	}
	timer := time.AfterFunc(startTimeout, func() { writer.CloseWithError(errors.New("no address in the log in time")) })
	defer timer.Stop()
	address, err = listening(logs)
	return address, stop, err
}

// listening reads a registry's log up to the line that names its address, and
// then lets the rest pass.
func listening(logs io.Reader) (string, error) {
	lines := bufio.NewScanner(logs)
	var seen bytes.Buffer
	for lines.Scan() {
		var entry struct{ Msg string }
		if json.Unmarshal(lines.Bytes(), &entry) == nil {
			if address, ok := strings.CutPrefix(entry.Msg, "listening on "); ok {
				go func() { _, _ = io.Copy(io.Discard, logs) }()
				return address, nil
			}
		}
		seen.Write(append(lines.Bytes(), '\n'))
	}
	return "", errors.Join(fmt.Errorf("it ended without listening:\n%s", seen.Bytes()), lines.Err())
}

// A registry must not outlive the tests, however they end. It runs below a
// second copy of the test binary, which ends it when its own standard input
// closes: the operating system does that for a process that was killed.
const superviseVariable = "COSIGNKIT_INTEROP_SUPERVISE"

func supervised() (command []string, ok bool) {
	return os.Args[1:], os.Getenv(superviseVariable) != ""
}

func supervise(command []string) int {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = cmd.Process.Kill()
	}()
	_ = cmd.Wait()
	return 0
}

// image is an image, or a multi-platform index, in a registry.
type image struct {
	tagged string // repository:tag, as users name it
	pinned string // repository@digest
	digest string
	// repository is the name without tag or digest.
	repository string
}

func pushed(t *testing.T, tag name.Tag, content interface{ Digest() (v1.Hash, error) }) image {
	t.Helper()
	hash, err := content.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return image{
		tagged:     tag.Name(),
		pinned:     tag.Context().Digest(hash.String()).Name(),
		digest:     hash.String(),
		repository: tag.Context().Name(),
	}
}

// push pushes an image of its own for the test, so that no signature of another
// test is found with it.
func (r testRegistry) push(t *testing.T) image {
	t.Helper()
	tag := r.newTag(t)
	content, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, content, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	return pushed(t, tag, content)
}

// pushIndex is push for an index of two images.
func (r testRegistry) pushIndex(t *testing.T) image {
	t.Helper()
	tag := r.newTag(t)
	content, err := random.Index(64, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(tag, content, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	return pushed(t, tag, content)
}

var notInName = regexp.MustCompile(`[^a-z0-9]+`)

// newTag returns a tag in a repository that is named after the test.
func (r testRegistry) newTag(t *testing.T) name.Tag {
	t.Helper()
	repository := strings.Trim(notInName.ReplaceAllString(strings.ToLower(t.Name()), "-"), "-")
	tag, err := name.NewTag(r.address + "/" + repository + ":v1")
	if err != nil {
		t.Fatal(err)
	}
	return tag
}
