// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/signing"
)

// rounds is how many images TestConcurrentSigners has signed in each setting.
var rounds = flag.Int("rounds", 2, "images that TestConcurrentSigners has signed, for each form and kind of registry")

const (
	signerProcessVariable = "COSIGNKIT_TEST_SIGNER" // form, count and reference, by spaces
	signerAgent           = "signer/"               // and what tells it from all others
	signersPerProcess     = 4
	processes             = 4
	goroutines            = 16
)

// signConcurrently adds n signatures, each with a key of its own, at once.
func signConcurrently(ctx context.Context, c *registry.Client, ref string, form signing.Form, n int) error {
	g, ctx := errgroup.WithContext(ctx)
	for i := range n {
		g.Go(func() error {
			key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				return err
			}
			signer, err := signing.NewKeySigner(signing.KeySignerConfig{Key: key, SkipTransparencyLog: true})
			if err != nil {
				return err
			}
			_, err = c.Sign(ctx, ref, signer, registry.WithForm(form),
				registry.WithAnnotations(map[string]string{"signer": fmt.Sprint(i)}))
			return err
		})
	}
	return g.Wait()
}

// signerProcess is one of the other processes.
func signerProcess(task string) error {
	fields := strings.Fields(task)
	n, err := strconv.Atoi(fields[1])
	if err != nil {
		return err
	}
	var g errgroup.Group
	for i := range n {
		c, err := registry.New(registry.Config{UserAgent: fmt.Sprintf("%s%d-%d", signerAgent, os.Getpid(), i)})
		if err != nil {
			return err
		}
		g.Go(func() error { return signConcurrently(context.Background(), c, fields[2], signing.Form(fields[0]), 1) })
	}
	return g.Wait()
}

func startSigners(ctx context.Context, form signing.Form, ref string) error {
	var g errgroup.Group
	for range processes {
		g.Go(func() error {
			cmd := exec.CommandContext(ctx, os.Args[0])
			cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d %s", signerProcessVariable, form, signersPerProcess, ref))
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			return nil
		})
	}
	return g.Wait()
}

// longestTurn returns the longest time from now on that a signer of another process
// takes from reading the tag of signatures to having written it.
func (r *testRegistry) longestTurn() func() time.Duration {
	var mu sync.Mutex
	var longest time.Duration
	read := map[string]time.Time{} // by signer
	r.onRequest(func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		signer := req.UserAgent()
		if !strings.HasPrefix(signer, signerAgent) || !strings.Contains(req.URL.Path, "/manifests/sha256-") {
			next.ServeHTTP(w, req)
			return
		}
		if req.Method == http.MethodGet {
			mu.Lock()
			read[signer] = time.Now()
			mu.Unlock()
		}
		next.ServeHTTP(w, req)
		if req.Method == http.MethodPut {
			mu.Lock()
			longest = max(longest, time.Since(read[signer]))
			mu.Unlock()
		}
	})
	return func() time.Duration {
		mu.Lock()
		defer mu.Unlock()
		return longest
	}
}

// TestConcurrentSigners has 16 goroutines, and then 4 processes of 4, sign one
// image at once, and counts what is there afterwards. It reports what was lost.
// Nothing need be there of what a process replaces that takes longer for its turn
// than the others wait; such images do not count.
func TestConcurrentSigners(t *testing.T) {
	t.Parallel()
	for _, api := range []bool{true, false} {
		for _, form := range []signing.Form{signing.Bundle, signing.Legacy} {
			for _, how := range []string{"goroutines", "processes"} {
				t.Run(fmt.Sprintf("%s, referrers API %v, %s", form, api, how), func(t *testing.T) {
					t.Parallel()
					reg := newTestRegistry(t, api)
					c := newClient(t, registry.Config{})
					cd, ctx := newStore(t)
					lost, late, want := 0, 0, goroutines
					start := time.Now()
					for n := 0; n < *rounds+late; n++ {
						ref := reg.ref(fmt.Sprintf("app:%d", n))
						pushUnsigned(ctx, t, c, cd, ref, putImage(ctx, t, cd, fmt.Sprint(n)))
						longest := reg.longestTurn()
						var err error
						if how == "goroutines" {
							err = signConcurrently(ctx, c, ref, form, goroutines)
						} else {
							err, want = startSigners(ctx, form, ref), processes*signersPerProcess
						}
						if err != nil {
							t.Fatal(err)
						}
						// None is by the key of the verifier; each is listed.
						result, err := c.Verify(ctx, ref, verifierOf(t, newKey(t)))
						if result == nil {
							t.Fatal(err)
						}
						found := 0
						for _, s := range result.Signatures {
							if !errors.Is(s.Err, context.Canceled) && s.Form != "" {
								found++
							}
						}
						if turn := longest(); found < want && turn > limits.TagSettle {
							if late++; late > 3**rounds {
								t.Fatalf("for %d images, a process was late; for the last, by %v", late, turn)
							}
							continue
						}
						lost += want - found
					}
					t.Logf("%d images, %d signers each: %d signatures lost, %v per image; a process was late for %d others", *rounds, want, lost, time.Since(start)/time.Duration(*rounds), late)
					if lost != 0 {
						t.Errorf("%d signatures lost", lost)
					}
				})
			}
		}
	}
}
