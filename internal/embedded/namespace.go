// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"context"

	"github.com/containerd/containerd/v2/core/metadata"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	bolt "go.etcd.io/bbolt"
)

// namespaceStore gives each call a transaction of its own; metadata's store
// lives inside of one.
type namespaceStore struct{ db *metadata.DB }

func (s namespaceStore) Create(ctx context.Context, namespace string, labels map[string]string) error {
	return s.db.Update(func(tx *bolt.Tx) error {
		return metadata.NewNamespaceStore(tx).Create(ctx, namespace, labels)
	})
}

func (s namespaceStore) Labels(ctx context.Context, namespace string) (labels map[string]string, err error) {
	err = s.db.View(func(tx *bolt.Tx) error {
		labels, err = metadata.NewNamespaceStore(tx).Labels(ctx, namespace)
		return err
	})
	return labels, err
}

func (s namespaceStore) SetLabel(ctx context.Context, namespace, key, value string) error {
	return s.db.Update(func(tx *bolt.Tx) error {
		return metadata.NewNamespaceStore(tx).SetLabel(ctx, namespace, key, value)
	})
}

func (s namespaceStore) List(ctx context.Context) (names []string, err error) {
	err = s.db.View(func(tx *bolt.Tx) error {
		names, err = metadata.NewNamespaceStore(tx).List(ctx)
		return err
	})
	return names, err
}

func (s namespaceStore) Delete(ctx context.Context, namespace string, opts ...namespaces.DeleteOpts) error {
	return s.db.Update(func(tx *bolt.Tx) error {
		return metadata.NewNamespaceStore(tx).Delete(ctx, namespace, opts...)
	})
}
