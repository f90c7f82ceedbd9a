// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"strings"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	gcrname "github.com/google/go-containerregistry/pkg/name"
	gcrregistry "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/embedded"
	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/registry/hooks"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// example is what the examples work with: a registry with an unsigned image, a
// key, and an image store in the place of a containerd daemon, which has the image.
type example struct {
	ref      string
	target   ocispec.Descriptor
	signer   signing.Signer
	verifier verify.Verifier
	cd       *containerd.Client
	ctx      context.Context
}

// newExample returns the client of a tool without settings, too.
func newExample() (e example, client *registry.Client, done func()) {
	server := httptest.NewServer(gcrregistry.New(gcrregistry.Logger(log.New(io.Discard, "", 0)), gcrregistry.WithReferrersSupport(true)))
	e.ref = strings.TrimPrefix(server.URL, "http://") + "/team/app:v1"
	image, err := random.Image(16, 1)
	must(err)
	tag, err := gcrname.NewTag(e.ref)
	must(err)
	must(remote.Write(tag, image))

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	e.signer, err = signing.NewKeySigner(signing.KeySignerConfig{Key: key, SkipTransparencyLog: true})
	must(err)
	e.verifier, err = verify.New(verify.Policy{Keys: []crypto.PublicKey{key.Public()}, InsecureIgnoreTransparencyLog: true})
	must(err)

	root, err := os.MkdirTemp("", "cosignkit")
	must(err)
	store, err := embedded.Open(root)
	must(err)
	e.cd = store.Client
	e.ctx = namespaces.WithNamespace(context.Background(), "example")
	pulled, err := e.cd.Fetch(e.ctx, e.ref)
	must(err)
	e.target = pulled.Target
	client, err = registry.New(registry.Config{})
	must(err)
	return e, client, func() {
		client.CloseIdleConnections()
		server.Close()
		must(store.Close())
		must(os.RemoveAll(root))
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func ExampleNew() {
	client, err := registry.New(registry.Config{
		HostsDirs:   []string{"/etc/containerd/certs.d", "/etc/docker/certs.d"},
		Credentials: registry.DockerCredentials(),
		UserAgent:   "mytool/1.0",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer client.CloseIdleConnections()
	// Output:
}

// A tool's flag --insecure-registry is about the registry of the reference that
// the user named.
func ExampleConfig_insecureRegistries() {
	named, err := reference.ParseDockerRef("registry.example:5000/team/app:v1")
	if err != nil {
		log.Fatal(err)
	}
	client, err := registry.New(registry.Config{InsecureRegistries: []string{reference.Domain(named)}})
	if err != nil {
		log.Fatal(err)
	}
	defer client.CloseIdleConnections()
	// Output:
}

func ExampleClient_Sign() {
	e, client, done := newExample()
	defer done()

	attached, err := client.Sign(e.ctx, e.ref, e.signer, registry.WithAnnotations(map[string]string{"commit": "4f5c1a"}))
	if err != nil {
		log.Fatal(err)
	}
	for _, a := range attached {
		fmt.Println(a.Form, "by the", a.Source)
	}
	// Output: bundle by the referrers API
}

func ExampleClient_SignImage() {
	e, client, done := newExample()
	defer done()

	// The digest is known already, from a push or a build.
	image := verify.Image{Name: e.ref, Target: e.target}
	attached, err := client.SignImage(e.ctx, image, e.signer, registry.WithForm(signing.Legacy))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(attached[0].Form, "by the", attached[0].Source)
	// Output: legacy by the signature tag
}

func ExampleClient_Verify() {
	e, client, done := newExample()
	defer done()

	_, err := client.Verify(e.ctx, e.ref, e.verifier)
	switch {
	case errors.Is(err, verify.ErrRejected):
		fmt.Println("do not run it")
	case errors.Is(err, verify.ErrInconclusive):
		fmt.Println("do not run it now")
	case errors.Is(err, verify.ErrMisconfigured):
		fmt.Println("tell somebody")
	}

	if _, err := client.Sign(e.ctx, e.ref, e.signer); err != nil {
		log.Fatal(err)
	}
	result, err := client.Verify(e.ctx, e.ref, e.verifier)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("run", result.Image.Target.Digest == e.target.Digest)
	// Output:
	// do not run it
	// run true
}

// VerifyImage fits where containerd has resolved a name already.
func ExampleClient_VerifyImage() {
	e, client, done := newExample()
	defer done()

	_, err := client.VerifyImage(e.ctx, verify.Image{Name: e.ref, Target: e.target}, e.verifier)
	fmt.Println(errors.Is(err, verify.ErrRejected))
	// Output: true
}

func Example_push() {
	e, client, done := newExample()
	defer done()

	attached, err := hooks.Push(e.ctx, client, e.cd, e.ref, e.target, e.signer, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("signed", attached[0].Subject == e.target.Digest)
	// Output: signed true
}

func Example_pull() {
	e, client, done := newExample()
	defer done()

	if _, err := client.Sign(e.ctx, e.ref, e.signer); err != nil {
		log.Fatal(err)
	}
	// With a daemon, containerd.WithPullUnpack among the options makes the image
	// ready to run.
	image, result, err := hooks.Pull(e.ctx, client, e.cd, e.ref, e.verifier, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(image.Target().Digest == result.Image.Target.Digest)
	// Output: true
}

// A tool with its own pull passes the resolver and changes nothing else.
func ExampleClient_VerifyingResolver() {
	e, client, done := newExample()
	defer done()

	_, err := e.cd.Pull(e.ctx, e.ref, containerd.WithResolver(client.VerifyingResolver(e.verifier)))
	fmt.Println(errors.Is(err, verify.ErrRejected))
	// Output: true
}

// A tool with its own push passes the resolver and changes nothing else.
func ExampleClient_SignPush() {
	e, client, done := newExample()
	defer done()

	err := client.SignPush(e.signer, func(resolver remotes.Resolver) error {
		return e.cd.Push(e.ctx, e.ref, e.target, containerd.WithResolver(resolver))
	}, registry.WithAttached(func(a registry.Attached) {
		fmt.Println(a.Form, "by the", a.Source)
	}))
	if err != nil {
		log.Fatal(err)
	}
	// Output: bundle by the referrers API
}

// Resolver moves images that are neither signed nor verified.
func ExampleClient_Resolver() {
	e, client, done := newExample()
	defer done()

	_, desc, err := client.Resolver().Resolve(e.ctx, e.ref)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(desc.Digest == e.target.Digest)
	// Output: true
}

// A tool that lives on go-containerregistry keeps its options.
func ExampleRemoteResolver() {
	e, _, done := newExample()
	defer done()
	client, err := registry.New(registry.Config{
		Resolver: registry.RemoteResolver(nil, nil, remote.WithUserAgent("mytool/1.0")),
	})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := client.Sign(e.ctx, e.ref, e.signer); err != nil {
		log.Fatal(err)
	}
	result, err := client.Verify(e.ctx, e.ref, e.verifier)
	fmt.Println(result.Accepted, err)
	// Output: true <nil>
}

// COSIGN_REPOSITORY names a repository for all signatures, for registries that
// take none beside the image.
func ExampleSignatureRepositoryFromEnvironment() {
	repository, err := registry.SignatureRepositoryFromEnvironment()
	if err != nil {
		log.Fatal(err)
	}
	client, err := registry.New(registry.Config{SignatureRepository: repository})
	if err != nil {
		log.Fatal(err)
	}
	defer client.CloseIdleConnections()
	// Output:
}

func ExampleWithSignatureRepository() {
	e, client, done := newExample()
	defer done()
	name, _ := reference.ParseNormalizedNamed(e.ref)
	elsewhere := registry.WithSignatureRepository(reference.Domain(name) + "/signatures")

	if _, err := client.Sign(e.ctx, e.ref, e.signer, elsewhere); err != nil {
		log.Fatal(err)
	}
	_, err := client.Verify(e.ctx, e.ref, e.verifier)
	fmt.Println("beside the image:", errors.Is(err, verify.ErrRejected))
	_, err = client.Verify(e.ctx, e.ref, e.verifier, elsewhere)
	fmt.Println("elsewhere:", err)
	// Output:
	// beside the image: true
	// elsewhere: <nil>
}

// A tool that shows who signed wants all signatures; one that pulls wants to know
// as soon as one is enough.
func ExampleWithEverySignature() {
	e, client, done := newExample()
	defer done()
	if _, err := client.Sign(e.ctx, e.ref, e.signer, registry.WithForm(signing.Both)); err != nil {
		log.Fatal(err)
	}
	result, err := client.Verify(e.ctx, e.ref, e.verifier, registry.WithEverySignature())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(result.Signatures), "signatures")
	// Output:
	// 2 signatures
}

// exampleIndex puts an index of two platforms into the registry of e.
func exampleIndex(e *example) {
	index := v1.ImageIndex(empty.Index)
	for _, architecture := range []string{"amd64", "arm64"} {
		image, err := random.Image(16, 1)
		must(err)
		config, err := image.ConfigFile()
		must(err)
		config.OS, config.Architecture = "linux", architecture
		image, err = mutate.ConfigFile(image, config)
		must(err)
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: config.Platform()}})
	}
	tag, err := gcrname.NewTag(e.ref)
	must(err)
	must(remote.WriteIndex(tag, index))
}

// Sign an image of several platforms with each of its manifests, and ask for
// all of these signatures.
func ExampleWithRecursive() {
	e, client, done := newExample()
	defer done()
	exampleIndex(&e)
	attached, err := client.Sign(e.ctx, e.ref, e.signer, registry.WithRecursive())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(attached), "signatures")
	_, err = client.Verify(e.ctx, e.ref, e.verifier, registry.WithEveryPlatform())
	fmt.Println(err)
	// Output:
	// 3 signatures
	// <nil>
}

// Where builds sign each platform on its own, the index has no signature: accept
// the manifest that will run.
func ExampleWithSignedPlatform() {
	e, client, done := newExample()
	defer done()
	exampleIndex(&e)
	// Only the manifests have signatures here.
	signEach(&e, client)

	arm64 := registry.WithSignedPlatform(platforms.Only(platforms.MustParse("linux/arm64")))
	_, err := client.Verify(e.ctx, e.ref, e.verifier)
	fmt.Println("the index:", errors.Is(err, verify.ErrRejected))
	result, err := client.Verify(e.ctx, e.ref, e.verifier, arm64)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("run a manifest:", images.IsManifestType(result.Image.Target.MediaType))
	// Output:
	// the index: true
	// run a manifest: true
}

func signEach(e *example, client *registry.Client) {
	for _, d := range manifestsOf(e) {
		if _, err := client.Sign(e.ctx, strings.TrimSuffix(e.ref, ":v1")+"@"+d, e.signer); err != nil {
			log.Fatal(err)
		}
	}
}

func manifestsOf(e *example) (digests []string) {
	tag, err := gcrname.NewTag(e.ref)
	must(err)
	index, err := remote.Index(tag)
	must(err)
	manifest, err := index.IndexManifest()
	must(err)
	for _, m := range manifest.Manifests {
		digests = append(digests, m.Digest.String())
	}
	return digests
}

// An image that was pulled for one platform is verified again, before it runs, by
// the index that was signed.
func ExampleWithContainingIndex() {
	e, client, done := newExample()
	defer done()
	exampleIndex(&e)
	if _, err := client.Sign(e.ctx, e.ref, e.signer); err != nil {
		log.Fatal(err)
	}
	child := strings.TrimSuffix(e.ref, ":v1") + "@" + manifestsOf(&e)[0]

	_, err := client.Verify(e.ctx, child, e.verifier)
	fmt.Println("alone:", errors.Is(err, verify.ErrRejected))
	result, err := client.Verify(e.ctx, child, e.verifier, registry.WithContainingIndex(e.ref))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("in its index:", result.Matched.Digest != result.Image.Target.Digest)
	// Output:
	// alone: true
	// in its index: true
}
