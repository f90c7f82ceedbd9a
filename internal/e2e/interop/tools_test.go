// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import "github.com/cosignkit/cosignkit/internal/e2e/release"

var (
	cosignV2Tool     = release.Command{Module: "github.com/sigstore/cosign/v2", Version: "v2.6.5", Package: "cmd/cosign"}
	cosignV3Tool     = release.Command{Module: "github.com/sigstore/cosign/v3", Version: "v3.1.3", Package: "cmd/cosign"}
	distributionTool = release.Command{Module: "github.com/distribution/distribution/v3", Version: "v3.1.2", Package: "cmd/registry"}
)
