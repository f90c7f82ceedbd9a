// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package services

import (
	"context"
	"crypto/x509"
	"net/http"

	"github.com/go-openapi/runtime"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/timestamp-authority/v2/pkg/api"
	operations "github.com/sigstore/timestamp-authority/v2/pkg/generated/restapi/operations/timestamp"
	"github.com/spf13/viper"
)

const timestampPath = "/api/v1/timestamp"

// timestamper is the timestamp authority: where it is, and its certificates
// from the leaf to the root.
type timestamper struct {
	url   string
	chain []*x509.Certificate
}

// startTimestamp starts the timestamp authority, whose settings are global. Its
// server cannot be linked beside that of Rekor, as both define one flag and
// panic; so its two routes are here.
func startTimestamp(ctx context.Context) (*timestamper, error) {
	const policy = "1.3.6.1.4.1.57264.2"
	viper.Set("timestamp-signer", "memory")
	viper.Set("timestamp-signer-hash", "sha256")
	viper.Set("default-policy-oid", policy)
	viper.Set("accepted-policy-oids", []string{policy})
	viper.Set("include-chain-in-response", true)
	api.ConfigureAPI()

	var mux http.ServeMux
	mux.HandleFunc("POST "+timestampPath, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/timestamp-reply")
		api.TimestampResponseHandler(operations.GetTimestampResponseParams{HTTPRequest: r, Request: r.Body}).
			WriteResponse(w, runtime.ByteStreamProducer())
	})
	mux.HandleFunc("GET "+timestampPath+"/certchain", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/pem-certificate-chain")
		api.GetTimestampCertChainHandler(operations.GetTimestampCertChainParams{HTTPRequest: r}).
			WriteResponse(w, runtime.TextProducer())
	})
	url, err := serve(ctx, &mux)
	if err != nil {
		return nil, err
	}
	chainPEM, err := get(ctx, url+timestampPath+"/certchain")
	if err != nil {
		return nil, err
	}
	chain, err := cryptoutils.UnmarshalCertificatesFromPEM(chainPEM)
	if err != nil {
		return nil, err
	}
	return &timestamper{url: url, chain: chain}, nil
}
