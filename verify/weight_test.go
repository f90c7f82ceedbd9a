// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	pkixname "crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// hugeRSA is a "self-signed" CA certificate with a random modulus of n bytes and
// a random signature; nobody has its private key.
func hugeRSA(t testing.TB, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	_, _ = rand.Read(b)
	b[0] |= 0x80
	b[n-1] |= 1
	public := &rsa.PublicKey{N: new(big.Int).SetBytes(b), E: 1<<31 - 1}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkixname.Name{CommonName: "x"}, NotBefore: noon.Add(-year), NotAfter: noon.Add(year),
		KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true,
	}
	small, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, small)
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		TBS asn1.RawValue
		Alg asn1.RawValue
		Sig asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &c); err != nil {
		t.Fatal(err)
	}
	sig := make([]byte, n)
	_, _ = rand.Read(sig[1:])
	sig[0] = 0x10
	c.Sig = asn1.BitString{Bytes: sig, BitLength: 8 * n}
	out, err := asn1.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// hugeStamp is a response that says it is signed by a certificate with a huge key.
func hugeStamp(t testing.TB, message []byte, at time.Time, n int) []byte {
	t.Helper()
	const sequence, set, context0 = 0x30, 0x31, 0xa0
	der := hugeRSA(t, n)
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(message)
	hash := tlv(sequence, derOf(asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}))
	contentType := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}
	info := tlv(sequence, derOf(1), derOf(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 2}),
		tlv(sequence, hash, derOf(sum[:])), derOf(serial()), derOf(at.UTC(), "generalized"))
	infoSum := sha256.Sum256(info)
	attributes := bytes.Join([][]byte{
		tlv(sequence, derOf(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}), tlv(set, derOf(contentType))),
		tlv(sequence, derOf(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}), tlv(set, derOf(infoSum[:]))),
	}, nil)
	sig := make([]byte, n)
	_, _ = rand.Read(sig[1:])
	sig[0] = 0x10
	signer := tlv(sequence, derOf(1), tlv(sequence, cert.RawIssuer, derOf(cert.SerialNumber)), hash,
		tlv(context0, attributes), tlv(sequence, derOf(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11})), derOf(sig))
	signed := tlv(sequence, derOf(3), tlv(set, hash),
		tlv(sequence, derOf(contentType), tlv(context0, derOf(info))),
		tlv(context0, cert.Raw), tlv(set, signer))
	return tlv(sequence, tlv(sequence, derOf(0)),
		tlv(sequence, derOf(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}), tlv(context0, signed)))
}

const tooLarge = "RSA key in bits is larger than"

// TestHugeKeysAreNotVerifiedWith: the time that a key takes grows with the square
// of its size, and a bundle has room for a large one. None is used, wherever in a
// signature it is, and what comes after is looked at.
func TestHugeKeysAreNotVerifiedWith(t *testing.T) {
	t.Parallel()
	der := hugeRSA(t, 2<<10)
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(certificate.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	key := newEd25519()
	chained := bundleCandidate(t, object{
		"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
		"verificationMaterial": object{"x509CertificateChain": object{"certificates": []any{
			object{"rawBytes": der}, object{"rawBytes": der},
		}}},
		"dsseEnvelope": object{"payload": []byte("{}"), "payloadType": intotoType, "signatures": []any{object{"sig": []byte("x")}}},
	})
	wantRejected(t, newVerifier(t, policyOf(key)), chained, tooLarge)
	result, err := newVerifier(t, policyOf(key)).Verify(t.Context(), theImage(), []verify.Candidate{chained, signed(t, key, signing.Bundle)})
	if err != nil || len(result.Signatures) != 2 {
		t.Errorf("a good one beside it: %v", err)
	}

	sum := object{"algorithm": "sha256", "value": hex.EncodeToString(make([]byte, 32))}
	signature := append([]byte{0x10}, make([]byte, 2<<10-1)...)
	for _, block := range [][]byte{pemOf("PUBLIC KEY", spki), pemOf("CERTIFICATE", der), pemOf("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(certificate.PublicKey.(*rsa.PublicKey)))} {
		for kind, spec := range map[string]object{
			"hashedrekord 0.0.1": {"data": object{"hash": sum}, "signature": object{"content": signature, "publicKey": object{"content": block}}},
			"dsse 0.0.1":         {"envelopeHash": sum, "payloadHash": sum, "signatures": []any{object{"signature": signature, "verifier": block}}},
			"intoto 0.0.2": {"content": object{"envelope": object{"payloadType": intotoType, "signatures": []any{object{
				"publicKey": block, "sig": signature,
			}}}, "hash": sum, "payloadHash": sum}},
		} {
			for _, form := range forms {
				a := newAttempt(form)
				a.byKey()
				a.alter = append(a.alter, func(p *parts) {
					e := p.entries[0]
					_, _ = fmt.Sscan(kind, &e.kind, &e.version)
					e.body = marshalled(object{"apiVersion": e.version, "kind": e.kind, "spec": spec})
				})
				a.rejected(t, tooLarge)
			}
		}
	}

	a := newAttempt(signing.Bundle)
	a.policy.TimestampThreshold = 1
	a.alter = append(a.alter, func(p *parts) { p.timestamps = [][]byte{hugeStamp(t, p.signature, noon, 2<<10)} })
	a.rejected(t, tooLarge)
}

// TestCertificatesInATimestampAreBounded, as those of a chain are: each is parsed
// before anybody is asked whether it is trusted.
func TestCertificatesInATimestampAreBounded(t *testing.T) {
	t.Parallel()
	bag := func(n int) func(*attempt) { // with the authority's own
		certificates := slices.Repeat([]*x509.Certificate{ours.tsa.leaf.cert}, n-1)
		return altered(func(p *parts) { p.timestamps = [][]byte{ours.tsa.stamp(p.signature, noon, certificates...)} })
	}
	runTrials(t, []trial{
		{name: "one more than the limit", honest: func(a *attempt) { stamped(a); bag(limits.Chain)(a) },
			attack: bag(limits.Chain + 1), why: "number of certificates"},
		{name: "a limit of the policy's own", honest: func(a *attempt) { stamped(a); a.policy.Limits.Chain = 3; bag(3)(a) },
			attack: bag(4), why: "number of certificates"},
	})
}

// TestKeysOfOtherFormatsAreNotParsed: rekord entries hold OpenPGP, minisign and SSH
// keys, whose parsers nobody here has looked at, and no signature of an image has one.
func TestKeysOfOtherFormatsAreNotParsed(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"pgp", "minisign", "ssh", "x509"} {
		for _, form := range forms {
			a := newAttempt(form)
			a.byKey()
			a.alter = append(a.alter, func(p *parts) {
				e := p.entries[0]
				e.kind, e.version = "rekord", "0.0.1"
				e.body = marshalled(object{"apiVersion": e.version, "kind": e.kind, "spec": object{
					"data":      object{"hash": object{"algorithm": "sha256", "value": hex.EncodeToString(sumOf(crypto.SHA256, p.message()))}},
					"signature": object{"format": format, "content": p.signature, "publicKey": object{"content": a.verifierPEM(p)}},
				}})
				e.seal(a.records[0])
			})
			a.rejected(t, `not a recognizable type: kind "rekord"`)
		}
	}
}
