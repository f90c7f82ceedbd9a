// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Vault signs and verifies images with a key in the transit engine of HashiCorp Vault
// or OpenBao.
//
//	vault sign   hashivault://release registry.example/app:1
//	vault verify hashivault://release registry.example/app:1
//
// The server is VAULT_ADDR and the token VAULT_TOKEN; TRANSIT_SECRET_ENGINE_PATH is for
// an engine that is not at transit. Without a token the provider looks for one as the
// vault command line does, which may run the helper that ~/.vault names, and logs so
// with the standard logger. The key is of the type ecdsa-p256, ecdsa-p384, ecdsa-p521,
// ed25519 or rsa-2048 to rsa-4096; the token may read and sign with it.
package main

import (
	_ "github.com/sigstore/sigstore/pkg/signature/kms/hashivault"

	"github.com/cosignkit/cosignkit/examples/kms/program"
)

func main() { program.Main() }
