// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"

	contentapi "github.com/containerd/containerd/api/services/content/v1"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/content/proxy"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/plugins/services/content/contentserver"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	cosigntypes "github.com/sigstore/cosign/v2/pkg/types"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/registry/hooks"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// results are the verifications of n signatures of image, each by a key of its own.
func (n *node) results(image ocispec.Descriptor, count int, form signing.Form) []*verify.Result {
	n.Helper()
	var all []*verify.Result
	for range count {
		key := newKey(n)
		made, err := signerOf(n, key).Sign(n.ctx, signing.Request{Digest: image.Digest, Repository: n.reg.ref("app"), Form: form})
		if err != nil {
			n.Fatal(err)
		}
		var candidates []verify.Candidate
		for _, s := range made {
			candidates = append(candidates, verify.Candidate{Bundle: s.Bundle, Payload: s.Payload, Annotations: s.Annotations})
		}
		result, err := verifierOf(n, key).Verify(n.ctx, verify.Image{Name: n.reg.ref("app:v1"), Target: image}, candidates)
		if err != nil {
			n.Fatal(err)
		}
		all = append(all, result)
	}
	return all
}

func (n *node) keep(results ...*verify.Result) {
	n.Helper()
	for _, r := range results {
		if err := registry.KeepSignatures(n.ctx, n.cd.ContentStore(), r); err != nil {
			n.Fatal(err)
		}
	}
}

func (n *node) read(d digest.Digest) []byte {
	n.Helper()
	b, err := content.ReadBlob(n.ctx, n.cd.ContentStore(), ocispec.Descriptor{Digest: d})
	if err != nil {
		n.Fatal(err)
	}
	return b
}

// What is kept is what cosign attaches, so that whoever exports it has signatures
// that others find.
func TestKeptSignaturesAreCosignsReferrers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		form                            signing.Form
		artifactType, config, mediaType string
	}{
		{signing.Bundle, "application/vnd.dev.sigstore.bundle.v0.3+json", ocispec.MediaTypeEmptyJSON, "application/vnd.dev.sigstore.bundle.v0.3+json"},
		{signing.Legacy, "application/vnd.dev.cosign.artifact.sig.v1+json", "application/vnd.dev.cosign.artifact.sig.v1+json", cosigntypes.SimpleSigningMediaType},
	}
	for _, test := range tests {
		t.Run(fmt.Sprint(test.form), func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			image := putImage(n.ctx, t, n.cd, "app")
			n.keep(n.results(image, 1, test.form)...)
			kept := n.kept(image.Digest)
			if len(kept) != 1 {
				t.Fatalf("%d signatures are kept", len(kept))
			}
			var m ocispec.Manifest
			if err := json.Unmarshal(n.read(kept[0]), &m); err != nil {
				t.Fatal(err)
			}
			if m.ArtifactType != test.artifactType || m.Config.MediaType != test.config || len(m.Layers) != 1 || m.Layers[0].MediaType != test.mediaType {
				t.Errorf("kept as %+v", m)
			}
			if m.Subject == nil || m.Subject.Digest != image.Digest || m.Subject.Size != image.Size || m.Subject.MediaType != image.MediaType {
				t.Errorf("subject is %+v", m.Subject)
			}
			n.read(m.Config.Digest)
			n.read(m.Layers[0].Digest)
		})
	}
}

func TestKeepingAgainChangesNothing(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	image := putImage(n.ctx, t, n.cd, "app")
	results := n.results(image, 3, signing.Both)
	n.keep(results...)
	kept, blobs := n.kept(image.Digest), n.count()
	info, err := n.cd.ContentStore().Info(n.ctx, image.Digest)
	if err != nil {
		t.Fatal(err)
	}
	n.keep(results...)
	if again := n.kept(image.Digest); !slices.Equal(kept, again) || n.count() != blobs {
		t.Errorf("kept %s, then %s", kept, again)
	}
	if again, err := n.cd.ContentStore().Info(n.ctx, image.Digest); err != nil || !again.UpdatedAt.Equal(info.UpdatedAt) {
		t.Errorf("the image was written again: %v", err)
	}
}

func record(n *node, image ocispec.Descriptor) {
	n.Helper()
	if _, err := n.cd.ImageService().Create(n.ctx, images.Image{Name: n.reg.ref("app:v1"), Target: image}); err != nil {
		n.Fatal(err)
	}
}

// What a registry adds to a signature, and nobody reads, is not kept.
func TestJunkOfALegacySignatureIsNotKept(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	image := putImage(n.ctx, t, n.cd, "app")
	result := n.results(image, 1, signing.Legacy)[0]
	n.keep(result)
	plain := n.kept(image.Digest)
	c := &result.Signatures[0].Candidate
	c.Annotations = maps.Clone(c.Annotations)
	c.Annotations["junk"] = strings.Repeat("x", limits.Manifest)
	n.keep(result)
	if kept := n.kept(image.Digest); !slices.Equal(kept, plain) {
		t.Errorf("kept %s, without junk %s", kept, plain)
	}
}

func TestWhatIsNotKept(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	image := putImage(n.ctx, t, n.cd, "app")
	accepted := n.results(image, 1, signing.Bundle)[0]
	other := digest.FromString("not here")
	changed := func(change func(*verify.Result)) *verify.Result {
		r := *accepted
		r.Signatures = slices.Clone(r.Signatures)
		change(&r)
		return &r
	}
	tests := []struct {
		name    string
		result  *verify.Result
		family  error // nil for nothing to keep
		missing bool
	}{
		{"no result", nil, verify.ErrMisconfigured, false},
		{"an image that is not accepted", changed(func(r *verify.Result) { r.Accepted = false }), verify.ErrMisconfigured, false},
		{"an image that was let through unverified", changed(func(r *verify.Result) { r.Unverified = errors.New("warn") }), nil, false},
		{"a signature that failed", changed(func(r *verify.Result) { r.Signatures[0].Err = errors.New("bad") }), nil, false},
		{"a signature of which the verifier says nothing", changed(func(r *verify.Result) { r.Signatures[0].Candidate = verify.Candidate{} }), nil, false},
		{"a signature of what is not in the store", changed(func(r *verify.Result) { r.Signatures[0].Subject = other }), verify.ErrInconclusive, true},
		{"a signature that is too large", changed(func(r *verify.Result) {
			s := &r.Signatures[0]
			s.Candidate = verify.Candidate{Payload: []byte("{}"), Annotations: map[string]string{"dev.cosignproject.cosign/signature": strings.Repeat("x", limits.Manifest)}}
		}), verify.ErrRejected, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := n.count()
			err := registry.KeepSignatures(n.ctx, n.cd.ContentStore(), test.result)
			wantFamily(t, err, test.family)
			if errdefs.IsNotFound(err) != test.missing {
				t.Errorf("missing: %v", err)
			}
			if n.count() != before || len(n.kept(image.Digest)) > 0 {
				t.Error("something is kept")
			}
		})
	}
	t.Run("without a namespace", func(t *testing.T) {
		wantFamily(t, registry.KeepSignatures(t.Context(), n.cd.ContentStore(), accepted), verify.ErrMisconfigured)
	})
	t.Run("after the context has ended", func(t *testing.T) {
		ctx, cancel := context.WithCancel(n.ctx)
		cancel()
		err := registry.KeepSignatures(ctx, n.cd.ContentStore(), accepted)
		if err != nil { // bolt does not ask
			wantFamily(t, err, verify.ErrInconclusive)
		}
	})
}

// brokenStore fails to write after some writes.
type brokenStore struct {
	content.Store
	left int
}

var errBroken = errors.New("disk full")

func (s *brokenStore) Writer(ctx context.Context, opts ...content.WriterOpt) (content.Writer, error) {
	if s.left--; s.left < 0 {
		return nil, errBroken
	}
	return s.Store.Writer(ctx, opts...)
}

// However far a keeper got, what it wrote harms nobody and does not outlive the
// image, and the next one completes it.
func TestKeepingThatWasInterrupted(t *testing.T) {
	t.Parallel()
	for writes := range 3 {
		t.Run(fmt.Sprint(writes, " writes"), func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			image := n.publish("app:v1", "app", signing.Bundle)
			result := n.pull("app:v1")
			n.forget(image.Digest)
			n.collect()
			err := registry.KeepSignatures(n.ctx, &brokenStore{n.cd.ContentStore(), writes}, result)
			wantFamily(t, err, verify.ErrInconclusive)
			if !errors.Is(err, errBroken) {
				t.Error(err)
			}
			n.collect()
			_, _, err = n.local("app:v1", verifierOf(t, n.key), registry.WithoutRegistry())
			wantFamily(t, err, verify.ErrInconclusive)
			if result, _, err := n.local("app:v1", verifierOf(t, n.key)); err != nil || result.Image.Target.Digest != image.Digest {
				t.Errorf("with the registry: %v", err)
			}
			n.down()
			n.wantOffline("app:v1", image)
			if err := n.cd.ImageService().Delete(n.ctx, n.reg.ref("app:v1")); err != nil {
				t.Fatal(err)
			}
			n.collect()
			if left := n.count(); left != 0 {
				t.Errorf("%d blobs are left", left)
			}
		})
	}
}

// A failure to keep costs a later start without a network, and not the pull.
func TestPullSucceedsWhereNothingCanBeKept(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	image := n.publish("app:v1", "app", signing.Bundle)
	verifier := tamperingVerifier{verifierOf(t, n.key)}
	_, result, err := hooks.Pull(n.ctx, n.client, n.cd.Client, n.reg.ref("app:v1"), verifier, amd64)
	if err != nil || result.Image.Target.Digest != image.Digest {
		t.Fatal(err)
	}
	if kept := n.kept(image.Digest); len(kept) > 0 {
		t.Errorf("kept %s", kept)
	}
}

// tamperingVerifier says that the signature is for something that is not there.
type tamperingVerifier struct{ verify.Verifier }

func (v tamperingVerifier) Verify(ctx context.Context, image verify.Image, candidates []verify.Candidate) (*verify.Result, error) {
	result, err := v.Verifier.Verify(ctx, image, candidates)
	if result != nil {
		for i := range result.Signatures {
			result.Signatures[i].Subject = digest.FromString("not here")
		}
	}
	return result, err
}

// The content store of a daemon is another process; here it is containerd's own
// service behind gRPC.
func TestKeepingInTheStoreOfADaemon(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	image := putImage(n.ctx, t, n.cd, "app")
	record(n, image)
	n.collect() // what nothing of this refers to
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer()
	contentapi.RegisterContentServer(server, contentserver.New(n.cd.ContentStore()))
	go func() { _ = server.Serve(listener) }()
	defer server.Stop()
	conn, err := grpc.NewClient("passthrough:daemon", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	store := proxy.NewContentStore(conn)

	results := n.results(image, limits.KeptSignatures+1, signing.Bundle)
	for _, r := range append(results, results[limits.KeptSignatures]) {
		if err := registry.KeepSignatures(n.ctx, store, r); err != nil {
			t.Fatal(err)
		}
	}
	if kept := len(n.kept(image.Digest)); kept != limits.KeptSignatures {
		t.Errorf("%d signatures are kept, want %d", kept, limits.KeptSignatures)
	}
	before := n.count()
	n.collect()
	// The manifest and the bundle of the one that was pushed out.
	if got := before - n.count(); got != 2 {
		t.Errorf("%d blobs were collected, want 2", got)
	}
	missing := *results[0]
	missing.Signatures = slices.Clone(missing.Signatures)
	missing.Signatures[0].Subject = digest.FromString("not here")
	err = registry.KeepSignatures(n.ctx, store, &missing)
	wantFamily(t, err, verify.ErrInconclusive)
	if !errdefs.IsNotFound(err) {
		t.Error(err)
	}
}

func TestNothingIsKeptBesideContentThatIsNotTheImage(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	image := n.publish("app:v1", "app", signing.Bundle)
	result := n.pull("app:v1")
	n.forget(image.Digest)
	n.overwrite(image.Digest, func(b []byte) []byte { b[len(b)-2] = ' '; return b })
	wantFamily(t, registry.KeepSignatures(n.ctx, n.cd.ContentStore(), result), verify.ErrRejected)
	if kept := n.kept(image.Digest); len(kept) > 0 {
		t.Errorf("kept %s", kept)
	}
}

// TestKeepingWaitsForNobody: another process that keeps the same signatures may have
// been stopped while it wrote them.
func TestKeepingWaitsForNobody(t *testing.T) {
	t.Parallel()
	reg, c, verifier, image := signedImage(t, true, signing.Bundle)
	first, ctx := newStore(t)
	if _, _, err := hooks.Pull(ctx, c, first.Client, reg.ref("app:v1"), verifier, nil); err != nil {
		t.Fatal(err)
	}
	info, err := first.ContentStore().Info(ctx, image.Digest)
	if err != nil {
		t.Fatal(err)
	}
	second, ctx := newStore(t)
	for label, kept := range info.Labels {
		if !strings.HasPrefix(label, "containerd.io/gc.ref.content.referrer.cosign.") {
			continue
		}
		w, err := second.ContentStore().Writer(ctx, content.WithRef("cosign-"+kept))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = w.Close() })
	}
	if err := returns(t, func() error {
		_, _, err := hooks.Pull(ctx, c, second.Client, reg.ref("app:v1"), verifier, nil)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.VerifyLocal(ctx, second.Client, reg.ref("app:v1"), verifier, registry.WithoutRegistry()); err != nil {
		t.Errorf("nothing was kept: %v", err)
	}
}
