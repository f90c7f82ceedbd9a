// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
)

// Names in the directory of golden files.
const (
	manifestFile    = "vectors.json"
	trustedRootFile = "trusted_root.json"
	keysDir         = "keys"
)

// manifest is vectors.json.
type manifest struct {
	Keys    []keyFile `json:"keys"`
	Vectors []vector  `json:"vectors"`
}

// keyFile is a private key that a release generated or imported.
type keyFile struct {
	// File and PublicKey are paths below testdata.
	File       string `json:"file"`
	PublicKey  string `json:"publicKey"`
	Tool       string `json:"tool"`
	Kind       string `json:"kind"`
	Passphrase string `json:"passphrase"`
	Command    string `json:"command"`
}

// vector is an image that a release signed.
type vector struct {
	// Name is that of the directory with the image layout.
	Name string `json:"name"`
	Tool string `json:"tool"`

	// Form is legacy, oci11 (a legacy signature as an artifact of OCI 1.1) or
	// bundle.
	Form string `json:"form"`

	// Key is the kind of key, and PublicKey its path below testdata; both are
	// empty if Identity signed. MorePublicKeys are those of the other signers.
	Key            string    `json:"key"`
	PublicKey      string    `json:"publicKey,omitempty"`
	MorePublicKeys []string  `json:"morePublicKeys,omitempty"`
	Identity       *identity `json:"identity,omitempty"`

	// Log is none, rekor v1 or rekor v2. Timestamp says that a timestamp
	// authority stamped the signature.
	Log       string `json:"log"`
	Timestamp bool   `json:"timestamp"`

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

	// Referrers is api or tag: how the registry showed them.
	Referrers string `json:"referrers"`

	Commands []string `json:"commands"`
	Note     string   `json:"note,omitempty"`
}

// identity is who a certificate was issued to.
type identity struct {
	Subject string          `json:"subject"`
	Issuer  string          `json:"issuer"`
	GitHub  *githubWorkflow `json:"github,omitempty"`
}

// githubWorkflow is verify.GitHubWorkflow.
type githubWorkflow struct {
	Trigger    string `json:"trigger"`
	SHA        string `json:"sha"`
	Name       string `json:"name"`
	Repository string `json:"repository"`
	Ref        string `json:"ref"`
}

// writeFile makes the directory as well.
func writeFile(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o644)
}

func writeJSON(path string, v any) error {
	content, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(path, append(content, '\n'))
}
