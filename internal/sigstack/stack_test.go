// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package sigstack_test

import (
	"os"
	"strings"
	"testing"

	"github.com/cosignkit/cosignkit/internal/sigstack"
)

// TestStartFails: the error has what the program said. That it starts, the
// tests of the program itself hold.
func TestStartFails(t *testing.T) {
	t.Parallel()
	notIt, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const want = "flag provided but not defined: -dir"
	if _, err := sigstack.Start(t.Context(), notIt, t.TempDir()); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}
