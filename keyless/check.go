// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless

import (
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/root"
	sgverify "github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/cosignkit/cosignkit/internal/bundles"
	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/keys"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/verify"
)

// verifyRecord verifies what logs and timestamp authorities returned: that each
// of as many as were asked vouches for this very signature.
func verifyRecord(b *protobundle.Bundle, key crypto.PublicKey, trusted *verify.TrustedRoot, logs, timestamps int) error {
	if err := bundles.CheckWeight(b, limits.Chain); err != nil {
		return err
	}
	entity, err := bundle.NewBundle(b)
	if err != nil {
		return err
	}
	var options []sgverify.VerifierOption
	if logs > 0 {
		options = append(options, sgverify.WithTransparencyLog(logs))
	}
	if timestamps > 0 {
		options = append(options, sgverify.WithSignedTimestamps(timestamps))
	}
	material, policy := trusted.Material(), sgverify.WithKey()
	if b.GetVerificationMaterial().GetCertificate() != nil {
		// The identity was checked when the certificate was issued.
		options, policy = append(options, sgverify.WithObserverTimestamps(1)), sgverify.WithoutIdentitiesUnsafe()
	} else {
		if timestamps == 0 {
			options = append(options, sgverify.WithNoObserverTimestamps())
		}
		if material, err = withKey(material, key); err != nil {
			return err
		}
	}
	// The artifact is what the caller just signed.
	artifact := sgverify.WithoutArtifactUnsafe()
	if m := b.GetMessageSignature(); m != nil {
		artifact = sgverify.WithArtifactDigest("", m.GetMessageDigest().GetDigest())
	}
	verifier, err := sgverify.NewVerifier(material, options...)
	if err != nil {
		return err
	}
	if _, err = verifier.Verify(entity, sgverify.NewPolicy(artifact, policy)); err != nil {
		return err
	}
	return bundles.CheckBodies(b)
}

// keyMaterial is a trusted root with the one key that signed.
type keyMaterial struct {
	root.TrustedMaterial
	key root.TimeConstrainedVerifier
}

func (m keyMaterial) PublicKeyVerifier(string) (root.TimeConstrainedVerifier, error) {
	return m.key, nil
}

func withKey(material root.TrustedMaterial, key crypto.PublicKey) (root.TrustedMaterial, error) {
	verifiers, err := keys.Verifiers(key)
	if err != nil {
		return nil, err
	}
	return keyMaterial{material, verifiers[0]}, nil
}

// checkCertificate verifies what Fulcio returned, and gives the chain up to a
// root that is trusted: a certificate for this key, valid now, that a
// certificate transparency log has signed for.
func (c *Client) checkCertificate(der []byte, key crypto.PublicKey, trusted *verify.TrustedRoot) ([]*x509.Certificate, error) {
	if err := bundles.CheckCertificate(der); err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	if public, ok := leaf.PublicKey.(interface{ Equal(x crypto.PublicKey) bool }); !ok || !public.Equal(key) {
		return nil, errors.New("the certificate is for another key")
	}
	now := time.Now()
	if ahead := leaf.NotBefore.Sub(now); ahead > limits.ClockSkew {
		return nil, fmt.Errorf("the certificate is not valid before %s", leaf.NotBefore.Format(time.RFC3339))
	} else if ahead > 0 {
		now = leaf.NotBefore
	}
	// Go does not know subjects of the kind otherName, which Fulcio issues.
	checked := *leaf
	checked.UnhandledCriticalExtensions = slices.DeleteFunc(slices.Clone(leaf.UnhandledCriticalExtensions),
		func(id asn1.ObjectIdentifier) bool { return id.Equal(cryptoutils.SANOID) })
	chains, err := sgverify.VerifyLeafCertificate(now, &checked, trusted.Material())
	if err != nil {
		return nil, fmt.Errorf("the certificate is of no trusted authority, or not valid now: %w", err)
	}
	if !c.config.InsecureIgnoreSCT {
		if err := sgverify.VerifySignedCertificateTimestamp(chains, 1, trusted.Material()); err != nil {
			return nil, fmt.Errorf("signed certificate timestamp: %w", err)
		}
	}
	return chains[0], nil
}

// checkIdentity compares the identity in a certificate with the one that was
// asked for: wanted, or else the token's.
func checkIdentity(leaf *x509.Certificate, token claims, wanted *verify.Identity) error {
	if wanted != nil {
		if err := wanted.Match(leaf); err != nil {
			return fault.New(verify.ErrMisconfigured, opCertificate, "", "", describe(err))
		}
		return nil
	}
	is, err := certificate.SummarizeCertificate(leaf)
	if err != nil {
		return err
	}
	if !slices.Contains(token.subjects(), is.SubjectAlternativeName) {
		return fmt.Errorf("the certificate is for %.256q and the token for %.256q; if this is how the certificate authority "+
			"names that identity, set it in SignerConfig.Identity", is.SubjectAlternativeName, token.subject())
	}
	if is.Issuer != token.Issuer && (token.FederatedConnector == "" || is.Issuer != token.FederatedConnector) {
		return fmt.Errorf("the certificate names the issuer %.256q and the token %.256q", is.Issuer, token.Issuer)
	}
	return nil
}
