// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package pkcs11

import (
	"crypto"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"

	"github.com/miekg/pkcs11"

	"github.com/cosignkit/cosignkit/signing"
)

// digestInfo is what precedes a digest in a signature of PKCS #1 v1.5 (RFC 8017,
// section 9.2, note 1).
var digestInfo = map[crypto.Hash][]byte{
	crypto.SHA256: {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20},
	crypto.SHA384: {0x30, 0x41, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0x04, 0x30},
	crypto.SHA512: {0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03, 0x05, 0x00, 0x04, 0x40},
}

// sign uses a session of its own, so that an operation that failed half-way is in
// nobody's way.
func (s *session) sign(digest []byte, hash crypto.Hash) ([]byte, error) {
	if s.refused != nil {
		return nil, s.refused
	}
	handle, err := s.library.OpenSession(s.slot, pkcs11.CKF_SERIAL_SESSION)
	if err != nil {
		return nil, fmt.Errorf("open session: %w", err)
	}
	defer func() { _ = s.library.CloseSession(handle) }()
	mechanism, message, err := s.key.mechanism(digest, hash)
	if err != nil {
		return nil, misconfigured{err}
	}
	if err := s.library.SignInit(handle, []*pkcs11.Mechanism{pkcs11.NewMechanism(mechanism, nil)}, s.key.handle); err != nil {
		return nil, err
	}
	if s.key.alwaysAuthenticate {
		if err := pinError(s.library.Login(handle, pkcs11.CKU_CONTEXT_SPECIFIC, s.pin)); err != nil {
			if errors.Is(err, signing.ErrWrongPassphrase) {
				s.refused = misconfigured{fmt.Errorf("the PIN is not tried again: %w", err)}
			}
			return nil, err
		}
	}
	signature, err := s.library.Sign(handle, message)
	if err != nil {
		return nil, err
	}
	if s.key.kind == pkcs11.CKK_EC {
		return ecdsaSignature(signature)
	}
	return signature, nil
}

func (k privateKey) mechanism(digest []byte, hash crypto.Hash) (mechanism uint, message []byte, err error) {
	switch k.kind {
	case keyTypeEdwards:
		if hash != 0 {
			return 0, nil, errors.New("Ed25519 signs a message and not its digest")
		}
		return mechanismEdDSA, digest, nil
	case pkcs11.CKK_EC:
		return pkcs11.CKM_ECDSA, digest, nil
	default:
		prefix, ok := digestInfo[hash]
		if !ok {
			return 0, nil, fmt.Errorf("RSA with %v is not supported", hash)
		}
		return pkcs11.CKM_RSA_PKCS, append(prefix[:len(prefix):len(prefix)], digest...), nil
	}
}

// ecdsaSignature encodes what a token returns, r and s of the same length.
func ecdsaSignature(raw []byte) ([]byte, error) {
	if len(raw) == 0 || len(raw)%2 != 0 {
		return nil, fmt.Errorf("an ECDSA signature of %d bytes", len(raw))
	}
	half := len(raw) / 2
	return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(raw[:half]), new(big.Int).SetBytes(raw[half:])})
}
