// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package tufrepo

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// roles are those of every TUF repository, in the order in which a client that
// reads while they are written must find them.
var roles = []string{metadata.ROOT, metadata.TARGETS, metadata.SNAPSHOT, metadata.TIMESTAMP}

// Repo is a repository in a directory, with consistent snapshots and one
// Ed25519 key for each role. A Repo is not safe for concurrent use, but may be
// read from, through Handler, while it changes.
type Repo struct {
	dir     string
	signers map[string]signature.Signer
	expires map[string]time.Time
	version map[string]int64
	targets map[string][]byte
	root    *metadata.Metadata[metadata.RootType]
}

// New makes keys and publishes the first root, alone, in dir. All metadata
// expires at expires, until Expire says something else.
func New(dir string, expires time.Time) (*Repo, error) {
	r := &Repo{
		dir:     dir,
		signers: map[string]signature.Signer{},
		expires: map[string]time.Time{},
		version: map[string]int64{},
		root:    metadata.Root(expires),
	}
	if err := os.MkdirAll(filepath.Join(dir, "targets"), 0o700); err != nil {
		return nil, err
	}
	for _, role := range roles {
		r.Expire(role, expires)
		if err := r.newKey(role); err != nil {
			return nil, err
		}
	}
	return r, r.publishRoot(r.signers[metadata.ROOT])
}

// Handler serves the repository.
func (r *Repo) Handler() http.Handler { return http.FileServer(http.Dir(r.dir)) }

// RootFile is the path of the first root, which a client trusts from the start.
func (r *Repo) RootFile() string { return filepath.Join(r.dir, "1.root.json") }

// Set has the next Publish offer targets, by name, and no others.
func (r *Repo) Set(targets map[string][]byte) { r.targets = targets }

// Expire gives what is published of role from now on another end.
func (r *Repo) Expire(role string, at time.Time) { r.expires[role] = at.UTC() }

// SetVersion makes version the one that the next Publish gives role, in the
// place of one more than the last. An earlier version is a rollback.
func (r *Repo) SetVersion(role string, version int64) { r.version[role] = version - 1 }

// Rotate gives role another key, and publishes the next root, which says so.
// The root itself is then signed with its old key and its new one.
func (r *Repo) Rotate(role string) error {
	oldRoot := r.signers[metadata.ROOT]
	for _, id := range r.root.Signed.Roles[role].KeyIDs {
		if err := r.root.Signed.RevokeKey(id, role); err != nil {
			return err
		}
	}
	if err := r.newKey(role); err != nil {
		return err
	}
	if role == metadata.ROOT {
		return r.publishRoot(oldRoot, r.signers[role])
	}
	return r.publishRoot(oldRoot)
}

func (r *Repo) newKey(role string) error {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	key, err := metadata.KeyFromPublicKey(public)
	if err != nil {
		return err
	}
	if r.signers[role], err = signature.LoadSigner(private, crypto.Hash(0)); err != nil {
		return err
	}
	return r.root.Signed.AddKey(key, role)
}

func (r *Repo) next(role string) int64 {
	r.version[role]++
	return r.version[role]
}

func fileName(version int64, role string) string { return fmt.Sprintf("%d.%s.json", version, role) }
