// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"google.golang.org/protobuf/proto"

	"github.com/cosignkit/cosignkit/internal/bundles"
	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/leash"
	"github.com/cosignkit/cosignkit/internal/origin"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

var _ signing.Log = (*Client)(nil)

const opRecord = "record signature"

// CanRecord returns an error if the services of the signing config cannot record
// signatures of the given form and key, bundle or legacy.
func (c *Client) CanRecord(form signing.Form, key crypto.PublicKey) error {
	_, _, err := c.services(form == signing.Legacy, key, false)
	if err == nil && form == signing.Both {
		_, _, err = c.services(true, key, false)
	}
	return err
}

// Record implements signing.Log: it has the timestamp authorities and the
// transparency logs of the signing config record the signature in bundle, and
// verifies what they return against the trusted root and the signature.
func (c *Client) Record(ctx context.Context, b *protobundle.Bundle, key crypto.PublicKey) error {
	logs, authorities, err := c.servicesFor(b, key)
	if err != nil {
		return fault.New(verify.ErrMisconfigured, opRecord, "", "", err)
	}
	ctx, cancel := c.budget(ctx)
	defer cancel()
	// A service that answers too late must not write to what is the caller's again.
	recorded, err := leash.Operation(ctx, verify.ErrInconclusive, opRecord, "", func(ctx context.Context) (*protobundle.Bundle, error) {
		b := proto.CloneOf(b)
		return b, c.record(ctx, b, key, logs, authorities)
	})
	if err == nil {
		b.VerificationMaterial = recorded.VerificationMaterial
	}
	return err
}

func (c *Client) record(ctx context.Context, b *protobundle.Bundle, key crypto.PublicKey, logs, authorities []root.Service) error {
	trusted, err := c.config.TrustedRoots.TrustedRoot(ctx)
	if err != nil {
		return fault.New(verify.ErrInconclusive, opRecord, "", "trusted root", err)
	}
	if err := c.checkTrust(trusted, logs, authorities); err != nil {
		return fault.New(verify.ErrMisconfigured, opRecord, "", "trusted root", err)
	}
	if err := leash.Recovered(func() error { return c.checkSigned(b, key, trusted) }); err != nil {
		return fault.New(verify.ErrMisconfigured, opRecord, "", "check of the signature", describe(err))
	}
	var asked []string
	for _, service := range slices.Concat(authorities, logs) {
		asked = append(asked, service.URL)
	}
	for _, authority := range authorities {
		if err := leash.Recovered(func() error { return c.stamp(ctx, authority, b) }); err != nil {
			return fault.New(verify.ErrInconclusive, opRecord, authority.URL, "timestamp authority", err)
		}
	}
	// A timestamp stays between two, and an entry does not.
	if len(authorities) > 0 && len(logs) > 0 {
		if err := leash.Recovered(func() error { return verifyRecord(b, key, trusted, 0, len(authorities)) }); err != nil {
			return fault.New(verify.ErrInconclusive, opRecord, authorities[0].URL, "check of the timestamp", describe(err))
		}
	}
	for _, log := range logs {
		c.warn(ctx, log.URL, "the signature and its public key or certificate")
		if err := leash.Recovered(func() error { return c.enter(ctx, log, b, key, trusted) }); err != nil {
			return fault.New(verify.ErrInconclusive, opRecord, log.URL, "transparency log", err)
		}
	}
	if err := leash.Recovered(func() error { return verifyRecord(b, key, trusted, len(logs), len(authorities)) }); err != nil {
		return fault.New(verify.ErrInconclusive, opRecord, strings.Join(asked, " "), "check of what was recorded", describe(err))
	}
	return nil
}

// servicesFor selects those that record the signature in b.
func (c *Client) servicesFor(b *protobundle.Bundle, key crypto.PublicKey) (logs, authorities []root.Service, err error) {
	legacy, certified := bundles.IsLegacy(b), b.GetVerificationMaterial().GetCertificate() != nil
	if legacy || b.GetMessageSignature() == nil {
		return c.services(legacy, key, certified)
	}
	if _, pure := key.(ed25519.PublicKey); pure {
		return nil, nil, errors.New("Ed25519 signatures of anything but statements cannot be recorded: " +
			"logs see the digest alone, which Ed25519 does not sign")
	}
	// Its entry is a hashedrekord in either version, which takes every other key.
	return c.services(false, nil, certified)
}

// services selects those that record one signature.
func (c *Client) services(legacy bool, key crypto.PublicKey, certified bool) (logs, authorities []root.Service, err error) {
	now := time.Now()
	versions := []uint32{1, 2}
	if _, pure := key.(ed25519.PublicKey); pure {
		if legacy {
			return nil, nil, errors.New("Ed25519 signatures of the legacy form cannot be recorded: " +
				"logs take Ed25519ph in that place, which cosign verify does not accept")
		}
		// Entries of Rekor v2 are all hashedrekord.
		versions = []uint32{1}
	}
	if public, ok := key.(*ecdsa.PublicKey); ok && !legacy && public.Curve != elliptic.P256() {
		// Rekor v1 verifies dsse entries with SHA-256, whatever the curve.
		versions = []uint32{2}
	}
	if legacy {
		versions = []uint32{1}
	}
	config := c.config.SigningConfig
	if logs, err = config.logs(now, versions); err != nil {
		if all, _ := config.logs(now, []uint32{1, 2}); legacy && len(all) > 0 {
			return nil, nil, errors.New("the signing config has only Rekor v2, whose entries a legacy signature cannot show: " +
				"it shows them by a signed entry timestamp, and Rekor v2 gives none")
		} else if len(all) > 0 {
			return nil, nil, fmt.Errorf("the signing config has no Rekor v%d, the only one that records bundles by keys of this kind", versions[0])
		}
		return nil, nil, fmt.Errorf("the signing config has no transparency log of version %d that is in use now, or not as many as it asks for", versions)
	}
	if authorities, err = config.timestamps(now); err != nil {
		return nil, nil, errors.New("the signing config has timestamp authorities, and as many as it asks for are not in use now")
	}
	if legacy && (len(logs) > 1 || len(authorities) > 1) {
		// It has room for one of each.
		logs, authorities = logs[:min(1, len(logs))], authorities[:min(1, len(authorities))]
	}
	if len(logs)+len(authorities) == 0 {
		return nil, nil, errors.New("the signing config names no transparency log and no timestamp authority")
	}
	for _, service := range slices.Concat(logs, authorities) {
		u, err := parseURL(service.URL)
		if err == nil {
			err = origin.Rule{Plain: func(*url.URL) bool { return c.config.InsecureAllowHTTP }}.Check(u)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	dated := len(authorities) > 0
	for _, log := range logs {
		dated = dated || log.MajorAPIVersion == 1
	}
	if certified && !dated {
		return nil, nil, errors.New("no timestamp authority is named by the signing config, and Rekor v2 vouches for no time: " +
			"a certificate's signature could not be verified")
	}
	return logs, authorities, nil
}

func (c *Client) stamp(ctx context.Context, authority root.Service, b *protobundle.Bundle) error {
	t := c.transport(ctx)
	t.check = checkStampReply
	client := sign.NewTimestampAuthority(&sign.TimestampAuthorityOptions{URL: authority.URL, Transport: t, Timeout: -1})
	stamped, err := client.GetTimestamp(ctx, signatureOf(b))
	if err != nil {
		return t.explain(ctx, err)
	}
	material := b.GetVerificationMaterial()
	if material.TimestampVerificationData == nil {
		material.TimestampVerificationData = &protobundle.TimestampVerificationData{}
	}
	data := material.TimestampVerificationData
	data.Rfc3161Timestamps = append(data.Rfc3161Timestamps, &protocommon.RFC3161SignedTimestamp{SignedTimestamp: stamped})
	return nil
}

func signatureOf(b *protobundle.Bundle) []byte {
	if m := b.GetMessageSignature(); m != nil {
		return m.GetSignature()
	}
	if all := b.GetDsseEnvelope().GetSignatures(); len(all) == 1 {
		return all[0].GetSig()
	}
	return nil
}

func (c *Client) enter(ctx context.Context, log root.Service, b *protobundle.Bundle, key crypto.PublicKey, trusted *verify.TrustedRoot) error {
	verifier, err := verifierPEM(b, key)
	if err != nil {
		return err
	}
	t := c.transport(ctx)
	options := &sign.RekorOptions{BaseURL: log.URL, Timeout: -1, Version: log.MajorAPIVersion}
	if log.MajorAPIVersion == 2 {
		options.ClientV2 = &rekorV2{base: log.URL, transport: t, trusted: trusted}
	} else if options.Client, err = rekorV1(log.URL, t); err != nil {
		return err
	}
	if err := sign.NewRekor(options).GetTransparencyLogEntry(ctx, verifier, b); err != nil {
		if errors.Is(err, bundles.ErrLogged) {
			return err
		}
		return t.explain(ctx, err)
	}
	return nil
}

// verifierPEM is what a log verifies the signature with: certificate or key.
func verifierPEM(b *protobundle.Bundle, key crypto.PublicKey) ([]byte, error) {
	material := b.GetVerificationMaterial()
	c := material.GetCertificate()
	if chain := material.GetX509CertificateChain().GetCertificates(); c == nil && len(chain) > 0 {
		c = chain[0]
	}
	if c != nil {
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.GetRawBytes()}), nil
	}
	return cryptoutils.MarshalPublicKeyToPEM(key)
}

// explain gives an error of a service's client a family, and words that can be
// shown: what a service says is not under our control.
func (t *transport) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fault.Ended(ctx)
	}
	shortened := describe(err)
	switch {
	case errors.Is(err, origin.ErrPlainHTTP):
		return humanError{shortened}
	case t.status >= 400 && t.status < 500 && t.status != http.StatusRequestTimeout &&
		t.status != http.StatusConflict && t.status != http.StatusTooManyRequests:
		// The service understood, and will say the same tomorrow.
		return humanError{shortened}
	default:
		return shortened
	}
}

// serviceError is an error with a text that can be shown.
type serviceError struct {
	text  string
	cause error
}

func describe(err error) error { return &serviceError{text: fault.OneLine(err.Error()), cause: err} }

func (e *serviceError) Error() string { return e.text }
func (e *serviceError) Unwrap() error { return e.cause }
