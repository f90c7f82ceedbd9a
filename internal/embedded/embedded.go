// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/metadata"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/containerd/v2/plugins/snapshots/native"
	"github.com/containerd/log"
	"github.com/sirupsen/logrus"
	bolt "go.etcd.io/bbolt"
	errbolt "go.etcd.io/bbolt/errors"

	"github.com/cosignkit/cosignkit/internal/fault"
)

// Snapshotter is the name of the client's only snapshotter.
const Snapshotter = "native"

// lockTimeout is how long Open waits for another process to close the
// directory: long enough for a command that is about to end, and short enough
// for a user who would rather be told.
const lockTimeout = 2 * time.Second

// ErrInUse is the cause when another process has the directory open.
var ErrInUse = errors.New("another process is using it")

// Client is a containerd client over in-process services.
type Client struct {
	*containerd.Client
	metadata    *metadata.DB
	file        *bolt.DB
	snapshotter snapshots.Snapshotter
}

// Open opens the directory root, and creates it with mode 0700 if it does not
// exist. If another process has it open, Open waits for two seconds and fails
// with an inconclusive error that matches [ErrInUse]; any other error is
// misconfigured.
func Open(root string) (*Client, error) {
	c, err := open(root)
	if err != nil {
		kind := fault.ErrMisconfigured
		if errors.Is(err, ErrInUse) {
			kind = fault.ErrInconclusive
		}
		return nil, fault.New(kind, "open image store", root, "", err)
	}
	return c, nil
}

func open(root string) (_ *Client, err error) {
	if root == "" {
		return nil, errors.New("no directory is given")
	}
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, err
	}
	// The database comes first because its lock guards the whole directory.
	db, err := openDatabase(filepath.Join(root, "meta.db"))
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, db.Close())
		}
	}()
	store, err := openContent(filepath.Join(root, "content"))
	if err != nil {
		return nil, fmt.Errorf("content store: %w", err)
	}
	snapshotter, err := native.NewSnapshotter(filepath.Join(root, "snapshots"))
	if err != nil {
		return nil, fmt.Errorf("snapshotter: %w", err)
	}
	m := metadata.NewDB(db, store, map[string]snapshots.Snapshotter{Snapshotter: snapshotter})
	if err := m.Init(context.Background()); err != nil {
		return nil, errors.Join(fmt.Errorf("metadata: %w", err), snapshotter.Close())
	}
	client, err := containerd.New("", containerd.WithServices(
		containerd.WithContentStore(m.ContentStore()),
		containerd.WithImageStore(metadata.NewImageStore(m)),
		containerd.WithLeasesService(metadata.NewLeaseManager(m)),
		containerd.WithNamespaceService(namespaceStore{m}),
		containerd.WithSnapshotters(m.Snapshotters()),
	))
	if err != nil {
		return nil, errors.Join(err, snapshotter.Close())
	}
	return &Client{Client: client, metadata: m, file: db, snapshotter: snapshotter}, nil
}

func openDatabase(path string) (*bolt.DB, error) {
	options := *bolt.DefaultOptions
	options.Timeout = lockTimeout
	// As containerd's daemon opens it: a free list that is not written cannot
	// be found damaged.
	options.NoFreelistSync = true
	db, err := bolt.Open(path, 0o600, &options)
	if errors.Is(err, errbolt.ErrTimeout) {
		return nil, ErrInUse
	}
	if err != nil {
		return nil, fmt.Errorf("metadata %s: %w", path, err)
	}
	return db, nil
}

// quiet is held while the level of containerd's global logger is changed.
var quiet sync.Mutex

// openContent keeps the store from telling stderr, through the global logger,
// that the file system has no fs-verity. It takes no context to do so with.
func openContent(root string) (content.Store, error) {
	quiet.Lock()
	defer quiet.Unlock()
	level := log.L.Logger.GetLevel()
	log.L.Logger.SetLevel(logrus.PanicLevel)
	defer log.L.Logger.SetLevel(level)
	return local.NewStore(root)
}

// Collect removes what nothing refers to, as a daemon does by itself.
func (c *Client) Collect(ctx context.Context) error {
	_, err := c.metadata.GarbageCollect(ctx)
	return err
}

// Close releases the directory. Operations that are under way must have ended.
func (c *Client) Close() error {
	return errors.Join(c.Client.Close(), c.snapshotter.Close(), c.file.Close())
}
