// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package services

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	posix "github.com/sigstore/rekor-tiles/v2/cmd/rekor-server/posix/app"
	"github.com/sigstore/rekor-tiles/v2/pkg/note"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

// startRekorV2 runs the command of Rekor v2 in a goroutine: nothing of it can
// be imported but that, which reads os.Args, takes no port 0, and exits the
// process if it fails.
func startRekorV2(ctx context.Context, dir string) (*tlog, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	keyPEM, err := cryptoutils.MarshalPrivateKeyToPEM(private)
	if err != nil {
		return nil, err
	}
	keyFile := filepath.Join(dir, "rekorv2.key")
	if err := os.WriteFile(keyFile, keyPEM, 0o600); err != nil {
		return nil, err
	}
	// The name in what the log signs: verifiers take the host of the log's URL.
	const origin = loopback
	_, id, err := note.KeyHash(origin, public)
	if err != nil {
		return nil, err
	}
	ports, err := freePorts()
	if err != nil {
		return nil, err
	}
	os.Args = []string{
		"rekor-server", "serve",
		"--http-address", loopback, "--http-port", ports[0],
		"--grpc-address", loopback, "--grpc-port", ports[1],
		"--http-metrics-port", ports[2],
		"--hostname", origin,
		"--storage-dir", filepath.Join(dir, "rekorv2"),
		"--signer-filepath", keyFile,
		"--checkpoint-interval", "100ms",
		"--batch-max-age", "20ms",
		"--log-level", "error",
	}
	go posix.Execute()

	server := "http://" + net.JoinHostPort(loopback, ports[0])
	if err := wait(ctx, server+"/healthz"); err != nil {
		return nil, fmt.Errorf("rekor v2: %w", err)
	}
	front, err := serve(ctx, withTiles(server, filepath.Join(dir, "rekorv2")))
	if err != nil {
		return nil, err
	}
	return &tlog{url: front, key: public, id: id, signs: crypto.SHA512}, nil
}

// withTiles serves the checkpoint and the tiles of the log from its files, as what
// stands in front of a log does, and leaves the rest to the server.
func withTiles(server, dir string) http.Handler {
	address, err := url.Parse(server)
	if err != nil {
		panic(err) // It was made here.
	}
	files := http.StripPrefix("/api/v2", http.FileServer(http.Dir(dir)))
	mux := http.NewServeMux()
	mux.Handle("/", httputil.NewSingleHostReverseProxy(address))
	mux.Handle("GET /api/v2/checkpoint", files)
	mux.Handle("GET /api/v2/tile/", files)
	return mux
}

// wait waits until url answers.
func wait(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		_, err := get(ctx, url)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// freePorts returns three ports that were free a moment ago, and that the system is
// unlikely to give to another process in the meantime: they are below those that it
// picks from where a program does not care, and other stacks, whose processes have
// other numbers, begin with other ones.
func freePorts() ([]string, error) {
	const first, sets, step = 20000, 4000, 997 // by which each set is tried once
	for try := range sets {
		ports, err := listenable(first + 3*((os.Getpid()+step*try)%sets))
		if err == nil {
			return ports, nil
		}
	}
	return nil, errors.New("no free port")
}

// listenable returns the three ports from first on, if they are free.
func listenable(first int) ([]string, error) {
	ports := make([]string, 3)
	for i := range ports {
		ports[i] = strconv.Itoa(first + i)
		listener, err := net.Listen("tcp", net.JoinHostPort(loopback, ports[i]))
		if err != nil {
			return nil, err
		}
		_ = listener.Close()
	}
	return ports, nil
}
