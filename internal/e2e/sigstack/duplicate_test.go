// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

// TestDuplicateEntry: both versions say that an entry exists, but only Rekor v1 says
// where, in a way that leads there.
func TestDuplicateEntry(t *testing.T) {
	t.Parallel()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte(t.Name()))
	signature, err := private.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	keyPEM, err := cryptoutils.MarshalPublicKeyToPEM(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}

	v1 := map[string]any{"kind": "hashedrekord", "apiVersion": "0.0.1", "spec": map[string]any{
		"data":      map[string]any{"hash": map[string]any{"algorithm": "sha256", "value": hex.EncodeToString(digest[:])}},
		"signature": map[string]any{"content": signature, "publicKey": map[string]any{"content": keyPEM}},
	}}
	status, _, first := post(t, stack.Rekor+"/api/v1/log/entries", v1)
	if status != http.StatusCreated {
		t.Fatalf("Rekor v1: %d %s", status, first)
	}
	status, location, second := post(t, stack.Rekor+"/api/v1/log/entries", v1)
	if status != http.StatusConflict || !strings.HasPrefix(location, "/api/v1/log/entries/") {
		t.Errorf("Rekor v1, again: %d, Location %q\n%s", status, location, second)
	}
	there, err := http.Get(stack.Rekor + location)
	if err != nil {
		t.Fatal(err)
	}
	defer there.Body.Close()
	if there.StatusCode != http.StatusOK {
		t.Errorf("Rekor v1 has no entry where it says: %s", there.Status)
	}

	v2 := map[string]any{"hashedRekordRequestV002": map[string]any{
		"digest": digest[:],
		"signature": map[string]any{"content": signature, "verifier": map[string]any{
			"publicKey": map[string]any{"rawBytes": keyDER}, "keyDetails": "PKIX_ECDSA_P256_SHA_256",
		}},
	}}
	status, _, first = post(t, stack.RekorV2+"/api/v2/log/entries", v2)
	if status != http.StatusCreated {
		t.Fatalf("Rekor v2: %d %s", status, first)
	}
	status, location, second = post(t, stack.RekorV2+"/api/v2/log/entries", v2)
	if status != http.StatusConflict || location != "" {
		t.Errorf("Rekor v2, again: %d, Location %q\n%s", status, location, second)
	}
}

func post(t *testing.T, url string, body any) (status int, location, answer string) {
	t.Helper()
	content, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.Post(url, "application/json", bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header.Get("Location"), string(got)
}
