// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/files"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/internal/strictjson"
	"github.com/cosignkit/cosignkit/verify"
)

// SigningConfig says which services to sign with: the certificate authority, the
// OpenID Connect issuer, and the transparency logs and timestamp authorities
// with how many of them. It is immutable.
type SigningConfig struct {
	config *root.SigningConfig
}

const opSigningConfig = "open signing config"

// LoadSigningConfig reads a signing config from a regular file, see
// [ParseSigningConfig].
func LoadSigningConfig(path string) (*SigningConfig, error) {
	b, err := files.Read(path, limits.TrustedRoot, "signing config")
	if err != nil {
		return nil, fault.New(verify.ErrMisconfigured, opSigningConfig, path, "", err)
	}
	return parseSigningConfig(path, b)
}

// ParseSigningConfig parses a signing config in JSON: the message SigningConfig
// of Sigstore's protobuf-specs, media type
// application/vnd.dev.sigstore.signingconfig.v0.2+json.
func ParseSigningConfig(b []byte) (*SigningConfig, error) { return parseSigningConfig("", b) }

func parseSigningConfig(name string, b []byte) (_ *SigningConfig, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fault.New(verify.ErrMisconfigured, opSigningConfig, name, "", fault.Printable(fmt.Errorf("not well formed: %.256v", r)))
		}
	}()
	if len(b) > limits.TrustedRoot {
		return nil, fault.New(verify.ErrMisconfigured, opSigningConfig, name, "", limits.Exceeded("signing config in bytes", limits.TrustedRoot))
	}
	if err := strictjson.Check(b); err != nil {
		return nil, fault.New(verify.ErrMisconfigured, opSigningConfig, name, "", fault.Printable(err))
	}
	message, err := root.NewSigningConfigProtobuf(b)
	if err == nil {
		err = checkSelectors(message)
	}
	if err != nil {
		return nil, fault.New(verify.ErrMisconfigured, opSigningConfig, name, "", fault.Printable(err))
	}
	config, err := root.NewSigningConfigFromProtobuf(message)
	if err != nil {
		return nil, fault.New(verify.ErrMisconfigured, opSigningConfig, name, "", fault.Printable(err))
	}
	return &SigningConfig{config}, nil
}

// checkSelectors refuses services of which nothing says how many to use. It puts
// an empty selector where there is none and no service: sigstore-go reads it.
func checkSelectors(config *prototrustroot.SigningConfig) error {
	for _, list := range []struct {
		what     string
		services []*prototrustroot.Service
		selector **prototrustroot.ServiceConfiguration
	}{
		{"transparency log", config.GetRekorTlogUrls(), &config.RekorTlogConfig},
		{"timestamp authority", config.GetTsaUrls(), &config.TsaConfig},
	} {
		selected := (*list.selector).GetSelector() != prototrustroot.ServiceSelector_SERVICE_SELECTOR_UNDEFINED
		if len(list.services) > 0 && !selected {
			return fmt.Errorf("nothing says how many of the services of the kind %s to use", list.what)
		}
		if *list.selector == nil {
			*list.selector = &prototrustroot.ServiceConfiguration{}
		}
	}
	return nil
}

// FetchSigningConfig returns the signing config of a TUF repository: tuf is a TUF of
// package verify/trust.
func FetchSigningConfig(ctx context.Context, tuf interface {
	SigningConfig(ctx context.Context) ([]byte, error)
}) (*SigningConfig, error) {
	b, err := tuf.SigningConfig(ctx)
	if err != nil {
		return nil, err
	}
	return ParseSigningConfig(b)
}

// ServiceURLs are the addresses of services that are known without a signing config.
// An empty one means that there is no such service.
type ServiceURLs struct {
	// Fulcio is the base URL of the certificate authority. Required to sign
	// without a key.
	Fulcio string
	// Rekor is the base URL of the transparency log, of the major version
	// RekorVersion, 1 or 2. Zero means 1.
	Rekor        string
	RekorVersion uint32
	// Timestamp is the URL to which RFC 3161 requests are sent, with its path,
	// such as https://timestamp.example/api/v1/timestamp.
	Timestamp string
	// OIDCIssuer is the URL of the OpenID Connect issuer.
	OIDCIssuer string
}

// NewSigningConfig returns the signing config that uses each service of urls
// once.
func NewSigningConfig(urls ServiceURLs) (*SigningConfig, error) {
	if urls.RekorVersion == 0 {
		urls.RekorVersion = 1
	}
	service := func(address string, version uint32) []root.Service {
		if address == "" {
			return nil
		}
		return []root.Service{{URL: address, MajorAPIVersion: version, Operator: "configured"}}
	}
	each := root.ServiceConfiguration{Selector: prototrustroot.ServiceSelector_ALL}
	config, err := root.NewSigningConfig(root.SigningConfigMediaType02,
		service(urls.Fulcio, 1), service(urls.OIDCIssuer, 1),
		service(urls.Rekor, urls.RekorVersion), each, service(urls.Timestamp, 1), each)
	if err == nil {
		for _, address := range []string{urls.Fulcio, urls.OIDCIssuer, urls.Rekor, urls.Timestamp} {
			if _, parseErr := parseURL(address); address != "" && parseErr != nil {
				err = parseErr
			}
		}
	}
	if err != nil {
		return nil, fault.New(verify.ErrMisconfigured, opSigningConfig, "", "", err)
	}
	return &SigningConfig{config}, nil
}

// OIDCIssuer returns the URL of the issuer to get tokens from, for
// [BrowserConfig], [DeviceConfig] and [ClientCredentialsConfig]. That there is
// none is misconfigured.
func (s *SigningConfig) OIDCIssuer() (string, error) {
	service, err := root.SelectService(s.config.OIDCProviderURLs(), []uint32{1}, time.Now())
	if err != nil {
		return "", fault.New(verify.ErrMisconfigured, opSigningConfig, "", "", errors.New("it names no OpenID Connect issuer that is in use now"))
	}
	return service.URL, nil
}

func parseURL(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("%s is not the URL of a service, without user information", quoteURL(address))
	}
	return u, nil
}

// fulcio selects the certificate authority.
func (s *SigningConfig) fulcio(now time.Time) (string, error) {
	if len(s.config.FulcioCertificateAuthorityURLs()) == 0 {
		return "", errors.New("the signing config names no certificate authority")
	}
	service, err := root.SelectService(s.config.FulcioCertificateAuthorityURLs(), []uint32{1}, now)
	return strings.TrimSuffix(service.URL, "/"), err
}

// logs selects the transparency logs, of the given versions. None is no error.
func (s *SigningConfig) logs(now time.Time, versions []uint32) ([]root.Service, error) {
	if len(s.config.RekorLogURLs()) == 0 {
		return nil, nil
	}
	return root.SelectServices(s.config.RekorLogURLs(), s.config.RekorLogURLsConfig(), versions, now)
}

// timestamps selects the timestamp authorities. None is no error.
func (s *SigningConfig) timestamps(now time.Time) ([]root.Service, error) {
	if len(s.config.TimestampAuthorityURLs()) == 0 {
		return nil, nil
	}
	return root.SelectServices(s.config.TimestampAuthorityURLs(), s.config.TimestampAuthorityURLsConfig(), []uint32{1}, now)
}
