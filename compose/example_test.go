// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package compose_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	containerd "github.com/containerd/containerd/v2/client"

	"github.com/cosignkit/cosignkit"
	"github.com/cosignkit/cosignkit/compose"
)

// loadExample loads a project with compose-go, as tools do.
func loadExample(content string) (project *types.Project, remove func()) {
	dir, err := os.MkdirTemp("", "cosignkit")
	if err != nil {
		log.Fatal(err)
	}
	file := filepath.Join(dir, "compose.yaml")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		log.Fatal(err)
	}
	options, err := cli.NewProjectOptions([]string{file}, cli.WithName("demo"))
	if err != nil {
		log.Fatal(err)
	}
	project, err = options.LoadProject(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	return project, func() { _ = os.RemoveAll(dir) }
}

func newAdapter() *cosignkit.Adapter {
	a, err := cosignkit.New(cosignkit.Config{})
	if err != nil {
		log.Fatal(err)
	}
	return a
}

// All that is wrong with a project is told at once, with file and line.
func ExampleProblems() {
	project, remove := loadExample(`
services:
  web:
    image: registry.example/web:v1
    x-nerdctl-verify: true
  db:
    image: registry.example/db:v1
    x-nerdctl-verfy: cosign
`)
	defer remove()
	_, err := compose.NewPlan(project, compose.Config{Adapter: newAdapter()})
	for _, problem := range compose.Problems(err) {
		fmt.Println(problem)
	}
	// Output:
	// compose.yaml:8: service db: x-nerdctl-verfy: found an unknown field; expected x-nerdctl-verify
	// compose.yaml:5: service web: x-nerdctl-verify: found the boolean true; expected cosign, notation or none, as a string
}

func ExampleNewPlan() {
	project, remove := loadExample(`
services:
  web:
    image: registry.example/web
    x-nerdctl-verify: cosign
    x-nerdctl-cosign-certificate-identity: name@example.com
    x-nerdctl-cosign-certificate-oidc-issuer: https://issuer.example
  db:
    image: registry.example/db:v1
`)
	defer remove()
	plan, err := compose.NewPlan(project, compose.Config{Adapter: newAdapter()})
	if err != nil {
		log.Fatal(err)
	}
	for _, service := range plan.Services() {
		by := service.Fields.Verify.CosignCertificateIdentity
		if by == "" {
			by = "nobody"
		}
		fmt.Println(service.Name, service.Image, "by", by)
	}
	// Output:
	// db registry.example/db:v1 by nobody
	// web registry.example/web:latest by name@example.com
}

// A tool that pulls and starts by itself does so with the pinned project.
func ExamplePlan_Verify() {
	project, remove := loadExample("services:\n  web:\n    image: registry.example/web\n")
	defer remove()
	plan, err := compose.NewPlan(project, compose.Config{Adapter: newAdapter()})
	if err != nil {
		log.Fatal(err)
	}
	result, err := plan.Verify(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	pinned, err := result.Project()
	if err != nil {
		log.Fatal(err)
	}
	for _, outcome := range result.Outcomes {
		fmt.Println(outcome.Service, "is verified:", outcome.Verification != nil)
	}
	fmt.Println(strings.Contains(pinned.Services["web"].Image, "@"))
	// Output:
	// web is verified: false
	// false
}

// Up, with a containerd daemon: start gets what was pulled.
func ExamplePlan_Start() {
	up := func(ctx context.Context, cd *containerd.Client, plan *compose.Plan) error {
		_, err := plan.Start(ctx, compose.PullWith(cd, containerd.WithPullUnpack),
			func(_ context.Context, service types.ServiceConfig, outcome compose.Outcome) error {
				fmt.Println("start", service.Image, "which is", outcome.Target.Digest)
				return nil
			})
		return err
	}
	_ = up
	// Output:
}

// Push, with a containerd daemon.
func ExamplePlan_Push() {
	push := func(ctx context.Context, cd *containerd.Client, project *types.Project) error {
		plan, err := compose.NewPlan(project, compose.Config{Adapter: newAdapter(), Push: true})
		if err != nil {
			return err
		}
		result, err := plan.Push(ctx, compose.PushWith(cd))
		if err != nil {
			return err
		}
		for _, outcome := range result.Outcomes {
			fmt.Println(outcome.Pinned(), "has", len(outcome.Signatures), "new signatures")
		}
		return nil
	}
	_ = push
	// Output:
}
