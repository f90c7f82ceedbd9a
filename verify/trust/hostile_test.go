// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package trust_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"math/big"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/trust"
)

// deepDER is a sequence of sequences, one more than are allowed.
func deepDER() []byte {
	b := []byte{5, 0}
	for range limits.DERDepth {
		b = append([]byte{0x30, byte(len(b))}, b...)
	}
	return b
}

func TestPEMsAreCheckedBeforeTheyAreParsed(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func() error{
		"an authority": func() error {
			_, err := trust.ParsePEMs(trust.PEMs{Fulcio: inPEM("CERTIFICATE", deepDER())})
			return err
		},
		"the key of log": func() error {
			_, err := trust.ParsePEMs(trust.PEMs{Rekor: inPEM("PUBLIC KEY", deepDER())})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := open()
			wantFamily(t, err, verify.ErrMisconfigured)
			if !errors.Is(err, verify.ErrLimit) {
				t.Errorf("error is %v, want one that is ErrLimit", err)
			}
		})
	}
}

// TestAuthoritiesWithHugeKeys: an authority that names itself as its issuer is
// verified with its own key.
func TestAuthoritiesWithHugeKeys(t *testing.T) {
	t.Parallel()
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0),
		IsCA: true, BasicConstraintsValid: true,
	}
	for bits, refuse := range map[int]bool{limits.RSABits: false, limits.RSABits + 1: true} {
		huge := &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), bits-1, 1), E: 65537}
		root, err := x509.CreateCertificate(rand.Reader, template, template, huge, signer)
		if err != nil {
			t.Fatal(err)
		}
		_, err = trust.ParsePEMs(trust.PEMs{Fulcio: inPEM("CERTIFICATE", root)})
		wantFamily(t, err, verify.ErrMisconfigured)
		if errors.Is(err, verify.ErrLimit) != refuse {
			t.Errorf("%d bits: error is %v, of a limit: want %t", bits, err, refuse)
		}
	}
}

func TestTrustedRootsThatCanBeReadInTwoWays(t *testing.T) {
	t.Parallel()
	good := readFile(t, filepath.Join(publicGood, "trusted_root.json"))
	for name, b := range map[string][]byte{
		"a field twice":    bytes.Replace(good, []byte("{"), []byte(`{"tlogs":[],`), 1),
		"something after":  slices.Concat(good, []byte("{}")),
		"too many values":  slices.Concat([]byte(`{"tlogs":[`), bytes.Repeat([]byte("0,"), limits.JSONValues), []byte("0]}")),
		"one level deeper": slices.Concat([]byte(`{"tlogs":`), bytes.Repeat([]byte("["), limits.JSONDepth), bytes.Repeat([]byte("]"), limits.JSONDepth), []byte("}")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			trusted, err := trust.Parse(b)
			wantMisconfigured(t, trusted, err, "not an object in JSON")
		})
	}
}
