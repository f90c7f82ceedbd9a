// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Azure signs and verifies images with a key in Azure Key Vault.
//
//	azure sign   azurekms://NAME.vault.azure.net/release registry.example/app:1
//	azure verify azurekms://NAME.vault.azure.net/release registry.example/app:1
//
// Credentials are found by azidentity.DefaultAzureCredential: AZURE_TENANT_ID,
// AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, a workload or managed identity, or the login
// of the az command line, which is then run. The key is EC on P-256, P-384 or P-521, or
// RSA of 2048 bits; the caller may get and sign.
package main

import (
	_ "github.com/sigstore/sigstore/pkg/signature/kms/azure"

	"github.com/cosignkit/cosignkit/examples/kms/program"
)

func main() { program.Main() }
