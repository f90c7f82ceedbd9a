// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/cosignkit/cosignkit/internal/testimage"
)

const passphrase = "correct horse battery staple"

// withKey is how the image is verified throughout.
var withKey = []string{"--cosign-key", "cosign.pub", "--insecure-ignore-tlog"}

// show performs the demo. The build flags are for the program that it builds.
func show(ctx context.Context, out io.Writer, buildFlags ...string) error {
	return onStage(out, func(s *stage) error { return playKeys(ctx, s, buildFlags) })
}

func playKeys(ctx context.Context, s *stage, buildFlags []string) error {
	s.say("Key pairs, end to end: sign on push, verify on pull.")
	s.say("")
	s.say("The registry runs in this process, on %s; nothing else of the network is used.", s.registry)
	s.say("Commands run in %s, which is removed in the end.", s.dir)
	s.say("Building minictl, the small image tool in examples/minictl …")
	if err := s.build(ctx, buildFlags); err != nil {
		return err
	}
	s.say("minictl runs without root and without a daemon, and with an empty directory as")
	s.say("its PATH: there is no cosign for it to call. Its passphrase is in COSIGN_PASSWORD.")
	s.say("No transparency log takes part: --tlog-upload=false and --insecure-ignore-tlog do")
	s.say("without one. make demo-keyless shows one, and signing without a key.")

	for _, act := range []func(context.Context, *stage) error{
		pushSigned, pullVerified, refuseUnsigned, refuseOtherKey, refuseMovedTag,
		composePush, composePull, composeRefuse,
	} {
		if err := act(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func pushSigned(ctx context.Context, s *stage) error {
	s.title("Push an image, signed")
	if err := s.image("app.tar", s.ref("app:v1"), "Hello from the image that was signed.\n"); err != nil {
		return err
	}
	s.say("app.tar is an image of one small file, as docker save or BuildKit would write it.")
	if _, err := s.minictl(ctx, 0, "", "generate-key-pair"); err != nil {
		return err
	}
	if _, err := s.minictl(ctx, 0, "", "--root", "build", "load", "app.tar"); err != nil {
		return err
	}
	s.say("The content goes up by digest, the digest is signed, the signature is attached and")
	s.say("read back. The tag is written last: nobody sees it without its signature.")
	text, err := s.minictl(ctx, 0, "signed: bundle", "--root", "build",
		"push", "--sign=cosign", "--cosign-key", "cosign.key", "--tlog-upload=false", s.ref("app:v1"))
	if err != nil {
		return err
	}
	found := digests.FindAllString(text, -1)
	if len(found) != 2 {
		return errors.New("expected the digests of the image and of the signature in the output of push")
	}
	s.digest = found[0]
	s.say("This is what refers to the image in the registry now:")
	return s.showReferrers(ctx, "app", found[1])
}

func pullVerified(ctx context.Context, s *stage) error {
	s.title("Pull it, verified, into a store that is empty")
	if _, err := s.minictl(ctx, 0, "", "--root", "laptop", "images"); err != nil {
		return err
	}
	if _, err := s.minictl(ctx, 0, s.digest, append([]string{"--root", "laptop", "pull", "--verify=cosign"}, append(withKey, s.ref("app:v1"))...)...); err != nil {
		return err
	}
	_, err := s.minictl(ctx, 0, s.digest, "--root", "laptop", "images")
	return err
}

func refuseUnsigned(ctx context.Context, s *stage) error {
	s.title("Refused: an image that nobody signed")
	if err := s.pushUnsigned(ctx, "unsigned.tar", s.ref("unsigned:v1")); err != nil {
		return err
	}
	_, err := s.minictl(ctx, 1, "no signatures found", append([]string{"--root", "laptop", "pull", "--verify=cosign"}, append(withKey, s.ref("unsigned:v1"))...)...)
	return err
}

func refuseOtherKey(ctx context.Context, s *stage) error {
	s.title("Refused: an image that somebody else signed")
	if _, err := s.minictl(ctx, 0, "", "generate-key-pair", "--output-key-prefix", "other"); err != nil {
		return err
	}
	_, err := s.minictl(ctx, 1, "does not verify with the key", "--root", "laptop",
		"pull", "--verify=cosign", "--cosign-key", "other.pub", "--insecure-ignore-tlog", s.ref("app:v1"))
	return err
}

func refuseMovedTag(ctx context.Context, s *stage) error {
	s.title("Refused: a tag that was moved after it was verified")
	s.say("Someone who can write to the registry puts another image under the same tag.")
	if err := s.pushUnsigned(ctx, "evil.tar", s.ref("app:v1")); err != nil {
		return err
	}
	if _, err := s.minictl(ctx, 1, "no signatures found", append([]string{"--root", "laptop", "pull", "--verify=cosign"}, append(withKey, s.ref("app:v1"))...)...); err != nil {
		return err
	}
	s.say("The store still has what was verified, under the name and by its digest,")
	if _, err := s.minictl(ctx, 0, s.digest, "--root", "laptop", "images"); err != nil {
		return err
	}
	s.say("and that digest is as good as it was.")
	_, err := s.minictl(ctx, 0, "accepted", append([]string{"verify"}, append(withKey, s.ref("app@"+s.digest))...)...)
	return err
}

// pushUnsigned pushes an image from a store of its own, as another user would.
func (s *stage) pushUnsigned(ctx context.Context, file, ref string) error {
	if err := s.image(file, ref, "Hello from an image that was not signed: "+file+"\n"); err != nil {
		return err
	}
	if _, err := s.minictl(ctx, 0, "", "--root", "elsewhere", "load", file); err != nil {
		return err
	}
	_, err := s.minictl(ctx, 0, "", "--root", "elsewhere", "push", ref)
	return err
}

// image writes an archive with an image for this machine.
func (s *stage) image(file, ref, content string) error {
	f, err := os.Create(filepath.Join(s.dir, file))
	if err != nil {
		return err
	}
	err = testimage.WriteArchive(f, testimage.Image{Name: ref, Content: content})
	return errors.Join(err, f.Close())
}
