// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless

import (
	"crypto"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/cosignkit/cosignkit/internal/bundles"
	"github.com/cosignkit/cosignkit/verify"
)

// This file has the checks that come before something is published for ever: an
// entry in a transparency log, or a certificate. An error after that leaves the
// record there, and each new attempt adds another one.

// checkTrust refuses services whose replies cannot verify, whatever they are,
// because trusted names fewer services of that kind that are in use now.
func (c *Client) checkTrust(trusted *verify.TrustedRoot, logs, authorities []root.Service) error {
	material, now := trusted.Material(), time.Now()
	trustedLogs, trustedAuthorities := 0, len(material.TimestampingAuthorities())
	for _, log := range material.RekorLogs() {
		if !now.Before(log.ValidityPeriodStart) && (log.ValidityPeriodEnd.IsZero() || !now.After(log.ValidityPeriodEnd)) {
			trustedLogs++
		}
	}
	switch {
	case len(logs) > 0 && trustedLogs == 0:
		return errors.New("the trusted root has no transparency log that is in use now; nothing that a log records would verify")
	case len(logs) > trustedLogs:
		return fmt.Errorf("the signing config asks for %d transparency logs, and the trusted root has %d that are in use now", len(logs), trustedLogs)
	case len(authorities) > 0 && trustedAuthorities == 0:
		return errors.New("the trusted root has no timestamp authority; no timestamp would verify")
	case len(authorities) > trustedAuthorities:
		return fmt.Errorf("the signing config asks for %d timestamp authorities, and the trusted root has %d", len(authorities), trustedAuthorities)
	}
	return nil
}

// checkIssuance refuses to ask for a certificate that could not be used.
func (c *Client) checkIssuance(trusted *verify.TrustedRoot, key crypto.PublicKey) error {
	logs, authorities, err := c.services(false, key, true)
	if err != nil { // Preflight knows which form is wanted, and this does not.
		logs, authorities, err = c.services(true, key, true)
	}
	if err == nil {
		err = c.checkTrust(trusted, logs, authorities)
	}
	material := trusted.Material()
	switch {
	case err != nil:
		return err
	case len(material.FulcioCertificateAuthorities()) == 0:
		return errors.New("the trusted root has no certificate authority; no certificate would verify")
	case len(material.CTLogs()) == 0 && !c.config.InsecureIgnoreSCT:
		return errors.New("the trusted root has no certificate transparency log; no certificate would verify")
	}
	return nil
}

// checkIssuer compares the issuer that the certificate must name with those that
// Fulcio can take from the token. The subject can be known from the certificate
// alone.
func checkIssuer(token claims, wanted *verify.Identity) error {
	if wanted == nil {
		return nil
	}
	issuers := []string{token.Issuer}
	if token.FederatedConnector != "" {
		issuers = append(issuers, token.FederatedConnector)
	}
	matches := func(issuer string) bool { return issuer == wanted.Issuer }
	if wanted.IssuerRegexp != "" {
		pattern, err := regexp.Compile("^(?:" + wanted.IssuerRegexp + ")$")
		if err != nil {
			return err
		}
		matches = pattern.MatchString
	}
	if !slices.ContainsFunc(issuers, matches) {
		return fmt.Errorf("SignerConfig.Identity is %.512s, and the token is %s", wanted, token)
	}
	return nil
}

// checkSigned verifies what is about to be recorded: the signature, and that its
// certificate is one that verifiers accept.
func (c *Client) checkSigned(b *protobundle.Bundle, key crypto.PublicKey, trusted *verify.TrustedRoot) error {
	if der := b.GetVerificationMaterial().GetCertificate().GetRawBytes(); der != nil {
		if _, err := c.checkCertificate(der, key, trusted); err != nil {
			return err
		}
		b = bundles.WithoutCertificate(b)
	}
	return verifyRecord(b, key, trusted, 0, 0)
}
