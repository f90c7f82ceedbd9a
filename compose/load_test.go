// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package compose_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"

	"github.com/cosignkit/cosignkit"
	"github.com/cosignkit/cosignkit/compose"
)

// TestFieldsAreWhatComposeGoMakesOfThem, by each way in which a project can be put
// together.
func TestFieldsAreWhatComposeGoMakesOfThem(t *testing.T) {
	t.Parallel()
	const svc = "services:\n  a:\n    image: registry.example/a:v1\n"
	for name, c := range map[string]struct {
		// files are loaded in the order of their names, but for those in folders.
		files   map[string]string
		options []cli.ProjectOptionsFn
		// want has, of each service, its image and its public key or identity.
		want map[string]string
	}{
		"a file": {
			files: map[string]string{"1.yaml": svc + good},
			want:  map[string]string{"a": "registry.example/a:v1 good.pub"},
		},
		"interpolation": {
			files: map[string]string{"1.yaml": `
services:
  a:
    image: registry.example/a:${TAG:-v0}
    x-nerdctl-verify: ${VERIFY}
    x-nerdctl-cosign-public-key: ${KEY:-good}.pub
    x-nerdctl-cosign-insecure-ignore-tlog: true`},
			options: []cli.ProjectOptionsFn{cli.WithEnv([]string{"TAG=v2", "VERIFY=cosign"})},
			want:    map[string]string{"a": "registry.example/a:v2 good.pub"},
		},
		"an anchor of a template": {
			files: map[string]string{"1.yaml": `
x-signed: &signed
  x-nerdctl-verify: cosign
  x-nerdctl-cosign-public-key: good.pub
  x-nerdctl-cosign-insecure-ignore-tlog: true
services:
  a:
    <<: *signed
    image: registry.example/a:v1
  b:
    <<: *signed
    image: registry.example/b:v1
    x-nerdctl-cosign-public-key: other.pub`},
			want: map[string]string{"a": "registry.example/a:v1 good.pub", "b": "registry.example/b:v1 other.pub"},
		},
		"an override": {
			files: map[string]string{
				"1.yaml": svc + good,
				"2.yaml": "services: {a: {x-nerdctl-cosign-public-key: other.pub}}",
			},
			want: map[string]string{"a": "registry.example/a:v1 other.pub"},
		},
		"an override that adds it": {
			files: map[string]string{"1.yaml": svc, "2.yaml": "services:\n  a:" + good},
			want:  map[string]string{"a": "registry.example/a:v1 good.pub"},
		},
		"an override that says none": {
			files: map[string]string{"1.yaml": svc + good, "2.yaml": "services: {a: {x-nerdctl-verify: none}}"},
			want:  map[string]string{"a": "registry.example/a:v1"},
		},
		"an override that takes all fields away": {
			files: map[string]string{"1.yaml": svc + good, "2.yaml": `
services:
  a:
    x-nerdctl-verify: !reset null
    x-nerdctl-cosign-public-key: !reset null
    x-nerdctl-cosign-insecure-ignore-tlog: !reset null`},
			want: map[string]string{"a": "registry.example/a:v1"},
		},
		"extends in a file": {
			files: map[string]string{"1.yaml": svc + good + `
  b:
    extends: a
    image: registry.example/b:v1`},
			want: map[string]string{"a": "registry.example/a:v1 good.pub", "b": "registry.example/b:v1 good.pub"},
		},
		"extends of another file": {
			files: map[string]string{
				"1.yaml":           "services:\n  b:\n    extends: {file: base/base.yaml, service: a}",
				"base/base.yaml":   svc + good,
				"base/unused.yaml": "services:\n  a:\n    x-nerdctl-verify: 7",
			},
			want: map[string]string{"b": "registry.example/a:v1 good.pub"},
		},
		"include": {
			files: map[string]string{"1.yaml": "include: [inc/inc.yaml]\n" + svc, "inc/inc.yaml": strings.Replace(svc+good, " a:", " b:", 1)},
			want:  map[string]string{"a": "registry.example/a:v1", "b": "registry.example/a:v1 good.pub"},
		},
		"include with a directory and variables of its own": {
			files: map[string]string{
				"1.yaml":       "include:\n  - {path: inc/inc.yaml, project_directory: other, env_file: inc/inc.env}\n" + svc,
				"inc/inc.env":  "KEY=good.pub",
				"inc/inc.yaml": strings.NewReplacer(" a:", " b:", "good.pub", "${KEY}").Replace(svc + good),
			},
			want: map[string]string{"a": "registry.example/a:v1", "b": "registry.example/a:v1 good.pub"},
		},
		"anchors that are merged as a list": {
			files: map[string]string{"1.yaml": `
x-key: &key {x-nerdctl-cosign-public-key: good.pub, x-nerdctl-cosign-insecure-ignore-tlog: true}
x-verify: &verify {x-nerdctl-verify: cosign, x-nerdctl-cosign-public-key: other.pub}
services:
  a:
    <<: [*key, *verify]
    image: registry.example/a:v1`},
			want: map[string]string{"a": "registry.example/a:v1 good.pub"},
		},
		"a variable that is not set, with another value": {
			files: map[string]string{"1.yaml": `
services:
  a:
    image: registry.example/a:${UNSET:-v1}
    x-nerdctl-verify: ${UNSET-cosign}
    x-nerdctl-cosign-public-key: ${UNSET:-good}.pub
    x-nerdctl-cosign-insecure-ignore-tlog: true`},
			want: map[string]string{"a": "registry.example/a:v1 good.pub"},
		},
		"an override that says nothing": {
			files: map[string]string{"1.yaml": svc + good, "2.yaml": "services: {a: {x-nerdctl-verify: null}}"},
			want:  map[string]string{"a": "registry.example/a:v1 good.pub"},
		},
		"an override of the whole service": {
			files: map[string]string{"1.yaml": svc + good, "2.yaml": "services: {a: !override {image: registry.example/b}}"},
			want:  map[string]string{"a": "registry.example/b:latest"},
		},
		"an override that replaces annotations": {
			files: map[string]string{
				"1.yaml": svc + good + "    x-nerdctl-cosign-annotations: {a: 7}\n",
				"2.yaml": "services: {a: {x-nerdctl-cosign-annotations: !override {b: c}}}",
			},
			want: map[string]string{"a": "registry.example/a:v1 good.pub"},
		},
		"a dependency that is not required, and not enabled": {
			files: map[string]string{"1.yaml": svc + good + "    depends_on: {b: {condition: service_started, required: false}}\n  b: {image: registry.example/b, profiles: [x], x-nerdctl-verify: 7}"},
			want:  map[string]string{"a": "registry.example/a:v1 good.pub"},
		},
		"no replica, and several": {
			files: map[string]string{"1.yaml": svc + good + "    scale: 0\n  b:\n    image: registry.example/b:v1\n    deploy: {replicas: 3}" + good},
			want:  map[string]string{"a": "registry.example/a:v1 good.pub", "b": "registry.example/b:v1 good.pub"},
		},
		"a profile that is not enabled": {
			files: map[string]string{"1.yaml": svc + "  b:\n    image: registry.example/b:v1\n    profiles: [debug]\n    x-nerdctl-verify: 7\n    labels: {x-nerdctl-verify: cosign}"},
			want:  map[string]string{"a": "registry.example/a:v1"},
		},
		"a profile that is enabled": {
			files:   map[string]string{"1.yaml": svc + "  b:\n    image: registry.example/b:v1\n    profiles: [debug]" + good},
			options: []cli.ProjectOptionsFn{cli.WithProfiles([]string{"debug"})},
			want:    map[string]string{"a": "registry.example/a:v1", "b": "registry.example/b:v1 good.pub"},
		},
		"two documents in a file": {
			files: map[string]string{"1.yaml": svc + good + "---\nservices: {a: {x-nerdctl-cosign-public-key: other.pub}}"},
			want:  map[string]string{"a": "registry.example/a:v1 other.pub"},
		},
		"a build without an image": {
			files: map[string]string{"1.yaml": "services:\n  a:\n    build: ." + good},
			want:  map[string]string{"a": "docker.io/library/demo-a:latest good.pub"},
		},
		"a build with an image": {
			files: map[string]string{"1.yaml": "services:\n  a:\n    build: .\n    image: registry.example/a" + good},
			want:  map[string]string{"a": "registry.example/a:latest good.pub"},
		},
		"an identity": {
			files: map[string]string{"1.yaml": svc + `
    x-nerdctl-verify: cosign
    x-nerdctl-cosign-certificate-identity: name@example.com
    x-nerdctl-cosign-certificate-oidc-issuer: https://issuer.example`},
			want: map[string]string{"a": "registry.example/a:v1 name@example.com"},
		},
		"a key in the environment": {
			files: map[string]string{"1.yaml": strings.Replace(svc+good, "good.pub", "env://PUB", 1)},
			want:  map[string]string{"a": "registry.example/a:v1 env://PUB"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			var files []string
			for file, content := range c.files {
				path := s.write(file, content)
				if filepath.Dir(path) == s.dir {
					files = append(files, path)
				}
			}
			slices.Sort(files)
			project, err := loadProject(s.ctx, s.dir, files, c.options...)
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for _, service := range s.plan(project, compose.Config{}).Services() {
				got[service.Name] = strings.TrimSpace(service.Image + " " + by(s, service.Fields))
			}
			if len(got) != len(c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
			for service, want := range c.want {
				if got[service] != want {
					t.Errorf("%s: got %q, want %q", service, got[service], want)
				}
			}
		})
	}
}

func by(s *scene, f cosignkit.Fields) string {
	v := f.Verify
	if v.Provider != cosignkit.Cosign {
		return ""
	}
	return strings.TrimPrefix(v.CosignKey+v.CosignCertificateIdentity, s.dir+string(filepath.Separator))
}

// TestAProjectDirectoryThatIsALink: keys and lines are found through it.
func TestAProjectDirectoryThatIsALink(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(s.dir, link); err != nil {
		t.Fatal(err)
	}
	s.write("compose.yaml", "services:\n  a:\n    image: registry.example/a:v1"+good+"  b:\n    image: registry.example/b:v1\n    x-nerdctl-verify: 7\n")
	project, err := loadProject(s.ctx, link, []string{filepath.Join(link, "compose.yaml")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = compose.NewPlan(project, compose.Config{Adapter: s.adapter()})
	if problems := compose.Problems(err); len(problems) != 1 || problems[0].File != "compose.yaml" || problems[0].Line != 9 {
		t.Errorf("got %v", err)
	}
}

// TestNamingAServiceEnablesIt, as Docker Compose does with profiles.
func TestNamingAServiceEnablesIt(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	project := s.load("services:\n  a: {image: registry.example/a}\n  b:\n    image: registry.example/b:v1\n    profiles: [debug]" + good)
	services := s.plan(project, compose.Config{}, "b").Services()
	if len(services) != 1 || services[0].Name != "b" || services[0].Fields.Verify.Provider != cosignkit.Cosign {
		t.Errorf("got %v", services)
	}
}
