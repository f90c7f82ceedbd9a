// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
)

// composeFile is a project of which one service is signed and verified.
const composeFile = `name: demo
services:
  svc0:
    image: %s
    x-nerdctl-sign: cosign
    x-nerdctl-cosign-private-key: cosign.key
    x-nerdctl-verify: cosign
    x-nerdctl-cosign-public-key: ${PUBLIC_KEY:-cosign.pub}
    x-nerdctl-cosign-insecure-ignore-tlog: true
  svc1:
    image: %s
`

func composePush(ctx context.Context, s *stage) error {
	s.title("A Compose project: push")
	for _, name := range []string{"svc0", "svc1"} {
		if err := s.image(name+".tar", s.ref(name+":v1"), "Hello from "+name+".\n"); err != nil {
			return err
		}
		if _, err := s.minictl(ctx, 0, "", "--root", "build", "load", name+".tar"); err != nil {
			return err
		}
	}
	if err := s.file("compose.yaml", fmt.Sprintf(composeFile, s.ref("svc0:v1"), s.ref("svc1:v1"))); err != nil {
		return err
	}
	s.say("What flags say elsewhere, the environment says here: no transparency log.")
	s.export("COSIGN_TLOG_UPLOAD", "false")
	_, err := s.minictl(ctx, 0, "  signed\n", "--root", "build", "compose", "push")
	return err
}

func composePull(ctx context.Context, s *stage) error {
	s.title("Pull it: what has the fields is verified, and the rest is said not to be")
	if _, err := s.minictl(ctx, 0, "verified by sha256:", "--root", "laptop", "compose", "pull"); err != nil {
		return err
	}
	_, err := s.minictl(ctx, 2, "every service must be verified", "--root", "laptop", "compose", "pull", "--require-verified")
	return err
}

func composeRefuse(ctx context.Context, s *stage) error {
	s.title("Refused: a project with a service that somebody else signed")
	s.say("Nothing of it is pulled; svc1 alone still is.")
	s.export("PUBLIC_KEY", "other.pub")
	if _, err := s.minictl(ctx, 1, "service svc0: verify ", "--root", "desktop", "compose", "pull"); err != nil {
		return err
	}
	if _, err := s.minictl(ctx, 0, "", "--root", "desktop", "images"); err != nil {
		return err
	}
	if _, err := s.minictl(ctx, 0, "not verified", "--root", "desktop", "compose", "pull", "svc1"); err != nil {
		return err
	}
	s.say("A mistake in a field is an error with its line, and never a service that is not")
	s.say("verified.")
	if err := s.file("typo.yaml", "services:\n  svc0:\n    x-nerdctl-verfy: cosign\n"); err != nil {
		return err
	}
	_, err := s.minictl(ctx, 2, "typo.yaml:3: service svc0: x-nerdctl-verfy: ", "--root", "desktop", "compose", "-f", "compose.yaml", "-f", "typo.yaml", "pull")
	return err
}
