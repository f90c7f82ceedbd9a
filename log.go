// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package cosignkit

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/containerd/log"

	"github.com/cosignkit/cosignkit/internal/fault"
)

// logPrefix begins every message, so that people find the lines that they know.
const logPrefix = "cosign: "

// longestLine is as many bytes as a message has.
const longestLine = 4 << 10

// newLogger returns a logger that calls log with each message in one line.
func newLogger(log func(slog.Level, string)) *slog.Logger {
	if log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(&lineHandler{log: log})
}

// ContainerdLog is for Config.Log: it passes messages to containerd's own logger,
// at the level that they have.
func ContainerdLog(level slog.Level, message string) {
	to := log.DebugLevel
	switch {
	case level >= slog.LevelError:
		to = log.ErrorLevel
	case level >= slog.LevelWarn:
		to = log.WarnLevel
	case level >= slog.LevelInfo:
		to = log.InfoLevel
	}
	log.L.Log(to, message)
}

type lineHandler struct {
	log   func(slog.Level, string)
	attrs string
	group string
}

func (h *lineHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h *lineHandler) Handle(_ context.Context, record slog.Record) error {
	var b strings.Builder
	b.WriteString(record.Message)
	b.WriteString(h.attrs)
	record.Attrs(func(attr slog.Attr) bool {
		b.WriteString(h.render(attr))
		return true
	})
	// Messages may repeat what a registry said.
	h.log(record.Level, logPrefix+fault.Line(b.String(), longestLine))
	return nil
}

func (h *lineHandler) render(attr slog.Attr) string {
	value := attr.Value.Resolve()
	if value.Kind() == slog.KindGroup {
		var b strings.Builder
		inner := h.WithGroup(attr.Key).(*lineHandler)
		for _, member := range value.Group() {
			b.WriteString(inner.render(member))
		}
		return b.String()
	}
	return fmt.Sprintf(" %s%s=%v", h.group, attr.Key, value)
}

func (h *lineHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	for _, attr := range attrs {
		with.attrs += h.render(attr)
	}
	return &with
}

func (h *lineHandler) WithGroup(name string) slog.Handler {
	with := *h
	if name != "" {
		with.group += name + "."
	}
	return &with
}
