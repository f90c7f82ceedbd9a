// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package daemon_test

import (
	"testing"
)

var forms = []string{"bundle", "legacy"}

func TestPushPullRun(t *testing.T) {
	t.Parallel()
	n := newNode(t, current)
	r := newRegistry(t)
	for _, form := range forms {
		t.Run(form, func(t *testing.T) {
			n := n.on(t)
			ref := r.address + "/" + form + ":v1"
			n.load(ref, "hello from "+form)
			n.must(append(with("push", signed(form)), ref)...)
			want, _ := n.record(ref)
			n.forget(ref)

			n.must(append(with("pull", verified()), ref)...)
			if got, _ := n.record(ref); got.Digest != want.Digest {
				t.Errorf("the record is of %s, want %s", got.Digest, want.Digest)
			}
			if got := n.must(append(with("run", verified("--pull=never")), ref)...); got != "hello from "+form {
				t.Errorf("the container printed %q", got)
			}
		})
	}
}
