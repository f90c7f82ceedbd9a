// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package tufrepo

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Kind is a type of key, and the scheme that it signs with.
type Kind string

// The kinds of keys that TUF's specification has, and two that are in use.
const (
	Ed25519   Kind = "ed25519"
	ECDSA     Kind = "ecdsa"
	ECDSAP384 Kind = "ecdsa, P-384"
	RSAPSS    Kind = "rsa"
	// ECDSAOldName is ECDSA under the name that it had until TUF 1.0.29.
	ECDSAOldName Kind = "ecdsa-sha2-nistp256"
)

// Key is a key pair.
type Key struct {
	signature.Signer
	public *metadata.Key
	id     string
}

// NewKey makes one.
func NewKey(kind Kind) (*Key, error) {
	k := &Key{}
	var public crypto.PublicKey
	var err error
	switch kind {
	case Ed25519:
		var private ed25519.PrivateKey
		if public, private, err = ed25519.GenerateKey(rand.Reader); err == nil {
			k.Signer, err = signature.LoadSigner(private, crypto.Hash(0))
		}
	case ECDSA, ECDSAOldName, ECDSAP384:
		curve, hash := elliptic.P256(), crypto.SHA256
		if kind == ECDSAP384 {
			curve, hash = elliptic.P384(), crypto.SHA384
		}
		var private *ecdsa.PrivateKey
		if private, err = ecdsa.GenerateKey(curve, rand.Reader); err == nil {
			public = private.Public()
			k.Signer, err = signature.LoadSigner(private, hash)
		}
	case RSAPSS:
		var private *rsa.PrivateKey
		if private, err = rsa.GenerateKey(rand.Reader, 2048); err == nil {
			public = private.Public()
			k.Signer, err = signature.LoadRSAPSSSigner(private, crypto.SHA256, &rsa.PSSOptions{Hash: crypto.SHA256})
		}
	default:
		err = fmt.Errorf("no kind of key is called %q", kind)
	}
	if err != nil {
		return nil, err
	}
	if k.public, err = metadata.KeyFromPublicKey(public); err != nil {
		return nil, err
	}
	switch kind {
	case ECDSAOldName:
		k.public.Type = metadata.KeyTypeECDSA_SHA2_P256_COMPAT
	case ECDSAP384:
		k.public.Scheme = metadata.KeySchemeECDSA_SHA2_P384
	}
	k.id, err = k.public.ID()
	return k, err
}

// ID is how metadata names the key.
func (k *Key) ID() string { return k.id }
