// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package signing

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// Causes of a key that cannot be opened with the passphrase, or the PIN, that was
// given. Both are misconfigured.
var (
	// ErrWrongPassphrase: the key does not decrypt with the passphrase given.
	ErrWrongPassphrase = errors.New("wrong passphrase, or the key is damaged")
	// ErrNoPassphrase: the key is encrypted and no passphrase was given. An
	// empty passphrase is a passphrase.
	ErrNoPassphrase = errors.New("the key is encrypted and no passphrase is given")
)

// PassphraseFunc returns the passphrase of the key that name describes, such as
// a path to show in a prompt. It is called once per key that is opened, and
// should return promptly when ctx ends.
type PassphraseFunc func(ctx context.Context, name string) ([]byte, error)

// Passphrase returns a PassphraseFunc that always answers p.
func Passphrase(p []byte) PassphraseFunc {
	return func(context.Context, string) ([]byte, error) { return p, nil }
}

const passwordVariable = "COSIGN_PASSWORD"

// PassphraseFromEnvironment returns a PassphraseFunc that answers with the
// value of COSIGN_PASSWORD if that variable is set, even to the empty string.
// Otherwise it calls otherwise, which may be nil.
func PassphraseFromEnvironment(otherwise PassphraseFunc) PassphraseFunc {
	return func(ctx context.Context, name string) ([]byte, error) {
		if value, ok := os.LookupEnv(passwordVariable); ok {
			return []byte(value), nil
		}
		if otherwise == nil {
			return nil, fmt.Errorf("%w: %s is not set", ErrNoPassphrase, passwordVariable)
		}
		return otherwise(ctx, name)
	}
}
