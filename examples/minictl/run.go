// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/containerd/containerd/v2/pkg/identifiers"
	"github.com/containerd/log"
	"github.com/spf13/pflag"
)

// app is what the commands share: the global flags and the streams.
type app struct {
	address, root, namespace string
	hostsDirs                []string
	insecureRegistry         bool
	signatureRepository      string
	json, debug              bool

	stdin          io.Reader
	stdout, stderr io.Writer

	logs logs
	log  *slog.Logger
}

// command is one of the commands. Its argument is empty if it takes none.
type command interface {
	flags(f *pflag.FlagSet)
	run(ctx context.Context, a *app, argument string) error
}

// commandLine is a command that takes another one after --.
type commandLine interface {
	command
	commandLine(args []string)
}

// argumentList is a command that takes any arguments.
type argumentList interface {
	command
	arguments(args []string) error
}

var commands = []struct {
	name, argument, summary string
	new                     func() command
}{
	{"generate-key-pair", "", "generate an encrypted private key and its public key", func() command { return &generateKeyPair{} }},
	{"load", "FILE.tar", "load an OCI or docker archive into the image store", func() command { return &load{} }},
	{"images", "", "list the image store", func() command { return &list{} }},
	{"push", "REF", "push an image, and sign it", func() command { return &push{} }},
	{"pull", "REF", "verify an image, and pull it", func() command { return &pull{} }},
	{"run", "REF [-- COMMAND…]", "run a container of an image that is verified, on a containerd daemon", func() command { return &runCommand{} }},
	{"compose", "COMMAND [SERVICE…]", "push, pull, up, run, down or config for a Compose project", func() command { return &composeCommand{} }},
	{"verify", "REF", "say for each signature of an image what passed or failed", func() command { return &verifyCommand{} }},
}

// run is the whole program. It returns the exit code, which is the container's
// where one ran.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	// containerd's packages write to stderr unless they are told otherwise.
	log.L.Logger.SetOutput(io.Discard)

	a := &app{stdin: stdin, stdout: stdout, stderr: stderr, logs: logs{out: stderr}}
	err := a.dispatch(ctx, args)
	a.logs.release()
	if err != nil {
		// There is nobody left to tell of an error here.
		_, _ = io.WriteString(stderr, strings.Join(lines(err), "\n")+"\n")
	}
	return exitCode(err)
}

// dispatch finds the command among the arguments, and takes flags before and
// after its argument.
func (a *app) dispatch(ctx context.Context, args []string) error {
	global := newFlagSet("minictl")
	a.flags(global)
	global.SetInterspersed(false)
	if err := global.Parse(args); err != nil {
		return a.usage(global, err, "[FLAG]… COMMAND")
	}
	name := global.Arg(0)
	for _, c := range commands {
		if c.name != name {
			continue
		}
		cmd, local := c.new(), newFlagSet(c.name)
		cmd.flags(local)
		all := newFlagSet(c.name)
		all.AddFlagSet(local)
		all.AddFlagSet(global)
		err := all.Parse(global.Args()[1:])
		if err != nil {
			return a.usage(local, err, "[GLOBAL FLAG]… "+c.name+" [FLAG]… "+c.argument)
		}
		arguments := all.Args()
		if other, ok := cmd.(commandLine); ok && all.ArgsLenAtDash() >= 0 {
			other.commandLine(arguments[all.ArgsLenAtDash():])
			arguments = arguments[:all.ArgsLenAtDash()]
		}
		argument := ""
		if other, ok := cmd.(argumentList); ok {
			err = other.arguments(arguments)
		} else {
			argument, err = onlyArgument(arguments, c.argument)
		}
		if err == nil {
			err = a.check(all)
		}
		if err != nil {
			return usageError{fmt.Errorf("%s: %w", c.name, err)}
		}
		a.log = a.logger()
		return cmd.run(ctx, a, argument)
	}
	if name == "" {
		return usageError{errors.New("no command given; see minictl --help")}
	}
	return usageError{fmt.Errorf("unknown command %q; see minictl --help", name)}
}

func (a *app) flags(f *pflag.FlagSet) {
	f.StringVar(&a.address, "address", "", "socket of a containerd daemon, in the place of --root")
	f.StringVar(&a.root, "root", "", "directory of the image store (default a folder of the user's)")
	f.StringVar(&a.namespace, "namespace", "default", "containerd namespace")
	f.StringArrayVar(&a.hostsDirs, "hosts-dir", nil, "directory of containerd registry configuration; may be repeated")
	f.BoolVar(&a.insecureRegistry, "insecure-registry", false, "skip TLS verification of the registry, and allow plain HTTP")
	f.StringVar(&a.signatureRepository, "signature-repository", "", "repository for signatures, in the place of the image's own (default $COSIGN_REPOSITORY)")
	f.BoolVar(&a.json, "json", false, "print results as JSON")
	f.BoolVar(&a.debug, "debug", false, "say on stderr what is done, beside warnings")
}

func (a *app) check(f *pflag.FlagSet) error {
	if f.Changed("address") && f.Changed("root") {
		return errors.New("--address and --root exclude each other")
	}
	// An empty variable of a script's must not lead to another store.
	for _, name := range []string{"address", "root"} {
		if f.Changed(name) && f.Lookup(name).Value.String() == "" {
			return fmt.Errorf("--%s is empty", name)
		}
	}
	if err := identifiers.Validate(a.namespace); err != nil {
		return fmt.Errorf("--namespace: %w", err)
	}
	return nil
}

func newFlagSet(name string) *pflag.FlagSet {
	f := pflag.NewFlagSet(name, pflag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.SortFlags = false
	f.Usage = func() {}
	return f
}

// usage answers --help, and passes every other error on.
func (a *app) usage(f *pflag.FlagSet, err error, synopsis string) error {
	if !errors.Is(err, pflag.ErrHelp) {
		return usageError{fmt.Errorf("%w; see minictl --help", err)}
	}
	var b strings.Builder
	fmt.Fprintln(&b, "Usage: minictl", synopsis)
	if f.Name() == "minictl" {
		fmt.Fprint(&b, "\nCommands:\n")
		for _, c := range commands {
			fmt.Fprintf(&b, "  %-18s %-18s %s\n", c.name, c.argument, c.summary)
		}
	}
	if f.HasFlags() {
		fmt.Fprint(&b, "\nFlags:\n", f.FlagUsages())
	}
	_, err = io.WriteString(a.stdout, b.String())
	return err
}

func onlyArgument(args []string, want string) (string, error) {
	switch {
	case want == "" && len(args) == 0:
		return "", nil
	case want == "":
		return "", fmt.Errorf("unexpected argument %q", args[0])
	case len(args) == 1 && args[0] != "":
		return args[0], nil
	default:
		return "", fmt.Errorf("want one %s, got %d arguments", want, len(args))
	}
}
