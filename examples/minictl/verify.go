// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"

	"github.com/spf13/pflag"
)

// verifyCommand is the command verify.
type verifyCommand struct{ verify verifyFlags }

func (v *verifyCommand) flags(f *pflag.FlagSet) { v.verify.flags(f, providerCosign) }

func (v *verifyCommand) run(ctx context.Context, a *app, ref string) error {
	verifier, err := v.verify.verifier()
	if err != nil {
		return err
	}
	if verifier == nil {
		return usageError{errors.New("verify with --verify=none verifies nothing")}
	}
	name, err := parseReference(ref)
	if err != nil {
		return err
	}
	client, err := a.registry(name, nil)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	// The result says what was found, also when that is not enough.
	result, err := client.Verify(ctx, name.String(), verifier)
	if result != nil {
		err = errors.Join(err, a.print(verdict{result}))
	}
	return err
}
