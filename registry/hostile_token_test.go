// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// TestTokenThatIsTooLarge: a token server is the registry's choice, and its answer
// is read into memory.
func TestTokenThatIsTooLarge(t *testing.T) {
	t.Parallel()
	const most = 64 << 20
	for name, user := range map[string]string{"asked for by name": "me", "asked for with a refresh token": "", "asked for by nobody": "nobody"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg, _, verifier, _ := signedImage(t, true, signing.Bundle)
			sent := make(chan int64, 16)
			withTokens(reg, func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, `{"token":"good","access_token":"`)
				sent <- sendUpTo(w, bytes.Repeat([]byte("a"), 1<<16), most)
				_, _ = io.WriteString(w, `"}`)
			})
			config := registry.Config{Credentials: func(string) (string, string, error) { return user, "s3cret", nil }}
			if user == "nobody" {
				config.Credentials = nil
			}
			_, err := newClient(t, config).Verify(t.Context(), reg.ref("app:v1"), verifier)
			wantFamily(t, err, verify.ErrInconclusive)
			if !errors.Is(err, verify.ErrLimit) {
				t.Errorf("%v is not about a limit", err)
			}
			if n := <-sent; n >= most {
				t.Errorf("%d bytes were taken", n)
			}
		})
	}
}

// TestTokenThatIsCompressed: a few bytes of a token server's decompress to any
// number of them.
func TestTokenThatIsCompressed(t *testing.T) {
	t.Parallel()
	reg, _, verifier, _ := signedImage(t, true, signing.Bundle)
	withTokens(reg, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = io.WriteString(z, `{"token":"good","access_token":"good","expires_in":300,"scope":"`+strings.Repeat("a", 4<<20)+`"}`)
		_ = z.Close()
	})
	_, err := newClient(t, registry.Config{}).Verify(t.Context(), reg.ref("app:v1"), verifier)
	wantFamily(t, err, verify.ErrInconclusive)
	wantText(t, err, "content encoding")
}

// TestMirrorWhoseTokensHang: the registry behind it is asked in time, also where it
// is the mirror's token server that hangs, before its answer or within.
func TestMirrorWhoseTokensHang(t *testing.T) {
	t.Parallel()
	for _, begun := range []bool{false, true} {
		t.Run(fmt.Sprintf("the answer has begun: %t", begun), func(t *testing.T) {
			t.Parallel()
			origin, _, _, desc := signedImage(t, true, signing.Bundle)
			key := newKey(t)
			if _, err := newClient(t, registry.Config{}).Sign(t.Context(), origin.ref("app:v1"), signerOf(t, key)); err != nil {
				t.Fatal(err)
			}
			mirror := newTestRegistry(t, true)
			withTokens(mirror, func(w http.ResponseWriter, r *http.Request) {
				if begun {
					_, _ = io.WriteString(w, `{"token":"`)
					_ = http.NewResponseController(w).Flush()
				}
				<-r.Context().Done()
			})
			c := mirrored(t, origin, mirror)
			verifier := impatient(t, key)
			var g errgroup.Group
			for range 8 { // who all wait for one token
				g.Go(func() error {
					result, err := c.Verify(t.Context(), "registry.test/app:v1", verifier)
					if err == nil && result.Image.Target.Digest != desc.Digest {
						err = fmt.Errorf("verified %s", result.Image.Target.Digest)
					}
					return err
				})
			}
			if err := g.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestResolvingEnds: a context without an end, such as that of a command line, is no
// reason to wait for a mirror for ever.
func TestResolvingEnds(t *testing.T) {
	t.Parallel()
	var deadlines []bool
	c := newClient(t, registry.Config{Resolver: resolverFunc(func(ctx context.Context, ref string) (string, ocispec.Descriptor, error) {
		_, ok := ctx.Deadline()
		deadlines = append(deadlines, ok)
		return "", ocispec.Descriptor{}, errors.New("nothing is there")
	})})
	_, err := c.Resolve(t.Context(), "registry.test/app:v1")
	wantFamily(t, err, verify.ErrInconclusive)
	if !slices.Equal(deadlines, []bool{true}) {
		t.Errorf("asked with a deadline: %t, want once", deadlines)
	}
}

// TestResolverThatPanics: what parses a registry's answers may not take the process
// with it.
func TestResolverThatPanics(t *testing.T) {
	t.Parallel()
	c := newClient(t, registry.Config{Resolver: resolverFunc(func(context.Context, string) (string, ocispec.Descriptor, error) {
		panic("index out of range")
	})})
	verifier := verifierOf(t, newKey(t))
	for what, verified := range map[string]func() error{
		"verify":  func() error { _, err := c.Verify(t.Context(), "registry.test/app:v1", verifier); return err },
		"resolve": func() error { _, err := c.Resolve(t.Context(), "registry.test/app:v1"); return err },
		"sign": func() error {
			_, err := c.Sign(t.Context(), "registry.test/app:v1", signerOf(t, newKey(t)))
			return err
		},
		"verify an index": func() error {
			image := verify.Image{Name: "registry.test/app:v1", Target: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromString("index"), Size: 1}}
			_, err := c.VerifyImage(t.Context(), image, acceptsAll{}, registry.WithEveryPlatform())
			return err
		},
	} {
		err := verified()
		wantFamily(t, err, verify.ErrRejected)
		if wantText(t, err, "panic: "); t.Failed() {
			t.Fatal(what)
		}
	}
}

// TestAuthorizerThatPanics does so in a goroutine of ours.
func TestAuthorizerThatPanics(t *testing.T) {
	t.Parallel()
	reg, _, verifier, _ := signedImage(t, true, signing.Bundle)
	c := newClient(t, registry.Config{Hosts: hostOf(reg, authorizerFunc(func() error { panic("index out of range") }))})
	_, err := c.Verify(t.Context(), reg.ref("app:v1"), verifier)
	wantFamily(t, err, verify.ErrRejected)
	wantText(t, err, "panic: ")
}

// resolverFunc is a resolver of the caller's, whose fetcher panics.
type resolverFunc func(context.Context, string) (string, ocispec.Descriptor, error)

func (f resolverFunc) Resolve(ctx context.Context, ref string) (string, ocispec.Descriptor, error) {
	return f(ctx, ref)
}
func (resolverFunc) Fetcher(context.Context, string) (remotes.Fetcher, error) { panic("no fetcher") }
func (resolverFunc) Pusher(context.Context, string) (remotes.Pusher, error)   { panic("no pusher") }

// acceptsAll is a verifier of the caller's.
type acceptsAll struct{}

func (acceptsAll) Verify(_ context.Context, image verify.Image, _ []verify.Candidate) (*verify.Result, error) {
	return &verify.Result{Image: image, Accepted: true}, nil
}
