// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/tuf"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/cosignkit/cosignkit/internal/files"
	"github.com/cosignkit/cosignkit/internal/limits"
)

// Names in the cache of a repository. The metadata and the targets have the names
// that sigstore-go gives them, and are the newest that were verified.
const (
	fileTimestamp = "timestamp.json"
	fileSnapshot  = "snapshot.json"
	fileTargets   = "targets.json"
	dirTargets    = "targets/"
	// dirRoots has every root: a client that starts from the first one cannot
	// verify the last one alone.
	dirRoots = "roots/"
	// dirRoles has delegated roles, which may be called what they like.
	dirRoles = "roles/"
	// dirAside has the last whole state, while a refresh that has not ended well
	// left newer files where the state was.
	dirAside = "aside/"
)

func rootName(version int64) string { return fmt.Sprintf("%s%d.root.json", dirRoots, version) }

func targetName(target string) string { return dirTargets + url.PathEscape(target) }

func roleName(role string) string {
	if role == metadata.TARGETS {
		return fileTargets
	}
	return dirRoles + url.PathEscape(role) + ".json"
}

var errNoCache = errors.New("there is no cache")

// reader gives verified files, by name in the cache.
type reader interface {
	read(name string, limit int64) ([]byte, error)
}

// state has files in memory.
type state map[string][]byte

func (s state) read(name string, _ int64) ([]byte, error) {
	b, ok := s[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return b, nil
}

// directory has files on disk. The empty one has none.
type directory string

func (t *TUF) disk() directory { return directory(t.dir) }

// copies have what was verified before: on disk, and in memory where the disk
// fails. No copy is better than the others.
func (t *TUF) copies() []reader { return []reader{t.disk(), t.seen, t.good} }

func (d directory) aside() directory {
	if d == "" {
		return d
	}
	return directory(d.path(dirAside))
}

func (d directory) path(name string) string {
	return filepath.Join(string(d), filepath.FromSlash(name))
}

func (d directory) read(name string, limit int64) ([]byte, error) {
	if d == "" {
		return nil, errNoCache
	}
	return files.Read(d.path(name), limit, name)
}

// write does nothing if the file has that content.
func (d directory) write(name string, content []byte) error {
	if b, err := d.read(name, limits.TUFMetadata); err == nil && bytes.Equal(b, content) {
		return nil
	}
	path := d.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return files.Replace(path, content)
}

func (d directory) writeAll(all state) error {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if err := d.write(name, all[name]); err != nil {
			return err
		}
	}
	return nil
}

// lastFetch is when this process, or another one of the same cache, fetched. It
// is the zero time if that is not known.
func (d directory) lastFetch() time.Time {
	if d == "" {
		return time.Time{}
	}
	var config tuf.Config
	b, err := files.Read(string(d)+".json", limits.TUFMetadata, "time of the last fetch")
	if err != nil || json.Unmarshal(b, &config) != nil {
		return time.Time{}
	}
	return config.LastTimestamp
}

func (d directory) setLastFetch(at time.Time) error {
	b, err := json.Marshal(tuf.Config{LastTimestamp: at})
	if err != nil {
		return err
	}
	return files.Replace(string(d)+".json", b)
}

// history keeps the files of one refresh in memory and on disk, each at the moment
// when it was verified. However the refresh or the process ends, no mirror can go
// back to older ones (TUF 1.0.34, sections 5.3.8, 5.4.5, 5.5.7 and 5.6.6).
type history struct {
	tuf    *TUF
	locked bool
	aside  bool  // whether the whole state on disk has been put there
	err    error // the first one of the cache
}

func (h *history) keep(name string, content []byte) {
	h.tuf.seen[name] = content
	root := strings.HasPrefix(name, dirRoots)
	if root {
		// It may have revoked the keys of the state in use.
		h.tuf.current.Store(nil)
	}
	// Roots are never replaced, and so need no lock.
	if h.tuf.dir == "" || !h.locked && !root {
		return
	}
	disk := h.tuf.disk()
	if !root && !h.aside {
		h.aside = true
		if c, err := h.tuf.open(disk); err == nil {
			h.note(disk.aside().writeAll(c.files))
		}
	}
	h.note(disk.write(name, content))
}

// finish is for a refresh that ended well.
func (h *history) finish(c *contents) {
	if !h.locked || h.err != nil {
		return
	}
	disk := h.tuf.disk()
	h.note(disk.writeAll(c.files))
	if h.err == nil {
		h.note(disk.setLastFetch(c.since))
		h.note(os.RemoveAll(string(disk.aside())))
	}
}

func (h *history) note(err error) {
	if h.err == nil {
		h.err = err
	}
}
