// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package keys reads key material from where a key reference says it is, and
// says which public keys this library works with.
package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/cosignkit/cosignkit/internal/files"
	"github.com/cosignkit/cosignkit/internal/limits"
)

const (
	envScheme = "env://"
	// pkcs11Scheme is of RFC 7512, and has no authority.
	pkcs11Scheme = "pkcs11:"
)

// elsewhere is what to do with references that the cosign CLI takes.
var elsewhere = map[string]string{
	"awskms":     inKMS,
	"azurekms":   inKMS,
	"gcpkms":     inKMS,
	"hashivault": inKMS,
	"openbao":    inKMS,
	"k8s":        "; pass the content of the secret to keyfile.Parse or verify.ParsePublicKey",
}

const inKMS = "; package signing/kms opens keys of key management services"

// Read returns the bytes that ref names: a path, or env://NAME for the value of
// an environment variable. Any other scheme is an error: nothing is fetched and
// no plug-in is run.
//
// The error never repeats ref, and callers name it with [Name]: it may be a key
// that was given in the place of a reference.
func Read(ref string) ([]byte, error) {
	if isKey(ref) {
		return nil, errors.New("this is a key, want a reference to one: a path or env://NAME")
	}
	if name, ok := strings.CutPrefix(ref, envScheme); ok {
		return readEnv(name)
	}
	if isPKCS11(ref) {
		return nil, errors.New("package signing/pkcs11 opens keys on PKCS #11 tokens; here want a path or env://NAME")
	}
	if scheme, _, ok := strings.Cut(ref, "://"); ok {
		return nil, fmt.Errorf("key references of scheme %q are not supported here, want a path or env://NAME%s", scheme, elsewhere[scheme])
	}
	if ref == "" {
		return nil, errors.New("empty key reference")
	}
	return files.Read(ref, limits.KeyFile, "key file")
}

// IsElsewhere reports whether ref has a scheme other than those of Read: what it
// names is for the caller's own to open. A key in the place of a reference is not.
func IsElsewhere(ref string) bool {
	return !isKey(ref) && !strings.HasPrefix(ref, envScheme) && (isPKCS11(ref) || strings.Contains(ref, "://"))
}

// Name returns ref for messages: without what is a secret in it.
func Name(ref string) string {
	if isKey(ref) {
		return ""
	}
	if isPKCS11(ref) {
		// The query may have the PIN (RFC 7512, section 2.4), and the path by mistake.
		if ref, _, _ = strings.Cut(ref, "?"); strings.Contains(strings.ToLower(ref), "pin") {
			ref = pkcs11Scheme + "…"
		}
		return ref
	}
	if scheme, rest, ok := strings.Cut(ref, "://"); ok {
		host, path, found := strings.Cut(rest, "/")
		if at := strings.LastIndexByte(host, '@'); at >= 0 { // a password before it
			ref = scheme + "://…" + host[at:]
			if found {
				ref += "/" + path
			}
		}
	}
	return ref
}

// isPKCS11 recognises the scheme as RFC 3986, section 3.1, has it: in whatever case.
func isPKCS11(ref string) bool {
	return len(ref) >= len(pkcs11Scheme) && strings.EqualFold(ref[:len(pkcs11Scheme)], pkcs11Scheme)
}

func isKey(ref string) bool {
	// The second is the first in base64, as keys are kept in variables of CI.
	return strings.Contains(ref, "-----BEGIN") || strings.HasPrefix(ref, "LS0tLS1CRUdJTi") || strings.ContainsAny(ref, "\r\n\x00")
}

func readEnv(name string) ([]byte, error) {
	value, ok := os.LookupEnv(name)
	switch {
	case name == "":
		return nil, errors.New("no variable named after env://")
	case !ok:
		return nil, errors.New("environment variable is not set")
	case value == "":
		return nil, errors.New("environment variable is empty")
	case len(value) > limits.KeyFile:
		return nil, limits.Exceeded("key in bytes", limits.KeyFile)
	}
	return []byte(value), nil
}

// Check returns an error for a public key that is incomplete, or of a kind or
// size that sigstore does not use: ECDSA on P-256, P-384 or P-521, RSA of 2048
// to 4096 bits, and Ed25519.
func Check(public crypto.PublicKey) (err error) {
	// A key may be a nil pointer in an interface, or lack its parts.
	defer func() {
		if recover() != nil {
			err = errors.New("the key is incomplete")
		}
	}()
	switch key := public.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < 2048 || bits > 4096 {
			return fmt.Errorf("RSA key of %d bits, want 2048 to 4096", bits)
		}
		if key.E < 3 || key.E%2 == 0 {
			return fmt.Errorf("RSA exponent %d", key.E)
		}
	case *ecdsa.PublicKey:
		if !slices.Contains([]elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()}, key.Curve) {
			return fmt.Errorf("curve %s is not supported", key.Params().Name)
		}
		if _, err := key.ECDH(); err != nil { // which checks that the point is on the curve
			return err
		}
	case ed25519.PublicKey:
		if len(key) != ed25519.PublicKeySize {
			return fmt.Errorf("Ed25519 key of %d bytes, want %d", len(key), ed25519.PublicKeySize)
		}
	default:
		return fmt.Errorf("keys of type %T are not supported", public)
	}
	return nil
}
