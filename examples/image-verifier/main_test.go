// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/containerd/containerd/v2/pkg/imageverifier"
	"github.com/containerd/containerd/v2/pkg/imageverifier/bindir"
	ctrlog "github.com/containerd/log"
	gcrname "github.com/google/go-containerregistry/pkg/name"
	gcrregistry "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sirupsen/logrus"

	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// program is what is tested, as built, and wrapped a script that runs it with the
// configuration beside its directory, as docs/image-verifier.md shows it.
var program, wrapped, standardConfig string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "image-verifier")
	if err != nil {
		log.Print(err)
		return 1
	}
	defer os.RemoveAll(dir)
	program, wrapped, standardConfig = filepath.Join(dir, "image-verifier"), filepath.Join(dir, "wrapped"), filepath.Join(dir, "standard.yaml")
	build := exec.Command("go", "build", "-ldflags", "-X main.configPath="+standardConfig, "-o", program, ".")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		log.Print(err)
		return 1
	}
	script := fmt.Sprintf("#!/bin/sh\nexec %s -config \"${0%%/*}/../config.yaml\" \"$@\"\n", program)
	if err := os.WriteFile(wrapped, []byte(script), 0o700); err != nil {
		log.Print(err)
		return 1
	}
	return m.Run()
}

// host is a machine with a containerd that asks the program, and a registry.
type host struct {
	*testing.T
	dir      string
	registry string
	key      crypto.Signer
	// verifier is containerd's own plugin.
	verifier imageverifier.ImageVerifier

	mu     sync.Mutex
	handle http.Handler
}

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{T: t, dir: t.TempDir(), handle: gcrregistry.New(gcrregistry.Logger(log.New(io.Discard, "", 0)), gcrregistry.WithReferrersSupport(true))}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		handle := h.handle
		h.mu.Unlock()
		handle.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	h.registry = strings.TrimPrefix(server.URL, "http://")
	var err error
	if h.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	h.write("key.pub", publicPEM(t, h.key))
	h.write("policy.yaml", h.policy("key.pub"))
	h.write("config.yaml", "policy: policy.yaml\ntimeout: 50s\n")
	if err := os.Mkdir(filepath.Join(h.dir, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(wrapped, filepath.Join(h.dir, "bin", "cosignkit")); err != nil {
		t.Fatal(err)
	}
	h.verifier = bindirOf(filepath.Join(h.dir, "bin"))
	return h
}

func bindirOf(dir string) imageverifier.ImageVerifier {
	return bindir.NewImageVerifier(&bindir.Config{BinDir: dir, MaxVerifiers: 10, PerVerifierTimeout: 60_000_000_000})
}

func publicPEM(t *testing.T, key crypto.Signer) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// policy accepts the team's images by a key, and lets those of others through or
// not.
func (h *host) policy(key string) string {
	return fmt.Sprintf(`version: 1
rules:
  - scope: %[1]s/team
    keys: [%[2]s]
    insecureIgnoreTransparencyLog: true
  - scope: %[1]s/warn
    mode: warn
    keys: [%[2]s]
    insecureIgnoreTransparencyLog: true
  - scope: %[1]s/anything
    insecureAcceptAnything: true
`, h.registry, key)
}

func (h *host) path(name string) string { return filepath.Join(h.dir, name) }

func (h *host) write(name, text string) {
	h.Helper()
	if err := os.WriteFile(h.path(name), []byte(text), 0o600); err != nil {
		h.Fatal(err)
	}
}

// replace is what a configuration management does.
func (h *host) replace(name, text string) {
	h.write(name+".new", text)
	if err := os.Rename(h.path(name+".new"), h.path(name)); err != nil {
		h.Error(err)
	}
}

func (h *host) answer(f http.HandlerFunc) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.handle = f
}

// push puts an image into the registry.
func (h *host) push(name string, signers ...crypto.Signer) ocispec.Descriptor {
	h.Helper()
	image, err := random.Image(16, 1)
	if err != nil {
		h.Fatal(err)
	}
	tag, err := gcrname.NewTag(h.registry + "/" + name)
	if err != nil {
		h.Fatal(err)
	}
	if err := remote.Write(tag, image); err != nil {
		h.Fatal(err)
	}
	raw, err := image.RawManifest()
	if err != nil {
		h.Fatal(err)
	}
	mediaType, err := image.MediaType()
	if err != nil {
		h.Fatal(err)
	}
	desc := ocispec.Descriptor{MediaType: string(mediaType), Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	client, err := registry.New(registry.Config{})
	if err != nil {
		h.Fatal(err)
	}
	defer client.CloseIdleConnections()
	for _, key := range signers {
		signer, err := signing.NewKeySigner(signing.KeySignerConfig{Key: key, SkipTransparencyLog: true})
		if err != nil {
			h.Fatal(err)
		}
		if _, err := client.SignImage(h.Context(), verify.Image{Name: h.registry + "/" + name, Target: desc}, signer, registry.WithForm(signing.Both)); err != nil {
			h.Fatal(err)
		}
	}
	return desc
}

// ask asks as containerd does.
func (h *host) ask(name string, desc ocispec.Descriptor) (ok bool, reason string) {
	h.Helper()
	return ask(h.T, h.verifier, h.registry+"/"+name, desc)
}

func ask(t *testing.T, verifier imageverifier.ImageVerifier, name string, desc ocispec.Descriptor) (ok bool, reason string) {
	t.Helper()
	quiet := logrus.New()
	quiet.SetOutput(io.Discard)
	judgement, err := verifier.VerifyImage(ctrlog.WithLogger(t.Context(), logrus.NewEntry(quiet)), name, desc)
	if err != nil {
		return false, err.Error()
	}
	return judgement.OK, judgement.Reason
}

func (h *host) want(name string, desc ocispec.Descriptor, ok bool, text string) {
	h.Helper()
	got, reason := h.ask(name, desc)
	if got != ok || !strings.Contains(reason, text) || len(reason) > 1200 || strings.Contains(reason, "\n") {
		h.Errorf("%s: allowed is %v, want %v with %q: %s", name, got, ok, text, reason)
	}
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	signed := h.push("team/app:v1", h.key)
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	stranger := h.push("team/stranger:v1", other)
	unsigned := h.push("team/unsigned:v1")
	elsewhere := h.push("elsewhere/app:v1", h.key)
	warned := h.push("warn/app:v1")
	anything := h.push("anything/app:v1")
	lie := "@" + digest.FromString("lie").String()

	h.want("team/app:v1", signed, true, "signed by key sha256:")
	h.want("team/app@"+signed.Digest.String(), signed, true, "signed by key sha256:")
	h.want("team/app:v1@"+signed.Digest.String(), signed, true, "signed by key sha256:")
	h.want("team/app"+lie, signed, false, "(exit code 1)")
	h.want("team/app:v1", unsigned, false, "no signatures found")
	h.want("team/stranger:v1", stranger, false, "does not verify with the key")
	h.want("team/unsigned:v1", unsigned, false, "no signatures found")
	h.want("elsewhere/app:v1", elsewhere, false, "(exit code 1)")
	h.want("warn/app:v1", warned, true, "NOT VERIFIED and let through: ")
	h.want("anything/app:v1", anything, true, "NOT VERIFIED and let through: ")
	h.want("", signed, false, "(exit code 2)")
	h.want("team/app:v1", ocispec.Descriptor{}, false, "(exit code 2)")
}

// containerd passes no flag for the configuration: the default must do.
func TestStandardConfiguration(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	signed := h.push("team/app:v1", h.key)
	bin := filepath.Join(h.dir, "standard")
	if err := os.Mkdir(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(program, filepath.Join(bin, "cosignkit")); err != nil {
		t.Fatal(err)
	}
	verifier := bindirOf(bin)
	ok, reason := ask(t, verifier, h.registry+"/team/app:v1", signed)
	if ok || !strings.Contains(reason, "no such file") {
		t.Errorf("without a configuration: %v, %s", ok, reason)
	}
	if err := os.WriteFile(standardConfig, []byte("policy: "+h.path("policy.yaml")+"\ntimeout: 50s"), 0o600); err != nil {
		t.Fatal(err)
	}
	if ok, reason = ask(t, verifier, h.registry+"/team/app:v1", signed); !ok {
		t.Errorf("with a configuration: %s", reason)
	}
}

// Whatever is wrong with its files, nothing gets through, and the reason says
// what to mend.
func TestBrokenFiles(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	signed := h.push("team/app:v1", h.key)
	anything := h.push("anything/app:v1")
	h.want("team/app:v1", signed, true, "signed by")
	good := map[string]string{"config.yaml": "policy: policy.yaml\ntimeout: 50s\n", "policy.yaml": h.policy("key.pub")}
	if err := os.Symlink("loop", h.path("loop")); err != nil {
		t.Fatal(err)
	}
	remove := func(name string) {
		if err := os.RemoveAll(h.path(name)); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name, file, text string // no text means no file
		reason           string
	}{
		{"no configuration", "config.yaml", "", "no such file"},
		{"an empty configuration", "config.yaml", "\n", "is empty"},
		{"a configuration that is not YAML", "config.yaml", "policy: [", "yaml"},
		{"a configuration that is a list", "config.yaml", "- policy", "cannot unmarshal !!seq into fields"},
		{"a misspelt field", "config.yaml", "policy: policy.yaml\nhostDirs: [x]", "line 2: field hostDirs not found"},
		{"a field twice", "config.yaml", "policy: policy.yaml\npolicy: policy.yaml", "already"},
		{"a field of the wrong type", "config.yaml", "policy: policy.yaml\nhostsDirs: x", "line 2: cannot unmarshal"},
		{"two documents", "config.yaml", "policy: policy.yaml\n---\npolicy: policy.yaml", "one document"},
		{"an endless configuration", "config.yaml", "policy: policy.yaml\n#" + strings.Repeat("x", maxConfig), "larger than"},
		{"no policy named", "config.yaml", "timeout: 8s", "want one of policy"},
		{"an empty policy named", "config.yaml", "policy:", "want one of policy"},
		{"two policies named", "config.yaml", "policy: policy.yaml\ncontainersPolicy: policy.json", "want one of policy"},
		{"a time of no unit", "config.yaml", "policy: policy.yaml\ntimeout: 8", "timeout"},
		{"a time below zero", "config.yaml", "policy: policy.yaml\ntimeout: -8s", "timeout"},
		{"an empty registry", "config.yaml", "policy: policy.yaml\ninsecureRegistries: ['']", "empty"},
		{"directories of hosts in one entry", "config.yaml", "policy: policy.yaml\nhostsDirs: ['/none:/nowhere']", "want an entry for each"},
		{"directories of hosts below a file", "config.yaml", "policy: policy.yaml\nhostsDirs: [policy.yaml/x]", "hostsDirs: stat "},
		{"a file for a directory of hosts", "config.yaml", "policy: policy.yaml\nhostsDirs: [policy.yaml]", "policy.yaml is no directory"},
		{"no credentials where named", "config.yaml", "policy: policy.yaml\ncredentials: none.json", "no such file"},
		{"a policy that does not exist", "config.yaml", "policy: none.yaml", "none.yaml"},
		{"a policy that is a directory", "config.yaml", "policy: bin", "directory"},
		{"a policy that is a device", "config.yaml", "policy: /dev/zero", "regular file"},
		{"a policy that cannot be reached", "config.yaml", "policy: loop", "symbolic links"},
		{"a policy.json that is none", "config.yaml", "containersPolicy: policy.yaml", "policy.yaml"},
		{"a policy that is not YAML", "policy.yaml", "rules: [", "policy.yaml"},
		{"a policy of an unknown version", "policy.yaml", strings.Replace(h.policy("key.pub"), "version: 1", "version: 2", 1), "version"},
		{"a policy with a misspelt field", "policy.yaml", strings.Replace(h.policy("key.pub"), "keys:", "key:", 1), "policy.yaml:4"},
		{"a policy with a key that does not exist", "policy.yaml", h.policy("none.pub"), "none.pub"},
		{"an empty policy", "policy.yaml", "\n", "policy.yaml"},
	}
	for _, test := range tests {
		if test.text == "" {
			remove(test.file)
		} else {
			h.write(test.file, test.text)
		}
		for name, desc := range map[string]ocispec.Descriptor{"team/app:v1": signed, "anything/app:v1": anything} {
			ok, reason := h.ask(name, desc)
			if ok || !strings.Contains(reason, "(exit code 2)") || !strings.Contains(reason, test.reason) || strings.Contains(reason, "\n") {
				t.Errorf("%s: allowed is %v, want a reason with %q: %s", test.name, ok, test.reason, reason)
			}
		}
		h.write(test.file, good[test.file])
	}
	h.want("team/app:v1", signed, true, "signed by")
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	signed := h.push("team/app:v1", h.key)
	h.mu.Lock()
	open := h.handle
	h.mu.Unlock()
	h.answer(func(w http.ResponseWriter, r *http.Request) {
		if name, secret, _ := r.BasicAuth(); name != "node" || secret != "s3cret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		open.ServeHTTP(w, r)
	})
	h.want("team/app:v1", signed, false, "401")
	h.write("config.yaml", "policy: policy.yaml\ntimeout: 50s\ncredentials: credentials.json\n")
	const auth = `{"auths":{"%s":{"auth":"bm9kZTpzM2NyZXQ="}}}` // node:s3cret
	h.write("credentials.json", fmt.Sprintf(auth, h.registry))
	h.want("team/app:v1", signed, true, "signed by")
	h.write("credentials.json", fmt.Sprintf(auth, "http://"+h.registry+"/v1/"))
	h.want("team/app:v1", signed, true, "signed by")
	h.write("credentials.json", fmt.Sprintf(auth, "other.example"))
	h.want("team/app:v1", signed, false, "401")
	for text, reason := range map[string]string{
		`{"auths":{"x":{"auth":"not base64 s3cret"}}}`: "not what docker login writes",
		`not JSON s3cret`:                   "not what docker login writes",
		`{"credsStore":"desktop"}`:          "helpers",
		`{"credHelpers":{"x":"ecr-login"}}`: "helpers",
		`{"auths":{"x.example":{"auth":"YTpi"},"x.example/team":{"auth":"YTpi"}}}`: "several credentials for x.example",
	} {
		h.write("credentials.json", text)
		ok, got := h.ask("team/app:v1", signed)
		if ok || !strings.Contains(got, reason) || strings.Contains(got, "s3cret") {
			t.Errorf("%s: %v, %s", text, ok, got)
		}
	}
}

// Programs that log in write Docker Hub's name in several ways.
func TestCredentialsOfDockerHub(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "credentials.json")
	for _, name := range []string{"https://index.docker.io/v1/", "docker.io", "https://registry-1.docker.io"} {
		if err := os.WriteFile(path, fmt.Appendf(nil, `{"auths":{%q:{"auth":"bm9kZTpzM2NyZXQ="},"x.example":{"identitytoken":"t"}}}`, name), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := loadCredentials(path)
		if err != nil {
			t.Fatal(err)
		}
		for host, want := range map[string]string{"registry-1.docker.io": "node s3cret", "docker.io": "node s3cret", "x.example": " t", "y.example": " "} {
			if user, secret, err := c.of(host); err != nil || user+" "+secret != want {
				t.Errorf("%s, for %s: %q %q, %v, want %q", name, host, user, secret, err, want)
			}
		}
	}
}

// The registry is found as containerd finds it.
func TestHostsOfContainerd(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	signed := h.push("team/app:v1", h.key)
	h.write("config.yaml", "policy: policy.yaml\ntimeout: 50s\nhostsDirs: [hosts]\n")
	h.write("policy.yaml", strings.ReplaceAll(h.policy("key.pub"), h.registry, "registry.example"))
	if err := os.MkdirAll(h.path("hosts/registry.example"), 0o700); err != nil {
		t.Fatal(err)
	}
	want := func(ok bool, text string) {
		t.Helper()
		if got, reason := ask(t, h.verifier, "registry.example/team/app:v1", signed); got != ok || !strings.Contains(reason, text) {
			t.Errorf("allowed is %v, want %v with %q: %s", got, ok, text, reason)
		}
	}
	h.write("hosts/registry.example/hosts.toml", fmt.Sprintf("server = \"http://%[1]s\"\n[host.\"http://%[1]s\"]\n", h.registry))
	want(true, "signed by key")
	h.write("hosts/registry.example/hosts.toml", "server = [")
	want(false, "(exit code 2)")
}

// What containerd's default names, most machines do not have. What cannot be reached
// without it is refused, and the reason says what to look at.
func TestHostsThatDoNotExist(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	signed, unsigned := h.push("team/app:v1", h.key), h.push("team/unsigned:v1")
	h.write("config.yaml", "policy: policy.yaml\ntimeout: 50s\nhostsDirs: [none, hosts]\n")
	h.write("policy.yaml", h.policy("key.pub")+"  - {scope: 127.0.0.1:1, keys: [key.pub], insecureIgnoreTransparencyLog: true}\n")
	h.want("team/app:v1", signed, true, "signed by key")
	h.want("team/unsigned:v1", unsigned, false, "no signatures found")
	ok, reason := ask(t, h.verifier, "127.0.0.1:1/team/app:v1", signed)
	if ok || !strings.Contains(reason, "of hostsDirs there is no "+h.path("none")+", "+h.path("hosts")+": ") {
		t.Errorf("allowed is %v: %s", ok, reason)
	}
	// As soon as there is one, it counts.
	h.write("policy.yaml", strings.ReplaceAll(h.policy("key.pub"), h.registry, "registry.example"))
	if err := os.MkdirAll(h.path("hosts/registry.example"), 0o700); err != nil {
		t.Fatal(err)
	}
	h.write("hosts/registry.example/hosts.toml", fmt.Sprintf("server = \"http://%s\"\n", h.registry))
	if ok, reason := ask(t, h.verifier, "registry.example/team/app:v1", signed); !ok {
		t.Error(reason)
	}
}

// With the times of containerd's defaults and of the program's, a mirror that hangs
// leaves enough for the registry behind it. It runs before all that is parallel: the
// fifty programs of another test could take what is left of the time.
func TestDefaultTimes(t *testing.T) {
	h := newHost(t)
	signed := h.push("team/app:v1", h.key)
	release := make(chan struct{})
	mirror := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(mirror.Close)
	t.Cleanup(func() { close(release) })
	h.write("config.yaml", "policy: policy.yaml\nhostsDirs: [hosts]\n")
	h.write("policy.yaml", strings.ReplaceAll(h.policy("key.pub"), h.registry, "registry.example"))
	if err := os.MkdirAll(h.path("hosts/registry.example"), 0o700); err != nil {
		t.Fatal(err)
	}
	h.write("hosts/registry.example/hosts.toml", fmt.Sprintf("server = \"http://%s\"\n[host.%q]\n", h.registry, mirror.URL))
	shipped := bindir.NewImageVerifier(&bindir.Config{BinDir: h.path("bin"), MaxVerifiers: 10, PerVerifierTimeout: 10_000_000_000})
	if ok, reason := ask(t, shipped, "registry.example/team/app:v1", signed); !ok {
		t.Errorf("a mirror hangs: %s", reason)
	}
	// The registry hangs as well: there is time for the reason.
	h.answer(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ok, reason := ask(t, shipped, "registry.example/team/app:v1", signed)
	if ok || !strings.Contains(reason, "could not be checked") {
		t.Errorf("everything hangs: allowed is %v, %s", ok, reason)
	}
}

func TestPolicyOfContainers(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	signed := h.push("team/app:v1", h.key)
	unsigned := h.push("team/unsigned:v1")
	elsewhere := h.push("elsewhere/app:v1", h.key)
	h.write("config.yaml", "containersPolicy: policy.json\ntimeout: 50s\n")
	h.write("policy.json", fmt.Sprintf(`{"default": [{"type": "reject"}], "transports": {"docker": {"%s/team": [
		{"type": "sigstoreSigned", "keyPath": %q, "signedIdentity": {"type": "matchRepository"}}]}}}`, h.registry, h.path("key.pub")))
	h.want("team/app:v1", signed, true, "signed by key")
	h.want("team/unsigned:v1", unsigned, false, "no signatures found")
	h.want("elsewhere/app:v1", elsewhere, false, "(exit code 1)")
	h.write("policy.json", `{"default": [{"type": "reject"}, {"type": "nonsense"}]}`)
	h.want("team/app:v1", signed, false, "(exit code")
}

func TestRegistryThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	signed := h.push("team/app:v1", h.key)
	h.answer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	h.want("team/app:v1", signed, false, "503")

	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	h.answer(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	h.write("config.yaml", "policy: policy.yaml\ntimeout: 1s\n")
	h.want("team/app:v1", signed, false, "could not be checked")
	h.want("127.0.0.1:1/team/app:v1", signed, false, "(exit code")
}

// runProgram runs the program as somebody does who is not containerd.
func runProgram(t *testing.T, stdin io.Reader, args ...string) (code int, stdout string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Stdin = stdin
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

func TestWrongCalls(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	signed := h.push("team/app:v1", h.key)
	name, d := h.registry+"/team/app:v1", signed.Digest.String()
	good := []string{"-config", h.path("config.yaml"), "-name", name, "-digest", d, "-stdin-media-type", ocispec.MediaTypeDescriptor}
	descriptor := fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, signed.MediaType, d, signed.Size)
	if code, out := runProgram(t, strings.NewReader(descriptor+"\n"), good...); code != 0 || !strings.HasPrefix(out, "signed by") {
		t.Fatalf("a right call: exit code %d, %s", code, out)
	}
	other := digest.FromString("other").String()
	tests := []struct {
		name   string
		args   []string
		stdin  string
		reason string
	}{
		{"no flags", nil, descriptor, "no -name"},
		{"help", []string{"-h"}, descriptor, "-name NAME"},
		{"an unknown flag", append(good[:8:8], "-verbose"), descriptor, "verbose"},
		{"an argument", append(good[:8:8], "x"), descriptor, "unexpected argument"},
		{"no digest", append(good[:4:4], good[6:]...), descriptor, "no -digest"},
		{"no media type", good[:6:6], descriptor, "-stdin-media-type"},
		{"another media type", append(good[:7:7], "application/json"), descriptor, "-stdin-media-type"},
		{"an empty configuration path", append(good[:8:8], "-config", ""), descriptor, "configuration"},
		{"another digest than that of the descriptor", append(good[:8:8], "-digest", other), descriptor, "-digest"},
		{"a digest that is none, twice", append(good[:8:8], "-digest", "x"), strings.Replace(descriptor, d, "x", 1), "could not be checked"},
		{"no descriptor", good, "", "descriptor"},
		{"garbage", good, "garbage", "descriptor"},
		{"null", good, "null", "-digest"},
		{"a list", good, "[]", "descriptor"},
		{"two descriptors", good, descriptor + descriptor, "descriptor"},
		{"an endless descriptor", good, descriptor + strings.Repeat(" ", maxDescriptor), "larger than"},
		{"the descriptor of a layer", good, strings.Replace(descriptor, signed.MediaType, ocispec.MediaTypeImageLayer, 1), "media type"},
		{"a descriptor of negative size", good, strings.Replace(descriptor, `"size":`, `"size":-`, 1), "negative"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			code, out := runProgram(t, strings.NewReader(test.stdin), test.args...)
			if code != exitNoAnswer || !strings.Contains(out, test.reason) || strings.Count(out, "\n") != 1 {
				t.Errorf("exit code %d, want a reason with %q: %s", code, test.reason, out)
			}
		})
	}
	t.Run("a configuration in the environment", func(t *testing.T) {
		t.Parallel()
		cmd := exec.CommandContext(t.Context(), program, good[2:]...)
		cmd.Stdin = strings.NewReader(descriptor)
		cmd.Env = []string{"CONFIG=" + h.path("config.yaml"), "COSIGN_KEY=" + h.path("key.pub"), "HOME=" + h.dir}
		if err := cmd.Run(); err == nil && cmd.ProcessState.ExitCode() == 0 {
			// The standard configuration may be there, by another test, and is for
			// another registry.
			t.Error("let through")
		}
	})
}

// Standard input that stays open, and a signal while it does.
func TestWhoWaitsIsEndedAndLetsNothingThrough(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	signed := h.push("team/app:v1", h.key)
	args := []string{"-config", h.path("config.yaml"), "-name", h.registry + "/team/app:v1", "-digest", signed.Digest.String(), "-stdin-media-type", ocispec.MediaTypeDescriptor}
	for name, end := range map[string]func(*exec.Cmd) error{
		"its own time":  func(*exec.Cmd) error { return nil },
		"a termination": func(cmd *exec.Cmd) error { return cmd.Process.Signal(syscall.SIGTERM) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			defer w.Close()
			cmd := exec.CommandContext(t.Context(), program, args...)
			cmd.Stdin = r
			var out bytes.Buffer
			cmd.Stdout = &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if err := end(cmd); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err == nil {
				t.Errorf("let through: %s", &out)
			}
		})
	}
}

// Fifty pulls at a time, while the policy is replaced all the time by good ones
// and bad ones, of which none lets the unsigned image through.
func TestConcurrentPullsWhileThePolicyIsReplaced(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	signed := h.push("team/app:v1", h.key)
	unsigned := h.push("team/unsigned:v1")
	policies := []string{
		h.policy("key.pub"), "version: 1\nrules: []\n", "rules: [", "", h.policy("none.pub"), "version: 1\ndefault: insecureAcceptAnyThing\nrules: []\n",
	}
	ctx, stop := context.WithCancel(t.Context())
	var replacing, pulling sync.WaitGroup
	replacing.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			h.replace("policy.yaml", policies[i%len(policies)])
			if i%7 == 0 {
				if err := os.Remove(h.path("policy.yaml")); err != nil {
					t.Error(err)
				}
			}
		}
	})
	for range 25 {
		pulling.Go(func() {
			// Which policy was there, nobody knows.
			if ok, reason := h.ask("team/app:v1", signed); reason == "" || ok != strings.Contains(reason, "signed by key") {
				t.Errorf("the signed image: %v, %s", ok, reason)
			}
		})
		pulling.Go(func() {
			if ok, reason := h.ask("team/unsigned:v1", unsigned); ok || reason == "" {
				t.Errorf("the unsigned image: %v, %s", ok, reason)
			}
		})
	}
	pulling.Wait()
	stop()
	replacing.Wait()

	h.replace("policy.yaml", policies[0])
	for range 25 {
		pulling.Go(func() { h.want("team/app:v1", signed, true, "signed by key") })
		pulling.Go(func() { h.want("team/unsigned:v1", unsigned, false, "no signatures found") })
	}
	pulling.Wait()
}
