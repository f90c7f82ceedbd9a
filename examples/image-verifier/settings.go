// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/policyfile"
)

// maxConfig bounds the configuration file, which has a few lines.
const maxConfig = 64 << 10

// settings is the configuration file, in YAML. Paths in it are relative to its
// directory. A field that does not exist is an error.
type settings struct {
	// Policy is a policy file, see package policyfile. It or ContainersPolicy is
	// required.
	Policy string `yaml:"policy"`
	// ContainersPolicy is a policy.json, see containers-policy.json(5).
	ContainersPolicy string `yaml:"containersPolicy"`

	// HostsDirs are those of containerd, such as /etc/containerd/certs.d. One that
	// does not exist has no host, as for containerd, and is told of.
	HostsDirs []string `yaml:"hostsDirs"`
	// Credentials is a file as docker login writes it. Without it registries are
	// asked anonymously. containerd passes none.
	Credentials string `yaml:"credentials"`
	// InsecureRegistries are hosts whose certificate is not checked, and which may
	// be spoken to over plain HTTP.
	InsecureRegistries []string `yaml:"insecureRegistries"`

	// Timeout must be below containerd's per_verifier_timeout. Default 8s.
	Timeout string `yaml:"timeout"`

	// absent are those of HostsDirs that do not exist.
	absent      []string
	timeout     time.Duration
	credentials registryCredentials
}

func loadSettings(path string) (*settings, error) {
	b, err := readFile(path, maxConfig)
	if err != nil {
		return nil, err
	}
	c := &settings{timeout: defaultTimeout}
	decoder := yaml.NewDecoder(bytes.NewReader(b))
	decoder.KnownFields(true)
	if err := decoder.Decode(c); err != nil {
		return nil, mistake(err)
	}
	if err := decoder.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return nil, errors.New("want one document")
	}
	if err := c.check(filepath.Dir(path)); err != nil {
		return nil, err
	}
	if c.Credentials != "" {
		if c.credentials, err = loadCredentials(c.Credentials); err != nil {
			return nil, fmt.Errorf("credentials %s: %w", c.Credentials, err)
		}
	}
	return c, nil
}

// mistake says what is wrong with a file without the names of Go's types.
func mistake(err error) error {
	var wrong *yaml.TypeError
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("is empty")
	case errors.As(err, &wrong):
		return errors.New(strings.NewReplacer(" in type main.settings", "", "main.settings", "fields").Replace(strings.Join(wrong.Errors, "; ")))
	default:
		return err
	}
}

func (c *settings) check(dir string) error {
	if (c.Policy == "") == (c.ContainersPolicy == "") {
		return errors.New("want one of policy and containersPolicy")
	}
	if slices.Contains(c.HostsDirs, "") || slices.Contains(c.InsecureRegistries, "") {
		return errors.New("hostsDirs or insecureRegistries: an entry is empty")
	}
	if c.Timeout != "" {
		var err error
		if c.timeout, err = time.ParseDuration(c.Timeout); err != nil || c.timeout <= 0 {
			return fmt.Errorf("timeout: %q, want such as 8s", c.Timeout)
		}
	}
	for _, path := range []*string{&c.Policy, &c.ContainersPolicy, &c.Credentials} {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(dir, *path)
		}
	}
	for i, path := range c.HostsDirs {
		if !filepath.IsAbs(path) {
			c.HostsDirs[i] = filepath.Join(dir, path)
		}
		if err := c.checkDirectory(c.HostsDirs[i]); err != nil {
			return fmt.Errorf("hostsDirs: %w", err)
		}
	}
	return nil
}

// checkDirectory does not refuse a directory that does not exist: containerd's own
// default names two of which most machines have none. Where it is a slip, registries
// are asked without their mirrors and certificates, and the signatures still decide.
func (c *settings) checkDirectory(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && strings.ContainsRune(path, filepath.ListSeparator):
		return fmt.Errorf("%s: want an entry for each directory", path)
	case errors.Is(err, fs.ErrNotExist):
		c.absent = append(c.absent, path)
		return nil
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is no directory", path)
	default:
		return nil
	}
}

// loadPolicy reads the policy as it is now: each image is judged by a process of
// its own.
func (c *settings) loadPolicy(log *slog.Logger) (verify.Verifier, error) {
	config := policyfile.Config{Logger: log}
	if c.ContainersPolicy != "" {
		return policyfile.LoadContainers(c.ContainersPolicy, config)
	}
	return policyfile.Load(c.Policy, config)
}

func (c *settings) registry(log *slog.Logger) registry.Config {
	r := registry.Config{
		HostsDirs:          c.HostsDirs,
		InsecureRegistries: c.InsecureRegistries,
		UserAgent:          "cosignkit-image-verifier",
		Logger:             log,
	}
	if c.credentials != nil {
		r.Credentials = c.credentials.of
	}
	return r
}
