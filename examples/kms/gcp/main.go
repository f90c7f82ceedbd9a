// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Gcp signs and verifies images with a key in Google Cloud KMS.
//
//	gcp sign   gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/1 registry.example/app:1
//	gcp verify gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/1 registry.example/app:1
//
// Credentials are found as Google's libraries do: GOOGLE_APPLICATION_CREDENTIALS, the
// login of gcloud, the instance. The key has the purpose ASYMMETRIC_SIGN and an
// algorithm EC_SIGN_P256_SHA256, EC_SIGN_P384_SHA384 or RSA_SIGN_PKCS1_*_SHA256; the
// caller has the roles cloudkms.signerVerifier and cloudkms.viewer.
package main

import (
	_ "github.com/sigstore/sigstore/pkg/signature/kms/gcp"

	"github.com/cosignkit/cosignkit/examples/kms/program"
)

func main() { program.Main() }
