// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package cosignkit_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit"
	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/registry/hooks"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/signing/keyfile"
	"github.com/cosignkit/cosignkit/verify"
)

func (b *bench) push(s *cosignkit.Signing, ref string, target ocispec.Descriptor) error {
	b.t.Helper()
	return s.Push(ref, docker.NewInMemoryTracker(), func(r remotes.Resolver) error {
		return b.cd.Push(b.ctx, ref, target, containerd.WithResolver(r))
	})
}

func TestPushWritesTheTagLast(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	image := b.image("a")
	if err := b.push(b.signing(b.adapter()), b.ref("app:v1"), image); err != nil {
		t.Fatal(err)
	}
	requests := b.taken()
	tag := slices.Index(requests, "PUT /v2/app/manifests/v1")
	signature := slices.IndexFunc(requests, func(r string) bool {
		return strings.HasPrefix(r, "PUT /v2/app/manifests/sha256:") && !strings.HasSuffix(r, image.Digest.String())
	})
	if signature < 0 || tag < signature || tag != len(requests)-1 {
		t.Errorf("the signature is request %d and the tag %d of %q", signature, tag, requests)
	}
	verified, err := b.verification(b.adapter()).Verify(b.ctx, b.ref("app:v1"))
	if err != nil {
		t.Fatal(err)
	}
	if want := b.ref("app:v1@" + image.Digest.String()); verified.Ref != want || verified.Target.Digest != image.Digest || !verified.Result.Accepted {
		t.Errorf("got %s for %s, want %s", verified.Ref, verified.Target.Digest, want)
	}
}

func TestADigestIsSignedOnceUnderAllItsTags(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	image, other := b.image("a"), b.image("b")
	s := b.signing(b.adapter())
	for _, ref := range []string{"app:v1", "app:v2", "app:v3"} {
		if err := b.push(s, b.ref(ref), image); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Sign(b.ctx, b.ref("app:v1"), image); err != nil {
		t.Fatal(err)
	}
	for repository, target := range map[string]ocispec.Descriptor{"app:v4": other, "elsewhere:v1": image} {
		if err := b.push(s, b.ref(repository), target); err != nil {
			t.Fatal(err)
		}
	}
	for _, tag := range []string{"v1", "v2", "v3"} {
		if got := b.tagged("app", tag); got != image.Digest {
			t.Errorf("tag %s is %s, want %s", tag, got, image.Digest)
		}
	}
	v := b.verification(b.adapter())
	for ref, want := range map[string]int{"app:v3": 1, "app:v4": 1, "elsewhere:v1": 1} {
		client, err := b.adapter().Client(b.ref(ref))
		if err != nil {
			t.Fatal(err)
		}
		result, err := client.Verify(b.ctx, b.ref(ref), v.Verifier(), registry.WithEverySignature())
		if err != nil || len(result.Signatures) != want {
			t.Errorf("%s: %d signatures and %v, want %d", ref, len(result.Signatures), err, want)
		}
	}
}

func TestTheKeyIsOpenedOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var mu sync.Mutex
	asked := 0
	a := b.adapterOf(cosignkit.Config{
		Environ: []string{"COSIGN_TLOG_UPLOAD=false"},
		Passphrase: func(context.Context, string) ([]byte, error) {
			mu.Lock()
			defer mu.Unlock()
			asked++
			return []byte(passphrase), nil
		},
	})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { b.signing(a) })
	}
	wg.Wait()
	if asked != 1 {
		t.Errorf("the passphrase was asked for %d times", asked)
	}
}

// Who waits for another's passphrase can be cancelled.
func TestCancellingWhileTheKeyIsOpened(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	asked, typed := make(chan struct{}), make(chan struct{})
	a, err := cosignkit.New(cosignkit.Config{
		KeyFile: keyfile.Open,
		Environ: []string{"COSIGN_TLOG_UPLOAD=false"},
		Passphrase: func(context.Context, string) ([]byte, error) {
			close(asked)
			<-typed
			return []byte("wrong"), nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	options := cosignkit.SignOptions{Provider: "cosign", CosignKey: b.key}
	first := make(chan error, 1)
	go func() {
		_, err := a.Signing(b.ctx, options)
		first <- err
	}()
	<-asked
	ctx, cancel := context.WithCancel(b.ctx)
	second := make(chan error, 1)
	go func() {
		_, err := a.Signing(ctx, options)
		second <- err
	}()
	cancel()
	select {
	case err := <-second:
		wantFamily(t, err, verify.ErrInconclusive)
	case <-time.After(10 * time.Second):
		t.Error("it waits for the passphrase of another")
	}
	close(typed)
	wantFamily(t, <-first, verify.ErrMisconfigured)
}

func TestSignWhatWasPushed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	image := b.image("a")
	a := b.adapter()
	unsigned, err := a.Signing(b.ctx, cosignkit.SignOptions{Provider: "none"})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.push(unsigned, b.ref("app:v1"), image); err != nil {
		t.Fatal(err)
	}
	v := b.verification(a)
	_, err = v.Verify(b.ctx, b.ref("app:v1"))
	wantFamily(t, err, verify.ErrRejected)
	// nerdctl's name for what it pushed has the digest.
	if err := b.signing(a).Sign(b.ctx, b.ref("app:v1@"+image.Digest.String()), image); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(b.ctx, b.ref("app:v1")); err != nil {
		t.Error(err)
	}
	b.taken()
	err = b.signing(a).Sign(b.ctx, b.ref("app:v1@"+b.image("b").Digest.String()), image)
	wantFamily(t, err, verify.ErrMisconfigured)
	if requests := b.taken(); len(requests) > 0 {
		t.Errorf("requests for a digest of another image: %q", requests)
	}
}

// options of every kind that must fail, and say why, before the registry is asked.
func TestWhatCanFailWithoutARegistryFailsBefore(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	elsewhere := filepath.Join(t.TempDir(), "missing")
	junk := filepath.Join(t.TempDir(), "junk")
	if err := os.WriteFile(junk, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	const identity, issuer = "name@example.com", "https://issuer.example"
	for name, c := range map[string]struct {
		env    []string
		sign   *cosignkit.SignOptions
		verify *cosignkit.VerifyOptions
		want   string
	}{
		"an unknown provider to sign":         {sign: &cosignkit.SignOptions{Provider: "notary"}, want: `unknown provider "notary", want cosign, none`},
		"an unknown provider to verify":       {verify: &cosignkit.VerifyOptions{Provider: "Cosign"}, want: `unknown provider "Cosign", want cosign, none`},
		"a provider that others have":         {verify: &cosignkit.VerifyOptions{Provider: "notation"}, want: `unknown provider "notation"`},
		"a private key and no provider":       {sign: &cosignkit.SignOptions{Provider: "none", CosignKey: b.key}, want: "without the provider cosign these do nothing: cosign-key"},
		"a public key and no provider":        {verify: &cosignkit.VerifyOptions{CosignKey: b.pub}, want: "without the provider cosign these do nothing: cosign-key"},
		"an identity and no provider":         {verify: &cosignkit.VerifyOptions{Provider: "none", CosignCertificateIdentity: identity}, want: "do nothing: cosign-certificate-identity"},
		"a key that does not exist":           {sign: &cosignkit.SignOptions{Provider: "cosign", CosignKey: elsewhere}, want: "no such file"},
		"a public key to sign with":           {sign: &cosignkit.SignOptions{Provider: "cosign", CosignKey: b.pub}, want: "this is a public key"},
		"a key of a service that is not here": {sign: &cosignkit.SignOptions{Provider: "cosign", CosignKey: "nokms://key"}, want: "nokms"},
		"a wrong passphrase":                  {env: []string{"COSIGN_PASSWORD=wrong"}, sign: &cosignkit.SignOptions{Provider: "cosign", CosignKey: b.key}, want: "wrong passphrase"},
		"an empty passphrase":                 {env: []string{"COSIGN_PASSWORD="}, sign: &cosignkit.SignOptions{Provider: "cosign", CosignKey: b.key}, want: "wrong passphrase"},
		"a key in the place of its path":      {sign: &cosignkit.SignOptions{Provider: "cosign", CosignKey: privateKey}, want: "this is a key"},
		"a key in the place of its path, too": {verify: &cosignkit.VerifyOptions{Provider: "cosign", CosignKey: privateKey}, want: "this is a key"},
		"an unknown form":                     {sign: &cosignkit.SignOptions{Provider: "cosign", CosignKey: b.key, Format: "dsse"}, want: `unknown signature format "dsse"`},
		"too many annotations":                {sign: &cosignkit.SignOptions{Provider: "cosign", CosignKey: b.key, Annotations: many(300)}, want: "annotations"},
		"an identity without a record":        {sign: &cosignkit.SignOptions{Provider: "cosign"}, want: "COSIGN_TLOG_UPLOAD=false needs a key"},
		"neither key nor identity":            {verify: &cosignkit.VerifyOptions{Provider: "cosign"}, want: "want a cosign-key, or else cosign-certificate-identity"},
		"an identity without issuer":          {verify: &cosignkit.VerifyOptions{Provider: "cosign", CosignCertificateIdentity: identity}, want: "want cosign-certificate-oidc-issuer"},
		"an issuer without identity":          {verify: &cosignkit.VerifyOptions{Provider: "cosign", CosignCertificateOidcIssuer: issuer}, want: "cosign-certificate-identity"},
		"a key and an identity":               {verify: &cosignkit.VerifyOptions{Provider: "cosign", CosignKey: b.pub, CosignCertificateIdentity: identity}, want: "exclude each other"},
		"an identity twice":                   {verify: &cosignkit.VerifyOptions{Provider: "cosign", CosignCertificateIdentity: identity, CosignCertificateIdentityRegexp: ".*", CosignCertificateOidcIssuer: issuer}, want: "not both"},
		"a regexp that does not compile":      {verify: &cosignkit.VerifyOptions{Provider: "cosign", CosignCertificateIdentityRegexp: "((", CosignCertificateOidcIssuer: issuer}, want: "(("},
		"a private key to verify with":        {verify: &cosignkit.VerifyOptions{Provider: "cosign", CosignKey: b.key}, want: "private key"},
		"a public key that is none":           {verify: &cosignkit.VerifyOptions{Provider: "cosign", CosignKey: junk}, want: "junk"},
		"a trusted root that is none":         {verify: &cosignkit.VerifyOptions{Provider: "cosign", CosignCertificateIdentity: identity, CosignCertificateOidcIssuer: issuer, TrustedRoot: junk}, want: "junk"},
		"a repository that is none":           {env: []string{"COSIGN_REPOSITORY=a:b"}, verify: &cosignkit.VerifyOptions{Provider: "cosign", CosignKey: b.pub}, want: "COSIGN_REPOSITORY"},
		"a repository that is none, to sign":  {env: []string{"COSIGN_REPOSITORY=https://a"}, sign: &cosignkit.SignOptions{Provider: "cosign", CosignKey: b.key}, want: "COSIGN_REPOSITORY"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := b.adapter(c.env...)
			var err error
			if c.sign != nil {
				_, err = a.Signing(b.ctx, *c.sign)
			} else {
				_, err = a.Verification(b.ctx, *c.verify)
			}
			wantFamily(t, err, verify.ErrMisconfigured)
			wantText(t, err, c.want)
			if text := err.Error(); strings.Contains(text, "SECRET") || strings.Contains(text, passphrase) {
				t.Errorf("a secret is in %q", text)
			}
		})
	}
	t.Cleanup(func() { // after the subtests
		if requests := b.taken(); len(requests) > 0 {
			t.Errorf("requests: %q", requests)
		}
		for _, line := range b.logged(slog.LevelDebug) {
			if strings.Contains(line, passphrase) {
				t.Errorf("the passphrase is in %q", line)
			}
		}
	})
}

func many(n int) map[string]string {
	all := map[string]string{}
	for i := range n {
		all[fmt.Sprint(i)] = "x"
	}
	return all
}

// With nothing to sign or verify, wrong variables and references of every kind
// are of no interest.
func TestNone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, provider := range []string{"", "none"} {
		a := b.adapter("COSIGN_REPOSITORY=a:b", "COSIGN_SK=true", "COSIGN_TLOG_UPLOAD=maybe")
		s, err := a.Signing(b.ctx, cosignkit.SignOptions{Provider: provider})
		if err != nil {
			t.Fatal(err)
		}
		v, err := a.Verification(b.ctx, cosignkit.VerifyOptions{Provider: provider})
		if err != nil {
			t.Fatal(err)
		}
		if s.Enabled() || v.Enabled() || s.Signer() != nil || v.Verifier() != nil {
			t.Error("the provider none signs or verifies")
		}
		for _, ref := range []string{"ipfs://bafy", "app", b.ref("app:v1")} {
			verified, err := v.Verify(b.ctx, ref)
			if err != nil || verified.Ref != ref || verified.Target != nil || verified.Result != nil {
				t.Errorf("%s: got %+v and %v", ref, verified, err)
				continue
			}
			if err := verified.Record(b.ctx, b.cd.Client, b.image("x")); err != nil {
				t.Error(err)
			}
		}
		for _, mode := range []string{"never", "", "sometimes"} { // that the mode is wrong is for the tool to say
			if _, err := v.Ensure(b.ctx, b.cd.Client, "app", mode); err != nil {
				t.Error(err)
			}
		}
		if err := v.CheckTarget(b.ctx, b.cd.Client, images.Image{Name: "app", Target: b.image("x")}); err != nil {
			t.Error(err)
		}
		if err := s.Sign(b.ctx, "app", b.image("x")); err != nil {
			t.Error(err)
		}
	}
	if requests := b.taken(); len(requests) > 0 {
		t.Errorf("requests: %q", requests)
	}
}

// Who says what must be signed, and not that it must be, believes that it is checked.
func TestOptionsWithoutTheProviderAreRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := b.adapter()
	for name, o := range map[string]cosignkit.VerifyOptions{
		"annotations":  {Annotations: map[string]string{"env": "prod"}},
		"trusted root": {Provider: "none", TrustedRoot: "/root.json"},
		"cosign-key":   {CosignKey: "cosign.pub"},
	} {
		_, err := a.Verification(b.ctx, o)
		wantFamily(t, err, verify.ErrMisconfigured)
		wantText(t, err, "without the provider cosign these do nothing: "+name)
	}
	for name, o := range map[string]cosignkit.SignOptions{
		"annotations":      {Annotations: map[string]string{"env": ""}},
		"trusted root":     {TrustedRoot: "/root.json"},
		"signature format": {Provider: "none", Format: "both"},
	} {
		_, err := a.Signing(b.ctx, o)
		wantFamily(t, err, verify.ErrMisconfigured)
		wantText(t, err, "without the provider cosign these do nothing: "+name)
	}
}

// What the tool has another provider for is left to it, key and all.
func TestOtherProviders(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := b.adapterOf(cosignkit.Config{OtherProviders: []string{"notation"}})
	s, err := a.Signing(b.ctx, cosignkit.SignOptions{Provider: "notation", CosignKey: "x"})
	if err != nil || s.Enabled() {
		t.Errorf("enabled, or %v", err)
	}
	v, err := a.Verification(b.ctx, cosignkit.VerifyOptions{Provider: "notation"})
	if err != nil || v.Enabled() {
		t.Errorf("enabled, or %v", err)
	}
	_, err = a.Signing(b.ctx, cosignkit.SignOptions{Provider: "notary"})
	wantFamily(t, err, verify.ErrMisconfigured)
	wantText(t, err, `unknown provider "notary", want cosign, notation, none`)
}

func TestWhatIsNoReferenceOfARegistryIsRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	v := b.verification(b.adapter())
	for _, ref := range []string{"", "ipfs://bafkreib", "oci-archive:///tmp/image.tar", "/var/lib/rootfs", "./image.tar", "App", "a b", "app@sha256:abc"} {
		for _, pull := range []string{"always", "missing", "never"} {
			_, err := v.Ensure(b.ctx, b.cd.Client, ref, pull)
			wantFamily(t, err, verify.ErrMisconfigured)
		}
		err := v.CheckTarget(b.ctx, b.cd.Client, images.Image{Name: ref, Target: b.image("x")})
		wantFamily(t, err, verify.ErrMisconfigured)
	}
	for _, ref := range []string{"app\x1b]0;title\aB", "host.example/UP\u202eER", strings.Repeat("a.", 1<<19) + "example/app"} {
		_, err := v.Verify(b.ctx, ref)
		wantFamily(t, err, verify.ErrMisconfigured)
		if text := err.Error(); len(text) > 1000 || strings.ContainsAny(text, "\x1b\a\u202e") {
			t.Errorf("%d bytes: %.200q", len(text), text)
		}
	}
	_, err := v.Ensure(b.ctx, b.cd.Client, b.ref("app:v1"), "sometimes")
	wantFamily(t, err, verify.ErrMisconfigured)
	if requests := b.taken(); len(requests) > 0 {
		t.Errorf("requests: %q", requests)
	}
}

// record has the image store say that name stands for target.
func (b *bench) record(name string, target ocispec.Descriptor) {
	b.t.Helper()
	store := b.cd.ImageService()
	image := images.Image{Name: name, Target: target}
	if _, err := store.Create(b.ctx, image); err != nil {
		if _, err = store.Update(b.ctx, image); err != nil {
			b.t.Fatal(err)
		}
	}
}

func (b *bench) recorded(name string) ocispec.Descriptor {
	b.t.Helper()
	image, err := b.cd.ImageService().Get(b.ctx, name)
	if err != nil && !errdefs.IsNotFound(err) {
		b.t.Fatal(err)
	}
	return image.Target
}

func TestEnsure(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		local  string // what the tag is in the store: signed, unsigned or nothing
		pull   string
		down   bool // the registry
		want   string
		family error
	}{
		"always asks the registry, whatever is here":     {local: "unsigned", pull: "always", want: "signed"},
		"missing takes what is here":                     {local: "signed", pull: "missing", want: "signed"},
		"missing asks the registry for what is not here": {pull: "missing", want: "signed"},
		"missing replaces nothing that is here":          {local: "unsigned", pull: "missing", family: verify.ErrRejected},
		"never takes what is here":                       {local: "signed", pull: "never", want: "signed"},
		"never takes nothing else":                       {local: "unsigned", pull: "never", family: verify.ErrRejected},
		"never of what is not here":                      {pull: "never", family: verify.ErrInconclusive},
		"without a registry and what was kept":           {local: "signed", pull: "never", down: true, family: verify.ErrInconclusive},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			ref := b.ref("app:v1")
			here := map[string]ocispec.Descriptor{"signed": b.image("signed"), "unsigned": b.image("unsigned")}
			if err := b.push(b.signing(b.adapter()), ref, here["signed"]); err != nil {
				t.Fatal(err)
			}
			if c.local != "" {
				b.record(ref, here[c.local])
			}
			if c.down {
				b.answering(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
			}
			verified, err := b.verification(b.adapter()).Ensure(b.ctx, b.cd.Client, ref, c.pull)
			if c.family != nil {
				wantFamily(t, err, c.family)
				if got, want := errdefs.IsNotFound(err), c.pull == "never" && c.local == ""; got != want {
					t.Errorf("IsNotFound is %v for %v", got, err)
				}
				if got, want := strings.Contains(strings.Join(b.logged(slog.LevelWarn), "\n"), "--pull=always takes"), errors.Is(c.family, verify.ErrRejected); got != want {
					t.Errorf("the log has a way out: %v, want %v", got, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := here[c.want].Digest
			if verified.Target.Digest != want || verified.Ref != ref+"@"+want.String() {
				t.Errorf("got %s, want %s", verified.Ref, want)
			}
			if got := b.recorded(verified.Ref).Digest; c.local == c.want && c.pull != "always" && got != want {
				t.Errorf("the store has %q for %s", got, verified.Ref)
			}
		})
	}
}

// The tool pulls the pinned reference, records it, and has what it needs to start
// it again with no registry.
func TestRecord(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ref, image, other := b.ref("app:v1"), b.image("signed"), b.image("other")
	a := b.adapter()
	if err := b.push(b.signing(a), ref, image); err != nil {
		t.Fatal(err)
	}
	b.record(ref, other) // another image bears the tag
	v := b.verification(a)
	verified, err := v.Ensure(b.ctx, b.cd.Client, ref, "always")
	if err != nil {
		t.Fatal(err)
	}
	wantFamily(t, verified.Record(b.ctx, b.cd.Client, other), verify.ErrRejected)
	if got := b.recorded(ref).Digest; got != other.Digest {
		t.Errorf("%s is %s after a refusal, want it as it was", ref, got)
	}
	if err := verified.Record(b.ctx, b.cd.Client, image); err != nil {
		t.Fatal(err)
	}
	if got := b.recorded(ref).Digest; got != image.Digest {
		t.Errorf("%s is %s, want %s", ref, got, image.Digest)
	}
	b.answering(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	b.taken()
	if _, err := v.Ensure(b.ctx, b.cd.Client, ref, "missing"); err != nil {
		t.Error(err)
	}
	if err := v.CheckTarget(b.ctx, b.cd.Client, images.Image{Name: ref, Target: image}); err != nil {
		t.Error(err)
	}
	if requests := b.taken(); len(requests) > 0 {
		t.Errorf("requests: %q", requests)
	}
}

func TestRecordRefusesWhatTheStoreDoesNotHave(t *testing.T) {
	t.Parallel()
	b, elsewhere := newBench(t), newBench(t)
	if err := b.push(b.signing(b.adapter()), b.ref("app:v1"), b.image("signed")); err != nil {
		t.Fatal(err)
	}
	verified, err := b.verification(b.adapter()).Verify(b.ctx, b.ref("app:v1"))
	if err != nil {
		t.Fatal(err)
	}
	wantFamily(t, verified.Record(elsewhere.ctx, elsewhere.cd.Client, *verified.Target), verify.ErrMisconfigured)
	if got := elsewhere.recorded(b.ref("app:v1")); got.Digest != "" {
		t.Errorf("recorded as %s", got.Digest)
	}
}

func TestARecordThatClaimsAnotherDigestIsRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	image, other := b.image("signed"), b.image("other")
	if err := b.push(b.signing(b.adapter()), b.ref("app:v1"), image); err != nil {
		t.Fatal(err)
	}
	name := b.ref("app:v1@" + image.Digest.String())
	b.record(name, other)
	v := b.verification(b.adapter())
	for _, pull := range []string{"missing", "never"} {
		_, err := v.Ensure(b.ctx, b.cd.Client, name, pull)
		wantFamily(t, err, verify.ErrRejected)
	}
	wantFamily(t, v.CheckTarget(b.ctx, b.cd.Client, images.Image{Name: name, Target: other}), verify.ErrRejected)
	// By its tag, the image is found in the registry, and the record is mended.
	b.record(b.ref("app:v1"), image)
	verified, err := v.Ensure(b.ctx, b.cd.Client, b.ref("app:v1"), "missing")
	if err != nil {
		t.Fatal(err)
	}
	if got := b.recorded(verified.Ref).Digest; got != image.Digest {
		t.Errorf("%s is %s, want %s", verified.Ref, got, image.Digest)
	}
}

func TestFormatAndAnnotationsAreSigned(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		env     []string
		options cosignkit.SignOptions
		want    []verify.Form
	}{
		"bundle by default":            {nil, cosignkit.SignOptions{}, []verify.Form{verify.FormBundle}},
		"both":                         {nil, cosignkit.SignOptions{Format: "both"}, []verify.Form{verify.FormBundle, verify.FormLegacy}},
		"legacy by the environment":    {[]string{"COSIGN_NEW_BUNDLE_FORMAT=false"}, cosignkit.SignOptions{}, []verify.Form{verify.FormLegacy}},
		"the option goes before it":    {[]string{"COSIGN_NEW_BUNDLE_FORMAT=0"}, cosignkit.SignOptions{Format: "bundle"}, []verify.Form{verify.FormBundle}},
		"bundle, as the variable says": {[]string{"COSIGN_NEW_BUNDLE_FORMAT=true"}, cosignkit.SignOptions{}, []verify.Form{verify.FormBundle}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			c.options.Provider, c.options.CosignKey, c.options.Annotations = "cosign", b.key, map[string]string{"env": "prod"}
			s, err := b.adapter(c.env...).Signing(b.ctx, c.options)
			if err != nil {
				t.Fatal(err)
			}
			if err := b.push(s, b.ref("app:v1"), b.image("a")); err != nil {
				t.Fatal(err)
			}
			for _, annotations := range []string{"env=prod", "env=test"} {
				a := b.adapter("COSIGN_ANNOTATIONS=" + annotations)
				client, err := a.Client(b.ref("app:v1"))
				if err != nil {
					t.Fatal(err)
				}
				result, err := client.Verify(b.ctx, b.ref("app:v1"), b.verification(a).Verifier(), registry.WithEverySignature())
				if annotations == "env=test" {
					wantFamily(t, err, verify.ErrRejected)
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				var forms []verify.Form
				for _, s := range result.Signatures {
					forms = append(forms, s.Form)
				}
				slices.Sort(forms)
				if !slices.Equal(forms, c.want) {
					t.Errorf("signed in the forms %q, want %q", forms, c.want)
				}
			}
		})
	}
}

func TestInsecureRegistryIsThatOfTheReference(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := b.adapterOf(cosignkit.Config{Environ: b.env, InsecureRegistry: true})
	if err := b.push(b.signing(a), b.ref("app:v1"), b.image("a")); err != nil {
		t.Fatal(err)
	}
	if _, err := b.verification(a).Verify(b.ctx, b.ref("app:v1")); err != nil {
		t.Fatal(err)
	}
	if lines := b.logged(slog.LevelWarn); !slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, b.host) }) {
		t.Errorf("no warning that %s is insecure: %q", b.host, lines)
	}
	first, err := a.Client(b.ref("app"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := a.Client("registry.example/app")
	if err != nil || first == second {
		t.Errorf("another registry has the same client, or %v", err)
	}
	_, err = cosignkit.New(cosignkit.Config{InsecureRegistry: true, Registry: registry.Config{Hosts: docker.ConfigureDefaultRegistries()}})
	wantFamily(t, err, verify.ErrMisconfigured)
}

func TestSignaturesElsewhere(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := b.adapter("COSIGN_REPOSITORY=" + b.ref("signatures"))
	if err := b.push(b.signing(a), b.ref("app:v1"), b.image("a")); err != nil {
		t.Fatal(err)
	}
	if requests := b.taken(); !slices.ContainsFunc(requests, func(r string) bool { return strings.HasPrefix(r, "PUT /v2/signatures/manifests/") }) {
		t.Errorf("the signature is not in the repository of COSIGN_REPOSITORY: %q", requests)
	}
	if _, err := b.verification(a).Verify(b.ctx, b.ref("app:v1")); err != nil {
		t.Error(err)
	}
	_, err := b.verification(b.adapter()).Verify(b.ctx, b.ref("app:v1"))
	wantFamily(t, err, verify.ErrRejected)
}

func TestAFailureLeavesNoTag(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.signing(b.adapter("COSIGN_REPOSITORY=" + b.ref("signatures")))
	b.answering(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v2/signatures/") {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		b.backend.ServeHTTP(w, r)
	})
	image := b.image("a")
	if err := b.push(s, b.ref("app:v1"), image); err == nil {
		t.Error("a push without a signature succeeds")
	}
	b.answering(nil)
	if got := b.tagged("app", "v1"); got != "" {
		t.Errorf("the tag is %s", got)
	}
	// The next try is not taken for one that was signed already.
	if err := b.push(s, b.ref("app:v1"), image); err != nil {
		t.Fatal(err)
	}
	if got := b.tagged("app", "v1"); got != image.Digest {
		t.Errorf("the tag is %q", got)
	}
}

// TestPushOfAnotherDigestIsNoSuccess: neither the first time nor when the image that
// the reference names was signed before.
func TestPushOfAnotherDigestIsNoSuccess(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	image, other := b.image("a"), b.image("b")
	s := b.signing(b.adapter())
	for _, before := range []bool{false, true} {
		err := b.push(s, b.ref("app:v1@"+image.Digest.String()), other)
		if !errors.Is(err, verify.ErrMisconfigured) || !strings.Contains(err.Error(), "another digest was pushed than the reference names") {
			t.Errorf("signed before: %t: %v", before, err)
		}
		if before {
			break
		}
		if err := b.push(s, b.ref("app:there"), image); err != nil {
			t.Fatal(err)
		}
	}
	if got := b.tagged("app", "v1"); got != "" {
		t.Errorf("the tag is %s", got)
	}
}

// TestASignerInOneFormRefusesAnother: what the options say is not what another
// option gets.
func TestASignerInOneFormRefusesAnother(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	client, err := b.adapter().Client(b.ref("app:v1"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = hooks.Push(b.ctx, client, b.cd.Client, b.ref("app:v1"), b.image("a"), b.signing(b.adapter()).Signer(), nil, registry.WithForm(signing.Legacy))
	if !errors.Is(err, verify.ErrMisconfigured) || b.tagged("app", "v1") != "" {
		t.Errorf("the tag is %q, %v", b.tagged("app", "v1"), err)
	}
}
