// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package bundles

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/digitorus/pkcs7"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"

	"github.com/cosignkit/cosignkit/internal/limits"
)

// CheckWeight refuses a bundle with keys that take long to verify with. Parsers of
// log entries and timestamps verify with whatever key is in them, before anybody is
// asked whether it is trusted; the time that RSA takes grows with the square of
// the size of a key, of which a bundle has room for hundreds of thousands of bits.
func CheckWeight(b *protobundle.Bundle, maxChain int) error {
	material := b.GetVerificationMaterial()
	chain := material.GetX509CertificateChain().GetCertificates()
	if len(chain) > maxChain {
		return limits.Exceeded("number of certificates", maxChain)
	}
	if c := material.GetCertificate(); c != nil {
		chain = append(slices.Clip(chain), c)
	}
	for _, c := range chain {
		if err := checkCertificate(c.GetRawBytes()); err != nil {
			return err
		}
	}
	for _, entry := range material.GetTlogEntries() {
		if err := checkBodyKeys(entry.GetCanonicalizedBody()); err != nil {
			return fmt.Errorf("log entry: %w", err)
		}
	}
	for _, stamp := range material.GetTimestampVerificationData().GetRfc3161Timestamps() {
		if err := checkStampKeys(stamp.GetSignedTimestamp(), maxChain); err != nil {
			return fmt.Errorf("timestamp: %w", err)
		}
	}
	return nil
}

// checkCertificate leaves what is no certificate to those who want one.
func checkCertificate(der []byte) error {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil
	}
	return checkKey(c.PublicKey)
}

func checkKey(public any) error {
	if key, ok := public.(*rsa.PublicKey); ok && key.N.BitLen() > limits.RSABits {
		return limits.Exceeded("RSA key in bits", limits.RSABits)
	}
	return nil
}

// checkBodyKeys looks at all PEM blocks in an entry, wherever they are.
func checkBodyKeys(body []byte) error {
	var head struct {
		Kind string `json:"kind"`
	}
	if err := json.Unmarshal(body, &head); err != nil {
		return nil // which is said elsewhere
	}
	// The one other kind that is known below holds keys in formats of their own, and
	// is no image's.
	if head.Kind == "rekord" {
		return fmt.Errorf("unsupported entry type %q", head.Kind)
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	for {
		token, err := decoder.Token()
		if err != nil {
			return nil //nolint:nilerr // the end, or what is said elsewhere
		}
		text, ok := token.(string)
		if !ok {
			continue
		}
		if err := checkText([]byte(text), 2); err != nil {
			return err
		}
	}
}

// checkText looks for PEM in text, and in what it is the base64 form of.
func checkText(text []byte, depth int) error {
	for rest := text; bytes.Contains(rest, []byte("-----BEGIN")); {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if err := checkCertificate(block.Bytes); err != nil {
			return err
		}
		if key, err := x509.ParsePKIXPublicKey(block.Bytes); err == nil {
			if err := checkKey(key); err != nil {
				return err
			}
		}
		if key, err := x509.ParsePKCS1PublicKey(block.Bytes); err == nil {
			if err := checkKey(key); err != nil {
				return err
			}
		}
	}
	if depth == 0 {
		return nil
	}
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding} {
		if decoded, err := encoding.DecodeString(string(text)); err == nil && len(decoded) > 0 {
			return checkText(decoded, depth-1)
		}
	}
	return nil
}

// checkStampKeys reads an RFC 3161 response, section 2.4.2, without verifying it.
func checkStampKeys(der []byte, maxCertificates int) error {
	var response struct {
		Status asn1.RawValue
		Token  asn1.RawValue `asn1:"optional"`
	}
	token := der
	if _, err := asn1.Unmarshal(der, &response); err == nil && len(response.Token.FullBytes) > 0 {
		token = response.Token.FullBytes
	}
	signed, err := pkcs7.Parse(token)
	if err != nil {
		return nil //nolint:nilerr // parsers that verify begin with the same
	}
	if len(signed.Certificates) > maxCertificates {
		return limits.Exceeded("number of certificates", maxCertificates)
	}
	for _, c := range signed.Certificates {
		if c == nil {
			return errors.New("no certificate")
		}
		if err := checkKey(c.PublicKey); err != nil {
			return err
		}
	}
	return nil
}
