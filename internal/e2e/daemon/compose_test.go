// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package daemon_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/opencontainers/go-digest"

	"github.com/cosignkit/cosignkit/internal/e2e/release"
	"github.com/cosignkit/cosignkit/internal/sigstack"
)

// project is a Compose project, a registry, and the node that it runs on.
type project struct {
	*node
	registry *testRegistry
	env      []string
	// files are given with -f, from the directory of the keys.
	files []string
}

func newProject(t *testing.T, n *node, r *testRegistry, content string) *project {
	t.Helper()
	p := &project{node: n.on(t), registry: r, env: []string{"REGISTRY=" + r.address, "COSIGN_TLOG_UPLOAD=false"}}
	p.file("compose.yaml", content)
	return p
}

// file adds a Compose file.
func (p *project) file(name, content string) {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		p.t.Fatal(err)
	}
	p.files = append(p.files, "-f", path)
}

// compose runs minictl compose in the directory of the keys.
func (p *project) compose(args ...string) outcome {
	p.t.Helper()
	command := p.command(p.t.Context(), append(append([]string{"compose", "--project-directory", keys}, p.files...), args...)...)
	command.Env = append(command.Env, p.env...)
	return finish(p.t, command)
}

// ends is compose for what has to end with a code.
func (p *project) ends(code int, args ...string) outcome {
	p.t.Helper()
	o := p.compose(args...)
	if o.code != code {
		p.t.Errorf("compose %v: exit code %d, want %d: %s", args, o.code, code, o.stderr)
	}
	return o
}

// place has an image in the registry that prints content, and returns its digest.
func (p *project) place(name, content string, flags []string) digest.Digest {
	p.t.Helper()
	ref := p.registry.address + "/" + name + ":v1"
	p.load(ref, content)
	p.must(append(with("push", flags), ref)...)
	target, _ := p.record(ref)
	p.forget(ref)
	return target.Digest
}

// running returns what the containers of a project are, by service: the content of
// their image, as they see it.
func (p *project) running(name string) map[string]string {
	p.t.Helper()
	containers, err := p.client.Containers(p.context(), fmt.Sprintf(`labels."minictl/project"==%q`, name))
	if err != nil {
		p.t.Fatal(err)
	}
	all := map[string]string{}
	for _, c := range containers {
		labels, err := c.Labels(p.context())
		if err != nil {
			p.t.Fatal(err)
		}
		all[labels["minictl/service"]] = p.content(c)
	}
	return all
}

// contents are those of images of the projects.
var contents = []string{"svc0", "svc1", "good", "bad", "none", "evil", "web", "db"}

// content is what a program in the container reads, of contents. It tells by its
// exit code: what it prints may be lost where it ends this soon.
func (p *project) content(c containerd.Container) string {
	p.t.Helper()
	ctx := p.context()
	task, err := c.Task(ctx, nil)
	if err != nil {
		return err.Error()
	}
	spec, err := c.Spec(ctx)
	if err != nil {
		p.t.Fatal(err)
	}
	script := "case $(/bin/busybox cat /hello.txt) in "
	for i, content := range contents {
		script += fmt.Sprintf("%s) exit %d;; ", content, 100+i)
	}
	process := *spec.Process
	process.Args = []string{"/bin/busybox", "sh", "-c", script + "esac"}
	exec, err := task.Exec(ctx, "content", &process, cio.NullIO)
	if err != nil {
		return err.Error()
	}
	exited, err := exec.Wait(ctx)
	if err == nil {
		err = exec.Start(ctx)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	code, _, err := (<-exited).Result()
	if err != nil || code < 100 || int(code) >= 100+len(contents) {
		p.t.Fatalf("the program in the container ended with %d, %v", code, err)
	}
	if _, err := exec.Delete(ctx); err != nil {
		p.t.Error(err)
	}
	return contents[code-100]
}

// example reads a project of examples/compose.
func example(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "..", "..", "examples", "compose", name, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// lasting keeps the containers of the services running.
func lasting(services ...string) string {
	var b strings.Builder
	b.WriteString("services:\n")
	for _, s := range services {
		b.WriteString("  " + s + ": {entrypoint: [/bin/busybox, sleep, '1000']}\n")
	}
	return b.String()
}

// scenario pushes, pulls, runs and starts the project of an example. wrong is the
// setting with which svc0 must be refused.
func scenario(t *testing.T, n *node, name string, env []string, wrong string) {
	p := newProject(t, n, newRegistry(t), example(t, name))
	p.env = append(p.env, env...)
	for _, service := range []string{"svc0", "svc1"} {
		p.load(p.registry.address+"/"+service+":v1", service)
	}
	if o := p.ends(0, "push", "--yes"); !strings.Contains(o.stdout, "  signed\n") || !strings.Contains(o.stdout, "  not signed\n") {
		t.Errorf("push printed %s", o.stdout)
	}
	for _, service := range []string{"svc0", "svc1"} {
		p.forget(p.registry.address + "/" + service + ":v1")
	}
	if o := p.ends(0, "pull"); strings.Count(o.stdout, "  verified by ") != 1 || strings.Count(o.stdout, "  not verified\n") != 1 {
		t.Errorf("pull printed %s", o.stdout)
	}
	for _, service := range []string{"svc0", "svc1"} {
		if o := p.ends(0, "run", service); !strings.HasPrefix(o.stdout, service) {
			t.Errorf("run %s printed %s", service, o.stdout)
		}
	}
	if o := p.ends(7, "run", "svc0", "--", "/bin/busybox", "sh", "-c", "exit 7"); o.code != 7 {
		t.Error(o)
	}

	p.file("lasting.yaml", lasting("svc0", "svc1"))
	p.ends(0, "up")
	if got := p.running(name); len(got) != 2 || got["svc0"] != "svc0" || got["svc1"] != "svc1" {
		t.Errorf("running: %v", got)
	}
	p.ends(0, "down")
	if got := p.running(name); len(got) != 0 {
		t.Errorf("running after down: %v", got)
	}

	p.env = append(p.env, wrong)
	for _, command := range []string{"pull", "up", "run"} {
		if o := p.ends(1, command, "svc0"); !strings.Contains(o.stderr, "service svc0: verify "+p.registry.address+"/svc0:v1@sha256:") {
			t.Errorf("%s said %s", command, o.stderr)
		}
	}
	p.ends(1, "up")
	if got := p.running(name); len(got) != 0 {
		t.Errorf("running, and one was refused: %v", got)
	}
	p.ends(0, "pull", "svc1")
	p.ends(0, "up", "svc1")
	if got := p.running(name); len(got) != 1 || got["svc1"] != "svc1" {
		t.Errorf("running: %v", got)
	}
	p.ends(0, "down")
}

func TestComposeWithAKeyPair(t *testing.T) {
	t.Parallel()
	scenario(t, newNode(t, current), "key-pair", nil, "PUBLIC_KEY=other.pub")
}

func TestComposeKeyless(t *testing.T) {
	t.Parallel()
	cache, err := release.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	program, err := sigstack.Build(t.Context(), filepath.Join(cache, "tools"))
	if err != nil {
		t.Fatal(err)
	}
	stack, err := sigstack.Start(t.Context(), program, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := stack.Stop(); err != nil {
			t.Error(err)
		}
	}()
	token, err := stack.Mint(t.Context(), url.Values{"email": {"name@example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	scenario(t, newNode(t, current), "keyless", []string{
		"SIGSTORE_ID_TOKEN=" + token,
		"COSIGN_TLOG_UPLOAD=true",
		"COSIGN_SIGNING_CONFIG=" + stack.SigningConfigV1,
		"COSIGN_TRUSTED_ROOT=" + stack.TrustedRoot,
		"ISSUER=" + stack.Issuer,
	}, "IDENTITY=other@example.com")
}

// mixed has a service that is good, one that somebody else signed, and one with
// none.
const mixed = `
name: mixed
services:
  good: &verified
    image: ${REGISTRY}/good:v1
    x-nerdctl-verify: cosign
    x-nerdctl-cosign-public-key: cosign.pub
    x-nerdctl-cosign-insecure-ignore-tlog: true
  bad:
    <<: *verified
    image: ${REGISTRY}/bad:v1
  none:
    image: ${REGISTRY}/none:v1
    x-nerdctl-verify: none
`

// TestComposeExitCodes: {pull, run, up} of {a good, a refused, an unverified}
// service; and all three start nothing.
func TestComposeExitCodes(t *testing.T) {
	t.Parallel()
	n := newNode(t, current)
	p := newProject(t, n, newRegistry(t), mixed)
	p.file("lasting.yaml", strings.ReplaceAll(lasting("good", "bad", "none"), "sleep, '1000'", "sleep, '${SLEEP:-1000}'"))
	p.place("good", "good", signed("bundle"))
	p.place("bad", "bad", signed("bundle", "--cosign-key=other.key"))
	p.place("none", "none", nil)
	for _, command := range []string{"pull", "run", "up"} {
		for service, want := range map[string]int{"good": 0, "bad": 1, "none": 0} {
			args := []string{command, service}
			p.env = append(p.env, "SLEEP=1000")
			if command == "run" {
				p.env = append(p.env, "SLEEP=0")
			}
			o := p.ends(want, args...)
			t.Logf("compose %s %s: exit code %d", command, service, o.code)
		}
	}
	if got := p.running("mixed"); len(got) != 2 || got["good"] != "good" || got["none"] != "none" {
		t.Errorf("running: %v", got)
	}
	p.ends(0, "down")
	for _, name := range []string{"good", "none"} {
		p.forget(p.registry.address + "/" + name + ":v1")
	}
	t.Logf("compose up: exit code %d", p.ends(1, "up").code)
	if got := p.running("mixed"); len(got) != 0 {
		t.Errorf("running: %v", got)
	}
	for _, name := range []string{"good", "bad", "none"} {
		if target, ok := p.record(p.registry.address + "/" + name + ":v1"); ok {
			t.Errorf("%s is recorded as %s", name, target.Digest)
		}
	}
}

// TestComposeStartsWhatWasVerified, whatever there was before.
func TestComposeStartsWhatWasVerified(t *testing.T) {
	t.Parallel()
	n := newNode(t, current)
	const plain = "name: %s\nservices:\n  web:\n    image: ${REGISTRY}/web:v1\n    entrypoint: [/bin/busybox, sleep, '1000']\n"
	const verifying = "services:\n  web:\n    x-nerdctl-verify: cosign\n    x-nerdctl-cosign-public-key: ${KEY:-cosign.pub}\n    x-nerdctl-cosign-insecure-ignore-tlog: true\n"
	good := func(t *testing.T, name string) *project {
		p := newProject(t, n, newRegistry(t), fmt.Sprintf(plain, name))
		p.place("web", "good", signed("bundle"))
		return p
	}
	refused := func(p *project, name string, want map[string]string) {
		p.t.Helper()
		p.env = append(p.env, "KEY=other.pub")
		p.ends(1, "up")
		if got := p.running(name); fmt.Sprint(got) != fmt.Sprint(want) {
			p.t.Errorf("refused, and running: %v, want %v", got, want)
		}
		p.ends(0, "down")
	}
	t.Run("a local image of the same tag has other content", func(t *testing.T) {
		p := good(t, "local")
		p.file("verify.yaml", verifying)
		p.load(p.registry.address+"/web:v1", "evil")
		p.ends(0, "up")
		if got := p.running("local"); got["web"] != "good" {
			t.Errorf("running: %v", got)
		}
		p.ends(0, "down")
		p.load(p.registry.address+"/web:v1", "evil")
		refused(p, "local", map[string]string{})
	})
	t.Run("a clean host", func(t *testing.T) {
		p := good(t, "clean")
		p.file("verify.yaml", verifying)
		p.ends(0, "up")
		if got := p.running("clean"); got["web"] != "good" {
			t.Errorf("running: %v", got)
		}
		p.ends(0, "down")
		p.forget(p.registry.address + "/web:v1")
		refused(p, "clean", map[string]string{})
	})
	t.Run("a container of an earlier up without the field", func(t *testing.T) {
		p := good(t, "earlier")
		p.load(p.registry.address+"/web:v1", "evil")
		p.ends(0, "up")
		if got := p.running("earlier"); got["web"] != "evil" {
			t.Fatalf("running without the field: %v", got)
		}
		p.file("verify.yaml", verifying)
		p.ends(0, "up")
		if got := p.running("earlier"); len(got) != 1 || got["web"] != "good" {
			t.Errorf("running: %v", got)
		}
		p.ends(0, "up") // and leaves it alone
		refused(p, "earlier", map[string]string{"web": "good"})
	})
}

func TestComposeRefusesWhatMinictlCannotRun(t *testing.T) {
	t.Parallel()
	n := newNode(t, current)
	for element, content := range map[string]string{
		"ports":      "ports: ['80:80']",
		"volumes":    "volumes: ['/etc:/etc']",
		"privileged": "privileged: true",
		"user":       "user: nobody",
		"networks":   "networks: [other]",
		"pre_start":  "pre_start: [{command: [check]}]",
		"depends_on": "depends_on: {db: {condition: service_healthy}}",
		"env_file":   "env_file: missing.env",
	} {
		content = "name: refused\nservices:\n  web:\n    image: registry.invalid/web\n    " + content + "\n  db:\n    image: registry.invalid/db\nnetworks: {other: {}}\n"
		p := newProject(t, n, newRegistry(t), content)
		for _, command := range []string{"up", "run"} {
			if o := p.ends(2, command, "web"); !strings.Contains(o.stderr, "minictl is an example") || !strings.Contains(o.stderr, "not service web: "+element) {
				t.Errorf("%s with %s: %s", command, element, o.stderr)
			}
		}
		p.ends(0, "down")
	}
}

// TestComposeService: command, environment, working directory and network.
func TestComposeService(t *testing.T) {
	t.Parallel()
	n := newNode(t, current)
	p := newProject(t, n, newRegistry(t), `
name: service
services:
  web:
    image: ${REGISTRY}/web:v1
    entrypoint: [/bin/busybox, sh, -c]
    command: ['echo $$GREETING from $$(pwd) on $$(/bin/busybox readlink /proc/self/ns/net)']
    environment: {GREETING: hello}
    working_dir: /bin
    network_mode: host
    depends_on: [db]
  db:
    image: ${REGISTRY}/db:v1
    entrypoint: [/bin/busybox, sleep, '1000']
`)
	p.place("web", "web", nil)
	p.place("db", "db", nil)
	network, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	if o := p.ends(0, "run", "web"); !strings.HasPrefix(o.stdout, "hello from /bin on "+network+"\n") {
		t.Errorf("printed %s", o.stdout)
	}
	if o := p.ends(0, "run", "web", "--", "/bin/busybox", "echo", "other"); !strings.HasPrefix(o.stdout, "\n") && !strings.Contains(o.stdout, "web ") {
		t.Errorf("printed %s", o.stdout)
	}
	if got := p.running("service"); len(got) != 1 || got["db"] != "db" {
		t.Errorf("running: %v", got)
	}
	p.ends(0, "down")
}

// TestComposeFieldsAreReadStrictly by what starts a project, and by nothing that
// stops it: a typo must not keep it running.
func TestComposeFieldsAreReadStrictly(t *testing.T) {
	t.Parallel()
	n := newNode(t, current)
	p := newProject(t, n, newRegistry(t), "name: typo\nservices:\n  web:\n    image: ${REGISTRY}/web:v1\n    entrypoint: [/bin/busybox, sleep, '1000']\n")
	p.place("web", "web", nil)
	right := p.files
	for name, wrong := range wrongFields {
		t.Run(name, func(t *testing.T) {
			p := *p
			p.node, p.files = p.on(t), right
			p.ends(0, "up")
			p.registry.asked(t)
			file, err := json.Marshal(map[string]any{"services": map[string]any{"web": wrong.fields}})
			p.check(err)
			p.file("wrong.yaml", strings.ReplaceAll(string(file), `""`, `"${UNSET}"`))
			for _, command := range []string{"pull", "up", "run"} {
				if o := p.ends(2, command, "web"); !containsAll(o.stderr, wrong.want) {
					t.Errorf("%s: %s, want %q", command, o.stderr, wrong.want)
				}
			}
			if asked := p.registry.asked(t); len(asked) > 0 {
				t.Errorf("asked the registry: %v", asked)
			}
			p.ends(0, "config")
			p.ends(0, "down")
			if got := p.running("typo"); len(got) != 0 {
				t.Errorf("running: %v", got)
			}
		})
	}
}
