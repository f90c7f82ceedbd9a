// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package daemon_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/containerd/containerd/v2/core/snapshots"
)

// TestWhatRunsIsWhatWasVerified is the first of the six points.
func TestWhatRunsIsWhatWasVerified(t *testing.T) {
	t.Parallel()
	for _, form := range forms {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, form)

			t.Run("a local image of the same tag has other content", func(t *testing.T) {
				n := s.on(t)
				n.name(s.ref, s.evil)
				n.prints("good", "run", verified("--pull=always"), s.ref)
				if got, _ := n.record(s.ref); got.Digest != s.good.Digest {
					t.Errorf("the record is of %s, want %s", got.Digest, s.good.Digest)
				}
				n.name(s.ref, s.evil)
				for _, when := range []string{"missing", "never"} {
					n.refused(1, "no signatures found", append(with("run", verified("--pull="+when)), s.ref)...)
				}
			})
			t.Run("no local tag at all", func(t *testing.T) {
				n := s.on(t)
				n.forget(s.ref)
				n.refused(2, "not in the image store", append(with("run", verified("--pull=never")), s.ref)...)
				n.prints("good", "run", verified(), s.ref)
				n.prints("good", "run", verified("--pull=never"), s.ref)
			})
			t.Run("the local tag moves while it is verified", func(t *testing.T) {
				// Nothing was pulled yet, so that the registry is asked for signatures.
				s := newScene(t, form)
				n := s.on(t)
				moved := s.onSignatureRequest(t, func() { n.name(s.ref, s.evil) })
				n.prints("good", "run", verified("--pull=never"), s.ref)
				moved()
				n.refused(1, "no signatures found", append(with("run", verified("--pull=never")), s.ref)...)
			})
			t.Run("the tag in the registry moves while it is verified", func(t *testing.T) {
				n := s.on(t)
				n.forget(s.ref)
				moved := s.onSignatureRequest(t, func() { s.registry.tag(t, s.ref, s.evil) })
				n.prints("good", "run", verified(), s.ref)
				moved()
				n.refused(1, "no signatures found", append(with("run", verified("--pull=always")), s.ref)...)
				s.registry.tag(t, s.ref, s.good)
			})
			t.Run("named by digest", func(t *testing.T) {
				n := s.on(t)
				repository, _, _ := strings.Cut(s.ref, ":v1")
				n.prints("good", "run", verified(), repository+"@"+s.good.Digest.String())
				n.prints("good", "run", verified(), s.ref+"@"+s.good.Digest.String())
				n.refused(1, "no signatures found", append(with("run", verified()), repository+"@"+s.evil.Digest.String())...)
			})
		})
	}
}

// TestRunsWithoutARegistry: signatures that verified are kept with the image.
func TestRunsWithoutARegistry(t *testing.T) {
	t.Parallel()
	for _, form := range forms {
		var pull []string
		if form == forms[0] { // which minictl leaves to another call of containerd's
			pull = []string{"--all-platforms"}
		}
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, form)
			s.forget(s.ref)
			s.must(append(with("pull", verified(pull...)), s.ref)...)
			s.registry.server.Close()
			for _, when := range []string{"missing", "never"} {
				n := s.on(t)
				n.prints("good", "run", verified("--pull="+when), s.ref)
				// Nor by the wrong key; that another signature is right, nobody knows.
				n.refused(3, "", "run", "--pull="+when, "--verify=cosign", "--cosign-key=other.pub", "--insecure-ignore-tlog", s.ref)
				// Whether there are signatures of this one, nobody knows.
				n.name(s.ref, s.evil)
				n.refused(3, "", append(with("run", verified("--pull="+when)), s.ref)...)
				n.name(s.ref, s.good)
			}
			s.refused(3, "", append(with("run", verified("--pull=always")), s.ref)...)
		})
	}
}

// TestRunsByAPolicyFile: a policy file guards a start as the flags do, and says so
// where it only warns.
func TestRunsByAPolicyFile(t *testing.T) {
	t.Parallel()
	s := newScene(t, "bundle")
	policy := func(mode string) []string {
		path := filepath.Join(t.TempDir(), "policy.yaml")
		key, err := filepath.Abs(filepath.Join(keys, "cosign.pub"))
		if err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprintf("version: 1\nrules:\n  - scope: %s\n    keys: [%q]\n    insecureIgnoreTransparencyLog: true\n    mode: %s\n", s.registry.address, key, mode)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return []string{"--policy=" + path}
	}
	enforce, warn := policy("enforce"), policy("warn")
	evil := strings.TrimSuffix(s.ref, ":v1") + ":evil"
	for _, when := range []string{"missing", "always", "never"} {
		pull := "--pull=" + when
		s.prints("good", "run", append(enforce, pull), s.ref)
		s.refused(1, "no signatures found", append(with("run", append(enforce, pull)), evil)...)
		o := s.run(append(with("run", append(warn, pull)), evil)...)
		if o.code != 0 || o.stdout != "evil" || !strings.Contains(o.stderr, `level=WARN msg="image is accepted without being verified" image=`+evil) {
			t.Errorf("%s: exit code %d, %q, %s", pull, o.code, o.stdout, o.stderr)
		}
	}
	s.refused(1, "", append(with("run", enforce), "elsewhere.example/app:v1")...)
}

// TestPulledTagPointsAtTheVerifiedDigest is the second of the six points.
func TestPulledTagPointsAtTheVerifiedDigest(t *testing.T) {
	t.Parallel()
	s := newScene(t, "bundle")
	t.Run("the tag exists", func(t *testing.T) {
		n := s.on(t)
		n.forget(s.ref)
		n.must(append(with("pull", verified()), s.ref)...)
		if got, ok := n.record(s.ref); !ok || got.Digest != s.good.Digest {
			t.Errorf("the record is of %q, want %s", got.Digest, s.good.Digest)
		}
	})
	t.Run("the tag was of something else", func(t *testing.T) {
		n := s.on(t)
		n.name(s.ref, s.evil)
		n.must(append(with("pull", verified()), s.ref)...)
		if got, _ := n.record(s.ref); got.Digest != s.good.Digest {
			t.Errorf("the record is of %s, want %s", got.Digest, s.good.Digest)
		}
	})
	t.Run("a record whose name claims another digest", func(t *testing.T) {
		n := s.on(t)
		claimed := s.ref + "@" + s.good.Digest.String()
		for title, flags := range map[string][]string{"verified": verified(), "not verified": nil} {
			for _, when := range []string{"missing", "never"} {
				n.name(claimed, s.evil)
				o := n.run(append(with("run", append(flags, "--pull="+when)), claimed)...)
				if o.code != 1 || o.stdout != "" || !strings.Contains(o.stderr, s.evil.Digest.String()) {
					t.Errorf("%s, --pull=%s: exit code %d, %q, %s", title, when, o.code, o.stdout, o.stderr)
				}
			}
		}
		// The registry has what the name claims.
		n.prints("good", "run", verified("--pull=always"), claimed)
	})
}

// TestOtherKindsOfImagesAreRefused is of the fourth of the six points, of which
// TestNerdctlRefusesOtherKinds has the rest: what minictl cannot verify it does
// not run.
func TestOtherKindsOfImagesAreRefused(t *testing.T) {
	t.Parallel()
	s := newScene(t, "bundle")
	for name, c := range map[string]struct {
		reason string
		args   []string
	}{
		"IPFS":           {"names no image of a registry", []string{"ipfs://bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"}},
		"IPNS":           {"names no image of a registry", []string{"ipns://example.com/app"}},
		"archive":        {"names no image of a registry", []string{"./app.tar"}},
		"archive scheme": {"names no image of a registry", []string{"oci-archive:app.tar:v1"}},
		"layout":         {"names no image of a registry", []string{"oci://layout"}},
	} {
		t.Run(name, func(t *testing.T) {
			n := s.on(t)
			s.registry.asked(t)
			n.refused(2, c.reason, append(with("run", verified()), c.args...)...)
			if asked := s.registry.asked(t); len(asked) > 0 {
				t.Errorf("asked the registry: %v", asked)
			}
		})
	}
}

func TestContainer(t *testing.T) {
	t.Parallel()
	s := newScene(t, "bundle")
	run := func(n *node, flags []string, args ...string) outcome {
		return n.run(append(append(with("run", append(verified(), flags...)), s.ref, "--"), args...)...)
	}
	t.Run("exits with the code of its program", func(t *testing.T) {
		o := run(s.on(t), nil, "/bin/busybox", "sh", "-c", "echo out; echo err >&2; exit 7")
		if o.code != 7 || o.stdout != "out\n" || !strings.HasPrefix(o.stderr, "err\n") {
			t.Errorf("%+v", o)
		}
	})
	t.Run("has the loopback network alone unless told", func(t *testing.T) {
		interfaces := []string{"/bin/busybox", "ls", "/sys/class/net"}
		if o := run(s.on(t), nil, interfaces...); o.stdout != "lo\n" {
			t.Errorf("%+v", o)
		}
		want, err := os.Readlink("/proc/self/ns/net")
		if err != nil {
			t.Fatal(err)
		}
		if o := run(s.on(t), []string{"--net=host"}, "/bin/busybox", "readlink", "/proc/self/ns/net"); o.stdout != want+"\n" {
			t.Errorf("%+v, want the network of the host, %s", o, want)
		}
	})
	t.Run("program is missing", func(t *testing.T) {
		if o := run(s.on(t), nil, "/no/such/program"); o.code != 3 || o.stdout != "" {
			t.Errorf("%+v", o)
		}
	})
	t.Run("loses no output, however late it is read", func(t *testing.T) {
		n := s.on(t)
		events, failed := n.client.Subscribe(n.context(), `topic=="/tasks/exit"`)
		// More than a pipe holds, and less than all pipes on the way do.
		const size = 150_000
		command := n.command(t.Context(), append(with("run", verified()), s.ref, "--",
			"/bin/busybox", "sh", "-c", fmt.Sprintf("/bin/busybox head -c %d /dev/zero", size))...)
		stdout, err := command.StdoutPipe()
		if err == nil {
			err = command.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		select {
		case <-events:
		case err := <-failed:
			t.Error(err)
		}
		read, err := io.Copy(io.Discard, iotest.OneByteReader(stdout)) // takes a while
		if err = errors.Join(err, command.Wait()); err != nil || read != size {
			t.Errorf("read %d bytes, %v, want %d", read, err, size)
		}
	})
	t.Run("ends with minictl", func(t *testing.T) {
		command := s.on(t).command(t.Context(), append(with("run", verified()), s.ref, "--", "/bin/busybox", "sh", "-c", "echo started; exec sleep 1000")...)
		stdout, err := command.StdoutPipe()
		if err == nil {
			err = command.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "started\n" {
			t.Errorf("printed %q, %v", line, err)
		}
		if err := command.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		if err := command.Wait(); command.ProcessState.ExitCode() != 3 {
			t.Errorf("ended with %v, want exit code 3", err)
		}
	})
	containers, err := s.client.Containers(s.context())
	if err != nil || len(containers) > 0 {
		t.Errorf("containers are left: %v, %v", containers, err)
	}
	err = s.client.SnapshotService("").Walk(s.context(), func(_ context.Context, info snapshots.Info) error {
		if info.Kind == snapshots.KindActive {
			t.Errorf("a snapshot is left: %s", info.Name)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
