// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package services

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/trillian"
	"github.com/google/trillian/storage"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// safeStorage mends Trillian's storage in memory. That clones its tree, which
// writes to it, under a lock for reading; it keeps the caller's leaves, which
// the sequencer then writes to; and it takes a leaf twice, where Rekor v1
// expects to hear that it exists, to answer 409.
type safeStorage struct {
	storage.LogStorage
	snapshotting sync.Mutex

	queueing sync.Mutex
	seen     map[string]*trillian.LogLeaf
}

func newSafeStorage(s storage.LogStorage) *safeStorage {
	return &safeStorage{LogStorage: s, seen: map[string]*trillian.LogLeaf{}}
}

func (s *safeStorage) SnapshotForTree(ctx context.Context, tree *trillian.Tree) (storage.ReadOnlyLogTreeTX, error) {
	s.snapshotting.Lock()
	defer s.snapshotting.Unlock()
	tx, err := s.LogStorage.SnapshotForTree(ctx, tree)
	if err != nil {
		return nil, err
	}
	return readOnlyTX{tx}, nil
}

// readOnlyTX closes where it is told to commit: a commit writes the clone back,
// even that of a transaction that only reads, under a lock for reading.
type readOnlyTX struct{ storage.ReadOnlyLogTreeTX }

func (t readOnlyTX) Commit(context.Context) error { return t.Close() }

func (s *safeStorage) QueueLeaves(ctx context.Context, tree *trillian.Tree, leaves []*trillian.LogLeaf, at time.Time) ([]*trillian.QueuedLogLeaf, error) {
	s.queueing.Lock()
	defer s.queueing.Unlock()
	queued := make([]*trillian.QueuedLogLeaf, len(leaves))
	var fresh []*trillian.LogLeaf
	for i, leaf := range leaves {
		key := fmt.Sprintf("%d/%x", tree.TreeId, leaf.LeafIdentityHash)
		if old, ok := s.seen[key]; ok {
			queued[i] = &trillian.QueuedLogLeaf{Leaf: old, Status: status.New(codes.AlreadyExists, "leaf already exists").Proto()}
			continue
		}
		queued[i] = &trillian.QueuedLogLeaf{Leaf: leaf}
		s.seen[key] = proto.CloneOf(leaf)
		sequenced := proto.CloneOf(leaf)
		if sequenced.QueueTimestamp == nil {
			sequenced.QueueTimestamp = timestamppb.New(at)
		}
		fresh = append(fresh, sequenced)
	}
	if len(fresh) == 0 {
		return queued, nil
	}
	_, err := s.LogStorage.QueueLeaves(ctx, tree, fresh, at)
	return queued, err
}
