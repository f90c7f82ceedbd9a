// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"

	"github.com/distribution/reference"
	"github.com/spf13/pflag"

	"github.com/cosignkit/cosignkit/registry"
)

// verifyCommand is the command verify.
type verifyCommand struct {
	verify        verifyFlags
	policy        policyFlags
	layout        string
	everyPlatform bool
}

func (v *verifyCommand) flags(f *pflag.FlagSet) {
	v.verify.flags(f, providerCosign)
	v.policy.flags(f)
	v.policy.explainFlag(f)
	f.StringVar(&v.layout, "layout", "", "verify the image in the OCI layout in `DIRECTORY`, and ask no registry")
	f.BoolVar(&v.everyPlatform, "every-platform", false, "want signatures of each manifest of an index, too")
}

func (v *verifyCommand) run(ctx context.Context, a *app, ref string) error {
	name, err := parseReference(ref)
	if err != nil {
		return err
	}
	verifier, explain, err := v.policy.verifier(a, &v.verify, name)
	if err != nil {
		return err
	}
	if verifier == nil {
		return usageError{errors.New("verify with --verify=none verifies nothing")}
	}
	client, err := v.client(a, name)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	opts := []registry.VerifyOption{registry.WithEverySignature()}
	if v.everyPlatform {
		opts = append(opts, registry.WithEveryPlatform())
	}
	// The result says what was found, also when that is not enough.
	result, err := client.Verify(ctx, name.String(), verifier, opts...)
	if result != nil || explain != nil {
		err = errors.Join(err, a.print(verdict{explain, result}))
	}
	return err
}

func (v *verifyCommand) client(a *app, name reference.Named) (*registry.Client, error) {
	if v.layout != "" {
		return a.layout(v.layout)
	}
	return a.registry(name, nil)
}
