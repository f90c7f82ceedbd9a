// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package tufrepo

import (
	"fmt"
	"maps"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Publish writes the targets that were set, and a next version of the metadata
// of every role but the root.
func (r *Repo) Publish() error {
	for _, role := range slices.Sorted(maps.Keys(r.targets)) {
		if err := r.publishTargets(role); err != nil {
			return err
		}
	}
	if err := r.PublishSnapshot(); err != nil {
		return err
	}
	return r.PublishTimestamp()
}

func (r *Repo) publishTargets(role string) error {
	m := metadata.Targets(r.expires[role])
	m.Signed.Version = r.next(role)
	m.Signed.Delegations = r.delegates[role]
	for name, content := range r.targets[role] {
		file, err := metadata.TargetFile().FromBytes(name, content, "sha256")
		if err != nil {
			return err
		}
		m.Signed.Targets[name] = file
		dir, base := path.Split(name)
		if !r.PlainNames {
			base = fmt.Sprintf("%x.%s", []byte(file.Hashes["sha256"]), base)
		}
		if err := r.write(path.Join("targets", dir, base), content); err != nil {
			return err
		}
	}
	return publish(r, m, role, m.Signed.Version)
}

// PublishSnapshot writes a next snapshot alone, of what is there.
func (r *Repo) PublishSnapshot() error {
	m := metadata.Snapshot(r.expires[metadata.SNAPSHOT])
	m.Signed.Version = r.next(metadata.SNAPSHOT)
	for role := range r.targets {
		if meta := r.meta[role]; meta != nil {
			m.Signed.Meta[role+".json"] = meta
		}
	}
	return publish(r, m, metadata.SNAPSHOT, m.Signed.Version)
}

// PublishTimestamp writes a next timestamp alone, of the snapshot that is there.
func (r *Repo) PublishTimestamp() error {
	m := metadata.Timestamp(r.expires[metadata.TIMESTAMP])
	m.Signed.Version = r.next(metadata.TIMESTAMP)
	m.Signed.Meta["snapshot.json"] = r.meta[metadata.SNAPSHOT]
	return publish(r, m, metadata.TIMESTAMP, m.Signed.Version)
}

// PublishRoot writes the next root alone.
func (r *Repo) PublishRoot() error {
	r.root.Signed.Version = r.next(metadata.ROOT)
	r.root.Signed.Expires = r.expires[metadata.ROOT]
	r.root.Signed.ConsistentSnapshot = !r.PlainNames
	return publish(r, r.root, metadata.ROOT, r.root.Signed.Version)
}

func publish[T metadata.Roles](r *Repo, m *metadata.Metadata[T], role string, version int64) error {
	if change := r.alter[role]; change != nil {
		change(&m.Signed)
	}
	m.ClearSignatures()
	for _, key := range r.signers[role] {
		if _, err := m.Sign(key); err != nil {
			return err
		}
		// go-tuf guesses the key from its type.
		m.Signatures[len(m.Signatures)-1].KeyID = key.ID()
	}
	content, err := m.ToBytes(true)
	if err != nil {
		return err
	}
	if change := r.rewrite[role]; change != nil {
		content = change(content)
	}
	r.meta[role] = metadata.MetaFile(version)
	if r.Hashes {
		file, err := metadata.TargetFile().FromBytes(role, content, "sha256", "sha512")
		if err != nil {
			return err
		}
		r.meta[role].Length, r.meta[role].Hashes = file.Length, file.Hashes
	}
	name := url.PathEscape(role) + ".json"
	if role == metadata.ROOT || role != metadata.TIMESTAMP && !r.PlainNames {
		name = versioned(version, name)
	}
	return r.write(name, content)
}

// write replaces a file at once, so that no reader finds half of it.
func (r *Repo) write(name string, content []byte) error {
	file := filepath.Join(r.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(file+".new", content, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}
