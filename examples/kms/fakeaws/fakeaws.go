// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package fakeaws is the part of AWS KMS that sigstore's provider calls, over HTTPS
// on loopback, for tests. It signs with real keys, and so the SDK, its credentials,
// signatures and errors are those of AWS.
package fakeaws

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
)

// Service is a running service.
type Service struct {
	server *httptest.Server
	// AccessKey is the one that has access.
	AccessKey string

	mu    sync.Mutex
	keys  map[string]*Key
	fault func(http.ResponseWriter, *http.Request) bool
	calls []string
}

// Key is an asymmetric key of the service.
type Key struct {
	Private    crypto.Signer
	Spec       string
	Usage      string
	Algorithms []string
}

// Start starts a service without keys.
func Start() *Service {
	s := &Service{AccessKey: "AKIAIOSFODNN7EXAMPLE", keys: map[string]*Key{}} //nolint:gosec // it is the one of AWS's documentation
	s.server = httptest.NewTLSServer(s)
	return s
}

// Close stops it.
func (s *Service) Close() { s.server.Close() }

// Endpoint is the HOST:PORT of awskms://HOST:PORT/alias/NAME.
func (s *Service) Endpoint() string { return s.server.Listener.Addr().String() }

// CertificatePEM is what AWS_CA_BUNDLE must name.
func (s *Service) CertificatePEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.server.Certificate().Raw})
}

// Add makes key available under an id, such as alias/release.
func (s *Service) Add(id string, key *Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[id] = key
}

// Fault has f answer each request first; it returns whether it did.
func (s *Service) Fault(f func(http.ResponseWriter, *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// Calls are the operations that were asked for, in order.
func (s *Service) Calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.calls...)
}

// P256 is a new key for signing, as KMS makes them.
func P256() (*Key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return &Key{private, "ECC_NIST_P256", "SIGN_VERIFY", []string{"ECDSA_SHA_256"}}, err
}

// P384 is another.
func P384() (*Key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	return &Key{private, "ECC_NIST_P384", "SIGN_VERIFY", []string{"ECDSA_SHA_384"}}, err
}

// RSA is another. KMS lists what it may sign with, and the provider takes the first.
func RSA() (*Key, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	return &Key{private, "RSA_2048", "SIGN_VERIFY", []string{
		"RSASSA_PKCS1_V1_5_SHA_256", "RSASSA_PKCS1_V1_5_SHA_384", "RSASSA_PKCS1_V1_5_SHA_512",
		"RSASSA_PSS_SHA_256", "RSASSA_PSS_SHA_384", "RSASSA_PSS_SHA_512",
	}}, err
}

// Encryption is a key that cannot sign.
func Encryption() (*Key, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	return &Key{private, "RSA_2048", "ENCRYPT_DECRYPT", nil}, err
}

// request is what the operations take.
type request struct {
	KeyID       string `json:"KeyId"`
	Message     []byte
	MessageType string
	Algorithm   string `json:"SigningAlgorithm"`
}

func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	operation := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "TrentService.")
	s.mu.Lock()
	s.calls = append(s.calls, operation)
	fault := s.fault
	s.mu.Unlock()
	if fault != nil && fault(w, r) {
		return
	}
	if !strings.Contains(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential="+s.AccessKey+"/") {
		Fail(w, "UnrecognizedClientException")
		return
	}
	var q request
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		Fail(w, "ValidationException")
		return
	}
	s.mu.Lock()
	key := s.keys[q.KeyID]
	s.mu.Unlock()
	if key == nil {
		Fail(w, "NotFoundException")
		return
	}
	key.serve(w, operation, q)
}

func (k *Key) serve(w http.ResponseWriter, operation string, q request) {
	switch operation {
	case "DescribeKey":
		answer(w, map[string]any{"KeyMetadata": map[string]any{
			"KeyId": q.KeyID, "KeySpec": k.Spec, "KeyUsage": k.Usage, "KeyState": "Enabled", "SigningAlgorithms": k.Algorithms,
		}})
	case "GetPublicKey":
		der, err := x509.MarshalPKIXPublicKey(k.Private.Public())
		if err != nil {
			Fail(w, "KMSInternalException")
			return
		}
		answer(w, map[string]any{"KeyId": q.KeyID, "PublicKey": der, "KeyUsage": k.Usage, "SigningAlgorithms": k.Algorithms})
	case "Sign":
		k.sign(w, q)
	default:
		Fail(w, "UnknownOperationException")
	}
}

// hashes are those of the algorithms that the provider asks for.
var hashes = map[string]crypto.Hash{
	"ECDSA_SHA_256": crypto.SHA256, "ECDSA_SHA_384": crypto.SHA384, "RSASSA_PKCS1_V1_5_SHA_256": crypto.SHA256,
}

func (k *Key) sign(w http.ResponseWriter, q request) {
	hash, ok := hashes[q.Algorithm]
	if !ok || q.MessageType != "DIGEST" || len(q.Message) != hash.Size() {
		Fail(w, "ValidationException")
		return
	}
	signature, err := k.Private.Sign(rand.Reader, q.Message, hash)
	if err != nil {
		Fail(w, "KMSInternalException")
		return
	}
	answer(w, map[string]any{"KeyId": q.KeyID, "Signature": signature, "SigningAlgorithm": q.Algorithm})
}

// Fail answers with an error of KMS, such as AccessDeniedException.
func Fail(w http.ResponseWriter, code string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(http.StatusBadRequest)
	write(w, map[string]string{"__type": code, "message": "as the test says"})
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	write(w, v)
}

// write ignores that a client went away.
func write(w http.ResponseWriter, v any) { _ = json.NewEncoder(w).Encode(v) }
