// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	containerd "github.com/containerd/containerd/v2/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/pflag"

	"github.com/cosignkit/cosignkit"
	"github.com/cosignkit/cosignkit/compose"
	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/signing/keyfile"
)

// composeCommand is the command compose, which has commands of its own.
type composeCommand struct {
	files           []string
	directory, name string
	profiles        []string
	requireVerified bool
	verify          bool
	yes             bool

	command  string
	services []string
	args     []string // after --
}

// composeCommands are by their names.
var composeCommands = map[string]func(*composeCommand, context.Context, *app, *types.Project) error{
	"push":   (*composeCommand).push,
	"pull":   (*composeCommand).pull,
	"up":     (*composeCommand).up,
	"run":    (*composeCommand).runOne,
	"down":   (*composeCommand).down,
	"config": (*composeCommand).config,
}

func (c *composeCommand) flags(f *pflag.FlagSet) {
	f.StringArrayVarP(&c.files, "file", "f", nil, "Compose `FILE`; of several, later ones override (default compose.yaml)")
	f.StringVar(&c.directory, "project-directory", "", "`DIRECTORY` that relative paths are of (default that of the first file)")
	f.StringVarP(&c.name, "project-name", "p", "", "`NAME` of the project (default that of the file, or of the directory)")
	f.StringArrayVar(&c.profiles, "profile", nil, "enable the services of a `PROFILE`; may be repeated")
	f.BoolVar(&c.requireVerified, "require-verified", false, "refuse services that are not verified")
	f.BoolVarP(&c.yes, "yes", "y", false, "push: agree to what is published for ever")
	f.BoolVar(&c.verify, "verify", false, "config: verify, and print a Compose file that pins what was verified")
}

func (c *composeCommand) commandLine(args []string) { c.args = args }

func (c *composeCommand) arguments(args []string) error {
	if len(args) == 0 {
		return errors.New("want push, pull, up, run, down or config")
	}
	c.command, c.services = args[0], args[1:]
	_, known := composeCommands[c.command]
	switch {
	case !known:
		return fmt.Errorf("unknown command %q; want push, pull, up, run, down or config", c.command)
	case slices.Contains(c.services, ""):
		return errors.New("the name of a service is empty")
	case c.command == "run" && len(c.services) != 1:
		return fmt.Errorf("run: want one service, got %d", len(c.services))
	case c.command == "down" && len(c.services) > 0:
		return errors.New("down: want no service; it is for the whole project")
	case c.args != nil && c.command != "run":
		return fmt.Errorf("%s: a command after -- is for run", c.command)
	case c.verify && c.command != "config":
		return fmt.Errorf("%s: --verify is for config; %[1]s does what the fields of the services say", c.command)
	case c.yes && c.command != "push":
		return fmt.Errorf("%s: --yes is for push", c.command)
	case c.requireVerified && (c.command == "push" || c.command == "down" || c.command == "config" && !c.verify):
		return fmt.Errorf("%s: --require-verified is for pull, up, run and config --verify", c.command)
	}
	return nil
}

func (c *composeCommand) run(ctx context.Context, a *app, _ string) error {
	project, err := c.load(ctx)
	if err != nil {
		return misconfigured("load project", c.name, err)
	}
	return composeCommands[c.command](c, ctx, a, project)
}

// load loads the project as compose-go has it. The fields for signing and
// verifying are not looked at yet.
func (c *composeCommand) load(ctx context.Context) (*types.Project, error) {
	options, err := cli.NewProjectOptions(c.files,
		cli.WithWorkingDirectory(c.directory),
		cli.WithName(c.name),
		cli.WithOsEnv,
		cli.WithEnvFiles(), // .env
		cli.WithDotEnv,
		cli.WithConfigFileEnv,
		cli.WithDefaultConfigPath,
		cli.WithEnvFiles(), // that of the project, where it is elsewhere
		cli.WithDotEnv,
		cli.WithDefaultProfiles(c.profiles...),
		// For minictl they are elements that it cannot run, and need not be there.
		cli.WithoutEnvironmentResolution,
		cli.WithoutLabelsResolution,
	)
	if err != nil {
		return nil, err
	}
	return options.LoadProject(ctx)
}

// plan reads the fields. What follows is told to progress. The store is for images
// that are not to be pulled, and may be nil.
func (c *composeCommand) plan(a *app, project *types.Project, push bool, store *containerd.Client, progress *composeProgress) (*compose.Plan, error) {
	sign, err := a.adapter(c.yes)
	if err != nil {
		return nil, err
	}
	return compose.NewPlan(project, compose.Config{
		Adapter:         sign,
		Push:            push,
		Store:           store,
		RequireVerified: c.requireVerified,
		Trace:           progress.tell,
	}, c.services...)
}

// adapter reaches registries as the flags say, and takes from the environment what
// cosign takes from it. Unless the user has agreed, it asks before anything is
// published.
func (a *app) adapter(agreed bool) (*cosignkit.Adapter, error) {
	consent := a.consent
	if agreed {
		consent = nil
	}
	return cosignkit.New(cosignkit.Config{
		Registry: registry.Config{
			HostsDirs:           a.hostsDirs,
			Credentials:         registry.DockerCredentials(),
			UserAgent:           "minictl",
			SignatureRepository: a.signatureRepository,
			Logger:              a.log,
		},
		Log:              a.tell,
		InsecureRegistry: a.insecureRegistry,
		Environ:          os.Environ(),
		KeyFile:          keyfile.Open,
		Passphrase:       a.passphrase(false),
		Consent:          consent,
	})
}

func (c *composeCommand) push(ctx context.Context, a *app, project *types.Project) error {
	return c.withStore(ctx, a, project, true, func(ctx context.Context, cd *containerd.Client, plan *compose.Plan) (*compose.Result, error) {
		// Not compose.PushWith: of an index, minictl pushes this machine's platform.
		return plan.Push(ctx, func(ctx context.Context, image compose.Image) (ocispec.Descriptor, error) {
			name, err := parseReference(image.Ref)
			if err != nil {
				return ocispec.Descriptor{}, err
			}
			target, err := (&push{}).target(ctx, cd, name)
			if err != nil {
				return target, err
			}
			return target, cd.Push(ctx, name.String(), target, containerd.WithResolver(image.Resolver))
		})
	})
}

func (c *composeCommand) pull(ctx context.Context, a *app, project *types.Project) error {
	return c.withStore(ctx, a, project, false, func(ctx context.Context, cd *containerd.Client, plan *compose.Plan) (*compose.Result, error) {
		return plan.Pull(ctx, c.puller(a, cd, project, true))
	})
}

// pullOptions: a daemon can unpack, and root is its own affair.
func (a *app) pullOptions() []containerd.RemoteOpt {
	if a.address == "" {
		return nil
	}
	return []containerd.RemoteOpt{containerd.WithPullUnpack}
}

// withStore has f carry out a plan, and prints what became of it.
func (c *composeCommand) withStore(ctx context.Context, a *app, project *types.Project, push bool, f func(context.Context, *containerd.Client, *compose.Plan) (*compose.Result, error)) error {
	progress := a.composeProgress()
	// Read before the store is opened, and then with it.
	if _, err := c.plan(a, project, push, nil, progress); err != nil {
		return severalLines{err}
	}
	ctx, cd, done, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = done() }()
	plan, err := c.plan(a, project, push, cd, progress)
	if err != nil {
		return severalLines{err}
	}
	// Under the lease nothing that was verified is collected before it is used.
	ctx, release, err := cd.WithLease(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = release(context.WithoutCancel(ctx)) }()
	result, err := f(ctx, cd, plan)
	progress.stop()
	return c.report(a, project, push, result, err)
}

func (c *composeCommand) report(a *app, project *types.Project, push bool, result *compose.Result, err error) error {
	if err != nil {
		err = severalLines{err}
	}
	if result == nil {
		return err
	}
	return errors.Join(err, a.print(newSummary(project.Name, push, result)))
}

// config prints the project, or with --verify what pins it.
func (c *composeCommand) config(ctx context.Context, a *app, project *types.Project) error {
	if !c.verify {
		content, err := project.MarshalYAML()
		if err != nil {
			return misconfigured("print project", project.Name, err)
		}
		_, err = a.stdout.Write(content)
		return err
	}
	progress := a.composeProgress()
	plan, err := c.plan(a, project, false, nil, progress)
	if err != nil {
		return severalLines{err}
	}
	result, err := plan.Verify(ctx)
	progress.stop()
	if err != nil {
		return c.report(a, project, false, result, err)
	}
	override, err := result.Override()
	if err != nil {
		return severalLines{err}
	}
	// The file is for a pipe, and the summary for who looks on.
	for _, line := range newSummary(project.Name, false, result).text() {
		if _, err := io.WriteString(a.stderr, printable(line)+"\n"); err != nil {
			return err
		}
	}
	_, err = a.stdout.Write(override)
	return err
}

// severalLines is an error of several services, each in a line of its own.
type severalLines struct{ error }

func (e severalLines) Unwrap() error { return e.error }

// lines are those of an error, to print: one, unless it is made of several.
func lines(err error) (all []string) {
	for _, problem := range problemsOf(err) {
		all = append(all, "minictl: "+printable(problem))
	}
	if len(all) > 0 {
		return all
	}
	text := []string{err.Error()}
	if several := (severalLines{}); errors.As(err, &several) {
		text = strings.Split(err.Error(), "\n")
	}
	prefix := "minictl: "
	for _, line := range text {
		all = append(all, prefix+printable(line))
		prefix = "  "
	}
	return all
}
