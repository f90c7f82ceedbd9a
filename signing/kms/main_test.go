// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package kms_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/sigstore/sigstore/pkg/signature"
	sigkms "github.com/sigstore/sigstore/pkg/signature/kms"
	"go.uber.org/goleak"

	"github.com/cosignkit/cosignkit/internal/fault/faulttest"
)

func TestMain(m *testing.M) {
	sigkms.AddProvider(stubScheme, openStub)
	goleak.VerifyTestMain(m)
}

const stubScheme = "stubkms://"

// stub is a service that does as its test says, or what a good one does.
type stub struct {
	sigkms.SignerVerifier
	key    crypto.Signer
	opened func(ctx context.Context) error
	public func(ctx context.Context) (crypto.PublicKey, error)
	sign   func(ctx context.Context, digest []byte, hash crypto.Hash) ([]byte, error)
}

var stubs sync.Map

// serve returns the reference of s.
func (s *stub) serve(t *testing.T) string {
	t.Helper()
	ref := stubScheme + t.Name()
	stubs.Store(ref, s)
	t.Cleanup(func() { stubs.Delete(ref) })
	return ref
}

func openStub(ctx context.Context, ref string, _ crypto.Hash, _ ...signature.RPCOption) (sigkms.SignerVerifier, error) {
	s, ok := stubs.Load(ref)
	if !ok {
		return nil, errors.New("the reference has another form")
	}
	service := s.(*stub)
	if service.opened != nil {
		if err := service.opened(ctx); err != nil {
			return nil, err
		}
	}
	return service, nil
}

func (s *stub) PublicKey(opts ...signature.PublicKeyOption) (crypto.PublicKey, error) {
	ctx := context.Background()
	for _, o := range opts {
		o.ApplyContext(&ctx)
	}
	if s.public != nil {
		return s.public(ctx)
	}
	return s.key.Public(), nil
}

func (s *stub) SignMessage(_ io.Reader, opts ...signature.SignOption) ([]byte, error) {
	var digest []byte
	var hash crypto.SignerOpts
	ctx := context.Background()
	for _, o := range opts {
		o.ApplyContext(&ctx)
		o.ApplyDigest(&digest)
		o.ApplyCryptoSignerOpts(&hash)
	}
	if s.sign != nil {
		return s.sign(ctx, digest, hash.HashFunc())
	}
	return s.key.Sign(rand.Reader, digest, hash)
}

func newECDSA(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newRSA(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newEd25519(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// wantFamily wants an error of a family, and of no other.
var wantFamily = faulttest.Want
