// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package services

import (
	"context"
	"io"
	"log"
	"strings"

	"github.com/google/go-containerregistry/pkg/registry"
)

// startRegistry returns host:port of an empty registry.
func startRegistry(ctx context.Context) (string, error) {
	url, err := serve(ctx, registry.New(registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0))))
	return strings.TrimPrefix(url, "http://"), err
}
