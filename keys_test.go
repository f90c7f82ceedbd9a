// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package cosignkit_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/sigstore/sigstore/pkg/signature/kms/fake"

	"github.com/cosignkit/cosignkit"
	"github.com/cosignkit/cosignkit/internal/traffic"
	"github.com/cosignkit/cosignkit/signing/kms"
	"github.com/cosignkit/cosignkit/verify"
)

// A tool that links a provider has its keys by the same flags, and a key is opened
// once.
func TestKeysOfAService(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b.ctx = context.WithValue(b.ctx, fake.KmsCtxKey{}, private) // the fake keeps none
	const ref = "fakekms://release"
	var opened []string
	a := b.adapterOf(cosignkit.Config{
		Environ: b.env,
		PrivateKey: func(ctx context.Context, ref string) (crypto.Signer, error) {
			opened = append(opened, ref)
			return kms.PrivateKey(ctx, ref)
		},
		PublicKey: kms.PublicKey,
	})
	image := b.image("a")
	for _, tag := range []string{"v1", "v2"} {
		s, err := a.Signing(b.ctx, cosignkit.SignOptions{Provider: "cosign", CosignKey: ref})
		if err != nil {
			t.Fatal(err)
		}
		if err := b.push(s, b.ref("app:"+tag), image); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(opened, []string{ref}) {
		t.Errorf("opened %q", opened)
	}
	v, err := a.Verification(b.ctx, cosignkit.VerifyOptions{Provider: "cosign", CosignKey: ref})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(b.ctx, b.ref("app:v1")); err != nil {
		t.Error(err)
	}
	_, err = b.verification(a).Verify(b.ctx, b.ref("app:v1"))
	wantFamily(t, err, verify.ErrRejected)
}

// What is in a file or a variable, or is a key itself, is for nobody else to open.
func TestOtherKeysAreForTheFunctionsOfTheTool(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	cause := errors.New("no such key here")
	var mu sync.Mutex
	var given []string
	give := func(ref string) error {
		mu.Lock()
		defer mu.Unlock()
		given = append(given, ref)
		return cause
	}
	a := b.adapterOf(cosignkit.Config{
		Environ:    b.env,
		PrivateKey: func(_ context.Context, ref string) (crypto.Signer, error) { return nil, give(ref) },
		PublicKey:  func(_ context.Context, ref string) (crypto.PublicKey, error) { return nil, give(ref) },
	})
	open := func(ref string) []error {
		_, private := a.Signing(b.ctx, cosignkit.SignOptions{Provider: "cosign", CosignKey: ref})
		_, public := a.Verification(b.ctx, cosignkit.VerifyOptions{Provider: "cosign", CosignKey: ref})
		return []error{private, public}
	}
	for _, ref := range []string{"missing", "./a/b", `C:\keys\cosign`, "env://COSIGNKIT_NO_SUCH_VARIABLE", privateKey, "x\ny://z", b.pub + "x"} {
		for _, err := range open(ref) {
			wantFamily(t, err, verify.ErrMisconfigured)
			if errors.Is(err, cause) {
				t.Errorf("%q was given away", ref)
			}
		}
	}
	for _, ref := range []string{"k8s://namespace/name", "awskms:///alias/release", "pkcs11:token=t;object=o", "PKCS11:token=t"} {
		given = nil
		for _, err := range open(ref) {
			wantFamily(t, err, verify.ErrMisconfigured)
			if !errors.Is(err, cause) {
				t.Errorf("%s: %v", ref, err)
			}
		}
		if !slices.Equal(given, []string{ref, ref}) {
			t.Errorf("%s: given %q", ref, given)
		}
	}
}

// --experimental=false is known before an upload, and turns nothing off in silence.
func TestDisabled(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := b.adapterOf(cosignkit.Config{Environ: b.env, Disabled: true, OtherProviders: []string{"notation"}})
	_, err := a.Signing(b.ctx, cosignkit.SignOptions{Provider: "cosign", CosignKey: b.key})
	wantFamily(t, err, verify.ErrMisconfigured)
	wantText(t, err, "the provider cosign is turned off")
	_, err = a.Verification(b.ctx, cosignkit.VerifyOptions{Provider: "cosign", CosignKey: b.pub})
	wantFamily(t, err, verify.ErrMisconfigured)
	for _, provider := range []string{"", "none", "notation"} {
		if _, err := a.Signing(b.ctx, cosignkit.SignOptions{Provider: provider}); err != nil {
			t.Errorf("%q: %v", provider, err)
		}
	}
}

// A project that asks for a log gets one, whatever the machine's environment says.
func TestAFieldThatRequiresALogWins(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if err := b.push(b.signing(b.adapter()), b.ref("app:v1"), b.image("a")); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		field any
		want  error
	}{
		"no field":   {nil, nil},
		"false":      {false, verify.ErrRejected},
		"true":       {true, nil},
		"not a bool": {"false", verify.ErrMisconfigured},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			extensions := map[string]any{
				"x-nerdctl-verify": "cosign", "x-nerdctl-cosign-public-key": b.pub, "x-nerdctl-cosign-trusted-root": golden + "/trusted_root.json",
			}
			if c.field != nil {
				extensions["x-nerdctl-cosign-insecure-ignore-tlog"] = c.field
			}
			f, err := cosignkit.ParseFields("web", extensions, "")
			if err == nil {
				var v *cosignkit.Verification
				if v, err = b.adapter("COSIGN_PRIVATE_INFRASTRUCTURE=true").Verification(b.ctx, f.Verify); err != nil {
					t.Fatal(err)
				}
				_, err = v.Verify(b.ctx, b.ref("app:v1"))
			}
			if c.want == nil && err != nil {
				t.Fatal(err)
			}
			if c.want != nil {
				wantFamily(t, err, c.want)
			}
			if c.field == false {
				// No flag says so, and the child's environment would decide.
				_, err := f.VerifyFlags()
				wantFamily(t, err, verify.ErrMisconfigured)
				wantText(t, err, "x-nerdctl-cosign-insecure-ignore-tlog")
			}
		})
	}
	_, err := b.adapter().Verification(b.ctx, cosignkit.VerifyOptions{Provider: "cosign", CosignKey: b.pub, InsecureIgnoreTlog: true, RequireTlog: true})
	wantFamily(t, err, verify.ErrMisconfigured)
}

// The adapter of one command leaves no connection behind.
func TestEnsureOfACommandClosesItsConnections(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if err := b.push(b.signing(b.adapter()), b.ref("app:v1"), b.image("a")); err != nil {
		t.Fatal(err)
	}
	server := traffic.NewServer(b.backend)
	defer server.Close()
	ref := strings.TrimPrefix(server.URL, "http://") + "/app:v1"
	verified, err := cosignkit.Config{Environ: b.env}.Ensure(b.ctx, b.cd.Client, ref, "always", cosignkit.VerifyOptions{Provider: "cosign", CosignKey: b.pub})
	if err != nil || verified.Target == nil {
		t.Fatal(err)
	}
	closed := make(chan error, 1)
	go func() { closed <- server.WaitClosed() }()
	select {
	case err = <-closed:
	case <-time.After(15 * time.Second): // half of what one is kept for
		t.Error("a connection is kept")
		err = <-closed
	}
	if err != nil {
		t.Error(err)
	}
}

// What is in force is told, and what is not is a detail.
func TestARequiredLogIsNotWarnedOf(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, err := b.adapter().Verification(b.ctx, cosignkit.VerifyOptions{
		Provider: "cosign", CosignKey: b.pub, RequireTlog: true, TrustedRoot: golden + "/trusted_root.json",
	})
	if err != nil {
		t.Fatal(err)
	}
	if warned := b.logged(slog.LevelWarn); len(warned) > 0 {
		t.Errorf("warned %q", warned)
	}
	const want = "DEBUG cosign: COSIGN_INSECURE_IGNORE_TLOG=true has no effect reason=the options require a transparency log"
	if lines := b.logged(slog.LevelDebug); !slices.Contains(lines, want) {
		t.Errorf("logged %q", lines)
	}
}

// A tracker that remembers a digest is not what decides on a tag.
func TestOneTrackerServesAllPushes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	image := b.image("a")
	tracker := docker.NewInMemoryTracker()
	none, err := b.adapter().Signing(b.ctx, cosignkit.SignOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s := b.signing(b.adapter())
	for i, s := range []*cosignkit.Signing{s, s, none, none} {
		for _, repository := range []string{"app", "elsewhere"} {
			tag := fmt.Sprint("v", i)
			err := s.Push(b.ref(repository+":"+tag), tracker, func(r remotes.Resolver) error {
				return b.cd.Push(b.ctx, b.ref(repository+":"+tag), image, containerd.WithResolver(r))
			})
			if err != nil {
				t.Fatal(err)
			}
			if got := b.tagged(repository, tag); got != image.Digest {
				t.Errorf("%s:%s is %q", repository, tag, got)
			}
		}
	}
}

// TestConsentIsAskedForOnceBeforeAnythingIsSent: and not where nothing is published.
func TestConsentIsAskedForOnceBeforeAnythingIsSent(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	asked, answer := 0, errors.New("the user said no")
	open := func(a *cosignkit.Adapter) error {
		_, err := a.Signing(b.ctx, cosignkit.SignOptions{Provider: "cosign", CosignKey: b.key})
		return err
	}
	adapterWith := func(env string) *cosignkit.Adapter {
		return b.adapterOf(cosignkit.Config{
			Environ: []string{"COSIGN_PASSWORD=" + passphrase, env},
			Consent: func(context.Context) error { asked++; return answer },
		})
	}
	a := adapterWith("COSIGN_SIGNING_CONFIG=" + filepath.Join(t.TempDir(), "missing.json"))
	for range 2 { // a no is asked for again
		err := open(a)
		if !errors.Is(err, verify.ErrMisconfigured) || !errors.Is(err, answer) {
			t.Errorf("got %v", err)
		}
	}
	answer = nil
	for range 2 {
		if err := open(a); err == nil || !strings.Contains(err.Error(), "missing.json") {
			t.Errorf("after a yes: %v", err)
		}
	}
	if asked != 3 {
		t.Errorf("asked %d times, want 2 for each no, and once", asked)
	}
	asked, answer = 0, errors.New("the user said no")
	if err := open(adapterWith("COSIGN_TLOG_UPLOAD=false")); err != nil || asked != 0 {
		t.Errorf("without a log: asked %d times, %v", asked, err)
	}
}
