// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"sync"

	"golang.org/x/term"
)

// logs is what the library says beside its results, on stderr: what a user should
// know, and with --debug everything.
type logs struct {
	mu   sync.Mutex
	out  io.Writer
	held *bytes.Buffer // nil unless progress is drawn, which would be drawn over it
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held != nil {
		return l.held.Write(p)
	}
	return l.out.Write(p)
}

// hold keeps what is written until release.
func (l *logs) hold() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		l.held = &bytes.Buffer{}
	}
}

func (l *logs) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held != nil {
		// There is nobody left to tell of an error here.
		_, _ = l.held.WriteTo(l.out)
		l.held = nil
	}
}

// logger is the library's. In --json its lines are JSON as well.
func (a *app) logger() *slog.Logger {
	options := &slog.HandlerOptions{Level: slog.LevelInfo, ReplaceAttr: func(groups []string, attr slog.Attr) slog.Attr {
		if len(groups) == 0 && attr.Key == slog.TimeKey {
			return slog.Attr{} // it is now
		}
		return attr
	}}
	if a.debug {
		options.Level = slog.LevelDebug
	}
	if a.json {
		return slog.New(slog.NewJSONHandler(&a.logs, options))
	}
	return slog.New(slog.NewTextHandler(&a.logs, options))
}

// exceptRules drops what is said of the rules of a policy file, of which most are
// about other images. What is said of its trusted root passes.
type exceptRules struct{ slog.Handler }

func (h exceptRules) Handle(ctx context.Context, record slog.Record) error {
	ofRule := false
	record.Attrs(func(attr slog.Attr) bool {
		ofRule = ofRule || attr.Key == "rule"
		return !ofRule
	})
	if ofRule {
		return nil
	}
	return h.Handler.Handle(ctx, record)
}

// tell is for what the adapter says, in lines. That something was signed or
// verified is in the results as well.
func (a *app) tell(level slog.Level, message string) {
	if level != slog.LevelInfo {
		a.log.Log(context.Background(), level, message)
	}
}

// terminal is where progress is drawn, or nil. With --debug it would have no peace.
func (a *app) terminal() *os.File {
	f, ok := a.stderr.(*os.File)
	if !ok || a.debug || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return f
}
