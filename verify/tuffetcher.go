// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/tuf"
	"github.com/theupdateframework/go-tuf/v2/metadata"
	tufconfig "github.com/theupdateframework/go-tuf/v2/metadata/config"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/updater"

	"github.com/cosignkit/cosignkit/internal/files"
	"github.com/cosignkit/cosignkit/internal/limits"
)

// The targets of a Sigstore TUF repository.
const (
	targetTrustedRoot   = "trusted_root.json"
	targetSigningConfig = "signing_config.v0.2.json"
)

// Names in the cache of a repository. That of the roots is ours: go-tuf keeps
// only the last one, which on its own proves nothing to who starts from the
// first. The rest is as sigstore-go has it.
const (
	fileTimestamp = "timestamp.json"
	fileSnapshot  = "snapshot.json"
	dirTargets    = "targets/"
	dirRoots      = "roots/"
)

var errNoCache = errors.New("there is no cache")

// reader gives the files of one state of the repository, by name in the cache.
type reader interface {
	read(name string, limit int64) ([]byte, error)
}

// state is a state of the repository in memory.
type state map[string][]byte

func (s state) read(name string, _ int64) ([]byte, error) {
	b, ok := s[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return b, nil
}

// directory is one on disk.
type directory string

func (d directory) read(name string, limit int64) ([]byte, error) {
	if d == "" {
		return nil, errNoCache
	}
	return files.Read(filepath.Join(string(d), filepath.FromSlash(name)), limit, name)
}

var (
	rootName   = regexp.MustCompile(`^[1-9][0-9]*\.root\.json$`)
	versioned  = regexp.MustCompile(`^[1-9][0-9]*\.`)
	hashPrefix = regexp.MustCompile(`^[0-9a-f]{64,128}\.`)
)

// cacheName is the name in the cache of what the repository calls name.
func cacheName(name string) string {
	if target, ok := strings.CutPrefix(name, dirTargets); ok {
		return dirTargets + hashPrefix.ReplaceAllString(target, "")
	}
	if rootName.MatchString(name) {
		return dirRoots + name
	}
	return versioned.ReplaceAllString(name, "")
}

// fetch is how go-tuf's fetcher gets a file, and names what it gets.
type fetch func(address, name string, limit int64) ([]byte, error)

// recorder is go-tuf's fetcher, and keeps what it gave.
type recorder struct {
	base  string
	fetch fetch
	got   state
}

func (r *recorder) DownloadFile(address string, limit int64, _ time.Duration) ([]byte, error) {
	name := cacheName(strings.TrimPrefix(address, r.base+"/"))
	// Signed metadata may say that a file is as long as it likes.
	b, err := r.fetch(address, name, min(limit, limits.TUFMetadata))
	if err != nil {
		return nil, err
	}
	r.got[name] = b
	return b, nil
}

func fromCopy(copy reader) fetch {
	return func(address, name string, limit int64) ([]byte, error) {
		if strings.HasPrefix(name, dirRoots) {
			// knownRoots has read them. To go-tuf: there is no newer one.
			return nil, &metadata.ErrDownloadHTTP{StatusCode: http.StatusNotFound, URL: address}
		}
		b, err := copy.read(name, limit)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return b, nil
	}
}

// fromMirror fetches under a context, which go-tuf does not know.
func fromMirror(ctx context.Context, client *http.Client) fetch {
	return func(address, name string, limit int64) ([]byte, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return nil, err
		}
		response, err := client.Do(request)
		if err != nil {
			return nil, causeOr(ctx, err)
		}
		defer func() { _ = response.Body.Close() }()
		if response.StatusCode != http.StatusOK {
			return nil, &metadata.ErrDownloadHTTP{StatusCode: response.StatusCode, URL: address}
		}
		b, err := limits.ReadAll(response.Body, limit, name)
		if err != nil {
			return nil, causeOr(ctx, err)
		}
		return b, nil
	}
}

func causeOr(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// guard makes an error of a panic: go-tuf has no check for every null in what it
// parses, be it signed or not.
func guard(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("metadata is not well formed: %.256v", r)
		}
	}()
	return f()
}

// checkRootMetadata refuses what can never verify anything.
func checkRootMetadata(b []byte) error {
	return guard(func() error {
		_, err := trustedmetadata.New(b)
		return err
	})
}

// knownRoots are the versions of root metadata that the copies hold, from the
// initial one on, each signed by the one before it. The last one is where an
// update starts: a mirror that hides it cannot bring revoked keys back.
type knownRoots struct {
	last  []byte
	files state
}

func (t *TUF) knownRoots(copies []reader) knownRoots {
	roots := knownRoots{last: t.config.InitialRoot, files: state{}}
	set, err := trustedmetadata.New(t.config.InitialRoot)
	if err != nil {
		return roots // go-tuf says why
	}
	next := func() bool {
		name := fmt.Sprintf("%s%d.root.json", dirRoots, set.Root.Signed.Version+1)
		for _, c := range copies {
			b, err := c.read(name, limits.TUFMetadata)
			if err != nil {
				continue
			}
			// What does not verify is as good as missing.
			if guard(func() error { _, err := set.UpdateRoot(b); return err }) == nil {
				roots.last, roots.files[name] = b, b
				return true
			}
		}
		return false
	}
	for next() {
	}
	return roots
}

// open runs the whole of TUF's client workflow on what fetch gives, from the
// last known root: what is on disk is trusted no more than what a mirror says.
func (t *TUF) open(roots knownRoots, fetch fetch) (*snapshot, error) {
	r := &recorder{base: t.base, fetch: fetch, got: maps.Clone(roots.files)}
	s := &snapshot{files: r.got}
	err := guard(func() error {
		config, err := tufconfig.New(t.base, roots.last)
		if err != nil {
			return err
		}
		config.Fetcher = r
		config.RemoteTargetsURL = t.base + "/targets"
		// go-tuf would write each file as it comes, so that a mirror that fails
		// half-way would leave neither the old state nor the new one; and it
		// would fail on those that are damaged. No file has this name.
		config.DisableLocalCache = true
		config.LocalMetadataDir = "\x00"
		client, err := updater.New(config)
		if err != nil {
			return err
		}
		if err := client.Refresh(); err != nil {
			return err
		}
		info, err := client.GetTargetInfo(targetTrustedRoot)
		if err != nil {
			return err
		}
		_, b, err := client.DownloadTarget(info, "", "")
		if err != nil {
			return err
		}
		if s.root, err = newTrustedRoot(b); err != nil {
			return fmt.Errorf("%s: %w", targetTrustedRoot, err)
		}
		// Older repositories have no signing config; who needs one is told.
		if info, err := client.GetTargetInfo(targetSigningConfig); err == nil {
			if _, s.signingConfig, err = client.DownloadTarget(info, "", ""); err != nil {
				return err
			}
		}
		s.expires = expiry(client.GetTrustedMetadataSet())
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

func expiry(set trustedmetadata.TrustedMetadata) time.Time {
	first := set.Root.Signed.Expires
	for _, other := range []time.Time{set.Timestamp.Signed.Expires, set.Snapshot.Signed.Expires, set.Targets[metadata.TARGETS].Signed.Expires} {
		if other.Before(first) {
			first = other
		}
	}
	return first
}

// fetch gets the state of the mirror, if it is not behind that of the copies.
// These need not be good: also one that has expired has been seen.
func (t *TUF) fetch(ctx context.Context, timeout time.Duration, roots knownRoots, copies []reader) (*snapshot, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, errors.New("the mirror took too long"))
	defer cancel()
	s, err := t.open(roots, fromMirror(ctx, t.client))
	if err != nil {
		return nil, err
	}
	last := t.knownRoots([]reader{s.files}).last
	for _, c := range copies {
		if err := checkNotOlder(last, c, s.files); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// checkNotOlder does with the files of the two states what go-tuf does where it
// finds the old ones itself. An old file that is damaged, or that the keys of
// today's root did not sign, is no measure for the new one.
func checkNotOlder(root []byte, from, to reader) error {
	set, err := trustedmetadata.New(root)
	if err != nil {
		return err
	}
	update := func(name string, from reader, update func([]byte) error) error {
		b, err := from.read(name, limits.TUFMetadata)
		if err != nil {
			return err
		}
		return guard(func() error { return update(b) })
	}
	timestamp := func(b []byte) error { _, err := set.UpdateTimestamp(b); return err }
	_ = update(fileTimestamp, from, timestamp)
	if err := update(fileTimestamp, to, timestamp); err != nil && !errors.Is(err, &metadata.ErrEqualVersionNumber{}) {
		return err
	}
	snapshot := func(b []byte) error { _, err := set.UpdateSnapshot(b, false); return err }
	_ = update(fileSnapshot, from, func(b []byte) error { _, err := set.UpdateSnapshot(b, true); return err })
	return update(fileSnapshot, to, snapshot)
}

// store writes a state into the cache, which is locked. The timestamp is last
// but for the time: a process that dies before leaves what the next one fetches
// again.
func (t *TUF) store(s *snapshot) error {
	for _, dir := range []string{dirRoots, dirTargets} {
		if err := os.MkdirAll(filepath.Join(t.dir, dir), 0o700); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.files)) {
		if err := replaceFile(filepath.Join(t.dir, filepath.FromSlash(name)), s.files[name]); err != nil {
			return err
		}
	}
	b, err := json.Marshal(tuf.Config{LastTimestamp: s.since})
	if err != nil {
		return err
	}
	return replaceFile(t.dir+".json", b)
}

// replaceFile lets no reader find half of the content.
func replaceFile(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err := errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	if info, err := os.Lstat(path); err == nil && info.IsDir() {
		_ = os.Remove(path) // nothing can be renamed to it
	}
	if err := os.Rename(f.Name(), path); err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	return nil
}
