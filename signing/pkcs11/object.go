// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package pkcs11

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"

	"github.com/miekg/pkcs11"
)

// Of PKCS #11 3.0, which the bindings do not have yet.
const (
	keyTypeEdwards = 0x40
	mechanismEdDSA = 0x1057
)

// privateKey is a private key object.
type privateKey struct {
	handle pkcs11.ObjectHandle
	kind   uint
	// alwaysAuthenticate is of keys that want the PIN with each signature, such as
	// the one for signatures on a PIV card.
	alwaysAuthenticate bool
}

// findKey finds the one private key that u fits, and its public key.
func (s *session) findKey(u uri) (crypto.PublicKey, error) {
	var named []*pkcs11.Attribute
	if u.id != "" {
		named = append(named, pkcs11.NewAttribute(pkcs11.CKA_ID, []byte(u.id)))
	}
	if u.object != "" {
		named = append(named, pkcs11.NewAttribute(pkcs11.CKA_LABEL, []byte(u.object)))
	}
	found, err := s.find(pkcs11.CKO_PRIVATE_KEY, named...)
	if err != nil {
		return nil, err
	}
	switch len(found) {
	case 0:
		return nil, misconfigured{errors.New("no private key fits the URI")}
	case 1:
	default:
		return nil, misconfigured{errors.New("more than one private key fits the URI; name one by id")}
	}
	kind, err := s.number(found[0], pkcs11.CKA_KEY_TYPE)
	if err != nil {
		return nil, err
	}
	s.key = privateKey{handle: found[0], kind: kind}
	// Tokens that do not know the attribute do not want the PIN.
	always, err := s.library.GetAttributeValue(s.handle, found[0], []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_ALWAYS_AUTHENTICATE, nil)})
	s.key.alwaysAuthenticate = err == nil && len(always) == 1 && len(always[0].Value) == 1 && always[0].Value[0] != 0
	if !s.key.alwaysAuthenticate {
		s.pin = ""
	}
	public, err := s.findPublic()
	if err != nil {
		return nil, misconfigured{err}
	}
	return public, nil
}

// findPublic looks where tokens keep the public half: an object with the same id, a
// certificate with the same id, and for RSA the private key itself.
func (s *session) findPublic() (crypto.PublicKey, error) {
	id, err := s.value(s.key.handle, pkcs11.CKA_ID)
	if err == nil && len(id) > 0 {
		same := pkcs11.NewAttribute(pkcs11.CKA_ID, id)
		for _, place := range []struct {
			class uint
			read  func(pkcs11.ObjectHandle) (crypto.PublicKey, error)
		}{{pkcs11.CKO_PUBLIC_KEY, s.publicKey}, {pkcs11.CKO_CERTIFICATE, s.certificate}} {
			found, err := s.find(place.class, same)
			if err != nil {
				return nil, err
			}
			if len(found) == 1 {
				return place.read(found[0])
			}
			if len(found) > 1 {
				return nil, errors.New("more than one public key or certificate has the id of the private key")
			}
		}
	}
	if s.key.kind == pkcs11.CKK_RSA {
		return s.publicKey(s.key.handle)
	}
	return nil, errors.New("the token has no public key or certificate with the id of the private key")
}

// find returns at most two objects: one more than is wanted.
func (s *session) find(class uint, attributes ...*pkcs11.Attribute) ([]pkcs11.ObjectHandle, error) {
	template := append([]*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS, class)}, attributes...)
	if err := s.library.FindObjectsInit(s.handle, template); err != nil {
		return nil, fmt.Errorf("find objects: %w", err)
	}
	found, _, err := s.library.FindObjects(s.handle, 2)
	if err := errors.Join(err, s.library.FindObjectsFinal(s.handle)); err != nil {
		return nil, fmt.Errorf("find objects: %w", err)
	}
	return found, nil
}

func (s *session) value(object pkcs11.ObjectHandle, attribute uint) ([]byte, error) {
	got, err := s.library.GetAttributeValue(s.handle, object, []*pkcs11.Attribute{pkcs11.NewAttribute(attribute, nil)})
	if err != nil {
		return nil, fmt.Errorf("read attribute: %w", err)
	}
	return got[0].Value, nil
}

// number reads a CK_ULONG, which is of the machine's size and order.
func (s *session) number(object pkcs11.ObjectHandle, attribute uint) (uint, error) {
	b, err := s.value(object, attribute)
	if err != nil {
		return 0, err
	}
	for _, known := range []uint{pkcs11.CKK_RSA, pkcs11.CKK_EC, keyTypeEdwards} {
		if string(pkcs11.NewAttribute(attribute, known).Value) == string(b) {
			return known, nil
		}
	}
	return 0, misconfigured{errors.New("the key is of a kind that is not supported, want RSA, EC or Edwards")}
}

func (s *session) certificate(object pkcs11.ObjectHandle) (crypto.PublicKey, error) {
	der, err := s.value(object, pkcs11.CKA_VALUE)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return certificate.PublicKey, nil
}

func (s *session) publicKey(object pkcs11.ObjectHandle) (crypto.PublicKey, error) {
	if s.key.kind == pkcs11.CKK_RSA {
		modulus, err := s.value(object, pkcs11.CKA_MODULUS)
		if err != nil {
			return nil, err
		}
		exponent, err := s.value(object, pkcs11.CKA_PUBLIC_EXPONENT)
		if err != nil {
			return nil, err
		}
		return rsaKey(modulus, exponent)
	}
	parameters, err := s.value(object, pkcs11.CKA_EC_PARAMS)
	if err != nil {
		return nil, err
	}
	point, err := s.value(object, pkcs11.CKA_EC_POINT)
	if err != nil {
		return nil, err
	}
	return ellipticKey(s.key.kind, parameters, point)
}

func rsaKey(modulus, exponent []byte) (crypto.PublicKey, error) {
	e := new(big.Int).SetBytes(exponent)
	if !e.IsInt64() || e.Int64() > 1<<31-1 {
		return nil, errors.New("the RSA exponent is too large")
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: int(e.Int64())}, nil
}

// ellipticKey decodes CKA_EC_POINT: an OCTET STRING by the specification, and the bare
// point by some tokens.
func ellipticKey(kind uint, parameters, point []byte) (crypto.PublicKey, error) {
	var inner []byte
	if rest, err := asn1.Unmarshal(point, &inner); err == nil && len(rest) == 0 {
		point = inner
	}
	if kind == keyTypeEdwards {
		if len(point) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("a point of %d bytes on an Edwards curve, want %d, of Ed25519", len(point), ed25519.PublicKeySize)
		}
		return ed25519.PublicKey(point), nil
	}
	der, err := asn1.Marshal(struct {
		Algorithm pkix.AlgorithmIdentifier
		Point     asn1.BitString
	}{
		pkix.AlgorithmIdentifier{
			Algorithm:  asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1},
			Parameters: asn1.RawValue{FullBytes: parameters},
		},
		asn1.BitString{Bytes: point, BitLength: 8 * len(point)},
	})
	if err != nil {
		return nil, err
	}
	return x509.ParsePKIXPublicKey(der) // which checks that the point is on the curve
}
