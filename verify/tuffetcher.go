// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	tuffetcher "github.com/theupdateframework/go-tuf/v2/metadata/fetcher"

	"github.com/cosignkit/cosignkit/internal/files"
	"github.com/cosignkit/cosignkit/internal/limits"
)

type fetcher = tuffetcher.Fetcher

// mirrorFetcher fetches from the mirror, under a context, which go-tuf does not
// know. It keeps the versions of root metadata on disk: go-tuf keeps only the
// last one, which on its own proves nothing to who starts from the first.
type mirrorFetcher struct {
	ctx    context.Context //nolint:containedctx // of one refresh, see above
	client *http.Client
	keep   string
	cache  bool
}

func (f *mirrorFetcher) DownloadFile(address string, limit int64, _ time.Duration) ([]byte, error) {
	request, err := http.NewRequestWithContext(f.ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	response, err := f.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, &metadata.ErrDownloadHTTP{StatusCode: response.StatusCode, URL: address}
	}
	b, err := limits.ReadAll(response.Body, limit, path.Base(address))
	if err != nil {
		return nil, err
	}
	if name := path.Base(address); f.cache && rootVersion.MatchString(name) {
		// It is verified by go-tuf next, and whenever it is read again.
		if err := os.MkdirAll(filepath.Join(f.keep, rootsDir), 0o700); err == nil {
			_ = os.WriteFile(filepath.Join(f.keep, rootsDir, name), b, 0o600)
		}
	}
	return b, nil
}

// rootsDir is ours in the cache of a repository; the rest is sigstore-go's.
const rootsDir = "roots"

var (
	rootVersion      = regexp.MustCompile(`^[1-9][0-9]{0,8}\.root\.json$`)
	versionedName    = regexp.MustCompile(`^[1-9][0-9]{0,8}\.((?:snapshot|targets)\.json)$`)
	targetHashPrefix = regexp.MustCompile(`^[0-9a-f]{64,128}\.`)
)

// diskFetcher gives the last state of the mirror that was good, from the cache.
type diskFetcher struct{ dir string }

func (f diskFetcher) DownloadFile(address string, limit int64, _ time.Duration) ([]byte, error) {
	name := path.Base(address)
	where := filepath.Join(f.dir, name)
	switch {
	case rootVersion.MatchString(name):
		where = filepath.Join(f.dir, rootsDir, name)
	case path.Base(path.Dir(address)) == "targets":
		where = filepath.Join(f.dir, "targets", targetHashPrefix.ReplaceAllString(name, ""))
	case versionedName.MatchString(name):
		where = filepath.Join(f.dir, versionedName.FindStringSubmatch(name)[1])
	case name != "timestamp.json":
		return nil, fmt.Errorf("%.64q is not kept", name)
	}
	b, err := files.Read(where, limit, name)
	if err != nil {
		if strings.HasSuffix(name, ".root.json") {
			// To go-tuf: there is no newer one.
			return nil, &metadata.ErrDownloadHTTP{StatusCode: http.StatusNotFound, URL: address}
		}
		return nil, fmt.Errorf("%s in the cache: %w", name, err)
	}
	return b, nil
}

// dropUnreadable removes what is damaged, which go-tuf would stumble over. What
// can be read stays, whatever it says: it protects from a mirror that goes back
// in time.
func (t *TUF) dropUnreadable() {
	drop := func(name string, parse func([]byte) error) {
		where := filepath.Join(t.dir(), name)
		b, err := files.Read(where, limits.TUFMetadata, name)
		if err == nil {
			err = parse(b)
		}
		if err != nil && !os.IsNotExist(err) {
			_ = os.Remove(where)
		}
	}
	drop("timestamp.json", func(b []byte) error { _, err := metadata.Timestamp().FromBytes(b); return err })
	drop("snapshot.json", func(b []byte) error { _, err := metadata.Snapshot().FromBytes(b); return err })
	drop("targets.json", func(b []byte) error { _, err := metadata.Targets().FromBytes(b); return err })
}

// checkRootMetadata refuses what can never verify anything.
func checkRootMetadata(b []byte) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("not well formed: %.256v", r)
		}
	}()
	m, err := metadata.Root().FromBytes(b)
	if err != nil {
		return err
	}
	return m.VerifyDelegate(metadata.ROOT, m)
}
