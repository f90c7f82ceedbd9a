// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Aws signs and verifies images with a key in AWS KMS.
//
//	aws sign   awskms:///alias/release registry.example/app:1
//	aws verify awskms:///alias/release registry.example/app:1
//
// Credentials and region are found as by the aws command line: AWS_REGION, AWS_PROFILE,
// AWS_ACCESS_KEY_ID, the files in ~/.aws, the instance. The key is asymmetric, for
// signing: ECC_NIST_P256, ECC_NIST_P384, ECC_NIST_P521 or RSA_2048 to RSA_4096; the caller
// may kms:GetPublicKey, kms:DescribeKey and kms:Sign it.
package main

import (
	_ "github.com/sigstore/sigstore/pkg/signature/kms/aws"

	"github.com/cosignkit/cosignkit/examples/kms/program"
)

func main() { program.Main() }
