// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package bundles

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/digitorus/pkcs7"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"

	"github.com/cosignkit/cosignkit/internal/der"
	"github.com/cosignkit/cosignkit/internal/limits"
)

// CheckWeight refuses a bundle that is costly to parse or to verify with, in any of
// its parts. Parsers of log entries and timestamps verify with whatever key is in
// them, before anybody is asked whether it is trusted; the time that RSA takes grows
// with the square of the size of a key.
func CheckWeight(b *protobundle.Bundle, maxChain int) error {
	if err := CheckCertificates(b, maxChain); err != nil {
		return err
	}
	if err := CheckEntries(b); err != nil {
		return err
	}
	for _, stamp := range b.GetVerificationMaterial().GetTimestampVerificationData().GetRfc3161Timestamps() {
		if err := CheckTimestamp(stamp.GetSignedTimestamp(), maxChain); err != nil {
			return fmt.Errorf("timestamp: %w", err)
		}
	}
	return nil
}

// CheckCertificates checks the certificates that come with a signature.
func CheckCertificates(b *protobundle.Bundle, maxChain int) error {
	material := b.GetVerificationMaterial()
	chain := material.GetX509CertificateChain().GetCertificates()
	if len(chain) > maxChain {
		return limits.Exceeded("number of certificates", maxChain)
	}
	if c := material.GetCertificate(); c != nil {
		chain = append(slices.Clip(chain), c)
	}
	for i, c := range chain {
		switch err := CheckCertificate(c.GetRawBytes()); {
		case err != nil && i > 0:
			return fmt.Errorf("certificate chain: %w", err)
		case err != nil:
			return err
		}
	}
	return nil
}

// CheckCertificate checks one certificate in DER. It leaves no certificate at all to
// the parser, which says so.
func CheckCertificate(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if len(b) > limits.Certificate {
		return limits.Exceeded("certificate in bytes", limits.Certificate)
	}
	if err := der.Check(b); err != nil {
		return fmt.Errorf("x509: malformed certificate: %w", err)
	}
	c, err := x509.ParseCertificate(b)
	if err != nil {
		return err
	}
	return checkParsed(c)
}

// checkParsed bounds what a certificate has others do. Each name of a certificate is
// compared with each constraint of those above it.
func checkParsed(c *x509.Certificate) error {
	names := len(c.DNSNames) + len(c.EmailAddresses) + len(c.IPAddresses) + len(c.URIs)
	constraints := len(c.PermittedDNSDomains) + len(c.ExcludedDNSDomains) + len(c.PermittedIPRanges) + len(c.ExcludedIPRanges) +
		len(c.PermittedEmailAddresses) + len(c.ExcludedEmailAddresses) + len(c.PermittedURIDomains) + len(c.ExcludedURIDomains)
	if max(names, constraints) > limits.CertificateNames {
		return limits.Exceeded("number of names in a certificate", limits.CertificateNames)
	}
	return checkKey(c.PublicKey)
}

func checkKey(public any) error {
	if key, ok := public.(*rsa.PublicKey); ok && key.N.BitLen() > limits.RSABits {
		return limits.Exceeded("RSA key in bits", limits.RSABits)
	}
	return nil
}

// CheckKeyPEM checks a public key or a certificate in PEM, or a chain of them, as
// Rekor reads it. Keys in other formats are refused.
func CheckKeyPEM(text []byte) error {
	blocks, err := pemBlocks(text, "key", limits.EntryCertificates)
	if err != nil {
		return err
	}
	for _, block := range blocks {
		switch block.Type {
		case "CERTIFICATE":
			err = CheckCertificate(block.Bytes)
		case "PUBLIC KEY":
			err = checkPublicKey(block.Bytes, x509.ParsePKIXPublicKey)
		case "RSA PUBLIC KEY":
			err = checkPublicKey(block.Bytes, x509.ParsePKCS1PublicKey)
		default:
			err = fmt.Errorf("PEM block of type %.64q, want a public key or a certificate", block.Type)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkPublicKey checks a key as parse reads it.
func checkPublicKey[Key any](b []byte, parse func([]byte) (Key, error)) error {
	if len(b) > limits.Certificate {
		return limits.Exceeded("key in bytes", limits.Certificate)
	}
	if err := der.Check(b); err != nil {
		return fmt.Errorf("public key: %w", err)
	}
	key, err := parse(b)
	if err != nil {
		return err
	}
	return checkKey(key)
}

// pemBlocks decodes PEM that has nothing before and between its blocks, of which
// there are at most limit. A decoder that has to look for blocks may look through all
// of the text for each.
func pemBlocks(text []byte, what string, limit int) ([]*pem.Block, error) {
	begin := []byte("-----BEGIN ")
	if n := bytes.Count(text, begin); n > limit {
		return nil, limits.Exceeded("number of "+what+"s", limit)
	}
	var all []*pem.Block
	for rest := bytes.TrimSpace(text); len(rest) > 0; rest = bytes.TrimSpace(rest) {
		if !bytes.HasPrefix(rest, begin) {
			return nil, fmt.Errorf("not a %s in PEM", what)
		}
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, fmt.Errorf("not a %s in PEM: a damaged block", what)
		}
		all = append(all, block)
	}
	return all, nil
}

// CheckTimestamp checks an RFC 3161 response, section 2.4.2, or the token in it. Both
// are DER by that specification, although parsers read BER.
func CheckTimestamp(stamp []byte, maxCertificates int) error {
	if len(stamp) > limits.Timestamp {
		return limits.Exceeded("timestamp in bytes", limits.Timestamp)
	}
	if err := der.Check(stamp); err != nil {
		return err
	}
	var response struct {
		Status asn1.RawValue
		Token  asn1.RawValue `asn1:"optional"`
	}
	token := stamp
	if _, err := asn1.Unmarshal(stamp, &response); err == nil && len(response.Token.FullBytes) > 0 {
		token = response.Token.FullBytes
	}
	signed, err := pkcs7.Parse(token)
	if err != nil {
		return err
	}
	if len(signed.Certificates) > maxCertificates {
		return limits.Exceeded("number of certificates", maxCertificates)
	}
	// RFC 3161, section 2.4.2: no signature but that of the authority.
	if len(signed.Signers) > 1 {
		return limits.Exceeded("number of signatures of a timestamp", 1)
	}
	for _, c := range signed.Certificates {
		if c == nil {
			return errors.New("no certificate")
		}
		if err := checkParsed(c); err != nil {
			return err
		}
	}
	return der.Check(signed.Content)
}
