// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/cosignkit/cosignkit/internal/der"
	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/keys"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/verify"
)

// PEMs are the parts of a trusted root in PEM, for deployments that do not have
// one in JSON. Each part may be empty: what it would vouch for is then trusted
// from nobody.
type PEMs struct {
	// Fulcio holds root and intermediate certificates of certificate
	// authorities.
	Fulcio []byte
	// Rekor holds the public keys of transparency logs. Without the address
	// that a trusted root in JSON gives, only entries of Rekor v1 can be
	// verified.
	Rekor []byte
	// CTLog holds the public keys of certificate transparency logs.
	CTLog []byte
	// Timestamp holds the certificates of one timestamp authority, its own
	// first and the root last.
	Timestamp []byte
}

// ParsePEMs makes a trusted root of its parts. No part at all, and a part that
// is not well formed, is misconfigured.
func ParsePEMs(p PEMs) (*verify.TrustedRoot, error) {
	material, err := p.parse()
	if err != nil {
		return nil, fault.New(verify.ErrMisconfigured, opOpenRoot, "", "", err)
	}
	return verify.NewTrustedRoot(material), nil
}

// pemMaterial is a root without the validity periods that JSON has.
type pemMaterial struct {
	root.BaseTrustedMaterial
	cas   []root.CertificateAuthority
	logs  map[string]*root.TransparencyLog
	cts   map[string]*root.TransparencyLog
	times []root.TimestampingAuthority
}

func (m *pemMaterial) FulcioCertificateAuthorities() []root.CertificateAuthority { return m.cas }
func (m *pemMaterial) RekorLogs() map[string]*root.TransparencyLog               { return m.logs }
func (m *pemMaterial) CTLogs() map[string]*root.TransparencyLog                  { return m.cts }
func (m *pemMaterial) TimestampingAuthorities() []root.TimestampingAuthority     { return m.times }

func (p PEMs) parse() (*pemMaterial, error) {
	if len(p.Fulcio)+len(p.Rekor)+len(p.CTLog)+len(p.Timestamp) == 0 {
		return nil, errors.New("no certificate and no key")
	}
	m := &pemMaterial{}
	var err error
	if m.cas, err = authorities(p.Fulcio); err != nil {
		return nil, fmt.Errorf("certificates of Fulcio: %w", err)
	}
	if m.logs, err = logs(p.Rekor); err != nil {
		return nil, fmt.Errorf("keys of Rekor: %w", err)
	}
	if m.cts, err = logs(p.CTLog); err != nil {
		return nil, fmt.Errorf("certificate transparency log: %w", err)
	}
	if m.times, err = timestampAuthority(p.Timestamp); err != nil {
		return nil, fmt.Errorf("timestamp authority: %w", err)
	}
	return m, nil
}

// pemBlocks returns what the blocks of PEM hold. It refuses what pem.Decode
// passes over in silence: a root that is damaged would be missing unnoticed.
func pemBlocks(b []byte, what string) ([][]byte, error) {
	if len(b) > limits.TrustedRoot {
		return nil, limits.Exceeded(what+"s in bytes", limits.TrustedRoot)
	}
	var all [][]byte
	for rest := b; len(all) == 0 || len(bytes.TrimSpace(rest)) > 0; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, fmt.Errorf("not a %s in PEM", what)
		}
		if err := der.Check(block.Bytes); err != nil {
			return nil, fmt.Errorf("not a %s in PEM: %w", what, err)
		}
		all = append(all, block.Bytes)
	}
	if len(all) != bytes.Count(b, []byte("-----BEGIN ")) {
		return nil, fmt.Errorf("a %s in PEM is damaged", what)
	}
	return all, nil
}

func certificates(b []byte) ([]*x509.Certificate, error) {
	if len(b) == 0 {
		return nil, nil
	}
	blocks, err := pemBlocks(b, "certificate")
	if err != nil {
		return nil, err
	}
	all := make([]*x509.Certificate, len(blocks))
	for i, block := range blocks {
		if all[i], err = x509.ParseCertificate(block); err != nil {
			return nil, err
		}
		// Before a signature of its own is verified with it.
		if key, ok := all[i].PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > limits.RSABits {
			return nil, limits.Exceeded("RSA key in bits", limits.RSABits)
		}
	}
	return all, nil
}

func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawIssuer, c.RawSubject) && c.CheckSignatureFrom(c) == nil
}

func authorities(b []byte) ([]root.CertificateAuthority, error) {
	all, err := certificates(b)
	if err != nil {
		return nil, err
	}
	var roots, intermediates []*x509.Certificate
	for _, c := range all {
		if !c.IsCA {
			return nil, fmt.Errorf("%q is not a certificate authority", c.Subject)
		}
		if selfSigned(c) {
			roots = append(roots, c)
		} else {
			intermediates = append(intermediates, c)
		}
	}
	if len(all) > 0 && len(roots) == 0 {
		return nil, errors.New("no root certificate, only intermediates")
	}
	cas := make([]root.CertificateAuthority, 0, len(roots))
	for _, r := range roots {
		cas = append(cas, &root.FulcioCertificateAuthority{Root: r, Intermediates: intermediates})
	}
	return cas, nil
}

func timestampAuthority(b []byte) ([]root.TimestampingAuthority, error) {
	all, err := certificates(b)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	last := len(all) - 1
	if last == 0 || all[0].IsCA || !selfSigned(all[last]) {
		return nil, errors.New("want the authority's certificate first and a root certificate last")
	}
	return []root.TimestampingAuthority{&root.SigstoreTimestampingAuthority{
		Leaf: all[0], Intermediates: all[1:last], Root: all[last],
	}}, nil
}

func logs(b []byte) (map[string]*root.TransparencyLog, error) {
	all := map[string]*root.TransparencyLog{}
	if len(b) == 0 {
		return all, nil
	}
	blocks, err := pemBlocks(b, "public key")
	if err != nil {
		return nil, err
	}
	for _, block := range blocks {
		key, err := x509.ParsePKIXPublicKey(block)
		if err != nil {
			return nil, err
		}
		if err := keys.Check(key); err != nil {
			return nil, err
		}
		// RFC 6962, section 3.2: a log's id is the hash of its key.
		id := sha256.Sum256(block)
		all[hex.EncodeToString(id[:])] = &root.TransparencyLog{
			ID: id[:], PublicKey: key, HashFunc: crypto.SHA256, SignatureHashFunc: crypto.SHA256,
			// Entries of a log without a start are refused.
			ValidityPeriodStart: time.Unix(0, 0),
		}
	}
	return all, nil
}
