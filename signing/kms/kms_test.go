// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package kms_test

import (
	"context"
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sigstore/sigstore/pkg/signature/kms/fake"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/signing/kms"
	"github.com/cosignkit/cosignkit/verify"
)

const imageDigest digest.Digest = "sha256:c0658bff4751d9f90117de2816ec4582f00d2aedaa684f137217ba98efb4e766"

// TestSignAndVerify is with sigstore's own fake, which takes its key from the context.
func TestSignAndVerify(t *testing.T) {
	t.Parallel()
	for name, private := range map[string]crypto.Signer{
		"P-256":   newECDSA(t, elliptic.P256()),
		"P-384":   newECDSA(t, elliptic.P384()),
		"P-521":   newECDSA(t, elliptic.P521()),
		"RSA":     newRSA(t),
		"Ed25519": newEd25519(t),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := context.WithValue(t.Context(), fake.KmsCtxKey{}, private)
			key, err := kms.PrivateKey(ctx, "fakekms://key")
			if err != nil {
				t.Fatal(err)
			}
			public, err := kms.PublicKey(ctx, "fakekms://key")
			if err != nil {
				t.Fatal(err)
			}
			signer := newSigner(t, key)
			signatures, err := signer.Sign(t.Context(), signing.Request{Digest: imageDigest, Repository: "registry.example/app", Form: signing.Both})
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range signatures {
				wantVerified(t, public, s)
			}
			empty, err := signer.SignArtifact(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			_, err = verify.Bundle(t.Context(), verify.Policy{
				Keys: []crypto.PublicKey{public}, InsecureIgnoreTransparencyLog: true,
			}, verify.Artifact{Content: strings.NewReader("")}, empty)
			if err != nil {
				t.Errorf("a signature of nothing: %v", err)
			}
		})
	}
}

func newSigner(t *testing.T, key crypto.Signer) *signing.KeySigner {
	t.Helper()
	signer, err := signing.NewKeySigner(signing.KeySignerConfig{Key: key, SkipTransparencyLog: true})
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func wantVerified(t *testing.T, public crypto.PublicKey, s signing.Signature) {
	t.Helper()
	verifier, err := verify.New(verify.Policy{Keys: []crypto.PublicKey{public}, InsecureIgnoreTransparencyLog: true})
	if err != nil {
		t.Fatal(err)
	}
	candidate := verify.Candidate{Bundle: s.Bundle, Payload: s.Payload, Annotations: s.Annotations}
	image := verify.Image{Target: ocispec.Descriptor{Digest: imageDigest}}
	if _, err := verifier.Verify(t.Context(), image, []verify.Candidate{candidate}); err != nil {
		t.Errorf("%s: %v", s.Form, err)
	}
}

func TestSchemesOfNoProviderAreRefused(t *testing.T) {
	t.Parallel()
	for ref, want := range map[string]string{
		"awskms:///alias/key":                   "sigstore/pkg/signature/kms/aws\"",
		"azurekms://vault.vault.azure.net/key":  "sigstore/pkg/signature/kms/azure\"",
		"gcpkms://projects/p/locations/l":       "sigstore/pkg/signature/kms/gcp\"",
		"hashivault://key":                      "sigstore/pkg/signature/kms/hashivault\"",
		"openbao://key":                         "sigstore/pkg/signature/kms/hashivault\"",
		"evil://key":                            "evil",
		"FAKEKMS://key":                         "fakekms://",
		"fakekms:key":                           "want a reference with a scheme",
		"":                                      "want a reference with a scheme",
		"cosign.key":                            "want a reference with a scheme",
		" fakekms://key":                        "no linked provider",
		"../../bin/sh://key":                    "no linked provider",
		strings.Repeat("a", 1<<16) + "://key":   "no linked provider",
		"-----BEGIN PRIVATE KEY-----\nc2VjcmV0": "want a reference with a scheme",
	} {
		for _, open := range []func() error{
			func() error { _, err := kms.PrivateKey(t.Context(), ref); return err },
			func() error { _, err := kms.PublicKey(t.Context(), ref); return err },
		} {
			err := open()
			wantFamily(t, err, verify.ErrMisconfigured)
			if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "c2VjcmV0") {
				t.Errorf("%.64q: error is %.256q, want one that says %q", ref, err, want)
			}
		}
	}
}

// What the errors of the SDKs have; the types themselves are met in examples/kms.
type (
	awsError   struct{ error }
	httpError  struct{ StatusCode int }
	oddError   struct{ StatusCode string }
	valueError httpError
)

func (e awsError) ErrorCode() string { return e.Error() }
func (e *httpError) Error() string   { return fmt.Sprintf("status\n%d", e.StatusCode) }
func (e *oddError) Error() string    { return "odd" }
func (e valueError) Error() string   { return "by value" }
func awsCode(code string) error      { return fmt.Errorf("signing: %w", awsError{errors.New(code)}) }
func httpStatus(code int) error      { return fmt.Errorf("signing: %w", &httpError{code}) }
func grpcCode(code codes.Code) error { return fmt.Errorf("signing: %w", status.Error(code, "no")) }

// promotedError has the field StatusCode of what it embeds, which is nil.
type promotedError struct{ *http.Response }

func (promotedError) Error() string { return "no response" }

func TestFamilies(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ err, want error }{
		"AWS: no such key":        {awsCode("NotFoundException"), verify.ErrMisconfigured},
		"AWS: not allowed":        {awsCode("AccessDeniedException"), verify.ErrMisconfigured},
		"AWS: throttled":          {awsCode("ThrottlingException"), verify.ErrInconclusive},
		"AWS: unknown code":       {awsCode(""), verify.ErrInconclusive},
		"gRPC: no such key":       {grpcCode(codes.NotFound), verify.ErrMisconfigured},
		"gRPC: not allowed":       {grpcCode(codes.PermissionDenied), verify.ErrMisconfigured},
		"gRPC: unavailable":       {grpcCode(codes.Unavailable), verify.ErrInconclusive},
		"HTTP: no such key":       {httpStatus(http.StatusNotFound), verify.ErrMisconfigured},
		"HTTP: not allowed":       {httpStatus(http.StatusForbidden), verify.ErrMisconfigured},
		"HTTP: throttled":         {httpStatus(http.StatusTooManyRequests), verify.ErrInconclusive},
		"HTTP: broken":            {httpStatus(http.StatusInternalServerError), verify.ErrInconclusive},
		"HTTP: an error by value": {valueError{http.StatusNotFound}, verify.ErrMisconfigured},
		"no status at all":        {errors.New("connection refused"), verify.ErrInconclusive},
		"a status of text":        {&oddError{"404"}, verify.ErrInconclusive},
		"a status that is nil":    {fmt.Errorf("signing: %w", promotedError{}), verify.ErrInconclusive},
		"a deadline":              {fmt.Errorf("post: %w", context.DeadlineExceeded), verify.ErrInconclusive},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			private := newECDSA(t, elliptic.P256())
			looking := &stub{public: func(context.Context) (crypto.PublicKey, error) { return nil, c.err }}
			_, err := kms.PublicKey(t.Context(), looking.serve(t))
			wantFamily(t, err, c.want)
			using := &stub{key: private, sign: func(context.Context, []byte, crypto.Hash) ([]byte, error) { return nil, c.err }}
			_, err = kms.PrivateKey(t.Context(), using.serve(t))
			wantFamily(t, err, c.want)
			if !errors.Is(err, c.err) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error is %q, want one line, with the cause in its chain", err)
			}
		})
	}
}

func TestKeysThatCannotSignAreFoundWhenOpened(t *testing.T) {
	t.Parallel()
	other, rsaKey := newECDSA(t, elliptic.P256()), newRSA(t)
	for name, c := range map[string]struct {
		stub stub
		text string
	}{
		"a curve that is not used": {stub{key: newECDSA(t, elliptic.P224())}, "curve P-224 is not supported"},
		"no key": {stub{public: func(context.Context) (crypto.PublicKey, error) {
			return nil, nil //nolint:nilnil // what a broken provider may do
		}}, "not supported"},
		"another key signs": {stub{key: newECDSA(t, elliptic.P256()), sign: func(_ context.Context, digest []byte, hash crypto.Hash) ([]byte, error) {
			return other.Sign(rand.Reader, digest, hash)
		}}, "another algorithm or with another key"},
		"RSA-PSS": {stub{key: rsaKey, sign: func(_ context.Context, digest []byte, hash crypto.Hash) ([]byte, error) {
			return rsa.SignPSS(rand.Reader, rsaKey, hash, digest, nil)
		}}, "another algorithm or with another key"},
		"a key for encryption, at which AWS's provider panics": {stub{key: rsaKey, sign: func(context.Context, []byte, crypto.Hash) ([]byte, error) {
			var none []string
			return []byte(none[0]), nil
		}}, "panic: "},
		"a provider that panics when opened": {stub{opened: func(context.Context) error {
			panic("as the test says")
		}}, "panic: "},
		"settings that are wrong": {stub{opened: func(context.Context) error { return errors.New("no credentials") }}, "provider: no credentials"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := kms.PrivateKey(t.Context(), c.stub.serve(t))
			wantFamily(t, err, verify.ErrMisconfigured)
			if !strings.Contains(err.Error(), c.text) || strings.Count(err.Error(), stubScheme) != 1 {
				t.Errorf("error is %q, want one that says %q, and the reference once", err, c.text)
			}
		})
	}
}

// TestCancelling a provider that takes a context, and one that takes none.
func TestCancelling(t *testing.T) {
	t.Parallel()
	for name, takesContext := range map[string]bool{"with a context": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			private := newECDSA(t, elliptic.P256())
			asked, release, seen := make(chan struct{}), make(chan struct{}), make(chan error, 1)
			trial := true
			service := &stub{key: private}
			service.sign = func(ctx context.Context, digest []byte, hash crypto.Hash) ([]byte, error) {
				if trial {
					trial = false
					return private.Sign(rand.Reader, digest, hash)
				}
				close(asked)
				if takesContext {
					<-ctx.Done()
				} else {
					<-release
				}
				seen <- ctx.Err()
				return nil, ctx.Err()
			}
			key, err := kms.PrivateKey(t.Context(), service.serve(t))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				<-asked
				cancel()
			}()
			_, err = newSigner(t, key).Sign(ctx, signing.Request{Digest: imageDigest})
			wantFamily(t, err, verify.ErrInconclusive)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("error is %v, want the context's", err)
			}
			close(release)
			if err := <-seen; !errors.Is(err, context.Canceled) {
				t.Errorf("the provider saw %v, want the end of the caller's context", err)
			}
		})
	}
}

func TestCancellingWhileTheKeyIsOpened(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	service := &stub{opened: func(ctx context.Context) error {
		cancel()
		<-ctx.Done()
		return ctx.Err()
	}}
	_, err := kms.PublicKey(ctx, service.serve(t))
	wantFamily(t, err, verify.ErrInconclusive)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want the context's", err)
	}
}

// TestTheKeyOutlivesTheContextThatOpenedIt: providers keep that to renew tokens.
func TestTheKeyOutlivesTheContextThatOpenedIt(t *testing.T) {
	t.Parallel()
	var kept context.Context
	service := &stub{key: newECDSA(t, elliptic.P256()), opened: func(ctx context.Context) error {
		kept = ctx
		return nil
	}}
	ctx, cancel := context.WithCancel(t.Context())
	key, err := kms.PrivateKey(ctx, service.serve(t))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if kept.Err() != nil {
		t.Errorf("the context that the provider keeps: %v", kept.Err())
	}
	if _, err := key.Sign(rand.Reader, make([]byte, crypto.SHA256.Size()), crypto.SHA256); err != nil {
		t.Error(err)
	}
}

func TestErrorsWhileSigningNameTheKey(t *testing.T) {
	t.Parallel()
	service := &stub{key: newECDSA(t, elliptic.P256())}
	ref := service.serve(t)
	key, err := kms.PrivateKey(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	service.sign = func(context.Context, []byte, crypto.Hash) ([]byte, error) { return nil, awsCode("DisabledException") }
	_, err = newSigner(t, key).Sign(t.Context(), signing.Request{Digest: imageDigest})
	wantFamily(t, err, verify.ErrMisconfigured)
	if !strings.Contains(err.Error(), ref) {
		t.Errorf("error %q does not name %s", err, ref)
	}
}

func TestManySignAtOnce(t *testing.T) {
	t.Parallel()
	service := &stub{key: newECDSA(t, elliptic.P256())}
	key, err := kms.PrivateKey(t.Context(), service.serve(t))
	if err != nil {
		t.Fatal(err)
	}
	signer := newSigner(t, key)
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			if _, err := signer.Sign(t.Context(), signing.Request{Digest: imageDigest}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}
