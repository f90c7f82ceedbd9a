// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package services

import (
	"context"
	"time"

	"github.com/cosignkit/cosignkit/internal/e2e/sigstack/oidc"
	"github.com/cosignkit/cosignkit/internal/sigstack"
)

// Options are what a caller may choose.
type Options struct {
	// Dir is where files are written. It must exist, and its path be absolute.
	Dir string

	// ServeV1 has the TUF repository offer the signing configuration with Rekor
	// v1, in the place of the one with Rekor v2.
	ServeV1 bool
}

// Start starts everything, once per process. It ends with the process; ctx
// ends some of it before.
func Start(ctx context.Context, o Options) (*sigstack.Endpoints, error) {
	quietLoggers()
	m := material{dir: o.Dir, from: time.Now().Add(-time.Minute)}

	// First, because it replaces the logger of klog, which the others use.
	var err error
	if m.rekorV2, err = startRekorV2(ctx, o.Dir); err != nil {
		return nil, err
	}
	if m.issuer, err = startIssuer(ctx); err != nil {
		return nil, err
	}
	logs, err := startTrillian(ctx)
	if err != nil {
		return nil, err
	}
	if m.authority, err = newAuthority(m.path(fulcioFile)); err != nil {
		return nil, err
	}
	if m.ct, err = startCTLog(ctx, logs, m.path(fulcioFile)); err != nil {
		return nil, err
	}
	if m.fulcioURL, err = startFulcio(ctx, m.authority, m.ct, m.issuer); err != nil {
		return nil, err
	}
	if m.rekor, err = startRekor(ctx, logs); err != nil {
		return nil, err
	}
	if m.timestamp, err = startTimestamp(ctx); err != nil {
		return nil, err
	}
	endpoints, err := m.write(o.ServeV1)
	if err != nil {
		return nil, err
	}
	if endpoints.TUF, err = serve(ctx, m.tuf.Handler()); err != nil {
		return nil, err
	}
	endpoints.Registry, err = startRegistry(ctx)
	return endpoints, err
}

func startIssuer(ctx context.Context) (*oidc.Provider, error) {
	listener, url, err := listen()
	if err != nil {
		return nil, err
	}
	provider, err := oidc.New(url)
	if err != nil {
		return nil, err
	}
	serveOn(ctx, listener, provider)
	return provider, nil
}
