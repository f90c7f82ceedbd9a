// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package services

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
)

// tlog is a transparency log, as a trusted root describes it.
type tlog struct {
	url   string
	key   crypto.PublicKey
	id    []byte
	signs crypto.Hash // what is signed
}

// newTlog is for logs whose ID is that of their key.
func newTlog(url string, key crypto.PublicKey) (*tlog, error) {
	keyDER, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	id := sha256.Sum256(keyDER)
	return &tlog{url: url, key: key, id: id[:], signs: crypto.SHA256}, nil
}

// transparencyLogs is how sigstore-go wants them.
func transparencyLogs(from time.Time, logs ...*tlog) map[string]*root.TransparencyLog {
	byID := map[string]*root.TransparencyLog{}
	for _, l := range logs {
		byID[hex.EncodeToString(l.id)] = &root.TransparencyLog{
			BaseURL:             l.url,
			ID:                  l.id,
			ValidityPeriodStart: from,
			HashFunc:            crypto.SHA256,
			PublicKey:           l.key,
			SignatureHashFunc:   l.signs,
		}
	}
	return byID
}
