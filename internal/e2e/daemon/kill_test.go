// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package daemon_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/embedded"
	"github.com/cosignkit/cosignkit/internal/testimage"
)

var (
	kills = flag.Int("kills", 40, "how often to kill a push or a pull")
	seed  = flag.Uint64("seed", uint64(time.Now().UnixNano()), "of the random order of kills")
)

// TestKilled kills pushes and pulls, each at every step that a rehearsal has, as
// far as -kills goes. Whatever is there then has to be right, and doing the same
// once more has to succeed.
func TestKilled(t *testing.T) {
	t.Parallel()
	t.Logf("-seed %d", *seed)
	trials := []struct {
		name  string
		share int // of the kills, in percent
		new   func(t *testing.T) trial
	}{
		{"push from a folder", 40, newFolderPush},
		{"pull into a folder", 12, newFolderPull},
		{"push from a daemon", 6, newDaemonPush},
		{"pull into a daemon", 12, newDaemonPull},
		{"pull into a daemon, by what the daemon is asked", 30, newDaemonRecord},
	}
	for i, c := range trials {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			killRepeatedly(t, c.new(t), *kills*c.share/100, rand.New(rand.NewPCG(*seed, uint64(i))))
		})
	}
}

// trial is a push or a pull that is killed.
type trial interface {
	// begin is called before round i, and not before what was killed is repeated.
	begin(t *testing.T, i int)
	// start returns the command of round i, and the wire that it trips over.
	start(t *testing.T, i int) (*exec.Cmd, *tripwire)
	// check fails the test if what is there after round i is wrong; complete
	// tells that the command ended well.
	check(t *testing.T, i int, complete bool)
}

func killRepeatedly(t *testing.T, trial trial, rounds int, random *rand.Rand) {
	run := func(i, at int) (killed bool, steps int) {
		command, wire := trial.start(t, i)
		var stderr bytes.Buffer
		command.Stderr = &stderr
		steps, err := wire.kill(t, command, at)
		killed = command.ProcessState.Sys().(syscall.WaitStatus).Signaled()
		if err != nil && !killed {
			t.Errorf("%v: %s", err, &stderr)
		}
		trial.check(t, i, !killed)
		return killed, steps
	}
	trial.begin(t, 0)
	_, steps := run(0, 0)
	order, count := random.Perm(steps), 0
	for i := range rounds {
		at := 1 + order[i%len(order)]
		trial.begin(t, 1+i)
		killed, _ := run(1+i, at)
		if killed {
			count++
			run(1+i, 0)
		}
		if t.Failed() {
			t.Fatalf("round %d, step %d of %d: killed: %t", i, at, steps, killed)
		}
	}
	t.Logf("%d steps, %d rounds, killed in %d of them", steps, rounds, count)
	if count < rounds/2 {
		t.Errorf("killed in %d of %d rounds only", count, rounds)
	}
}

// pushTrial pushes another image each round.
type pushTrial struct {
	registry *testRegistry
	wire     *tripwire
	minictl  func(args ...string) *exec.Cmd
}

// newPushTrial loads an image for each round.
func newPushTrial(t *testing.T, minictl func(args ...string) *exec.Cmd) trial {
	t.Helper()
	r := newRegistry(t)
	p := &pushTrial{registry: r, wire: newTripwire(t, "tcp", "127.0.0.1:0", r.address), minictl: minictl}
	var all []testimage.Image
	for i := range *kills + 1 {
		all = append(all, testimage.Image{Name: p.ref(i), Content: p.ref(i)})
	}
	file := filepath.Join(t.TempDir(), "images.tar")
	writeArchive(t, file, all...)
	if o := finish(t, minictl("load", file)); o.code != 0 {
		t.Fatal(o.stderr)
	}
	return p
}

func newFolderPush(t *testing.T) trial {
	t.Helper()
	f := &folder{home: t.TempDir()}
	return newPushTrial(t, func(args ...string) *exec.Cmd { return f.minictl(t, args...) })
}

func newDaemonPush(t *testing.T) trial {
	t.Helper()
	n := newNode(t, current)
	return newPushTrial(t, func(args ...string) *exec.Cmd { return n.command(t.Context(), args...) })
}

func (p *pushTrial) ref(i int) string { return fmt.Sprintf("%s/round-%d:v1", p.wire.address(), i) }

func (p *pushTrial) begin(*testing.T, int) {}

func (p *pushTrial) start(_ *testing.T, i int) (*exec.Cmd, *tripwire) {
	return p.minictl(append(with("push", signed("both")), p.ref(i))...), p.wire
}

// check wants no tag without its signature.
func (p *pushTrial) check(t *testing.T, i int, complete bool) {
	t.Helper()
	if !p.registry.has(fmt.Sprintf("/v2/round-%d/manifests/v1", i)) {
		if complete {
			t.Errorf("round %d: pushed, and there is no tag", i)
		}
		return
	}
	if o := finish(t, minictlCommand(t.Context(), t.TempDir(), "verify", "--cosign-key=cosign.pub", "--insecure-ignore-tlog", p.ref(i))); o.code != 0 {
		t.Errorf("round %d: there is a tag, and: %s", i, o.stderr)
	}
}

// pullTrial pulls a signed image, into a store that has nothing, by a tag that in
// every other round is moved to an unsigned one when it has been resolved.
type pullTrial struct {
	registry   *testRegistry
	wire       *tripwire
	ref        string
	good, evil ocispec.Descriptor
	store      killStore
	// resolved is whether the registry was asked for the tag since it was set.
	resolved atomic.Bool
}

// killStore is where images are pulled to.
type killStore interface {
	// empty makes it the store of round i, with nothing in it.
	empty(t *testing.T, i int)
	minictl(t *testing.T, args ...string) *exec.Cmd
	// look calls f with a client, in no round's namespace but with it in ctx.
	look(t *testing.T, f func(ctx context.Context, client *containerd.Client))
}

// newPullTrial pulls through wire, or through one in front of the registry if it
// is nil.
func newPullTrial(t *testing.T, store killStore, wire *tripwire) trial {
	t.Helper()
	p := &pullTrial{registry: newRegistry(t), wire: wire, store: store}
	address := p.registry.address
	if wire == nil {
		p.wire = newTripwire(t, "tcp", "127.0.0.1:0", address)
		address = p.wire.address()
	}
	p.ref = address + "/app:v1"
	maker := &folder{home: t.TempDir()}
	place := func(ref string, flags ...string) ocispec.Descriptor {
		file := filepath.Join(t.TempDir(), "image.tar")
		writeArchive(t, file, testimage.Image{Name: ref, Content: ref})
		for _, args := range [][]string{{"load", file}, append(append([]string{"push"}, flags...), ref)} {
			if o := finish(t, maker.minictl(t, args...)); o.code != 0 {
				t.Fatal(o.stderr)
			}
		}
		var target ocispec.Descriptor
		maker.look(t, func(ctx context.Context, client *containerd.Client) {
			image, err := client.GetImage(ctx, ref)
			if err != nil {
				t.Fatal(err)
			}
			target = image.Target()
		})
		return target
	}
	p.good = place(p.ref, signed("both")...)
	p.evil = place(address + "/app:evil")
	return p
}

func (p *pullTrial) begin(t *testing.T, i int) {
	t.Helper()
	p.store.empty(t, i)
	p.registry.intercept(nil)
	if i%2 == 1 {
		p.registry.intercept(func(r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/manifests/v1") {
				p.resolved.Store(true)
			}
			if asksForSignatures(r) && p.resolved.Load() {
				p.registry.tag(t, p.ref, p.evil)
			}
		})
	}
}

func (p *pullTrial) start(t *testing.T, _ int) (*exec.Cmd, *tripwire) {
	t.Helper()
	p.registry.hangUp(t) // what was killed may still be asking, and have the tag moved
	p.resolved.Store(false)
	p.registry.tag(t, p.ref, p.good)
	return p.store.minictl(t, append(with("pull", verified()), p.ref)...), p.wire
}

// check wants no record of anything but what was verified.
func (p *pullTrial) check(t *testing.T, i int, complete bool) {
	t.Helper()
	p.store.look(t, func(ctx context.Context, client *containerd.Client) {
		records, err := client.ImageService().List(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, record := range records {
			if record.Name != p.ref || record.Target.Digest != p.good.Digest {
				t.Errorf("round %d: %s is recorded as %s, want %s", i, record.Name, record.Target.Digest, p.good.Digest)
			}
			if err := whole(ctx, client, record.Target); err != nil {
				t.Errorf("round %d: what is recorded is not there: %v", i, err)
			}
		}
		if complete && len(records) == 0 {
			t.Errorf("round %d: pulled, and there is no record", i)
		}
	})
}

// whole is an error if some content of an image is not in the store.
func whole(ctx context.Context, client *containerd.Client, target ocispec.Descriptor) error {
	store := client.ContentStore()
	return images.Walk(ctx, images.HandlerFunc(func(ctx context.Context, desc ocispec.Descriptor) ([]ocispec.Descriptor, error) {
		if _, err := store.Info(ctx, desc.Digest); err != nil {
			return nil, err
		}
		return images.Children(ctx, store, desc)
	}), target)
}

// folder is a store without a daemon.
type folder struct{ home, round string }

func (f *folder) empty(_ *testing.T, i int) { f.round = fmt.Sprintf("round-%d", i) }

func (f *folder) root() string { return filepath.Join(f.home, "store", f.round) }

func (f *folder) minictl(t *testing.T, args ...string) *exec.Cmd {
	return minictlCommand(t.Context(), f.home, append([]string{"--root", f.root()}, args...)...)
}

func (f *folder) look(t *testing.T, look func(context.Context, *containerd.Client)) {
	t.Helper()
	client, err := embedded.Open(f.root())
	if err != nil {
		t.Fatal(err)
	}
	look(namespaces.WithNamespace(t.Context(), namespace), client.Client)
	if err := client.Close(); err != nil {
		t.Error(err)
	}
}

// daemonStore is that of a daemon, which minictl reaches by its address or by
// another one.
type daemonStore struct {
	*node
	address string
}

// empty also removes the leases of what was killed.
func (d *daemonStore) empty(t *testing.T, _ int) {
	t.Helper()
	ctx := d.context()
	held, err := d.client.LeasesService().List(ctx)
	for i := range held {
		err = errors.Join(err, d.client.LeasesService().Delete(ctx, held[i]))
	}
	records, listed := d.client.ImageService().List(ctx)
	err = errors.Join(err, listed)
	for _, record := range records {
		err = errors.Join(err, d.client.ImageService().Delete(ctx, record.Name, images.SynchronousDelete()))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (d *daemonStore) minictl(t *testing.T, args ...string) *exec.Cmd {
	return minictlCommand(t.Context(), d.dir, append([]string{"--address", d.address, "--namespace", namespace}, args...)...)
}

func (d *daemonStore) look(_ *testing.T, look func(context.Context, *containerd.Client)) {
	look(d.context(), d.client)
}

func newFolderPull(t *testing.T) trial {
	t.Helper()
	return newPullTrial(t, &folder{home: t.TempDir()}, nil)
}

func newDaemonPull(t *testing.T) trial {
	t.Helper()
	n := newNode(t, current)
	return newPullTrial(t, &daemonStore{node: n, address: n.Address}, nil)
}

func newDaemonRecord(t *testing.T) trial {
	t.Helper()
	n := newNode(t, current)
	wire := newTripwire(t, "unix", n.Address+".wire", n.Address)
	return newPullTrial(t, &daemonStore{node: n, address: wire.address()}, wire)
}
