// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/cosignkit/cosignkit/internal/golden"
	"github.com/cosignkit/cosignkit/internal/sigstack"
)

func main() {
	out := flag.String("out", filepath.Join("..", "..", "testdata", "golden"), "directory to replace, or to check; README.md there stays")
	only := flag.Bool("check", false, "check what is there, and make nothing")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	work := replace
	if *only {
		work = check
	}
	dir, err := filepath.Abs(*out)
	if err == nil {
		err = work(ctx, dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "golden:", err)
		os.Exit(1)
	}
}

// replace makes everything beside out, checks it, and puts it in the place of
// out.
func replace(ctx context.Context, out string) (err error) {
	fresh, err := os.MkdirTemp(filepath.Dir(out), ".golden-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(fresh)) }()
	if err := makeAll(ctx, fresh); err != nil {
		return err
	}
	if err := check(ctx, fresh); err != nil {
		return err
	}
	readme, err := os.ReadFile(filepath.Join(out, "README.md"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if readme != nil {
		if err := writeFile(filepath.Join(fresh, "README.md"), readme); err != nil {
			return err
		}
	}
	return errors.Join(os.RemoveAll(out), os.Rename(fresh, out), os.Chmod(out, 0o755))
}

// maker makes one set of golden files.
type maker struct {
	out     string // directory for the files
	scratch string // is removed at the end
	stack   *sigstack.Stack

	// registries by how they show referrers: with the API, or without.
	registries map[golden.Referrers]string
	configs    map[recording]string // paths of signing configs
	releases   []*cosign

	manifest golden.Manifest
}

// makeAll starts the services and writes all files into out.
func makeAll(ctx context.Context, out string) (err error) {
	m := &maker{out: out}
	if m.scratch, err = os.MkdirTemp("", "cosignkit-golden-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(m.scratch)) }()
	if err := m.locateReleases(ctx); err != nil {
		return err
	}
	stop, err := m.startServices(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()

	for _, r := range m.releases {
		if err := m.makeKeys(ctx, r); err != nil {
			return err
		}
		for _, s := range specsOf(r) {
			if err := m.makeVector(ctx, s); err != nil {
				return fmt.Errorf("%s: %w", s.name(), err)
			}
			fmt.Println("made", s.name())
		}
	}
	trustedRoot, err := os.ReadFile(m.stack.TrustedRoot)
	if err != nil {
		return err
	}
	return errors.Join(
		writeFile(filepath.Join(out, golden.TrustedRootFile), trustedRoot),
		writeJSON(filepath.Join(out, golden.ManifestFile), m.manifest),
	)
}

// placeholders are the words in recorded commands for what differs between runs.
func (m *maker) placeholders() *strings.Replacer {
	pairs := []string{
		m.stack.TrustedRoot, "$TRUSTED_ROOT",
		m.stack.FulcioPEM, "fulcio.pem", m.stack.RekorPEM, "rekor.pem",
		m.stack.CTPEM, "ct.pem", m.stack.TimestampPEM, "timestamp.pem",
		m.stack.Timestamp, "$TIMESTAMP", m.stack.Fulcio, "$FULCIO", m.stack.Rekor, "$REKOR",
		filepath.Join(m.out, golden.KeysDir) + string(filepath.Separator), "",
	}
	for _, address := range m.registries {
		pairs = append(pairs, address, "$REGISTRY")
	}
	for r, path := range m.configs {
		pairs = append(pairs, path, r.String()+".json")
	}
	return strings.NewReplacer(pairs...)
}
