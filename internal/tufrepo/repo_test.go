// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package tufrepo_test

import (
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/config"
	"github.com/theupdateframework/go-tuf/v2/metadata/updater"

	"github.com/cosignkit/cosignkit/internal/tufrepo"
)

const target = "trusted_root.json"

// client is a TUF client that keeps its metadata from one read to the next.
type client struct {
	url, dir string
	root     []byte
}

func newRepo(t *testing.T) (*tufrepo.Repo, client) {
	t.Helper()
	repo, err := tufrepo.New(t.TempDir(), time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(repo.Handler())
	t.Cleanup(server.Close)
	root, err := os.ReadFile(repo.RootFile())
	if err != nil {
		t.Fatal(err)
	}
	return repo, client{url: server.URL, dir: t.TempDir(), root: root}
}

func publish(t *testing.T, repo *tufrepo.Repo, content string) {
	t.Helper()
	repo.Set(map[string][]byte{target: []byte(content)})
	if err := repo.Publish(); err != nil {
		t.Fatal(err)
	}
}

func (c client) read() (string, error) {
	settings, err := config.New(c.url, c.root)
	if err != nil {
		return "", err
	}
	settings.LocalMetadataDir = c.dir
	settings.LocalTargetsDir = filepath.Join(c.dir, "targets")
	settings.RemoteTargetsURL = c.url + "/targets"
	u, err := updater.New(settings)
	if err != nil {
		return "", err
	}
	if err := u.Refresh(); err != nil {
		return "", err
	}
	info, err := u.GetTargetInfo(target)
	if err != nil {
		return "", err
	}
	_, content, err := u.DownloadTarget(info, "", "")
	return string(content), err
}

func (c client) wants(t *testing.T, want string) {
	t.Helper()
	if got, err := c.read(); got != want || err != nil {
		t.Errorf("read %q, %v; want %q", got, err, want)
	}
}

func (c client) refuses(t *testing.T, want error) {
	t.Helper()
	if got, err := c.read(); !errors.Is(err, want) {
		t.Errorf("read %q, %v; want an error %T", got, err, want)
	}
}

func TestNextVersions(t *testing.T) {
	t.Parallel()
	repo, client := newRepo(t)
	for _, content := range []string{"one", "two"} {
		publish(t, repo, content)
		client.wants(t, content)
	}
}

func TestRotate(t *testing.T) {
	t.Parallel()
	repo, client := newRepo(t)
	publish(t, repo, "one")
	client.wants(t, "one")
	for _, role := range []string{metadata.ROOT, metadata.TARGETS, metadata.SNAPSHOT, metadata.TIMESTAMP} {
		if err := repo.Rotate(role); err != nil {
			t.Fatal(err)
		}
		publish(t, repo, "after "+role)
		client.wants(t, "after "+role)
	}
}

func TestExpired(t *testing.T) {
	t.Parallel()
	for _, role := range []string{metadata.TARGETS, metadata.SNAPSHOT, metadata.TIMESTAMP} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			repo, client := newRepo(t)
			repo.Expire(role, time.Now().Add(-time.Minute))
			publish(t, repo, "stale")
			client.refuses(t, &metadata.ErrExpiredMetadata{})
		})
	}
}

func TestRollback(t *testing.T) {
	t.Parallel()
	for _, role := range []string{metadata.TARGETS, metadata.SNAPSHOT, metadata.TIMESTAMP} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			repo, client := newRepo(t)
			repo.SetVersion(role, 5)
			publish(t, repo, "new")
			client.wants(t, "new")
			repo.SetVersion(role, 4)
			publish(t, repo, "old")
			client.refuses(t, &metadata.ErrBadVersionNumber{})
		})
	}
}
