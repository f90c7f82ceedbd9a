// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package services

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"os"
	"strconv"
	"strings"

	ctclient "github.com/google/certificate-transparency-go/client"
	"github.com/google/certificate-transparency-go/jsonclient"
	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/sigstore/fulcio/pkg/ca"
	"github.com/sigstore/fulcio/pkg/ca/ephemeralca"
	"github.com/sigstore/fulcio/pkg/config"
	"github.com/sigstore/fulcio/pkg/generated/protobuf"
	"github.com/sigstore/fulcio/pkg/generated/protobuf/legacy"
	"github.com/sigstore/fulcio/pkg/server"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/cosignkit/cosignkit/internal/e2e/sigstack/oidc"
)

// authority is Fulcio's certificate authority, of one self-signed certificate.
type authority struct {
	// Not embedded: Fulcio looks at what else it implements, to embed signed
	// certificate timestamps in certificates.
	ca   ca.CertificateAuthority
	root *x509.Certificate
}

// newAuthority also writes the certificate to a file, as the certificate
// transparency log, which comes before Fulcio, reads it from one.
func newAuthority(file string) (*authority, error) {
	fresh, err := ephemeralca.NewEphemeralCA()
	if err != nil {
		return nil, err
	}
	chain, _ := fresh.GetSignerWithChain()
	content, err := cryptoutils.MarshalCertificatesToPEM(chain)
	if err != nil {
		return nil, err
	}
	return &authority{ca: fresh, root: chain[0]}, os.WriteFile(file, content, 0o600)
}

// signerKeys are what Fulcio certifies.
var signerKeys = []protocommon.PublicKeyDetails{
	protocommon.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256,
	protocommon.PublicKeyDetails_PKIX_ECDSA_P384_SHA_384,
	protocommon.PublicKeyDetails_PKIX_ECDSA_P521_SHA_512,
	protocommon.PublicKeyDetails_PKIX_RSA_PKCS1V15_2048_SHA256,
	protocommon.PublicKeyDetails_PKIX_RSA_PKCS1V15_3072_SHA256,
	protocommon.PublicKeyDetails_PKIX_RSA_PKCS1V15_4096_SHA256,
	protocommon.PublicKeyDetails_PKIX_ED25519,
}

// startFulcio starts the gRPC server, and before it the gateway that has the
// REST API in both its versions.
func startFulcio(ctx context.Context, a *authority, ct *tlog, issuer *oidc.Provider) (url string, err error) {
	settings, err := fulcioConfig(issuer)
	if err != nil {
		return "", err
	}
	ctPEM, err := cryptoutils.MarshalPublicKeyToPEM(ct.key)
	if err != nil {
		return "", err
	}
	ctClient, err := ctclient.New(ct.url, http.DefaultClient, jsonclient.Options{PublicKey: string(ctPEM)})
	if err != nil {
		return "", err
	}
	algorithms, err := signature.NewAlgorithmRegistryConfig(signerKeys)
	if err != nil {
		return "", err
	}
	caServer := server.NewGRPCCAServer(ctClient, a.ca, algorithms, server.NewIssuerPool(settings))
	grpcServer := grpc.NewServer(grpc.UnaryInterceptor(
		func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			return next(config.With(ctx, settings), request)
		}))
	protobuf.RegisterCAServer(grpcServer, caServer)
	legacy.RegisterCAServer(grpcServer, server.NewLegacyGRPCCAServer(caServer))
	addr, err := serveGRPC(ctx, grpcServer)
	if err != nil {
		return "", err
	}

	mux := runtime.NewServeMux(runtime.WithMetadata(bearerToken), runtime.WithForwardResponseOption(replyHeaders))
	plain := []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	if err := protobuf.RegisterCAHandlerFromEndpoint(ctx, mux, addr.String(), plain); err != nil {
		return "", err
	}
	if err := legacy.RegisterCAHandlerFromEndpoint(ctx, mux, addr.String(), plain); err != nil {
		return "", err
	}
	return serve(ctx, server.WithMaxBytes(mux, 1<<22))
}

// fulcioConfig goes through JSON because config.Read also asks the issuers for
// their keys' addresses, and nothing else that is exported does.
func fulcioConfig(issuer *oidc.Provider) (*config.FulcioConfig, error) {
	content, err := json.Marshal(config.FulcioConfig{OIDCIssuers: map[string]config.OIDCIssuer{
		issuer.URL:        {IssuerURL: issuer.URL, ClientID: oidc.ClientID, Type: config.IssuerTypeEmail},
		issuer.ActionsURL: {IssuerURL: issuer.ActionsURL, ClientID: oidc.ClientID, Type: config.IssuerTypeGithubWorkflow},
	}})
	if err != nil {
		return nil, err
	}
	return config.Read(content)
}

// bearerToken hands the token of a request to version 1 of the API to the gRPC
// server. Version 2 has it in the body.
func bearerToken(_ context.Context, r *http.Request) metadata.MD {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return metadata.Pairs(server.MetadataOIDCTokenKey, token)
}

// replyHeaders makes headers, for clients of version 1, of what the gRPC server
// says about its response.
func replyHeaders(ctx context.Context, w http.ResponseWriter, _ proto.Message) error {
	md, _ := runtime.ServerMetadataFromContext(ctx)
	if sct := md.HeaderMD.Get(server.SCTMetadataKey); len(sct) == 1 {
		w.Header().Set("SCT", sct[0])
	}
	code := md.HeaderMD.Get(server.HTTPResponseCodeMetadataKey)
	if len(code) != 1 {
		return nil
	}
	status, err := strconv.Atoi(code[0])
	if err != nil {
		return err
	}
	w.WriteHeader(status)
	return nil
}
