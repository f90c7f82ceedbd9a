// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package ambient gets identity tokens where package keyless knows no place, by
// the providers of cosign: Buildkite and SPIFFE are linked with this package, and
// whoever does not import it does not pay for them.
//
//	tokens := keyless.Ambient(keyless.AmbientConfig{More: []keyless.TokenSource{ambient.Providers()}})
//
// Google's provider links the SDK of Google's cloud. Programs that want it
// import it, and [Providers] finds it there, as any other that registers with
// cosign:
//
//	import _ "github.com/sigstore/cosign/v2/pkg/providers/google"
//
// Jobs of GitLab need nothing of this: they have their token in SIGSTORE_ID_TOKEN,
// which keyless.Ambient reads.
//
// The providers are cosign's code. They read the environment variables that
// their systems set, and Buildkite's writes warnings to standard error.
package ambient
