// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless

import (
	"context"
	"crypto"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/rekor/pkg/generated/client/entries"
	"github.com/sigstore/rekor/pkg/generated/models"
	"github.com/sigstore/rekor/pkg/pki"
	"github.com/sigstore/rekor/pkg/tle"
	rekortypes "github.com/sigstore/rekor/pkg/types"
	"github.com/sigstore/rekor/pkg/types/dsse"
	"github.com/sigstore/rekor/pkg/types/hashedrekord"
	"github.com/sigstore/rekor/pkg/util"
	"google.golang.org/protobuf/proto"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/leash"
	"github.com/cosignkit/cosignkit/verify"
)

// LogLookupConfig configures [NewLogLookup].
type LogLookupConfig struct {
	// URL is the base URL of a transparency log, Rekor v1. Required.
	URL string
	// InsecureAllowHTTP asks over plain HTTP also another machine than this.
	// What a log answers is verified in any case.
	InsecureAllowHTTP bool
	// Transport sends the requests. Nil means [http.DefaultTransport].
	Transport http.RoundTripper
	// Budget bounds the time for one signature. Zero means 60 seconds.
	Budget time.Duration
	// UserAgent is sent with each request. Empty means that of Go.
	UserAgent string
}

// LogLookup is a verify.LogLookup that asks a log of Rekor v1. Rekor v2 cannot be
// asked for an entry. The log learns which signature is being verified.
type LogLookup struct{ client *Client }

var _ verify.LogLookup = (*LogLookup)(nil)

const opLookup = "look up log entry"

// NewLogLookup returns a look-up for config. It sends nothing.
func NewLogLookup(config LogLookupConfig) (*LogLookup, error) {
	if _, err := parseURL(config.URL); err != nil {
		return nil, fault.New(verify.ErrMisconfigured, opLookup, "", "", err)
	}
	if config.Budget < 0 {
		return nil, fault.New(verify.ErrMisconfigured, opLookup, "", "", errors.New("negative budget"))
	}
	signingConfig, err := NewSigningConfig(ServiceURLs{Rekor: config.URL})
	if err != nil {
		return nil, err
	}
	c := Config{
		SigningConfig:     signingConfig,
		InsecureAllowHTTP: config.InsecureAllowHTTP,
		Transport:         config.Transport,
		Budget:            config.Budget,
		UserAgent:         config.UserAgent,
		Logger:            slog.New(slog.DiscardHandler),
	}
	c.setDefaults()
	return &LogLookup{&Client{c}}, nil
}

// Lookup implements verify.LogLookup.
func (l *LogLookup) Lookup(ctx context.Context, b *protobundle.Bundle, key crypto.PublicKey) error {
	logs, err := l.client.config.SigningConfig.logs(time.Now(), []uint32{1})
	if err != nil {
		return fault.New(verify.ErrMisconfigured, opLookup, "", "", err)
	}
	ctx, cancel := l.client.budget(ctx)
	defer cancel()
	// A log that answers too late must not write to what is the caller's again.
	found, err := leash.Operation(ctx, verify.ErrInconclusive, opLookup, "", func(ctx context.Context) (*protobundle.Bundle, error) {
		b := proto.CloneOf(b)
		for _, log := range logs {
			if err := leash.Recovered(func() error { return l.ask(ctx, log.URL, b, key) }); err != nil {
				return nil, fault.New(verify.ErrInconclusive, opLookup, log.URL, "", err)
			}
		}
		return b, nil
	})
	if err == nil {
		b.VerificationMaterial = found.VerificationMaterial
	}
	return err
}

func (l *LogLookup) ask(ctx context.Context, address string, b *protobundle.Bundle, key crypto.PublicKey) error {
	proposed, err := proposedEntry(ctx, b, key)
	if err != nil {
		return err
	}
	t := l.client.transport(ctx)
	rekor, err := rekorV1(address, t)
	if err != nil {
		return err
	}
	query := &models.SearchLogQuery{}
	query.SetEntries([]models.ProposedEntry{proposed})
	found, err := rekor.SearchLogQueryContext(ctx, entries.NewSearchLogQueryParams().WithEntry(query))
	if err != nil {
		return t.explain(ctx, err)
	}
	for _, byID := range found.Payload {
		for _, entry := range byID {
			made, err := tle.GenerateTransparencyLogEntry(entry)
			if err != nil {
				return describe(err)
			}
			b.VerificationMaterial.TlogEntries = append(b.VerificationMaterial.TlogEntries, made)
		}
	}
	return nil
}

// proposedEntry is what was uploaded for the signature in b, which is how an
// entry is asked for.
func proposedEntry(ctx context.Context, b *protobundle.Bundle, key crypto.PublicKey) (models.ProposedEntry, error) {
	verifier, err := verifierPEM(b, key)
	if err != nil {
		return nil, err
	}
	properties := rekortypes.ArtifactProperties{PublicKeyBytes: [][]byte{verifier}}
	if m := b.GetMessageSignature(); m != nil {
		properties.PKIFormat = string(pki.X509)
		properties.SignatureBytes = m.GetSignature()
		properties.ArtifactHash = util.PrefixSHA(hex.EncodeToString(m.GetMessageDigest().GetDigest()))
		return hashedrekord.New().CreateProposedEntry(ctx, "", properties)
	}
	if properties.ArtifactBytes, err = json.Marshal(b.GetDsseEnvelope()); err != nil {
		return nil, err
	}
	return dsse.New().CreateProposedEntry(ctx, "", properties)
}
