// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/registry/hooks"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// layoutSigners is how many sign at once.
const layoutSigners = 10

// signLayout adds signatures to the image in dir, each with a client of its own.
func signLayout(ctx context.Context, dir string, form signing.Form, n int) error {
	g, ctx := errgroup.WithContext(ctx)
	for range n {
		g.Go(func() error {
			c, err := registry.New(registry.Config{Resolver: registry.LayoutResolver(dir)})
			if err != nil {
				return err
			}
			return signConcurrently(ctx, c, layoutRef, form, 1)
		})
	}
	return g.Wait()
}

func countSignatures(t *testing.T, dir string) int {
	t.Helper()
	// None is by the key of the verifier; each is listed.
	result, err := layoutClient(t, dir).Verify(t.Context(), layoutRef, verifierOf(t, newKey(t)))
	if result == nil {
		t.Fatal(err)
	}
	found := 0
	for _, s := range result.Signatures {
		if s.Form != "" {
			found++
		}
	}
	return found
}

func TestLayoutConcurrentSigners(t *testing.T) {
	t.Parallel()
	for _, form := range []signing.Form{signing.Bundle, signing.Legacy, signing.Both} {
		t.Run(string(form), func(t *testing.T) {
			t.Parallel()
			o := newOCIDir(t)
			o.list(o.image("a"))
			if err := signLayout(t.Context(), o.dir, form, layoutSigners); err != nil {
				t.Fatal(err)
			}
			want := layoutSigners
			if form == signing.Both {
				want *= 2
			}
			if found := countSignatures(t, o.dir); found != want {
				t.Errorf("%d signatures, want %d", found, want)
			}
			wantNoTemporary(t, o.dir)
		})
	}
}

const layoutProcessVariable = "COSIGNKIT_TEST_LAYOUT"

// TestLayoutSignerProcess is one of the processes of
// TestLayoutConcurrentProcesses.
func TestLayoutSignerProcess(t *testing.T) {
	dir := os.Getenv(layoutProcessVariable)
	if dir == "" {
		return
	}
	if err := signLayout(t.Context(), dir, signing.Bundle, signersPerProcess); err != nil {
		t.Fatal(err)
	}
}

func TestLayoutConcurrentProcesses(t *testing.T) {
	t.Parallel()
	o := newOCIDir(t)
	o.list(o.image("a"))
	var g errgroup.Group
	for range processes {
		g.Go(func() error {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLayoutSignerProcess$")
			cmd.Env = append(os.Environ(), layoutProcessVariable+"="+o.dir)
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if found, want := countSignatures(t, o.dir), processes*signersPerProcess; found != want {
		t.Errorf("%d signatures, want %d", found, want)
	}
}

// TestLayoutConcurrentFirstWriters make one directory, and lose no image.
func TestLayoutConcurrentFirstWriters(t *testing.T) {
	t.Parallel()
	dir, key := filepath.Join(t.TempDir(), "new"), newKey(t)
	cd, ctx := newStore(t)
	var g errgroup.Group
	for i := range layoutSigners {
		image := putImage(ctx, t, cd, fmt.Sprint(i))
		g.Go(func() error {
			c, err := registry.New(registry.Config{Resolver: registry.LayoutResolver(dir)})
			if err != nil {
				return err
			}
			_, err = hooks.Push(ctx, c, cd.Client, fmt.Sprintf("example.com/app:v%d", i), image, signerOf(t, key), nil)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	c, verifier := layoutClient(t, dir), verifierOf(t, key)
	for i := range layoutSigners {
		if _, err := c.Verify(ctx, fmt.Sprintf("example.com/app:v%d", i), verifier); err != nil {
			t.Error(err)
		}
	}
	_, err := c.Verify(ctx, "example.com/app:other", verifier)
	if errors.Is(err, verify.ErrRejected) || err == nil {
		t.Errorf("a name of none of the images: %v", err)
	}
}
