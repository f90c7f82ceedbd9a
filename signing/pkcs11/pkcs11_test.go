// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package pkcs11

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

const imageDigest digest.Digest = "sha256:c0658bff4751d9f90117de2816ec4582f00d2aedaa684f137217ba98efb4e766"

func pin(p string) signing.PassphraseFunc { return signing.Passphrase([]byte(p)) }

func open(t *testing.T, uri string) *Key {
	t.Helper()
	key, err := Open(t.Context(), Config{URI: uri, Module: modulePath, PIN: pin(userPIN)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = key.Close() })
	return key
}

func newSigner(t *testing.T, key crypto.Signer) *signing.KeySigner {
	t.Helper()
	signer, err := signing.NewKeySigner(signing.KeySignerConfig{Key: key, SkipTransparencyLog: true})
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func TestSignAndVerify(t *testing.T) {
	t.Parallel()
	for name, uri := range map[string]string{
		"P-256":                               "pkcs11:token=release;object=p256",
		"P-384":                               "pkcs11:token=release;object=p384",
		"RSA":                                 "pkcs11:token=release;object=rsa",
		"Ed25519":                             "pkcs11:token=release;object=ed25519",
		"by id":                               "pkcs11:token=release;id=%01",
		"by id, of two with one label":        "pkcs11:token=release;object=twin;id=%06",
		"with a label that must be encoded":   "pkcs11:token=release;object=a%3bb+c%25/%3f%26%c3%a9",
		"with no public key but its own":      "pkcs11:token=release;object=rsa%20alone",
		"with a certificate for a public key": "pkcs11:token=release;object=with%20certificate",
		"with the PIN for each signature":     "pkcs11:token=release;object=always",
		"with all that SoftHSM says of it":    "pkcs11:token=release;manufacturer=SoftHSM%20project;model=SoftHSM%20v2;object=p256;type=private",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key := open(t, uri)
			signatures, err := newSigner(t, key).Sign(t.Context(), signing.Request{Digest: imageDigest, Repository: "registry.example/app", Form: signing.Both})
			if err != nil {
				t.Fatal(err)
			}
			verifier, err := verify.New(verify.Policy{Keys: []crypto.PublicKey{key.Public()}, InsecureIgnoreTransparencyLog: true})
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range signatures {
				candidate := verify.Candidate{Bundle: s.Bundle, Payload: s.Payload, Annotations: s.Annotations}
				image := verify.Image{Target: ocispec.Descriptor{Digest: imageDigest}}
				if _, err := verifier.Verify(t.Context(), image, []verify.Candidate{candidate}); err != nil {
					t.Errorf("%s: %v", s.Form, err)
				}
			}
		})
	}
}

// TestURIsOfCosign are of the form that cosign pkcs11-tool list-keys-uris prints.
func TestURIsOfCosign(t *testing.T) {
	t.Parallel()
	l, err := load(modulePath)
	if err != nil {
		t.Fatal(err)
	}
	defer l.release()
	slot, _, err := l.findToken(uri{token: "release"})
	if err != nil {
		t.Fatal(err)
	}
	text := "pkcs11:token=release;slot-id=" + decimal(slot) + ";id=%01;object=p256?module-path=" + modulePath + "&pin-value=" + userPIN
	key, err := Open(t.Context(), Config{URI: text})
	if err != nil {
		t.Fatal(err)
	}
	defer key.Close()
	other := strings.Replace(text, decimal(slot), decimal(slot+1), 1)
	_, err = Open(t.Context(), Config{URI: other})
	wantFamily(t, err, verify.ErrMisconfigured)
}

func decimal(n uint) string { return strconv.FormatUint(uint64(n), 10) }

func TestRefusals(t *testing.T) {
	t.Parallel()
	text := filepath.Join(t.TempDir(), "text.so")
	if err := os.WriteFile(text, []byte("no library"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		config Config
		cause  error
		text   string
	}{
		"an unknown token":           {Config{URI: "pkcs11:token=other;object=p256", Module: modulePath, PIN: pin(userPIN)}, nil, "no token fits"},
		"another serial":             {Config{URI: "pkcs11:token=release;serial=0;object=p256", Module: modulePath, PIN: pin(userPIN)}, nil, "no token fits"},
		"two tokens of one label":    {Config{URI: "pkcs11:token=same;object=p256?pin-value=" + userPIN, Module: modulePath}, nil, "2 tokens fit"},
		"an unknown key":             {Config{URI: "pkcs11:token=release;object=other", Module: modulePath, PIN: pin(userPIN)}, nil, "no private key fits"},
		"another id":                 {Config{URI: "pkcs11:token=release;object=p256;id=%02", Module: modulePath, PIN: pin(userPIN)}, nil, "no private key fits"},
		"two keys of one label":      {Config{URI: "pkcs11:token=release;object=twin", Module: modulePath, PIN: pin(userPIN)}, nil, "more than one private key"},
		"no public key":              {Config{URI: "pkcs11:token=release;object=without%20public%20key", Module: modulePath, PIN: pin(userPIN)}, nil, "no public key or certificate"},
		"no module":                  {Config{URI: "pkcs11:token=release;object=p256"}, nil, "no module"},
		"a module that is not there": {Config{URI: "pkcs11:token=release;object=p256", Module: text + ".1"}, fs.ErrNotExist, "module"},
		"a relative module":          {Config{URI: "pkcs11:token=release;object=p256?module-path=libsofthsm2.so"}, nil, "not an absolute path"},
		"a directory":                {Config{URI: "pkcs11:token=release;object=p256", Module: filepath.Dir(text)}, nil, "not a regular file"},
		"a file that is no library":  {Config{URI: "pkcs11:token=release;object=p256", Module: text}, nil, "no PKCS #11 library"},
		"another module in the URI":  {Config{URI: "pkcs11:token=release;object=p256?module-path=" + text, Module: modulePath}, nil, "another module"},
		"a URI that is none":         {Config{URI: userPIN, Module: modulePath}, nil, "want a pkcs11: URI"},
		"a PIN in the path":          {Config{URI: "pkcs11:token=release;object=p256;pin-value=" + userPIN, Module: modulePath}, nil, "not supported"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Open(t.Context(), c.config)
			wantFamily(t, err, verify.ErrMisconfigured)
			if !strings.Contains(err.Error(), c.text) || c.cause != nil && !errors.Is(err, c.cause) {
				t.Errorf("error is %v, want one that says %q and is %v", err, c.text, c.cause)
			}
		})
	}
}

// TestPIN is not parallel: the keys of one process share the login of a token, and a
// PIN is asked for by the token only if no other key is open.
func TestPIN(t *testing.T) {
	asked := errors.New("nobody is there")
	const text = "pkcs11:token=release;object=p256"
	for name, c := range map[string]struct {
		config Config
		cause  error
	}{
		"none":                                  {Config{URI: text}, signing.ErrNoPassphrase},
		"a wrong one":                           {Config{URI: text, PIN: pin(otherPIN)}, signing.ErrWrongPassphrase},
		"a wrong one, in the URI, which counts": {Config{URI: text + "?pin-value=" + otherPIN, PIN: pin(userPIN)}, signing.ErrWrongPassphrase},
		"an empty one":                          {Config{URI: text, PIN: pin("")}, signing.ErrNoPassphrase},
		"one that nobody gives":                 {Config{URI: text, PIN: func(context.Context, string) ([]byte, error) { return nil, asked }}, asked},
	} {
		t.Run(name, func(t *testing.T) {
			c.config.Module = modulePath
			_, err := Open(t.Context(), c.config)
			wantFamily(t, err, verify.ErrMisconfigured)
			if !errors.Is(err, c.cause) {
				t.Errorf("error is %v, want %v", err, c.cause)
			}
		})
	}
	t.Run("is asked for once, by a name without it", func(t *testing.T) {
		var names []string
		key, err := Open(t.Context(), Config{URI: text + "?module-path=" + modulePath, PIN: func(_ context.Context, name string) ([]byte, error) {
			names = append(names, name)
			return []byte(userPIN), nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer key.Close()
		if len(names) != 1 || names[0] != text {
			t.Errorf("asked for %q", names)
		}
	})
}

// Where another key has logged in, a wrong PIN is found out by the first signature. It
// is not tried again with each one, until the token locks itself.
func TestAWrongPINIsTriedOnce(t *testing.T) {
	open(t, "pkcs11:token=release;object=p256")
	key, err := Open(t.Context(), Config{URI: "pkcs11:token=release;object=always", Module: modulePath, PIN: pin(otherPIN)})
	if err != nil {
		t.Fatal(err)
	}
	defer key.Close()
	for _, again := range []bool{false, true, true} {
		_, err := key.SignContext(t.Context(), rand.Reader, make([]byte, 32), crypto.SHA256)
		wantFamily(t, err, verify.ErrMisconfigured)
		if !errors.Is(err, signing.ErrWrongPassphrase) || strings.Contains(err.Error(), "not tried again") != again {
			t.Errorf("error is %v", err)
		}
	}
}

func TestCancellingWhileThePINIsAskedFor(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	release, done := make(chan struct{}), make(chan struct{})
	_, err := Open(ctx, Config{URI: "pkcs11:token=release;object=p256", Module: modulePath, PIN: func(context.Context, string) ([]byte, error) {
		defer close(done)
		cancel()
		<-release // A prompt that does not look at the context.
		return []byte(userPIN), nil
	}})
	wantFamily(t, err, verify.ErrInconclusive)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want the context's", err)
	}
	close(release)
	<-done
}

func TestEndedContexts(t *testing.T) {
	t.Parallel()
	key := open(t, "pkcs11:token=release;object=p256")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Open(ctx, Config{URI: "pkcs11:token=release;object=p256", Module: modulePath, PIN: pin(userPIN)})
	wantFamily(t, err, verify.ErrInconclusive)
	_, err = key.SignContext(ctx, rand.Reader, make([]byte, 32), crypto.SHA256)
	wantFamily(t, err, verify.ErrInconclusive)
}

// slowToken is one that hangs.
type slowToken struct {
	asked, release chan struct{}
	closed         bool
}

func (s *slowToken) sign([]byte, crypto.Hash) ([]byte, error) {
	s.asked <- struct{}{}
	<-s.release
	return []byte("signature"), nil
}

func (s *slowToken) close() { s.closed = true }

func TestATokenThatHangs(t *testing.T) {
	t.Parallel()
	slow := &slowToken{asked: make(chan struct{}), release: make(chan struct{})}
	key := &Key{name: "pkcs11:token=slow", busy: make(chan struct{}, 1), token: slow}
	digest := make([]byte, 32)
	for _, reach := range []bool{true, false} { // The second waits for the first, and never reaches the token.
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error)
		go func() {
			_, err := key.SignContext(ctx, rand.Reader, digest, crypto.SHA256)
			result <- err
		}()
		if reach {
			<-slow.asked
		}
		cancel()
		err := <-result
		wantFamily(t, err, verify.ErrInconclusive)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v, want the context's", err)
		}
	}
	close(slow.release)
	if err := key.Close(); err != nil || !slow.closed {
		t.Errorf("closing: %v, %t", err, slow.closed)
	}
	_, err := key.Sign(rand.Reader, digest, crypto.SHA256)
	wantFamily(t, err, verify.ErrMisconfigured)
}

func TestClosingOneKeyLeavesTheOther(t *testing.T) {
	t.Parallel()
	first, second := open(t, "pkcs11:token=release;object=p256"), open(t, "pkcs11:token=release;object=p384")
	if err := errors.Join(first.Close(), first.Close()); err != nil {
		t.Fatal(err)
	}
	_, err := newSigner(t, first).Sign(t.Context(), signing.Request{Digest: imageDigest})
	wantFamily(t, err, verify.ErrMisconfigured)
	if _, err := newSigner(t, second).Sign(t.Context(), signing.Request{Digest: imageDigest}); err != nil {
		t.Error(err)
	}
}

func TestManySignAtOnce(t *testing.T) {
	t.Parallel()
	signer := newSigner(t, open(t, "pkcs11:token=release;object=p256"))
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			if _, err := signer.Sign(t.Context(), signing.Request{Digest: imageDigest}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

func TestWhatIsNotSigned(t *testing.T) {
	t.Parallel()
	ec, rsaKey, ed := open(t, "pkcs11:token=release;object=p256"), open(t, "pkcs11:token=release;object=rsa"), open(t, "pkcs11:token=release;object=ed25519")
	for name, c := range map[string]struct {
		key    *Key
		digest int
		opts   crypto.SignerOpts
	}{
		"a digest that is cut":      {ec, 31, crypto.SHA256},
		"RSA-PSS":                   {rsaKey, 32, &rsa.PSSOptions{Hash: crypto.SHA256}},
		"RSA with SHA-1":            {rsaKey, 20, crypto.SHA1},
		"a digest, with an Ed25519": {ed, 64, crypto.SHA512},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := c.key.Sign(rand.Reader, make([]byte, c.digest), c.opts)
			wantFamily(t, err, verify.ErrMisconfigured)
		})
	}
}
