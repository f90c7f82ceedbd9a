// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"golang.org/x/term"
)

// progress is one line on the terminal that is redrawn while something lasts.
// Where stderr is no terminal it is nothing at all.
type progress struct {
	logs *logs
	quit chan struct{}
	done chan struct{}
}

const (
	redraw    = 100 * time.Millisecond
	clearLine = "\r\x1b[K"
)

// progress shows label and how many bytes of how many are done until stopped.
func (a *app) progress(label string, state func() (done, total int64)) *progress {
	p := &progress{logs: &a.logs, quit: make(chan struct{}), done: make(chan struct{})}
	f := a.terminal()
	if f == nil {
		close(p.done)
		return p
	}
	a.logs.hold()
	go func() {
		defer close(p.done)
		defer func() { _, _ = f.WriteString(clearLine) }()
		tick := time.NewTicker(redraw)
		defer tick.Stop()
		for {
			select {
			case <-p.quit:
				return
			case <-tick.C:
				width, _, err := term.GetSize(int(f.Fd()))
				if err != nil || width < 20 {
					width = 80
				}
				_, _ = f.WriteString(clearLine + statusLine(label, state, width-1))
			}
		}
	}()
	return p
}

func statusLine(label string, state func() (done, total int64), width int) string {
	done, total := state()
	tail := ""
	if total > 0 {
		tail = fmt.Sprintf("  %s / %s", byteCount(done), byteCount(total))
	}
	head := []rune(printable(label))
	if room := max(width-len(tail), 1); len(head) > room {
		head = append(head[:room-1], '…')
	}
	return string(head) + tail
}

func (p *progress) stop() {
	close(p.quit)
	<-p.done
	p.logs.release()
}

// uploads is a tracker that can be asked how far all uploads are.
type uploads struct {
	docker.StatusTrackLocker

	mu     sync.Mutex
	status map[string]docker.Status
}

func newUploads() *uploads {
	return &uploads{StatusTrackLocker: docker.NewInMemoryTracker(), status: map[string]docker.Status{}}
}

func (u *uploads) SetStatus(ref string, status docker.Status) {
	u.mu.Lock()
	u.status[ref] = status
	u.mu.Unlock()
	u.StatusTrackLocker.SetStatus(ref, status)
}

func (u *uploads) progress() (done, total int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, s := range u.status {
		total += s.Total
		if s.Committed || s.Exists {
			done += s.Total
		} else {
			done += s.Offset
		}
	}
	return done, total
}

// downloads asks the content store how far what it is receiving is.
func downloads(ctx context.Context, cd *containerd.Client) func() (done, total int64) {
	return func() (done, total int64) {
		statuses, err := cd.ContentStore().ListStatuses(ctx, "")
		if err != nil {
			return 0, 0
		}
		for _, s := range statuses {
			done += s.Offset
			total += s.Total
		}
		return done, total
	}
}
