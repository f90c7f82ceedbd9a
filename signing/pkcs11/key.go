// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package pkcs11

import (
	"context"
	"crypto"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// Config configures [Open].
type Config struct {
	// URI names the key, by RFC 7512:
	//
	//	pkcs11:token=release;object=cosign?module-path=/usr/lib/softhsm/libsofthsm2.so
	//
	// The path must have token, serial or slot-id, and id or object, and may have
	// manufacturer, model and type=private. All must fit. The query may have
	// module-path and pin-value. Required. Other attributes are refused, among
	// them pin-source.
	URI string

	// Module is the absolute path of the token's library. Empty means the URI's
	// module-path. Where the URI has another, it is refused. Loading a library
	// runs its code: set Module if somebody else chooses the URI.
	Module string

	// PIN is asked for the PIN if the token wants one and the URI has none. It is
	// given the URI without its query. May be nil. A wrong PIN is never tried
	// twice, since tokens lock themselves after a few.
	PIN signing.PassphraseFunc
}

// timeout bounds an operation that was given no context.
const timeout = time.Minute

// Key is a private key on a token. It is a crypto.Signer that is safe for concurrent
// use, and signs once at a time. The method SignContext is used by signing.KeySigner.
type Key struct {
	name   string
	public crypto.PublicKey
	// busy has room for the one call that uses token.
	busy  chan struct{}
	token token
}

// token does what blocks. Its methods are not called at the same time.
type token interface {
	sign(digest []byte, hash crypto.Hash) ([]byte, error)
	close()
}

var errClosed = errors.New("the key is closed")

// Open opens the key that config names. It must be closed after use.
//
// Where ctx ends first, the call of the library that hangs goes on behind it, since
// PKCS #11 cannot interrupt one, and what it opens is closed. A library that hangs
// while it is loaded holds up those that are opened or closed after it.
func Open(ctx context.Context, config Config) (*Key, error) {
	const op = "open private key"
	name := describe(config.URI)
	u, err := parseURI(config.URI)
	if err == nil {
		err = u.useModule(config.Module)
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, fault(signing.ErrMisconfigured, op, name, err)
	}
	opened, err := await(ctx, func() (*Key, error) {
		token, public, err := openToken(ctx, u, name, config.PIN)
		if err != nil {
			return nil, err
		}
		return &Key{name: name, public: public, busy: make(chan struct{}, 1), token: token}, nil
	}, func(k *Key) { k.token.close() })
	if err != nil {
		return nil, fault(kindOf(err), op, name, err)
	}
	return opened, nil
}

// Public returns the public key.
func (k *Key) Public() crypto.PublicKey { return k.public }

// Sign implements crypto.Signer. ECDSA signatures are in ASN.1, and those of RSA by
// PKCS #1 v1.5. It gives up after a minute.
func (k *Key) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return k.SignContext(ctx, random, digest, opts)
}

// SignContext is Sign with a context. Where it ends first, the signature is still
// made, since PKCS #11 cannot interrupt that, and the next one waits for it.
func (k *Key) SignContext(ctx context.Context, _ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	const op = "sign with"
	if err := ctx.Err(); err != nil {
		return nil, fault(signing.ErrInconclusive, op, k.name, err)
	}
	if _, ok := opts.(*rsa.PSSOptions); ok {
		return nil, fault(signing.ErrMisconfigured, op, k.name, errors.New("RSA-PSS is not supported"))
	}
	if opts.HashFunc() != 0 && len(digest) != opts.HashFunc().Size() {
		return nil, fault(signing.ErrMisconfigured, op, k.name, fmt.Errorf("a digest of %d bytes, want %d", len(digest), opts.HashFunc().Size()))
	}
	select {
	case k.busy <- struct{}{}:
	case <-ctx.Done():
		return nil, fault(signing.ErrInconclusive, op, k.name, ctx.Err())
	}
	signature, err := await(ctx, func() ([]byte, error) {
		defer func() { <-k.busy }()
		if k.token == nil {
			return nil, errClosed
		}
		return k.token.sign(digest, opts.HashFunc())
	}, func([]byte) {})
	if err != nil {
		return nil, fault(kindOf(err), op, k.name, err)
	}
	return signature, nil
}

// Close waits for what is being signed, logs out, and unloads the library when its
// last key is closed. It returns nil.
func (k *Key) Close() error {
	k.busy <- struct{}{}
	defer func() { <-k.busy }()
	if k.token != nil {
		k.token.close()
		k.token = nil
	}
	return nil
}

// await returns what do does, or that ctx has ended; what do returns later is then
// discarded.
func await[T any](ctx context.Context, do func() (T, error), discard func(T)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result)
	go func() {
		value, err := do()
		select {
		case done <- result{value, err}:
		case <-ctx.Done():
			if err == nil {
				discard(value)
			}
		}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// fault is an error of the library. The subject is never a whole URI.
func fault(kind error, op, name string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		kind = signing.ErrInconclusive
	}
	return &verify.Error{Op: op, Subject: name, Kind: kind, Err: err}
}
