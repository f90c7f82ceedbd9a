// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyfile

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sigstore/cosign/v2/pkg/cosign"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/cosignkit/cosignkit/internal/der"
	"github.com/cosignkit/cosignkit/internal/files"
	"github.com/cosignkit/cosignkit/internal/keypair"
	"github.com/cosignkit/cosignkit/internal/keys"
	"github.com/cosignkit/cosignkit/internal/leash"
	"github.com/cosignkit/cosignkit/internal/limits"
)

// DefaultAlgorithm is what [Generate] generates when no algorithm is named: ECDSA on
// P-256, cosign's default.
const DefaultAlgorithm = "ecdsa-sha2-256-nistp256"

// Pair is a generated or imported key pair in the file formats that
// cosign generate-key-pair writes.
type Pair struct {
	// Private is the private key, PKCS #8 in an encrypted PEM block of type
	// ENCRYPTED SIGSTORE PRIVATE KEY.
	Private []byte
	// Public is the public key, PKIX in a PEM block of type PUBLIC KEY.
	Public []byte
}

// Generate generates a key pair and encrypts it with passphrase, which may be
// empty. The algorithm is a name of sigstore's algorithm registry, as for cosign's
// --signing-algorithm: ecdsa-sha2-256-nistp256, ecdsa-sha2-384-nistp384,
// ecdsa-sha2-512-nistp521, rsa-sign-pkcs1-2048-sha256 (3072, 4096) or ed25519; empty
// means [DefaultAlgorithm].
func Generate(algorithm string, passphrase []byte) (*Pair, error) {
	const op = "generate key pair"
	if algorithm == "" {
		algorithm = DefaultAlgorithm
	}
	details, err := detailsOf(algorithm)
	if err != nil {
		return nil, misconfigured(op, algorithm, err)
	}
	made, err := cosign.GenerateKeyPairWithAlgorithm(&details, answer(passphrase))
	if err != nil {
		return nil, misconfigured(op, algorithm, err)
	}
	return &Pair{Private: made.PrivateBytes, Public: made.PublicBytes}, nil
}

// algorithms are those that package signing signs with. A key file holds a key and
// not an algorithm, so a key can only be asked for under the one that it will be
// used with.
var algorithms = []string{
	DefaultAlgorithm, "ecdsa-sha2-384-nistp384", "ecdsa-sha2-512-nistp521",
	"rsa-sign-pkcs1-2048-sha256", "rsa-sign-pkcs1-3072-sha256", "rsa-sign-pkcs1-4096-sha256",
	"ed25519",
}

func detailsOf(algorithm string) (signature.AlgorithmDetails, error) {
	if !slices.Contains(algorithms, algorithm) {
		return signature.AlgorithmDetails{}, fmt.Errorf("unknown algorithm, want one of %s", strings.Join(algorithms, ", "))
	}
	known, err := signature.ParseSignatureAlgorithmFlag(algorithm)
	if err != nil {
		return signature.AlgorithmDetails{}, err
	}
	return signature.GetAlgorithmDetails(known)
}

func answer(passphrase []byte) cosign.PassFunc {
	return func(bool) ([]byte, error) { return passphrase, nil }
}

// Import encrypts the private key in a file with passphrase, which may be empty. The
// file is a regular file of at most 64 KiB with an unencrypted key in PEM: PKCS #1,
// SEC 1 or PKCS #8.
func Import(path string, passphrase []byte) (*Pair, error) {
	const op = "import key pair"
	pair, err := importPair(path, passphrase)
	if err != nil {
		return nil, misconfigured(op, keys.Name(path), err)
	}
	return pair, nil
}

func importPair(path string, passphrase []byte) (*Pair, error) {
	b, err := files.Read(path, limits.KeyFile, "key file")
	if err != nil {
		return nil, err
	}
	if err := checkUnencrypted(b); err != nil {
		return nil, err
	}
	var made *cosign.KeysBytes
	err = leash.Recovered(func() error {
		made, err = cosign.ImportKeyPair(path, answer(passphrase))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	public, err := cryptoutils.UnmarshalPEMToPublicKey(made.PublicBytes)
	if err != nil {
		return nil, err
	}
	if _, err := keypair.Algorithm(public); err != nil {
		return nil, err
	}
	return &Pair{Private: made.PrivateBytes, Public: made.PublicBytes}, nil
}

// checkUnencrypted checks the content of a file before cosign parses it.
func checkUnencrypted(b []byte) error {
	if _, err := encryptedBlock(b); err == nil {
		return errors.New("the private key is encrypted already")
	} else if !errors.Is(err, ErrUnencrypted) {
		return err
	}
	block, _ := pem.Decode(b)
	if len(block.Bytes) > limits.PrivateKey {
		return limits.Exceeded("private key in bytes", limits.PrivateKey)
	}
	if err := der.Check(block.Bytes); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}

// WriteFiles writes PREFIX.key with mode 0600 and PREFIX.pub with mode 0644;
// cosign's own prefix is "cosign". Each file appears whole or not at all. An
// existing file is an error that matches fs.ErrExist, and neither file is
// written, unless overwrite is true. An error leaves an existing private key as
// it was.
func (p *Pair) WriteFiles(prefix string, overwrite bool) error {
	const op = "write key pair"
	if prefix == "" {
		return misconfigured(op, "", errors.New("no file name prefix"))
	}
	place := placeNew
	if overwrite {
		place = os.Rename
	}
	// The private key is last: the other can be computed from it.
	files := []struct {
		name string
		data []byte
		mode fs.FileMode
		temp string
	}{
		{name: prefix + ".pub", data: p.Public, mode: 0o644},
		{name: prefix + ".key", data: p.Private, mode: 0o600},
	}
	for i, f := range files {
		temp, err := writeTemp(f.name, f.data, f.mode)
		if err != nil {
			return misconfigured(op, f.name, err)
		}
		defer func() { _ = os.Remove(temp) }()
		files[i].temp = temp
		if _, err := os.Lstat(f.name); err == nil && !overwrite {
			return misconfigured(op, f.name, fs.ErrExist)
		}
	}
	for i, f := range files {
		if err := place(f.temp, f.name); err != nil {
			if i > 0 && !overwrite {
				err = errors.Join(err, os.Remove(files[0].name))
			}
			return misconfigured(op, f.name, err)
		}
	}
	return nil
}

// writeTemp writes data to a file beside name.
func writeTemp(name string, data []byte, mode fs.FileMode) (temp string, err error) {
	if len(data) == 0 || len(data) > limits.KeyFile {
		return "", errors.New("no key to write")
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".cosignkit-*")
	if err != nil {
		return "", err
	}
	chmod := f.Chmod(mode)
	if errors.Is(chmod, errors.ErrUnsupported) {
		chmod = nil
	}
	_, write := f.Write(data)
	if err := errors.Join(chmod, write, f.Sync(), f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// placeNew makes temp appear as name with one system call, and never replaces
// a file.
func placeNew(temp, name string) error {
	err := os.Link(temp, name)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	return copyNew(temp, name)
}

// copyNew serves file systems without hard links, such as some that are shared
// into virtual machines. It removes what it could not write whole.
func copyNew(temp, name string) error {
	info, err := os.Stat(temp)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(temp)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, info.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return nil
}
