// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package layout

import (
	"path/filepath"
	"strconv"
	"sync"
	"testing"
)

// TestFirstWritersBeginOneLayout: all writers that find an empty directory succeed.
func TestFirstWritersBeginOneLayout(t *testing.T) {
	t.Parallel()
	const rounds, writers = 20, 8
	dir := t.TempDir()
	for i := range rounds {
		var group sync.WaitGroup
		start := make(chan struct{})
		for range writers {
			group.Go(func() {
				<-start
				l, err := Create(t.Context(), filepath.Join(dir, strconv.Itoa(i)))
				if err != nil {
					t.Error(err)
					return
				}
				_ = l.Close()
			})
		}
		close(start)
		group.Wait()
	}
}
