// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package pkcs11

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/miekg/pkcs11"
	"go.uber.org/goleak"

	"github.com/cosignkit/cosignkit/verify"
)

// softHSM is where distributions put the library; make pkcs11 installs it on Debian.
var softHSM = []string{
	"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so", "/opt/homebrew/lib/softhsm/libsofthsm2.so",
}

// modulePath is the one of softHSM that there is.
var modulePath string

const userPIN, otherPIN = "648219", "735102"

func TestMain(m *testing.M) { os.Exit(withTokens(m)) }

// withTokens makes tokens with keys for the life of the tests.
func withTokens(m *testing.M) int {
	dir, err := os.MkdirTemp("", "tokens")
	if err == nil {
		defer func() { _ = os.RemoveAll(dir) }()
		err = makeTokens(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "softhsm2:", err)
		return 1
	}
	code := m.Run()
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func makeTokens(dir string) error {
	for _, path := range softHSM {
		if _, err := os.Stat(path); err == nil {
			modulePath = path
		}
	}
	config := filepath.Join(dir, "softhsm2.conf")
	content := "directories.tokendir = " + dir + "\nobjectstore.backend = file\nlog.level = ERROR\n"
	if err := errors.Join(os.WriteFile(config, []byte(content), 0o600), os.Setenv("SOFTHSM2_CONF", config)); err != nil {
		return err
	}
	for _, label := range []string{"release", "same", "same"} {
		if err := util("--init-token", "--free", "--label", label, "--so-pin", otherPIN, "--pin", userPIN); err != nil {
			return err
		}
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	p256, p384 := ecdsaKey(elliptic.P256()), ecdsaKey(elliptic.P384())
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	for _, k := range []struct {
		id, label string
		key       crypto.Signer
	}{
		{"01", "p256", p256},
		{"02", "p384", p384},
		{"03", "rsa", rsaKey},
		{"04", "ed25519", ed},
		{"05", "twin", p256},
		{"06", "twin", p384},
		{"07", "rsa alone", rsaKey},
		{"08", "with certificate", p256},
		{"09", "without public key", p256},
		{"10", "a;b+c%/?&é", p256},
	} {
		if err := importKey(dir, k.id, k.label, k.key); err != nil {
			return err
		}
	}
	return arrange(p256)
}

func importKey(dir, id, label string, key crypto.Signer) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "import.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		return err
	}
	return util("--import", file, "--token", "release", "--pin", userPIN, "--id", id, "--label", label)
}

func util(args ...string) error {
	if output, err := exec.Command("softhsm2-util", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, output)
	}
	return nil
}

// arrange does what softhsm2-util cannot.
func arrange(key *ecdsa.PrivateKey) error {
	l, err := load(modulePath)
	if err != nil {
		return err
	}
	defer l.release()
	slot, _, err := l.findToken(uri{token: "release"})
	if err != nil {
		return err
	}
	session, err := l.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	if err != nil {
		return err
	}
	if err := l.Login(session, pkcs11.CKU_USER, userPIN); err != nil {
		return err
	}
	for _, id := range []byte{0x07, 0x08, 0x09} {
		if err := removePublic(l, session, id); err != nil {
			return err
		}
	}
	return errors.Join(addCertificate(l, session, key), addAlwaysAuthenticate(l, session), l.CloseSession(session))
}

func removePublic(l *library, session pkcs11.SessionHandle, id byte) error {
	err := l.FindObjectsInit(session, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PUBLIC_KEY), pkcs11.NewAttribute(pkcs11.CKA_ID, []byte{id}),
	})
	if err != nil {
		return err
	}
	found, _, err := l.FindObjects(session, 2)
	if err := errors.Join(err, l.FindObjectsFinal(session)); err != nil {
		return err
	}
	if len(found) != 1 {
		return fmt.Errorf("%d public keys with the id %d", len(found), id)
	}
	return l.DestroyObject(session, found[0])
}

func addCertificate(l *library, session pkcs11.SessionHandle, key *ecdsa.PrivateKey) error {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	_, err = l.CreateObject(session, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_CERTIFICATE),
		pkcs11.NewAttribute(pkcs11.CKA_CERTIFICATE_TYPE, pkcs11.CKC_X_509),
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true),
		pkcs11.NewAttribute(pkcs11.CKA_ID, []byte{0x08}),
		pkcs11.NewAttribute(pkcs11.CKA_SUBJECT, []byte("test")),
		pkcs11.NewAttribute(pkcs11.CKA_VALUE, der),
	})
	return err
}

func addAlwaysAuthenticate(l *library, session pkcs11.SessionHandle) error {
	id := pkcs11.NewAttribute(pkcs11.CKA_ID, []byte{0x11})
	_, _, err := l.GenerateKeyPair(session, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_EC_KEY_PAIR_GEN, nil)},
		[]*pkcs11.Attribute{
			id, pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true), pkcs11.NewAttribute(pkcs11.CKA_VERIFY, true),
			pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}),
		}, []*pkcs11.Attribute{
			id, pkcs11.NewAttribute(pkcs11.CKA_LABEL, "always"), pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true),
			pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, true), pkcs11.NewAttribute(pkcs11.CKA_SIGN, true),
			pkcs11.NewAttribute(pkcs11.CKA_ALWAYS_AUTHENTICATE, true),
		})
	return err
}

func ecdsaKey(curve elliptic.Curve) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

// wantFamily fails the test unless err is of the family want and of no other, and has
// no PIN.
func wantFamily(t *testing.T, err, want error) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one that is %v", want)
	}
	for _, family := range []error{verify.ErrRejected, verify.ErrInconclusive, verify.ErrMisconfigured} {
		if got := errors.Is(err, family); got != (family == want) {
			t.Errorf("errors.Is(err, %v) = %t, want the family %v alone: %v", family, got, want, err)
		}
	}
	wantNoPIN(t, err)
}
