// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package traffic

import (
	"io"
	"net"
	"sync"
)

// Connections are those that a server has accepted and not ended. Who counts
// requests, or what they do, waits for their ends: a verification gives up its
// other look-ups when one was enough, a process may be killed, and what they
// asked may still be on its way. It is safe for concurrent use.
type Connections struct{ ends sync.Map }

// Begin is called when conn was accepted.
func (c *Connections) Begin(conn net.Conn) { c.ends.Store(conn, make(chan struct{})) }

// End is called when nothing that came over conn is being done any more.
func (c *Connections) End(conn net.Conn) {
	if ended, ok := c.ends.LoadAndDelete(conn); ok {
		close(ended.(chan struct{}))
	}
}

// HangUp ends the connections that clients have made to the server at address, and
// waits until they have ended.
//
// What is asked next over one of which the client did not yet see the end may fail,
// unless it can be asked twice.
func (c *Connections) HangUp(network, address string) error {
	return c.wait(network, address, true)
}

func (c *Connections) wait(network, address string, hangUp bool) error {
	// They are accepted in order: when one of our own has been, so have all before.
	own, err := net.Dial(network, address)
	if err != nil {
		return err
	}
	defer func() { _ = own.Close() }()
	if err := own.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, own); err != nil {
		return err
	}
	var ends []any
	c.ends.Range(func(conn, ended any) bool {
		if hangUp {
			_ = conn.(net.Conn).Close()
		}
		ends = append(ends, ended)
		return true
	})
	for _, ended := range ends {
		<-ended.(chan struct{})
	}
	return nil
}
