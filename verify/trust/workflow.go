// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/internal/strictjson"
)

// workflow is one run of the client workflow (TUF 1.0.34, section 5). go-tuf
// decides about each file. Its own updater does not fit: it starts from the
// initial root each time, knows no context, and fails without a cache that can
// be written.
type workflow struct {
	set   *trustedmetadata.TrustedMetadata
	fetch fetch
	// copies have files that were verified before. A new file must not be older,
	// and a file that is still the right one is not fetched again.
	copies []reader
	// keep is told of each file that was fetched, when it has been verified.
	keep  func(name string, content []byte)
	files state // of the state that the run ends with
}

// workflow starts from the newest root that is known: the last one of those that
// are each signed by the one before, from the initial one on. A mirror that
// hides it cannot bring revoked keys back.
func (t *TUF) workflow(fetch fetch) (*workflow, error) {
	set, err := trustedmetadata.New(t.config.InitialRoot)
	if err != nil {
		return nil, err
	}
	w := &workflow{set: set, fetch: fetch, files: state{}, keep: func(string, []byte) {}}
	for slices.ContainsFunc(t.copies(), w.nextRoot) {
	}
	return w, nil
}

// nextRoot reports whether from has the next root. A file that does not verify is
// as good as missing.
func (w *workflow) nextRoot(from reader) bool {
	name := rootName(w.set.Root.Signed.Version + 1)
	b, err := from.read(name, limits.TUFRoot)
	return err == nil && w.updateRoot(name, b) == nil
}

func (w *workflow) updateRoot(name string, b []byte) error {
	err := guard(func() error {
		if err := checkForm(b); err != nil {
			return err
		}
		_, err := w.set.UpdateRoot(b)
		return err
	})
	if err == nil {
		w.files[name] = b
	}
	return err
}

// newRoots is section 5.3. A repository that has more of them than the limit is
// followed further in the next refresh.
func (w *workflow) newRoots() error {
	for range limits.TUFRoots {
		name := rootName(w.set.Root.Signed.Version + 1)
		b, err := w.fetch(name, path.Base(name), limits.TUFRoot)
		if status := (*statusError)(nil); errors.As(err, &status) && status.code == http.StatusNotFound {
			return nil
		}
		if err != nil {
			return err
		}
		if err := w.updateRoot(name, b); err != nil {
			return fmt.Errorf("%s: %w", path.Base(name), err)
		}
		w.keep(name, b)
	}
	return nil
}

// run is all that follows the roots.
func (w *workflow) run() (*contents, error) {
	measures := slices.DeleteFunc(slices.Clone(w.copies), w.hasRotated)
	if err := w.timestamp(measures); err != nil {
		return nil, err
	}
	if err := w.snapshot(measures); err != nil {
		return nil, err
	}
	// The role is checked even if all targets are in delegated ones.
	if err := w.targets(metadata.TARGETS, metadata.ROOT); err != nil {
		return nil, err
	}
	c := &contents{files: w.files, expires: w.expiry()}
	b, err := w.target(targetTrustedRoot)
	if err != nil {
		return nil, err
	}
	if c.root, err = newRoot(b); err != nil {
		return nil, fmt.Errorf("%s: %w", targetTrustedRoot, err)
	}
	// Older repositories have no signing config; SigningConfig says so.
	if c.signingConfig, err = w.target(targetSigningConfig); err != nil && !errors.Is(err, errNoTarget) {
		return nil, err
	}
	return c, nil
}

// hasRotated is section 5.3.11: after keys of the timestamp or the snapshot were
// replaced, neither of the two files is a measure for the new ones. Stolen keys may
// have signed versions that the repository never reaches.
func (w *workflow) hasRotated(c reader) bool {
	return isUnsigned(w, metadata.Timestamp(), c, fileTimestamp, limits.TUFTimestamp) ||
		isUnsigned(w, metadata.Snapshot(), c, fileSnapshot, limits.TUFSnapshot)
}

func isUnsigned[T metadata.Roles](w *workflow, empty *metadata.Metadata[T], c reader, name string, limit int64) bool {
	b, err := c.read(name, limit)
	if err != nil {
		return false
	}
	err = guard(func() error {
		m, err := parse(empty, b)
		if err != nil {
			return err
		}
		return w.set.Root.VerifyDelegate(name[:len(name)-len(".json")], m)
	})
	return errors.Is(err, &metadata.ErrUnsignedMetadata{})
}

func parse[T metadata.Roles](empty *metadata.Metadata[T], b []byte) (*metadata.Metadata[T], error) {
	if err := checkForm(b); err != nil {
		return nil, err
	}
	return empty.FromBytes(b)
}

// checkForm is for metadata that go-tuf has not seen yet, and nobody verified.
func checkForm(b []byte) error {
	if err := strictjson.Check(b); err != nil {
		return err
	}
	var m struct {
		Signatures []json.RawMessage `json:"signatures"`
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return err
	}
	if len(m.Signatures) > limits.TUFSignatures {
		return limits.Exceeded("number of signatures", limits.TUFSignatures)
	}
	return nil
}

// timestamp is section 5.4.
func (w *workflow) timestamp(measures []reader) error {
	for _, c := range measures {
		w.measure(c, fileTimestamp, limits.TUFTimestamp, func(b []byte) bool {
			last := w.set.Timestamp
			_, _ = w.updateTimestamp(b)
			return w.set.Timestamp != last
		})
	}
	b, err := w.fetch(fileTimestamp, fileTimestamp, limits.TUFTimestamp)
	if err != nil {
		return err
	}
	isNew, err := w.updateTimestamp(b)
	if err != nil {
		return err
	}
	if isNew {
		w.accept(fileTimestamp, b)
	}
	return nil
}

// updateTimestamp reports false if the version is the one that is known, which
// stays. go-tuf takes a timestamp that has expired, as a measure, with an error.
func (w *workflow) updateTimestamp(b []byte) (isNew bool, err error) {
	m, err := parse(metadata.Timestamp(), b)
	if err != nil {
		return false, err
	}
	// go-tuf could compare no later one with it.
	if m.Signed.Meta[fileSnapshot] == nil {
		return false, errors.New("timestamp.json names no snapshot")
	}
	_, err = w.set.UpdateTimestamp(b)
	if errors.Is(err, &metadata.ErrEqualVersionNumber{}) {
		if w.set.Timestamp.Signed.IsExpired(w.set.RefTime) {
			return false, &metadata.ErrExpiredMetadata{Msg: "timestamp.json is expired"}
		}
		return false, nil
	}
	return err == nil, err
}

// snapshot is section 5.5.
func (w *workflow) snapshot(measures []reader) error {
	meta := w.set.Timestamp.Signed.Meta[fileSnapshot]
	for _, c := range measures {
		w.measure(c, fileSnapshot, limits.TUFSnapshot, func(b []byte) bool {
			last := w.set.Snapshot
			_ = w.updateSnapshot(b, true)
			return w.set.Snapshot != last
		})
	}
	if s := w.set.Snapshot; s != nil && s.Signed.Version == meta.Version &&
		!s.Signed.IsExpired(w.set.RefTime) && meta.VerifyLengthHashes(w.files[fileSnapshot]) == nil {
		return nil
	}
	b, err := w.fetch(fileSnapshot, w.versioned(meta.Version, fileSnapshot), bound(meta.Length, limits.TUFSnapshot))
	if err != nil {
		return err
	}
	if err := w.updateSnapshot(b, false); err != nil {
		return err
	}
	w.accept(fileSnapshot, b)
	return nil
}

func (w *workflow) updateSnapshot(b []byte, trusted bool) error {
	m, err := parse(metadata.Snapshot(), b)
	if err != nil {
		return err
	}
	// go-tuf could compare no later one with it.
	for name, meta := range m.Signed.Meta {
		if meta == nil {
			return fmt.Errorf("snapshot.json says nothing about %q", name)
		}
	}
	_, err = w.set.UpdateSnapshot(b, trusted)
	return err
}

// measure reports whether take took a file of what was verified before.
func (w *workflow) measure(from reader, name string, limit int64, take func([]byte) bool) (taken bool) {
	b, err := from.read(name, limit)
	if err != nil {
		return false
	}
	_ = guard(func() error { taken = take(b); return nil })
	if taken {
		w.files[name] = b
	}
	return taken
}

func (w *workflow) accept(name string, content []byte) {
	w.files[name] = content
	w.keep(name, content)
}

// versioned is the path of metadata on the mirror.
func (w *workflow) versioned(version int64, file string) string {
	if w.set.Root.Signed.ConsistentSnapshot {
		return fmt.Sprintf("%d.%s", version, file)
	}
	return file
}

func (w *workflow) expiry() time.Time {
	first := w.set.Root.Signed.Expires
	for _, other := range []time.Time{w.set.Timestamp.Signed.Expires, w.set.Snapshot.Signed.Expires, w.set.Targets[metadata.TARGETS].Signed.Expires} {
		if other.Before(first) {
			first = other
		}
	}
	return first
}

// bound is how much is read of a file, whatever length signed metadata gives it.
func bound(length, limit int64) int64 {
	if length > 0 {
		return min(length, limit)
	}
	return limit
}

// guard makes an error of a panic: go-tuf does not check every null in the
// metadata that it parses, signed or not.
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
		if err := checkForm(b); err != nil {
			return err
		}
		_, err := trustedmetadata.New(b)
		return err
	})
}
