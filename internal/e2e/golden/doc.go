// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Golden makes testdata/golden: small images, as OCI image layouts, that real
// releases of cosign signed, the keys that these made, and the trusted root of
// the services that recorded the signatures. All of it is of one run, on
// Sigstore's services started here:
//
//	go run ./golden
//
// Before it replaces what is there, it verifies every image with package verify.
// With -check it does only that, with what is there. What it makes has the same
// names and the same images each time, and other keys and signatures.
package main
