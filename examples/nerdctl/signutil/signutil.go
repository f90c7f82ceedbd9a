// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package signutil stands in for nerdctl's pkg/signutil.
package signutil

import (
	"errors"
	"fmt"

	"github.com/cosignkit/cosignkit"
	"github.com/cosignkit/cosignkit/examples/nerdctl/types"
	"github.com/cosignkit/cosignkit/signing/keyfile"
)

// Cosign signs and verifies in this process.
func Cosign(g types.GlobalCommandOptions) cosignkit.Config {
	config := cosignkit.ConfigFromEnvironment(g.HostsDir, g.InsecureRegistry)
	config.OtherProviders, config.Disabled, config.KeyFile, config.Log = []string{"notation"}, !g.Experimental, keyfile.Open, cosignkit.ContainerdLog
	return config
}

var errNotation = errors.New("this is no nerdctl: it has no notation")

// Sign signs rawRef with a provider whose program is run.
func Sign(_ string, options types.ImageSignOptions) error {
	switch options.Provider {
	case "notation":
		return errNotation
	case "cosign", "", "none":
		return nil
	default:
		return fmt.Errorf("no signers found: %s", options.Provider)
	}
}

// Verify verifies rawRef with a provider whose program is run.
func Verify(rawRef string, options types.ImageVerifyOptions) (ref string, err error) {
	switch options.Provider {
	case "cosign":
		ref = rawRef
	case "notation":
		return "", errNotation
	case "", "none":
		ref = rawRef
	default:
		return "", fmt.Errorf("no verifiers found: %s", options.Provider)
	}
	return ref, nil
}
