// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package services

import (
	"context"
	"net"
	"time"

	"github.com/google/trillian"
	"github.com/google/trillian/extension"
	trillianlog "github.com/google/trillian/log"
	"github.com/google/trillian/quota"
	"github.com/google/trillian/server"
	"github.com/google/trillian/server/admin"
	"github.com/google/trillian/server/interceptor"
	"github.com/google/trillian/storage/memory"
	"github.com/google/trillian/util/clock"
	"github.com/google/trillian/util/election2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/durationpb"
)

// sequenceEvery bounds how long an entry of Rekor v1 waits to be in the log.
const sequenceEvery = 20 * time.Millisecond

// trillianServer is Trillian, log server and sequencer, in memory. The
// certificate transparency log and Rekor v1 have a tree in it each.
type trillianServer struct {
	addr  *net.TCPAddr
	log   trillian.TrillianLogClient
	admin trillian.TrillianAdminClient
}

func startTrillian(ctx context.Context) (*trillianServer, error) {
	trees := memory.NewTreeStorage()
	registry := extension.Registry{
		AdminStorage:    memory.NewAdminStorage(trees),
		LogStorage:      newSafeStorage(memory.NewLogStorage(trees, nil)),
		QuotaManager:    quota.Noop(),
		ElectionFactory: election2.NoopFactory{},
	}
	grpcServer := grpc.NewServer(grpc.UnaryInterceptor(interceptor.ErrorWrapper))
	trillian.RegisterTrillianAdminServer(grpcServer, admin.New(registry, nil))
	trillian.RegisterTrillianLogServer(grpcServer, server.NewTrillianLogRPCServer(registry, clock.System))
	sequencer := trillianlog.NewOperationManager(trillianlog.OperationInfo{
		Registry:    registry,
		BatchSize:   100,
		NumWorkers:  1,
		RunInterval: sequenceEvery,
		TimeSource:  clock.System,
	}, trillianlog.NewSequencerManager(registry, 0))
	go sequencer.OperationLoop(ctx)

	addr, err := serveGRPC(ctx, grpcServer)
	if err != nil {
		return nil, err
	}
	connection, err := grpc.NewClient(addr.String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	return &trillianServer{
		addr:  addr,
		log:   trillian.NewTrillianLogClient(connection),
		admin: trillian.NewTrillianAdminClient(connection),
	}, nil
}

func (t *trillianServer) newTree(ctx context.Context) (id int64, err error) {
	tree, err := t.admin.CreateTree(ctx, &trillian.CreateTreeRequest{Tree: &trillian.Tree{
		TreeType:        trillian.TreeType_LOG,
		TreeState:       trillian.TreeState_ACTIVE,
		MaxRootDuration: durationpb.New(time.Hour),
	}}, grpc.WaitForReady(true))
	if err != nil {
		return 0, err
	}
	_, err = t.log.InitLog(ctx, &trillian.InitLogRequest{LogId: tree.TreeId})
	return tree.TreeId, err
}

func serveGRPC(ctx context.Context, server *grpc.Server) (*net.TCPAddr, error) {
	listener, _, err := listen()
	if err != nil {
		return nil, err
	}
	go func() { _ = server.Serve(listener) }()
	context.AfterFunc(ctx, server.Stop)
	return listener.Addr().(*net.TCPAddr), nil
}
