// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package golden

import (
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
)

// Names in the directory.
const (
	ManifestFile    = "vectors.json"
	TrustedRootFile = "trusted_root.json"
	KeysDir         = "keys"
)

// Set is a directory of golden files.
type Set struct {
	Manifest
	dir string
}

// Open reads the list of what is in dir.
func Open(dir string) (*Set, error) {
	content, err := os.ReadFile(filepath.Join(dir, ManifestFile))
	if err != nil {
		return nil, err
	}
	s := &Set{dir: dir}
	return s, json.Unmarshal(content, &s.Manifest)
}

// TrustedRoot is the path of the trusted root of all vectors.
func (s *Set) TrustedRoot() string { return filepath.Join(s.dir, TrustedRootFile) }

// Layout is the directory of a vector's image layout.
func (s *Set) Layout(v Vector) string { return filepath.Join(s.dir, v.Name) }

// Path of what has a path below testdata.
func (s *Set) Path(published string) string {
	return filepath.Join(s.dir, filepath.FromSlash(strings.TrimPrefix(published, publishedDir)))
}

const publishedDir = "golden/"

// Published is the path below testdata of a file in KeysDir.
func Published(file string) string { return publishedDir + KeysDir + "/" + file }

// SignerKeys are the public keys of those who signed v, if they did with keys.
func (s *Set) SignerKeys(v Vector) ([]crypto.PublicKey, error) {
	if v.Identity != nil {
		return nil, nil
	}
	var keys []crypto.PublicKey
	for _, path := range append([]string{v.PublicKey}, v.MorePublicKeys...) {
		content, err := os.ReadFile(s.Path(path))
		if err != nil {
			return nil, err
		}
		block, _ := pem.Decode(content)
		if block == nil {
			return nil, fmt.Errorf("%s is not PEM", path)
		}
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// Manifest is vectors.json.
type Manifest struct {
	Keys    []Key    `json:"keys"`
	Vectors []Vector `json:"vectors"`
}

// Key is a private key that a release generated or imported.
type Key struct {
	// File and PublicKey are paths below testdata.
	File       string `json:"file"`
	PublicKey  string `json:"publicKey"`
	Tool       string `json:"tool"`
	Kind       string `json:"kind"`
	Passphrase string `json:"passphrase"`
	Command    string `json:"command"`
}

// Vector is an image that a release signed.
type Vector struct {
	// Name is that of the directory with the image layout.
	Name string `json:"name"`
	Tool string `json:"tool"`
	Form Form   `json:"form"`

	// Key is the kind of key, and PublicKey its path below testdata; both are
	// empty if Identity signed. MorePublicKeys are those of the other signers.
	Key            string    `json:"key"`
	PublicKey      string    `json:"publicKey,omitempty"`
	MorePublicKeys []string  `json:"morePublicKeys,omitempty"`
	Identity       *Identity `json:"identity,omitempty"`

	// Log has the signature. Timestamp says that a timestamp authority stamped
	// it.
	Log       Log  `json:"log"`
	Timestamp bool `json:"timestamp"`

	// Annotations are the signed ones.
	Annotations map[string]string `json:"annotations,omitempty"`

	// Recursive says that the children of an index are signed as well. Signed
	// are all digests with signatures, each by as many Signers.
	Recursive bool            `json:"recursive"`
	Signed    []digest.Digest `json:"signed"`
	Signers   int             `json:"signers"`

	// Repository is the name that was signed under, and Digest that of the
	// image or index in it.
	Repository string        `json:"repository"`
	Digest     digest.Digest `json:"digest"`

	Referrers Referrers `json:"referrers"`

	Commands []string `json:"commands"`
	Note     string   `json:"note,omitempty"`
}

// Form is a form of signatures.
type Form string

// The forms: simple signing, the same as an artifact of OCI 1.1, and Sigstore
// bundles.
const (
	Legacy Form = "legacy"
	OCI11  Form = "oci11"
	Bundle Form = "bundle"
)

// Log is a kind of transparency log.
type Log string

// The kinds of logs.
const (
	NoLog   Log = "none"
	RekorV1 Log = "rekor v1"
	RekorV2 Log = "rekor v2"
)

// Referrers is how a registry shows referrers.
type Referrers string

// By the API of the distribution specification 1.1, or an index under a tag.
const (
	ByAPI Referrers = "api"
	ByTag Referrers = "tag"
)

// Identity is who a certificate was issued to.
type Identity struct {
	Subject string         `json:"subject"`
	Issuer  string         `json:"issuer"`
	GitHub  GitHubWorkflow `json:"github,omitzero"`
}

// GitHubWorkflow is what a certificate says of a workflow of GitHub Actions.
type GitHubWorkflow struct {
	Trigger    string `json:"trigger,omitempty"`
	SHA        string `json:"sha,omitempty"`
	Name       string `json:"name,omitempty"`
	Repository string `json:"repository,omitempty"`
	Ref        string `json:"ref,omitempty"`
}
