// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package registries

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	ggcr "github.com/google/go-containerregistry/pkg/registry"

	"github.com/cosignkit/cosignkit/internal/e2e/distribution"
	"github.com/cosignkit/cosignkit/internal/traffic"
)

// setting is a registry, and how a user says where and how to reach it.
type setting struct {
	t   *testing.T
	log *traffic.Log
	dir string

	job   job
	env   []string
	stops []func()
	// ignoredAgent is the user agent of requests that are nobody's here.
	ignoredAgent string
	// then is run after the flows, when the registries have ended.
	then func(outcome)
}

func newSetting(t *testing.T) *setting {
	t.Helper()
	return &setting{t: t, log: &traffic.Log{}, dir: t.TempDir(), job: job{Ref: "registry.test/team/app:v1"}}
}

// stop ends the registries, whose logs are complete then.
func (s *setting) stop() {
	for _, stop := range s.stops {
		stop()
	}
}

// serve starts a docker-registry that is called name in the log of requests. The
// configuration lacks nothing but version, log and storage.
func (s *setting) serve(name string, way traffic.Way, config string) (address string) {
	s.t.Helper()
	way.Server = name
	dir := filepath.Join(s.dir, name)
	address, stop, err := distribution.Start(s.t.Context(), dockerRegistry, dir, distribution.Storage(dir)+config, func(line []byte) {
		s.logged(way, line)
	})
	once := sync.OnceFunc(stop)
	s.t.Cleanup(once)
	if err != nil {
		s.t.Fatal(err)
	}
	s.stops = append(s.stops, once)
	return address
}

// logged keeps a request that a registry answered. It says nothing of those that
// it challenged.
func (s *setting) logged(way traffic.Way, line []byte) {
	var entry struct {
		Msg    string
		Method string `json:"http.request.method"`
		URI    string `json:"http.request.uri"`
		Agent  string `json:"http.request.useragent"`
		Status int    `json:"http.response.status"`
	}
	if json.Unmarshal(line, &entry) != nil || !strings.HasPrefix(entry.Msg, "response completed") || s.ignoredAgent != "" && entry.Agent == s.ignoredAgent {
		return
	}
	u, err := url.Parse(entry.URI)
	if err != nil {
		s.t.Errorf("the registry logged %s", line)
		return
	}
	way.Agent = entry.Agent
	s.log.Add(way, entry.Method, u, entry.Status)
}

// hostsTOML writes the hosts.toml of a registry, and files beside it.
func (s *setting) hostsTOML(registry, toml string, files map[string][]byte) {
	s.t.Helper()
	root := filepath.Join(s.dir, "hosts")
	dir := filepath.Join(root, registry)
	s.write(filepath.Join(dir, "hosts.toml"), []byte(toml))
	for name, b := range files {
		s.write(filepath.Join(dir, name), b)
	}
	s.job.HostsDirs = []string{root}
}

// write writes a file in the directory of the setting, and returns its name.
func (s *setting) write(name string, b []byte) string {
	s.t.Helper()
	if !filepath.IsAbs(name) {
		name = filepath.Join(s.dir, name)
	}
	err := os.MkdirAll(filepath.Dir(name), 0o755)
	if err == nil {
		err = os.WriteFile(name, b, 0o600)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return name
}

// users writes a file of users for docker-registry, and returns the part of its
// configuration that names it.
func (s *setting) users() string {
	s.t.Helper()
	out, err := exec.CommandContext(s.t.Context(), htpasswd, "-Bbn", "me", "s3cret").Output()
	if err != nil {
		s.t.Fatal(err)
	}
	return fmt.Sprintf("auth: {htpasswd: {realm: test, path: %q}}\n", s.write("htpasswd", out))
}

// login is what docker login writes for a host.
func (s *setting) login(host string) {
	s.t.Helper()
	auth := base64.StdEncoding.EncodeToString([]byte("me:s3cret"))
	s.dockerConfig(fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, host, auth))
}

func (s *setting) dockerConfig(config string) {
	s.t.Helper()
	s.env = append(s.env, "DOCKER_CONFIG="+filepath.Dir(s.write("docker/config.json", []byte(config))))
}

// helper writes a credential helper called test, and has it be asked about host.
func (s *setting) helper(host, script string) {
	s.t.Helper()
	name := s.write("bin/docker-credential-test", []byte("#!/bin/sh\n"+script))
	if err := os.Chmod(name, 0o700); err != nil {
		s.t.Fatal(err)
	}
	s.env = append(s.env, "PATH="+filepath.Dir(name)+":/usr/bin:/bin")
	s.dockerConfig(fmt.Sprintf(`{"credHelpers":{%q:"test"}}`, host))
}

// http serves something of this process, which is called name in the log.
func (s *setting) http(name string, handler http.Handler) (server *httptest.Server) {
	s.t.Helper()
	server = httptest.NewServer(s.log.Handler(name, handler))
	s.t.Cleanup(server.Close)
	return server
}

// tls makes certificates for a server at loopback and at registry.test, and writes
// them; and returns the part of docker-registry's configuration that names them.
func (s *setting) tls(clientsNeedOne bool) (ca *traffic.Authority, config string) {
	s.t.Helper()
	ca = ok(traffic.NewAuthority())
	pair := ok(ca.Issue("server", "127.0.0.1", "::1", "192.0.2.10", "registry.test"))
	config = fmt.Sprintf("tls: {certificate: %q, key: %q", s.write("server.pem", pair.Certificate), s.write("server-key.pem", pair.Key))
	if clientsNeedOne {
		config += fmt.Sprintf(", clientcas: [%q]", s.write("clients.pem", ca.PEM))
	}
	return ca, config + "}"
}

// viaProxy has an HTTP proxy lead to loopback from registry.test, which no other
// way leads to.
func (s *setting) viaProxy() {
	s.t.Helper()
	proxy := s.http("proxy", traffic.Proxy(func(host string) bool { return host == "registry.test" }))
	s.env = append(s.env, "HTTP_PROXY="+proxy.URL, "HTTPS_PROXY="+proxy.URL)
}

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// asked reports whether a server was asked something.
func (s *setting) asked(server, method, inPath string) bool {
	return slices.ContainsFunc(s.log.Requests(), func(r *traffic.Request) bool {
		return r.Server == server && r.Method == method && strings.Contains(r.URL.Path, inPath)
	})
}

func ok[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// withReferrers is a registry that has the referrers API.
func withReferrers() http.Handler {
	return ggcr.New(ggcr.WithReferrersSupport(true), ggcr.Logger(log.New(io.Discard, "", 0)))
}
