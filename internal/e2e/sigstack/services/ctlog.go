// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package services

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"net/http"
	"time"

	"github.com/google/certificate-transparency-go/trillian/ctfe"
	"github.com/google/certificate-transparency-go/trillian/ctfe/cache"
	"github.com/google/certificate-transparency-go/trillian/ctfe/configpb"
	"github.com/google/trillian/crypto/keys"
	"github.com/google/trillian/crypto/keys/der"
	"github.com/google/trillian/crypto/keyspb"
	"github.com/google/trillian/monitoring"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

const ctPrefix = "ct"

// startCTLog starts the certificate transparency log that takes certificates of
// the authority in rootsFile.
func startCTLog(ctx context.Context, logs *trillianServer, rootsFile string) (*tlog, error) {
	tree, err := logs.newTree(ctx)
	if err != nil {
		return nil, err
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	privateDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	keyConfig, err := anypb.New(&keyspb.PrivateKey{Der: privateDER})
	if err != nil {
		return nil, err
	}
	keys.RegisterHandler(&keyspb.PrivateKey{}, func(ctx context.Context, m proto.Message) (crypto.Signer, error) {
		return der.FromProto(ctx, m)
	})
	config, err := ctfe.ValidateLogConfig(&configpb.LogConfig{
		LogId:        tree,
		Prefix:       ctPrefix,
		RootsPemFile: []string{rootsFile},
		PrivateKey:   keyConfig,
		ExtKeyUsages: []string{"CodeSigning"},
	})
	if err != nil {
		return nil, err
	}
	instance, err := ctfe.SetUpInstance(ctx, ctfe.InstanceOptions{
		Validated:     config,
		Client:        logs.log,
		Deadline:      10 * time.Second,
		MetricFactory: monitoring.InertMetricFactory{},
		RequestLog:    new(ctfe.DefaultRequestLog),
		CacheType:     cache.NOOP,
	})
	if err != nil {
		return nil, err
	}
	var mux http.ServeMux
	for path, handler := range instance.Handlers {
		mux.Handle(path, handler)
	}
	url, err := serve(ctx, &mux)
	if err != nil {
		return nil, err
	}
	return newTlog(url+"/"+ctPrefix, private.Public())
}
