// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
)

const (
	// startTimeout is generous: a daemon takes less than a second.
	startTimeout = time.Minute
	// stopTimeout is what a daemon may take to end before it is killed.
	stopTimeout = 20 * time.Second
)

// Daemon is a containerd that runs until Stop, or until this process ends.
type Daemon struct {
	Programs

	// Address is the socket.
	Address string
	// HostsDir is the registry configuration that pulls for Kubernetes use. It is
	// empty at first, which allows plain HTTP on loopback.
	HostsDir string
	// VerifierDir is the directory of the plugin for image verifiers. It is empty
	// at first, which lets every image through. Containerd 1.6 has no such plugin.
	VerifierDir string
	// Log is the file with what the daemon said.
	Log string

	dir    string
	exited chan struct{}
	stop   chan struct{}
	err    error // of the process, once exited is closed
}

// Start starts a daemon, and returns when it serves everything. The context is
// for the start alone.
//
// The daemon is the first process of a PID namespace, and has a mount namespace
// to itself. So when it ends, however it ends, the system ends every shim and
// container of it and undoes every mount.
func Start(ctx context.Context, p Programs) (*Daemon, error) {
	// A short path: the address of a socket has at most 107 bytes.
	dir, err := os.MkdirTemp("/tmp", "cosignkit-d")
	if err != nil {
		return nil, err
	}
	d := &Daemon{
		Programs:    p,
		Address:     filepath.Join(dir, "sock"),
		HostsDir:    filepath.Join(dir, "certs.d"),
		VerifierDir: filepath.Join(dir, "verifiers"),
		Log:         filepath.Join(dir, "log"),
		dir:         dir,
		exited:      make(chan struct{}),
		stop:        make(chan struct{}),
	}
	if err := d.start(ctx); err != nil {
		said, _ := os.ReadFile(d.Log)
		return nil, errors.Join(fmt.Errorf("start %s: %w\n%s", p.Containerd, err, said), os.RemoveAll(dir))
	}
	return d, nil
}

func (d *Daemon) start(ctx context.Context) error {
	config, err := configure(d.dir, d.ConfigVersion)
	if err != nil {
		return err
	}
	// What systemd would be told: that every plugin is ready.
	address := &net.UnixAddr{Name: filepath.Join(d.dir, "notify"), Net: "unixgram"}
	notify, err := net.ListenUnixgram(address.Net, address)
	if err != nil {
		return err
	}
	defer func() { _ = notify.Close() }()

	log, err := os.OpenFile(d.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	// The namespace needs a /proc of its own.
	command := exec.Command("/bin/sh", "-c", `mount -t proc proc /proc && exec "$@"`, "sh", d.Containerd, "--config", config)
	command.Env = []string{
		"PATH=" + strings.Join([]string{d.Bin, "/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin"}, ":"),
		"NOTIFY_SOCKET=" + address.Name,
	}
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:   syscall.CLONE_NEWPID,
		Unshareflags: syscall.CLONE_NEWNS, // which makes the mounts private, too
		Pdeathsig:    syscall.SIGKILL,
	}
	started := make(chan error)
	go d.supervise(command, started)
	if err := <-started; err != nil {
		return err
	}

	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	ready := make(chan error, 1)
	go func() { ready <- waitReady(notify) }()
	select {
	case err = <-ready:
	case <-d.exited:
		err = fmt.Errorf("it ended: %w", d.err)
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		d.end()
	}
	return err
}

// supervise runs command on a thread of its own, because a process gets its
// death signal when the thread ends that started it.
func (d *Daemon) supervise(command *exec.Cmd, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(d.exited)
	err := command.Start()
	started <- err
	if err != nil {
		return
	}
	go func() {
		<-d.stop
		_ = command.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(stopTimeout, func() { _ = command.Process.Kill() })
		<-d.exited
		kill.Stop()
	}()
	d.err = command.Wait()
}

func waitReady(notify *net.UnixConn) error {
	buffer := make([]byte, 4096)
	for {
		n, err := notify.Read(buffer)
		if err != nil || bytes.Contains(buffer[:n], []byte("READY=1")) {
			return err
		}
	}
}

func (d *Daemon) end() {
	close(d.stop)
	<-d.exited
}

// Stop ends the daemon with its containers, and removes its directory. It is an
// error if the daemon had ended before, did not end by itself, or left something
// behind.
func (d *Daemon) Stop() error {
	select {
	case <-d.exited:
		said, _ := os.ReadFile(d.Log)
		return errors.Join(fmt.Errorf("containerd had ended: %w\n%s", d.err, said), os.RemoveAll(d.dir))
	default:
	}
	d.end()
	return errors.Join(d.err, d.leftBehind(), os.RemoveAll(d.dir))
}

// leftBehind is an error if there is a mount below the daemon's directory, or a
// process that was started with it.
func (d *Daemon) leftBehind() error {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	if bytes.Contains(mounts, []byte(d.dir)) {
		return fmt.Errorf("there are mounts left in %s:\n%s", d.dir, mounts)
	}
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return err
	}
	for _, process := range processes {
		// A process that has ended meanwhile is not left.
		if line, _ := os.ReadFile(process); bytes.Contains(line, []byte(d.dir)) {
			return fmt.Errorf("%s is left: %s", process, bytes.ReplaceAll(line, []byte{0}, []byte{' '}))
		}
	}
	return nil
}

// Said returns the last lines of the log, for a test that failed.
func (d *Daemon) Said() string {
	const most = 16 << 10
	said, err := os.ReadFile(d.Log)
	if err != nil {
		return err.Error()
	}
	return string(said[max(0, len(said)-most):])
}

// Connect returns a client. Close it before Stop.
func (d *Daemon) Connect() (*containerd.Client, error) { return containerd.New(d.Address) }

// CtrCommand is ctr with arguments, in the namespace.
func (d *Daemon) CtrCommand(ctx context.Context, namespace string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, d.Ctr, append([]string{"--address", d.Address, "--namespace", namespace}, args...)...)
}
