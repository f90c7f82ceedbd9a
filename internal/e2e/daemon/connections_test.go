// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package daemon_test

import (
	"io"
	"net"
	"sync"
	"testing"
)

// connections are those that a server has accepted and not ended.
type connections struct{ ends sync.Map }

func (c *connections) begin(conn net.Conn) { c.ends.Store(conn, make(chan struct{})) }

// end is called when nothing that came over conn is being done any more.
func (c *connections) end(conn net.Conn) {
	ended, _ := c.ends.LoadAndDelete(conn)
	close(ended.(chan struct{}))
}

// hangUp closes all connections that clients have made to the server at address,
// and waits for their ends.
func (c *connections) hangUp(t *testing.T, network, address string) {
	t.Helper()
	// They are accepted in order: when one of our own has been, so have all before.
	own, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = own.Close() }()
	if err := own.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, own); err != nil {
		t.Fatal(err)
	}
	c.ends.Range(func(conn, ended any) bool {
		_ = conn.(net.Conn).Close()
		<-ended.(chan struct{})
		return true
	})
}
