// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	composetypes "github.com/compose-spec/compose-go/v2/types"
	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/examples/nerdctl/composer"
	"github.com/cosignkit/cosignkit/examples/nerdctl/container"
	"github.com/cosignkit/cosignkit/examples/nerdctl/image"
	"github.com/cosignkit/cosignkit/examples/nerdctl/signutil"
	"github.com/cosignkit/cosignkit/examples/nerdctl/types"
	"github.com/cosignkit/cosignkit/signing/keyfile"
	"github.com/cosignkit/cosignkit/verify"
)

// nerdctl is a scene on which the places of nerdctl in examples/nerdctl run, in
// the process of the test.
type nerdctl struct{ *scene }

// setNerdctlEnvironment sets what they read of it, which is of the whole process.
// minictl has an environment of its own.
func setNerdctlEnvironment(dockerConfig string) error {
	var err error
	for name, value := range map[string]string{
		"DOCKER_CONFIG": dockerConfig, "COSIGN_PASSWORD": passphrase, "COSIGN_TLOG_UPLOAD": "false", "COSIGN_INSECURE_IGNORE_TLOG": "true",
	} {
		err = errors.Join(err, os.Setenv(name, value))
	}
	return err
}

// onDaemons has f run with each daemon that nerdctl may have.
func onDaemons(t *testing.T, f func(*testing.T, nerdctl)) {
	t.Parallel()
	for title, programs := range daemons() {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			f(t, nerdctl{newSceneOn(t, programs, "bundle")})
		})
	}
}

func key(name string) string { return filepath.Join(keys, name) }

// global are the options of every command, as nerdctl has them by default.
var global = types.GlobalCommandOptions{Experimental: true}

// verifying is --pull=mode --verify=cosign --cosign-key=cosign.pub.
func verifying(mode string) types.ImagePullOptions {
	return types.ImagePullOptions{GOptions: global, Mode: mode, VerifyOptions: types.ImageVerifyOptions{Provider: "cosign", CosignKey: key("cosign.pub")}}
}

// create returns what a container would run, and then what it would mount.
func (h nerdctl) create(ref string, options types.ContainerCreateOptions) ([]ocispec.Descriptor, error) {
	used, _, err := container.Create(h.context(), h.client, ref, options)
	return used, err
}

// runsGood wants a container of ref to be of the signed image.
func (h nerdctl) runsGood(t *testing.T, ref string, options types.ImagePullOptions) {
	t.Helper()
	used, err := h.create(ref, types.ContainerCreateOptions{ImagePullOpt: options})
	if err != nil || len(used) != 1 || used[0].Digest != h.good.Digest {
		t.Errorf("--pull=%s %s: runs %v, %v, want %s", options.Mode, ref, used, err, h.good.Digest)
	}
}

func (h nerdctl) runsNothing(t *testing.T, ref string, options types.ImagePullOptions) {
	t.Helper()
	if used, err := h.create(ref, types.ContainerCreateOptions{ImagePullOpt: options}); !errors.Is(err, verify.ErrRejected) {
		t.Errorf("--pull=%s %s: runs %v, %v, want it rejected", options.Mode, ref, used, err)
	}
}

func TestNerdctlRunsWhatWasVerified(t *testing.T) {
	onDaemons(t, func(t *testing.T, h nerdctl) {
		// No local tag at all.
		for _, mode := range []string{"missing", "always"} {
			h.forgetBoth()
			h.runsGood(t, h.ref, verifying(mode))
			h.runsGood(t, h.ref, verifying("never"))
		}
		// A local image of the same tag has other content.
		h.name(h.ref, h.evil)
		h.runsNothing(t, h.ref, verifying("missing"))
		h.runsNothing(t, h.ref, verifying("never"))
		h.runsGood(t, h.ref, verifying("always"))
		// The tag in the registry moves while it is verified.
		h.forgetBoth()
		moved := h.onSignatureRequest(t, func() { h.registry.tag(t, h.ref, h.evil) })
		h.runsGood(t, h.ref, verifying("always"))
		moved()
		h.runsNothing(t, h.ref, verifying("always"))
	})
}

func TestNerdctlComposeRunsWhatWasVerified(t *testing.T) {
	onDaemons(t, func(t *testing.T, h nerdctl) {
		fields := map[string]any{"x-nerdctl-verify": "cosign", "x-nerdctl-cosign-public-key": "cosign.pub"}
		// No local tag at all; then another image gets it, before and after the
		// project's images are there.
		h.forgetBoth()
		c, service, ran := h.project(t, fields)
		h.check(c.EnsureServiceImage(h.context(), service))
		h.check(c.UpServiceContainer(h.context(), service.Containers[0]))
		if len(*ran) != 1 || (*ran)[0].Digest != h.good.Digest {
			t.Errorf("runs %v, want %s", *ran, h.good.Digest)
		}
		c, service, ran = h.project(t, fields)
		h.check(c.EnsureServiceImage(h.context(), service))
		h.name(h.ref, h.evil)
		up, ensure := c.UpServiceContainer(h.context(), service.Containers[0]), c.EnsureServiceImage(h.context(), service)
		if !errors.Is(up, verify.ErrRejected) || !errors.Is(ensure, verify.ErrRejected) || len(*ran) > 0 {
			t.Errorf("runs %v, %v, %v", *ran, up, ensure)
		}
		h.check(c.PullServiceImage(h.context(), service))
		if got, _ := h.record(h.ref); got.Digest != h.good.Digest {
			t.Errorf("pulled %s, want %s", got.Digest, h.good.Digest)
		}
	})
}

// project is a Compose project of one service with the fields, whose commands run
// nothing but examples/nerdctl. What its containers would run is in ran.
func (h nerdctl) project(t *testing.T, fields map[string]any) (c *composer.Composer, service *composer.Service, ran *[]ocispec.Descriptor) {
	t.Helper()
	ran = new([]ocispec.Descriptor)
	c = &composer.Composer{Client: h.client, Options: global, Run: func(ctx context.Context, args ...string) error {
		command, flags, ref := args[0], args[1:len(args)-1], args[len(args)-1]
		options := types.ImagePullOptions{GOptions: global, Mode: "missing"}
		for _, flag := range flags {
			switch name, value, _ := strings.Cut(flag, "="); name {
			case "--verify":
				options.VerifyOptions.Provider = value
			case "--cosign-key":
				options.VerifyOptions.CosignKey = value
			case "--pull":
				options.Mode = value
			default:
				return fmt.Errorf("unknown flag %s", flag)
			}
		}
		if command == "pull" {
			options.Mode = "always"
			_, err := image.EnsureImage(ctx, h.client, ref, options)
			return err
		}
		used, err := h.create(ref, types.ContainerCreateOptions{ImagePullOpt: options})
		*ran = append(*ran, used...)
		return err
	}}
	service, err := composer.Parse(&composer.Project{WorkingDir: keys}, composer.ServiceConfig{
		Name: "web", Extensions: fields, ContainerSpec: composetypes.ContainerSpec{Image: h.ref},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c, service, ran
}

func TestNerdctlPullRecordsTheTag(t *testing.T) {
	onDaemons(t, func(t *testing.T, h nerdctl) {
		claimed := h.ref + "@" + h.good.Digest.String()
		for before, prepare := range map[string]func(){
			"no local tag":               h.forgetBoth,
			"the tag was of another one": func() { h.forgetBoth(); h.name(h.ref, h.evil) },
		} {
			prepare()
			if _, err := image.EnsureImage(h.context(), h.client, h.ref, verifying("always")); err != nil {
				t.Errorf("%s: %v", before, err)
			}
			for _, name := range []string{h.ref, claimed} {
				if got, ok := h.record(name); !ok || got.Digest != h.good.Digest {
					t.Errorf("%s: %s is %q, want %s", before, name, got.Digest, h.good.Digest)
				}
			}
		}
		// A record whose name claims another digest.
		for _, mode := range []string{"missing", "never"} {
			h.name(claimed, h.evil)
			h.runsNothing(t, claimed, verifying(mode))
			h.name(h.ref, h.good)
			h.runsNothing(t, claimed, verifying(mode))
		}
	})
}

// wrongFields are of a service in a file of Compose; each is refused with a
// message that has the service, the field and what was expected.
var wrongFields = map[string]struct {
	fields map[string]any
	want   []string
}{
	"misspelt": {map[string]any{"x-nerdctl-verfy": "cosign"},
		[]string{"service web", "x-nerdctl-verfy", "x-nerdctl-verify"}},
	"a field of the wrong type": {map[string]any{"x-nerdctl-verify": true, "x-nerdctl-cosign-public-key": "cosign.pub"},
		[]string{"service web", "x-nerdctl-verify", "boolean true", "cosign, notation or none"}},
	"a key of the wrong type": {map[string]any{"x-nerdctl-verify": "cosign", "x-nerdctl-cosign-public-key": []any{"cosign.pub"}},
		[]string{"service web", "x-nerdctl-cosign-public-key", "list", "a public key"}},
	"no provider": {map[string]any{"x-nerdctl-cosign-public-key": "cosign.pub"},
		[]string{"service web", "x-nerdctl-cosign-public-key", "without its provider"}},
	"a variable that is not set": {map[string]any{"x-nerdctl-verify": ""},
		[]string{"service web", "x-nerdctl-verify", "empty"}},
}

func TestNerdctlComposeFieldsAreReadStrictly(t *testing.T) {
	onDaemons(t, func(t *testing.T, h nerdctl) {
		h.forgetBoth()
		for name, wrong := range wrongFields {
			c, service, ran := h.project(t, wrong.fields) // that is all of down, stop and build
			h.registry.asked(t)
			for command, f := range map[string]func(context.Context, *composer.Service) error{"up": c.EnsureServiceImage, "pull": c.PullServiceImage} {
				err := f(h.context(), service)
				if !errors.Is(err, verify.ErrMisconfigured) || !containsAll(err.Error(), wrong.want) {
					t.Errorf("%s, %s: %v, want %q", command, name, err, wrong.want)
				}
			}
			if asked := h.registry.asked(t); len(asked)+len(*ran) > 0 {
				t.Errorf("%s: asked %v, runs %v", name, asked, *ran)
			}
		}
		// Relative to the directory of the project, which is not that of the test.
		c, service, _ := h.project(t, map[string]any{"x-nerdctl-verify": "cosign", "x-nerdctl-cosign-public-key": "./cosign.pub"})
		h.check(c.EnsureServiceImage(h.context(), service))
	})
}

func containsAll(s string, all []string) bool {
	for _, part := range all {
		if !strings.Contains(s, part) {
			return false
		}
	}
	return true
}

// unverifiable are references of what no registry has.
var unverifiable = []string{
	"ipfs://bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi", "ipns://example.com/app",
	"./app.tar", "/app.tar", "docker-archive:/app.tar", "oci-archive:app.tar:v1", "oci://layout",
}

func TestNerdctlRefusesOtherKinds(t *testing.T) {
	onDaemons(t, func(t *testing.T, h nerdctl) {
		h.runsGood(t, h.ref, verifying("always"))
		h.registry.asked(t)
		options := types.ContainerCreateOptions{ImagePullOpt: verifying("missing")}
		for _, ref := range unverifiable {
			if used, err := h.create(ref, options); err == nil || strings.Contains(err.Error(), "this is no nerdctl") {
				t.Errorf("%s: runs %v, %v", ref, used, err)
			}
			// Nor would it, if nerdctl did not ask before.
			_, err := signutil.Cosign(global).Ensure(h.context(), h.client, ref, "missing", options.ImagePullOpt.VerifyOptions)
			if !errors.Is(err, verify.ErrMisconfigured) {
				t.Errorf("%s: %v, want it misconfigured", ref, err)
			}
			mounts := options
			mounts.ImageMounts = []string{ref}
			if used, err := h.create(h.ref, mounts); err == nil || strings.Contains(err.Error(), "this is no nerdctl") {
				t.Errorf("mount of %s: %v, %v", ref, used, err)
			}
			signing := types.ImageSignOptions{Provider: "cosign", CosignKey: key("cosign.key")}
			if err := image.Push(h.context(), h.client, ref, types.ImagePushOptions{GOptions: global, SignOptions: signing}); err == nil || strings.Contains(err.Error(), "this is no nerdctl") {
				t.Errorf("push of %s: %v", ref, err)
			}
		}
		rootfs := options
		rootfs.Rootfs = true
		for _, directory := range []string{"/", "rootfs", h.ref} {
			if used, err := h.create(directory, rootfs); err == nil || !strings.Contains(err.Error(), "--verify") {
				t.Errorf("--rootfs %s: runs %v, %v", directory, used, err)
			}
		}
		if asked := h.registry.asked(t); len(asked) > 0 {
			t.Errorf("asked the registry: %v", asked)
		}
	})
}

func TestNerdctlVerifiesImageMounts(t *testing.T) {
	onDaemons(t, func(t *testing.T, h nerdctl) {
		unsigned := strings.TrimSuffix(h.ref, "v1") + "evil"
		other := h.registry.address + "/other:v1"
		h.place(other, "other", signed("bundle", "--cosign-key=other.key"))
		for _, mode := range []string{"missing", "always"} {
			options := types.ContainerCreateOptions{ImagePullOpt: verifying(mode)}
			options.ImageMounts = []string{h.ref}
			used, err := h.create(h.ref, options)
			if err != nil || len(used) != 2 || used[1].Digest != h.good.Digest {
				t.Errorf("--pull=%s: mounts %v, %v, want %s", mode, used, err, h.good.Digest)
			}
			for _, ref := range []string{unsigned, other} {
				for _, here := range []bool{true, false} {
					if !here {
						h.forget(ref)
					}
					options.ImageMounts = []string{h.ref, ref}
					if used, err := h.create(h.ref, options); !errors.Is(err, verify.ErrRejected) {
						t.Errorf("--pull=%s: mounts %v of %s, %v", mode, used, ref, err)
					}
				}
				if target, ok := h.record(ref); ok {
					t.Errorf("%s is recorded as %s", ref, target.Digest)
				}
			}
		}
	})
}

func TestNerdctlValidatesBeforeAnyRequest(t *testing.T) {
	onDaemons(t, func(t *testing.T, h nerdctl) {
		h.name(h.ref, h.good)
		h.registry.asked(t)
		dir := t.TempDir()
		pair, err := keyfile.Generate(keyfile.DefaultAlgorithm, []byte("of somebody else"))
		if err == nil {
			err = pair.WriteFiles(filepath.Join(dir, "locked"), false)
		}
		h.check(err)
		for name, o := range map[string]types.ImageSignOptions{
			"an unknown provider":   {Provider: "notary"},
			"no such key":           {Provider: "cosign", CosignKey: key("none.key")},
			"a public key":          {Provider: "cosign", CosignKey: key("cosign.pub")},
			"a wrong passphrase":    {Provider: "cosign", CosignKey: filepath.Join(dir, "locked.key")},
			"a key and no provider": {CosignKey: key("cosign.key")},
			"no identity":           {Provider: "cosign"},
		} {
			if err := image.Push(h.context(), h.client, h.ref, types.ImagePushOptions{GOptions: global, SignOptions: o}); !errors.Is(err, verify.ErrMisconfigured) {
				t.Errorf("push, %s: %v", name, err)
			}
		}
		const issuer = "https://issuer.example"
		// Names of providers are nerdctl's own business here.
		unknown := types.ImagePullOptions{GOptions: global, Mode: "always", VerifyOptions: types.ImageVerifyOptions{Provider: "notary"}}
		if _, err := image.EnsureImage(h.context(), h.client, h.ref, unknown); err == nil || !strings.Contains(err.Error(), "no verifiers found: notary") {
			t.Errorf("pull, an unknown provider: %v", err)
		}
		for name, o := range map[string]types.ImageVerifyOptions{
			"no key, no identity":   {Provider: "cosign"},
			"no such key":           {Provider: "cosign", CosignKey: key("none.pub")},
			"a private key":         {Provider: "cosign", CosignKey: key("cosign.key")},
			"a key and no provider": {Provider: "none", CosignKey: key("cosign.pub")},
			"no issuer":             {Provider: "cosign", CosignCertificateIdentity: "name@example.com"},
			"no subject":            {Provider: "cosign", CosignCertificateOidcIssuer: issuer},
			"a bad pattern":         {Provider: "cosign", CosignCertificateIdentityRegexp: "(", CosignCertificateOidcIssuer: issuer},
		} {
			for _, mode := range []string{"always", "missing", "never"} {
				if _, err := image.EnsureImage(h.context(), h.client, h.ref, types.ImagePullOptions{GOptions: global, Mode: mode, VerifyOptions: o}); !errors.Is(err, verify.ErrMisconfigured) {
					t.Errorf("pull, %s: %v", name, err)
				}
			}
		}
		if asked := h.registry.asked(t); len(asked) > 0 {
			t.Errorf("asked the registry: %v", asked)
		}
	})
}

func TestNerdctlSignsADigestOnce(t *testing.T) {
	onDaemons(t, func(t *testing.T, h nerdctl) {
		repository := h.registry.address + "/tags"
		tags := []string{"v1", "v1.0", "latest"}
		for _, tag := range tags {
			h.name(repository+":"+tag, h.good)
		}
		h.name(repository+":v2", h.evil)
		options := types.ImagePushOptions{GOptions: global, AllTags: append(tags, "v2"), SignOptions: types.ImageSignOptions{Provider: "cosign", CosignKey: key("cosign.key")}}
		h.check(image.Push(h.context(), h.client, repository, options))
		for _, target := range []ocispec.Descriptor{h.good, h.evil} {
			if got := h.registry.signatures(t, "tags", target); got != 1 {
				t.Errorf("%s has %d signatures, want 1", target.Digest, got)
			}
		}
		for _, tag := range tags {
			h.forget(repository + ":" + tag)
			h.runsGood(t, repository+":"+tag, verifying("missing"))
		}
	})
}

func TestNerdctlSignsTheReducedImageAsPushed(t *testing.T) {
	onDaemons(t, func(t *testing.T, h nerdctl) {
		ref := h.registry.address + "/reduced:v1"
		h.load(ref, "reduced", platforms.DefaultString(), "linux/s390x")
		whole, _ := h.record(ref)
		sign := types.ImageSignOptions{Provider: "cosign", CosignKey: key("cosign.key")}
		h.check(image.Push(h.context(), h.client, ref, types.ImagePushOptions{GOptions: global, SignOptions: sign}))

		h.forget(ref)
		ensured, err := image.EnsureImage(h.context(), h.client, ref, verifying("missing"))
		h.check(err)
		pushed := ensured.Image.Target()
		if pushed.Digest == whole.Digest {
			t.Errorf("%s was pushed as it is", whole.Digest)
		}
		if got, _ := h.record(ref); got.Digest != pushed.Digest {
			t.Errorf("%s is %s, want %s", ref, got.Digest, pushed.Digest)
		}
		if of, whole := h.registry.signatures(t, "reduced", pushed), h.registry.signatures(t, "reduced", whole); of != 1 || whole != 0 {
			t.Errorf("what was pushed has %d signatures, the whole %d, want 1 and none", of, whole)
		}
		if h.registry.has("/v2/reduced/manifests/v1-tmp-reduced-platform") {
			t.Error("the name that nerdctl uses meanwhile was pushed")
		}
	})
}

// forgetBoth has the daemon forget the tag, and the name with the digest that a
// verified pull records.
func (h nerdctl) forgetBoth() {
	h.t.Helper()
	h.forget(h.ref)
	h.forget(h.ref + "@" + h.good.Digest.String())
}

func (n *node) check(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}
