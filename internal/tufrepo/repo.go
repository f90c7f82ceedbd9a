// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package tufrepo

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// topLevel are the roles of every TUF repository.
var topLevel = []string{metadata.ROOT, metadata.TARGETS, metadata.SNAPSHOT, metadata.TIMESTAMP}

// Repo is a repository in a directory, at first with consistent snapshots and one
// Ed25519 key for each role. A Repo is not safe for concurrent use, but may be
// read from, through Handler, while it changes.
type Repo struct {
	// PlainNames publishes without consistent snapshots: no file has its version
	// or hash in its name. It needs a next root.
	PlainNames bool
	// Hashes has snapshots and timestamps tell the hashes and lengths of what they
	// name.
	Hashes bool

	dir       string
	signers   map[string][]*Key
	expires   map[string]time.Time
	version   map[string]int64
	alter     map[string]func(signed any)
	rewrite   map[string]func([]byte) []byte
	targets   map[string]map[string][]byte // by role
	delegates map[string]*metadata.Delegations
	meta      map[string]*metadata.MetaFiles // of what was published last
	root      *metadata.Metadata[metadata.RootType]
}

// New makes keys and publishes the first root, alone, in dir. All metadata
// expires at expires, until Expire says something else.
func New(dir string, expires time.Time) (*Repo, error) {
	r := &Repo{
		dir:       dir,
		signers:   map[string][]*Key{},
		expires:   map[string]time.Time{},
		version:   map[string]int64{},
		alter:     map[string]func(any){},
		rewrite:   map[string]func([]byte) []byte{},
		targets:   map[string]map[string][]byte{metadata.TARGETS: nil},
		delegates: map[string]*metadata.Delegations{},
		meta:      map[string]*metadata.MetaFiles{},
		root:      metadata.Root(expires),
	}
	if err := os.MkdirAll(filepath.Join(dir, "targets"), 0o700); err != nil {
		return nil, err
	}
	for _, role := range topLevel {
		r.Expire(role, expires)
		key, err := NewKey(Ed25519)
		if err != nil {
			return nil, err
		}
		if err := r.SetKeys(role, 1, key); err != nil {
			return nil, err
		}
	}
	return r, r.PublishRoot()
}

// Handler serves the repository.
func (r *Repo) Handler() http.Handler {
	files := http.FileServer(http.Dir(r.dir))
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		// Names of roles are escaped on disk as they are in a request.
		escaped := *request
		escaped.URL = &url.URL{Path: request.URL.EscapedPath()}
		files.ServeHTTP(w, &escaped)
	})
}

// RootFile is the path of the first root, which a client trusts from the start.
func (r *Repo) RootFile() string { return filepath.Join(r.dir, "1.root.json") }

// Set has the next Publish offer targets, by name, and no others in that role.
func (r *Repo) Set(targets map[string][]byte) { r.targets[metadata.TARGETS] = targets }

// Expire gives what is published of role from now on another end.
func (r *Repo) Expire(role string, at time.Time) { r.expires[role] = at.UTC() }

// SetVersion makes version the one that the next Publish gives role, instead of
// one more than the last. An earlier version is a rollback.
func (r *Repo) SetVersion(role string, version int64) { r.version[role] = version - 1 }

// Alter changes what is published of role from now on, before it is signed. The
// type of signed is that of go-tuf: *metadata.RootType and so on. Nil ends it.
func (r *Repo) Alter(role string, change func(signed any)) { r.alter[role] = change }

// Rewrite changes what is published of role from now on, after it was signed.
// Nil ends it.
func (r *Repo) Rewrite(role string, change func([]byte) []byte) { r.rewrite[role] = change }

// SetKeys has the next root give a role, which is not a delegated one, these keys
// and no others. They sign what is published of it from now on.
func (r *Repo) SetKeys(role string, threshold int, keys ...*Key) error {
	for _, id := range slices.Clone(r.root.Signed.Roles[role].KeyIDs) {
		if err := r.root.Signed.RevokeKey(id, role); err != nil {
			return err
		}
	}
	for _, key := range keys {
		if err := r.root.Signed.AddKey(key.public, role); err != nil {
			return err
		}
	}
	r.root.Signed.Roles[role].Threshold = threshold
	r.signers[role] = keys
	return nil
}

// SignWith has these keys sign what is published of role from now on, whether
// they are the role's or not.
func (r *Repo) SignWith(role string, keys ...*Key) { r.signers[role] = keys }

// Keys are those that sign role.
func (r *Repo) Keys(role string) []*Key { return slices.Clone(r.signers[role]) }

// Rotate gives role another key, and publishes the next root, which says so.
// The root itself is then signed with its old keys and its new one.
func (r *Repo) Rotate(role string) error {
	key, err := NewKey(Ed25519)
	if err != nil {
		return err
	}
	old := r.Keys(metadata.ROOT)
	if err := r.SetKeys(role, 1, key); err != nil {
		return err
	}
	if role != metadata.ROOT {
		return r.PublishRoot()
	}
	r.SignWith(role, append(old, key)...)
	defer r.SignWith(role, key)
	return r.PublishRoot()
}

// Delegate has the role parent delegate to role, which the key signs, and which
// offers targets. The next Publish publishes both.
func (r *Repo) Delegate(parent string, role metadata.DelegatedRole, key *Key, targets map[string][]byte) {
	d := r.delegates[parent]
	if d == nil {
		d = &metadata.Delegations{Keys: map[string]*metadata.Key{}}
		r.delegates[parent] = d
	}
	d.Keys[key.ID()] = key.public
	role.KeyIDs, role.Threshold = []string{key.ID()}, 1
	d.Roles = append(d.Roles, role)
	if _, ok := r.targets[role.Name]; !ok {
		r.signers[role.Name] = []*Key{key}
		r.expires[role.Name] = r.expires[metadata.TARGETS]
	}
	r.targets[role.Name] = targets
}

func (r *Repo) next(role string) int64 {
	r.version[role]++
	return r.version[role]
}

func versioned(version int64, name string) string { return fmt.Sprintf("%d.%s", version, name) }
