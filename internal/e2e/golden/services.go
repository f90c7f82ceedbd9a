// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/cosignkit/cosignkit/internal/e2e/release"
	"github.com/cosignkit/cosignkit/internal/golden"
	"github.com/cosignkit/cosignkit/internal/sigstack"
)

// recording says which services record a signature.
type recording struct {
	rekor     int // version of the transparency log; 0 is none
	timestamp bool
}

var recordings = []recording{{1, false}, {1, true}, {2, false}, {2, true}, {0, true}, {0, false}}

// String names the signing config.
func (r recording) String() string {
	var parts []string
	if r.rekor != 0 {
		parts = append(parts, []string{"rekor-v1", "rekor-v2"}[r.rekor-1])
	}
	if r.timestamp {
		parts = append(parts, "tsa")
	}
	if parts == nil {
		return "no-services"
	}
	return strings.Join(parts, "-")
}

// log is the name of the log in vectors.json.
func (r recording) log() golden.Log {
	return []golden.Log{golden.NoLog, golden.RekorV1, golden.RekorV2}[r.rekor]
}

// startServices starts Sigstore's services with their registry, and one
// without the referrers API.
func (m *maker) startServices(ctx context.Context) (stop func() error, err error) {
	cache, err := release.CacheDir()
	if err != nil {
		return nil, err
	}
	program, err := sigstack.Build(ctx, filepath.Join(cache, "tools"))
	if err != nil {
		return nil, err
	}
	if m.stack, err = sigstack.Start(ctx, program, filepath.Join(m.scratch, "sigstack")); err != nil {
		return nil, err
	}
	plain := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	stop = func() error {
		plain.Close()
		return m.stack.Stop()
	}
	m.registries = map[golden.Referrers]string{golden.ByAPI: m.stack.Registry, golden.ByTag: plain.Listener.Addr().String()}
	if err := m.writeSigningConfigs(); err != nil {
		return nil, errors.Join(err, stop())
	}
	return stop, nil
}

// writeSigningConfigs writes one for each recording: that of the stack without
// the services that do not take part.
func (m *maker) writeSigningConfigs() error {
	m.configs = map[recording]string{}
	for _, r := range recordings {
		source := m.stack.SigningConfigV1
		if r.rekor == 2 {
			source = m.stack.SigningConfigV2
		}
		content, err := os.ReadFile(source)
		if err != nil {
			return err
		}
		var config map[string]json.RawMessage
		if err := json.Unmarshal(content, &config); err != nil {
			return err
		}
		none := json.RawMessage("{}")
		if r.rekor == 0 {
			config["rekorTlogConfig"] = none
			delete(config, "rekorTlogUrls")
		}
		if !r.timestamp {
			config["tsaConfig"] = none
			delete(config, "tsaUrls")
		}
		m.configs[r] = filepath.Join(m.scratch, r.String()+".json")
		if err := writeJSON(m.configs[r], config); err != nil {
			return err
		}
	}
	return nil
}
