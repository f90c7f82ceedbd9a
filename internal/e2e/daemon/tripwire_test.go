// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package daemon_test

import (
	"net"
	"os/exec"
	"sync"
	"testing"

	"github.com/cosignkit/cosignkit/internal/traffic"
)

// tripwire is in front of a server, and passes connections on. What it reads at
// a time, from either side, is a step. A program that talks to the server is
// killed at a given step, of which the other side then learns nothing.
type tripwire struct {
	network, server string
	listener        net.Listener
	connections     traffic.Connections

	mu     sync.Mutex
	steps  int
	at     int // 0 is never
	victim *exec.Cmd
}

// newTripwire listens at address, in the server's network.
func newTripwire(t *testing.T, network, address, server string) *tripwire {
	t.Helper()
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	w := &tripwire{network: network, server: server, listener: listener}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			w.connections.Begin(client)
			go w.connect(client)
		}
	}()
	return w
}

func (w *tripwire) address() string { return w.listener.Addr().String() }

func (w *tripwire) connect(client net.Conn) {
	defer w.connections.End(client)
	defer func() { _ = client.Close() }()
	server, err := net.Dial(w.network, w.server)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	ended := make(chan struct{}, 2)
	for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
		go func() {
			w.pass(way[0], way[1])
			ended <- struct{}{}
		}()
	}
	<-ended // either side: nothing here needs half a connection
}

func (w *tripwire) pass(from, to net.Conn) {
	buffer := make([]byte, 16<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 && !w.step() {
			return
		}
		if _, failed := to.Write(buffer[:n]); err != nil || failed != nil {
			return
		}
	}
}

// step reports whether to go on.
func (w *tripwire) step() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.steps++
	if w.at == 0 || w.steps < w.at {
		return true
	}
	_ = w.victim.Process.Kill() // or it has ended by itself
	return false
}

// kill starts victim, and kills it at a step unless that is 0. It returns how
// many steps there were, when no more reaches the server.
func (w *tripwire) kill(t *testing.T, victim *exec.Cmd, at int) (steps int, err error) {
	t.Helper()
	// The first step waits until there is a process.
	w.mu.Lock()
	w.steps, w.at, w.victim = 0, at, victim
	err = victim.Start()
	w.mu.Unlock()
	if err != nil {
		return 0, err
	}
	err = victim.Wait()
	if err := w.connections.HangUp(w.network, w.address()); err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at = 0
	return w.steps, err
}
