// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package adapter

import (
	"log/slog"
	"strings"
	"testing"
)

// What is logged goes to a terminal, and may have in it what a registry said.
func TestMessagesAreOneLineThatATerminalObeysNot(t *testing.T) {
	t.Parallel()
	var got string
	log := newLogger(func(_ slog.Level, message string) { got = message })
	log.Warn("signatures\n\x1b[2J\u0085", "err", "\u202egnp.exe\u2028"+strings.Repeat("x", 1<<20))
	if len(got) > 2*longestLine || strings.ContainsAny(got, "\n\x1b\u0085\u202e\u2028") || !strings.HasPrefix(got, "cosign: signatures") {
		t.Errorf("%d bytes: %.100q", len(got), got)
	}
}
