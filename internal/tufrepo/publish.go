// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package tufrepo

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Publish writes the targets that were set, and a next version of the metadata
// of every role but the root.
func (r *Repo) Publish() error {
	targets := metadata.Targets(r.expires[metadata.TARGETS])
	targets.Signed.Version = r.next(metadata.TARGETS)
	for name, content := range r.targets {
		file, err := metadata.TargetFile().FromBytes(name, content, "sha256")
		if err != nil {
			return err
		}
		targets.Signed.Targets[name] = file
		if err := r.write(filepath.Join("targets", fmt.Sprintf("%x.%s", []byte(file.Hashes["sha256"]), name)), content); err != nil {
			return err
		}
	}
	if err := publish(r, targets, fileName(targets.Signed.Version, metadata.TARGETS), r.signers[metadata.TARGETS]); err != nil {
		return err
	}

	snapshot := metadata.Snapshot(r.expires[metadata.SNAPSHOT])
	snapshot.Signed.Version = r.next(metadata.SNAPSHOT)
	snapshot.Signed.Meta["targets.json"].Version = targets.Signed.Version
	if err := publish(r, snapshot, fileName(snapshot.Signed.Version, metadata.SNAPSHOT), r.signers[metadata.SNAPSHOT]); err != nil {
		return err
	}

	timestamp := metadata.Timestamp(r.expires[metadata.TIMESTAMP])
	timestamp.Signed.Version = r.next(metadata.TIMESTAMP)
	timestamp.Signed.Meta["snapshot.json"].Version = snapshot.Signed.Version
	return publish(r, timestamp, "timestamp.json", r.signers[metadata.TIMESTAMP])
}

func (r *Repo) publishRoot(signers ...signature.Signer) error {
	r.root.Signed.Version = r.next(metadata.ROOT)
	r.root.Signed.Expires = r.expires[metadata.ROOT]
	return publish(r, r.root, fileName(r.root.Signed.Version, metadata.ROOT), signers...)
}

func publish[T metadata.Roles](r *Repo, m *metadata.Metadata[T], name string, signers ...signature.Signer) error {
	m.ClearSignatures()
	for _, signer := range signers {
		if _, err := m.Sign(signer); err != nil {
			return err
		}
	}
	content, err := m.ToBytes(true)
	if err != nil {
		return err
	}
	return r.write(name, content)
}

// write replaces a file at once, so that no reader finds half of it.
func (r *Repo) write(name string, content []byte) error {
	path := filepath.Join(r.dir, name)
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
