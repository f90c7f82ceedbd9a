// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package services

import (
	"context"

	"github.com/go-openapi/loads"
	"github.com/sigstore/rekor/pkg/api"
	"github.com/sigstore/rekor/pkg/generated/restapi"
	"github.com/sigstore/rekor/pkg/generated/restapi/operations"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/spf13/viper"

	// The types of entries that the log takes.
	_ "github.com/sigstore/rekor/pkg/types/dsse/v0.0.1"
	_ "github.com/sigstore/rekor/pkg/types/hashedrekord/v0.0.1"
	_ "github.com/sigstore/rekor/pkg/types/intoto/v0.0.1"
	_ "github.com/sigstore/rekor/pkg/types/intoto/v0.0.2"
	_ "github.com/sigstore/rekor/pkg/types/rekord/v0.0.1"
	_ "github.com/sigstore/rekor/pkg/types/rfc3161/v0.0.1"
)

// startRekor starts Rekor v1, whose settings are global. It has no search
// index, which would want a database.
func startRekor(ctx context.Context, logs *trillianServer) (*tlog, error) {
	tree, err := logs.newTree(ctx)
	if err != nil {
		return nil, err
	}
	viper.Set("trillian_log_server.address", logs.addr.IP.String())
	viper.Set("trillian_log_server.port", logs.addr.Port)
	viper.Set("rekor_server.signer", "memory")
	viper.Set("rekor_server.hostname", "rekor.local")
	viper.Set("enable_retrieve_api", false)
	viper.Set("enabled_api_endpoints", []string{
		"getLogInfo", "getPublicKey", "getLogProof", "createLogEntry",
		"getLogEntryByIndex", "getLogEntryByUUID", "searchLogQuery",
	})
	api.ConfigureAPI(tree)
	specification, err := loads.Embedded(restapi.SwaggerJSON, restapi.FlatSwaggerJSON)
	if err != nil {
		return nil, err
	}
	server := restapi.NewServer(operations.NewRekorServerAPI(specification))
	server.ConfigureAPI()

	url, err := serve(ctx, server.GetHandler())
	if err != nil {
		return nil, err
	}
	keyPEM, err := get(ctx, url+"/api/v1/log/publicKey")
	if err != nil {
		return nil, err
	}
	key, err := cryptoutils.UnmarshalPEMToPublicKey(keyPEM)
	if err != nil {
		return nil, err
	}
	return newTlog(url, key)
}
