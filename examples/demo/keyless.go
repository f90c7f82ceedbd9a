// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io"
	"net/url"
	"os"
	"path/filepath"

	"github.com/cosignkit/cosignkit/internal/sigstack"
)

// signerEmail is who signs in the keyless demo.
const signerEmail = "name@example.com"

// showKeyless performs the keyless demo: real services of Sigstore on loopback,
// which it stops before the last act.
func showKeyless(ctx context.Context, out io.Writer, buildFlags ...string) error {
	return onStage(out, func(s *stage) error { return playKeyless(ctx, s, buildFlags) })
}

func playKeyless(ctx context.Context, s *stage, buildFlags []string) error {
	s.say("Keyless, end to end: sign with an identity on push, ask who signed on pull.")
	s.say("")
	s.say("Building the services of Sigstore, from their own sources; with empty caches this")
	s.say("takes some minutes, and later seconds …")
	services, err := startServices(ctx, filepath.Join(s.dir, "services"))
	if err != nil {
		return err
	}
	defer func() { _ = services.Stop() }()
	s.say("They run in one process: Fulcio on %s, its certificate", services.Fulcio)
	s.say("transparency log, Rekor on %s, a timestamp authority, and the OpenID", services.Rekor)
	s.say("Connect issuer %s. The registry is on %s.", services.Issuer, s.registry)
	s.say("Building minictl, the small image tool in examples/minictl …")
	if err := s.build(ctx, buildFlags); err != nil {
		return err
	}
	if err := s.prepareKeyless(ctx, services); err != nil {
		return err
	}
	for _, act := range []func(context.Context, *stage, *sigstack.Stack) error{
		pushKeyless, pullByIdentity, refuseOtherIdentity, refuseOtherIssuer, verifyOffline,
	} {
		if err := act(ctx, s, services); err != nil {
			return err
		}
	}
	return nil
}

// startServices keeps the program in the user's cache: its parts are many.
func startServices(ctx context.Context, dir string) (*sigstack.Stack, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	program, err := sigstack.Build(ctx, filepath.Join(cache, "cosignkit", "tools"))
	if err != nil {
		return nil, err
	}
	return sigstack.Start(ctx, program, dir)
}

// prepareKeyless writes what the acts use into the directory where they run.
func (s *stage) prepareKeyless(ctx context.Context, services *sigstack.Stack) error {
	token, err := services.Mint(ctx, url.Values{"email": {signerEmail}})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(s.dir, "token"), []byte(token), 0o600); err != nil {
		return err
	}
	for name, from := range map[string]string{
		"trusted_root.json": services.TrustedRoot, "signing_config.json": services.SigningConfigV1,
	} {
		if err := os.Rename(from, filepath.Join(s.dir, name)); err != nil {
			return err
		}
	}
	if err := s.image("app.tar", s.ref("app:v1"), "Hello from the image that was signed.\n"); err != nil {
		return err
	}
	s.say("")
	s.say("trusted_root.json and signing_config.json say which services there are and by what")
	s.say("keys they are known; for Sigstore's public instance minictl would get them by TUF.")
	s.say("The file token is what the issuer gives %s who has logged in; without", signerEmail)
	s.say("--identity-token, minictl would open a browser to log in.")
	return nil
}

func pushKeyless(ctx context.Context, s *stage, _ *sigstack.Stack) error {
	push := []string{
		"--root", "build", "push", "--sign=cosign", "--identity-token", "token",
		"--signing-config", "signing_config.json", "--trusted-root", "trusted_root.json",
	}
	s.title("Push an image, signed as " + signerEmail)
	if _, err := s.minictl(ctx, 0, "", "--root", "build", "load", "app.tar"); err != nil {
		return err
	}
	s.say("Who signed what is recorded for ever, so somebody has to agree to it first.")
	if _, err := s.minictl(ctx, 2, "Signing publishes", append(push, s.ref("app:v1"))...); err != nil {
		return err
	}
	text, err := s.minictl(ctx, 0, "signed: bundle", append(push, "--yes", s.ref("app:v1"))...)
	if err != nil {
		return err
	}
	found := digests.FindAllString(text, -1)
	if len(found) != 2 {
		return errors.New("expected the digests of the image and of the signature in the output of push")
	}
	s.digest = found[0]
	return s.showReferrers(ctx, "app", found[1])
}

// pullAs pulls into a store of its own by an identity.
func (s *stage) pullAs(ctx context.Context, code int, text, store, identity, issuer string) error {
	_, err := s.minictl(ctx, code, text, "--root", store, "pull", "--verify=cosign", "--trusted-root", "trusted_root.json",
		"--cosign-certificate-identity", identity, "--cosign-certificate-oidc-issuer", issuer, s.ref("app:v1"))
	return err
}

func pullByIdentity(ctx context.Context, s *stage, services *sigstack.Stack) error {
	s.title("Pull it, verified by who signed")
	return s.pullAs(ctx, 0, s.digest, "laptop", signerEmail, services.Issuer)
}

func refuseOtherIdentity(ctx context.Context, s *stage, services *sigstack.Stack) error {
	s.title("Refused: it must be signed by somebody else")
	return s.pullAs(ctx, 1, `signed by "`+signerEmail+`"`, "other", "somebody@example.com", services.Issuer)
}

func refuseOtherIssuer(ctx context.Context, s *stage, _ *sigstack.Stack) error {
	s.title("Refused: another issuer must vouch for the signer")
	return s.pullAs(ctx, 1, `signed by "`+signerEmail+`"`, "other", signerEmail, "https://accounts.example.com")
}

func verifyOffline(ctx context.Context, s *stage, services *sigstack.Stack) error {
	s.title("The same, with every service stopped")
	if err := services.Stop(); err != nil {
		return err
	}
	s.say("Fulcio, both logs, the timestamp authority and the issuer are gone; the registry is")
	s.say("left. All that it takes to verify is in the signature and in the trusted root.")
	return s.pullAs(ctx, 0, s.digest, "offline", signerEmail, services.Issuer)
}
