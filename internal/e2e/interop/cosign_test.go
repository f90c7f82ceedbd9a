// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cosignkit/cosignkit/internal/e2e/release"
	"github.com/cosignkit/cosignkit/signing"
)

// passphrase of every key, unless a test says otherwise.
const passphrase = "correct horse battery staple"

// An empty trusted root is enough to verify with a key, and without one cosign
// asks the TUF repository. A signing config that names no service makes cosign
// v3 sign without a transparency log.
const (
	emptyTrustedRoot   = `{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`
	emptySigningConfig = `{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json","rekorTlogConfig":{},"tsaConfig":{}}`
)

// cosign is a release of the cosign command.
type cosign struct {
	name          string // the version; only cosigns have one in the tables
	path          string
	home          string
	environment   []string // beside what every run has
	trustedRoot   string
	signingConfig string // cosign v3 only
}

// newCosign returns the command at path, which will have home as its home
// directory.
func newCosign(x release.Command, path, home string) (cosign, error) {
	c := cosign{
		name:          x.Version,
		path:          path,
		home:          home,
		trustedRoot:   filepath.Join(home, "trusted_root.json"),
		signingConfig: filepath.Join(home, "signing_config.json"),
	}
	return c, errors.Join(
		os.MkdirAll(home, 0o700),
		os.WriteFile(c.trustedRoot, []byte(emptyTrustedRoot), 0o600),
		os.WriteFile(c.signingConfig, []byte(emptySigningConfig), 0o600),
	)
}

// commands are the releases that are tested.
func commands() []*cosign { return []*cosign{&cosignV2, &cosignV3} }

func (c *cosign) isV3() bool { return c.name == cosignV3Tool.Version }

// in returns the command with more environment.
func (c *cosign) in(environment ...string) *cosign {
	with := *c
	with.environment = slices.Concat(c.environment, environment)
	return &with
}

// outcome is how a run of the command ended.
type outcome struct {
	command        string
	code           int
	stdout, stderr string
}

// run runs the command without any of the caller's environment. The proxy that
// is named does not exist, so that a run that reaches for the network fails;
// nothing on loopback goes through a proxy.
func (c *cosign) run(t *testing.T, password string, args ...string) outcome {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), c.path, args...)
	cmd.Dir = c.home
	cmd.Env = []string{
		"HOME=" + c.home,
		"TUF_ROOT=" + filepath.Join(c.home, "tuf"),
		"COSIGN_PASSWORD=" + password,
		"HTTPS_PROXY=http://127.0.0.1:1",
	}
	cmd.Env = append(cmd.Env, c.environment...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf("cosign %s: %v", c.name, err)
	}
	o := outcome{"cosign " + c.name + " " + strings.Join(args, " "), cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
	if strings.Contains(o.stderr, "127.0.0.1:1:") || strings.Contains(o.stderr, "TUF") {
		t.Errorf("%s reached for the network:\n%s", o.command, o.stderr)
	}
	return o
}

// succeeds fails the test if the run did not end with exit code 0.
func (o outcome) succeeds(t *testing.T) {
	t.Helper()
	if o.code != 0 {
		t.Fatalf("%s: exit code %d\n%s", o.command, o.code, o.stderr)
	}
}

// fails fails the test if the run did not end as f says.
func (o outcome) fails(t *testing.T, f failure) {
	t.Helper()
	if o.code != f.code || !strings.Contains(o.stderr, f.message) {
		t.Errorf("%s: exit code %d, want %d and %q\n%s", o.command, o.code, f.code, f.message, o.stderr)
	}
}

// failure is how the command refuses.
type failure struct {
	code    int
	message string
}

var (
	noSignatures  = failure{10, "no signatures found"}
	wrongPassword = failure{1, "decrypt: encrypted: decryption failed"}

	legacyAnnotation = failure{12, "missing or incorrect annotation"}
	bundleAnnotation = failure{1, "missing or incorrect annotation"}

	legacyBadSignature = failure{12, "no matching signatures"}
	bundleBadSignature = failure{1, "accepted signatures do not match threshold"}
)

// badSignature is how the command refuses an image that no signature of the
// form with the key is found for.
func badSignature(form signing.Form) failure {
	if form == signing.Legacy {
		return legacyBadSignature
	}
	return bundleBadSignature
}

// sign signs with the flags that the credential asks for.
func (c *cosign) sign(t *testing.T, form signing.Form, with credential, img image, args ...string) outcome {
	t.Helper()
	args = slices.Concat([]string{"sign", "--yes"}, with.signFlags(t, c, form), args, []string{img.pinned})
	return c.in(with.environment(t, c)...).run(t, passphrase, args...)
}

// verify verifies with the flags that the credential asks for.
func (c *cosign) verify(t *testing.T, with credential, img image, args ...string) outcome {
	t.Helper()
	args = slices.Concat([]string{"verify"}, with.verifyFlags(t, c), args, []string{img.tagged})
	o := c.in(with.environment(t, c)...).run(t, passphrase, args...)
	if o.code == 0 && !strings.Contains(o.stdout, img.digest) {
		t.Errorf("%s: exit code 0, but the output does not name %s:\n%s", o.command, img.digest, o.stdout)
	}
	return o
}
