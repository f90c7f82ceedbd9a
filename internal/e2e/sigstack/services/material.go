// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package services

import (
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/cosignkit/cosignkit/internal/e2e/sigstack/oidc"
	"github.com/cosignkit/cosignkit/internal/sigstack"
	"github.com/cosignkit/cosignkit/internal/tufrepo"
)

const (
	fulcioFile           = "fulcio.pem"
	rekorFile            = "rekor.pem"
	ctFile               = "ct.pem"
	timestampFile        = "timestamp.pem"
	trustedRootFile      = "trusted_root.json"
	configV1File         = "signing_config.v1.json"
	configV1NoStampsFile = "signing_config.v1.no-timestamp.json"
	configV2File         = "signing_config.v2.json"
)

// material is what clients have to know of the services.
type material struct {
	dir  string
	from time.Time // when all of it became valid

	issuer    *oidc.Provider
	authority *authority
	fulcioURL string
	ct        *tlog
	rekor     *tlog
	rekorV2   *tlog
	timestamp *timestamper
	tuf       *tufrepo.Repo
}

func (m *material) path(file string) string { return filepath.Join(m.dir, file) }

// write writes the files, and the TUF repository.
func (m *material) write(serveV1 bool) (*sigstack.Endpoints, error) {
	files := map[string][]byte{}
	var err error
	if files[rekorFile], err = cryptoutils.MarshalPublicKeyToPEM(m.rekor.key); err != nil {
		return nil, err
	}
	if files[ctFile], err = cryptoutils.MarshalPublicKeyToPEM(m.ct.key); err != nil {
		return nil, err
	}
	if files[timestampFile], err = cryptoutils.MarshalCertificatesToPEM(m.timestamp.chain); err != nil {
		return nil, err
	}
	if files[trustedRootFile], err = m.newTrustedRoot(); err != nil {
		return nil, err
	}
	stamps := service(m, m.timestamp.url+timestampPath, 1)
	if files[configV1File], err = m.newSigningConfig(service(m, m.rekor.url, 1), stamps); err != nil {
		return nil, err
	}
	if files[configV1NoStampsFile], err = m.newSigningConfig(service(m, m.rekor.url, 1), nil); err != nil {
		return nil, err
	}
	if files[configV2File], err = m.newSigningConfig(service(m, m.rekorV2.url, 2), stamps); err != nil {
		return nil, err
	}
	for name, content := range files {
		if err := os.WriteFile(m.path(name), content, 0o600); err != nil {
			return nil, err
		}
	}

	if m.tuf, err = tufrepo.New(m.path("tuf"), time.Now().Add(24*time.Hour)); err != nil {
		return nil, err
	}
	served := files[configV2File]
	if serveV1 {
		served = files[configV1File]
	}
	m.tuf.Set(map[string][]byte{"trusted_root.json": files[trustedRootFile], "signing_config.v0.2.json": served})
	if err := m.tuf.Publish(); err != nil {
		return nil, err
	}
	return m.endpoints(), nil
}

func (m *material) newTrustedRoot() ([]byte, error) {
	last := len(m.timestamp.chain) - 1
	trusted, err := root.NewTrustedRoot(root.TrustedRootMediaType01,
		[]root.CertificateAuthority{&root.FulcioCertificateAuthority{
			Root:                m.authority.root,
			ValidityPeriodStart: m.from,
			URI:                 m.fulcioURL,
		}},
		transparencyLogs(m.from, m.ct),
		[]root.TimestampingAuthority{&root.SigstoreTimestampingAuthority{
			Leaf:                m.timestamp.chain[0],
			Intermediates:       m.timestamp.chain[1:last],
			Root:                m.timestamp.chain[last],
			ValidityPeriodStart: m.from,
			URI:                 m.timestamp.url,
		}},
		transparencyLogs(m.from, m.rekor, m.rekorV2))
	if err != nil {
		return nil, err
	}
	return trusted.MarshalJSON()
}

func (m *material) newSigningConfig(rekor, timestamp []root.Service) ([]byte, error) {
	one := root.ServiceConfiguration{Selector: prototrustroot.ServiceSelector_ANY}
	config, err := root.NewSigningConfig(root.SigningConfigMediaType02,
		service(m, m.fulcioURL, 1), service(m, m.issuer.URL, 1), rekor, one, timestamp, one)
	if err != nil {
		return nil, err
	}
	return json.Marshal(config)
}

func service(m *material, url string, version uint32) []root.Service {
	return []root.Service{{URL: url, MajorAPIVersion: version, ValidityPeriodStart: m.from, Operator: "example.com"}}
}

func (m *material) endpoints() *sigstack.Endpoints {
	return &sigstack.Endpoints{
		Fulcio:    m.fulcioURL,
		Rekor:     m.rekor.url,
		RekorV2:   m.rekorV2.url,
		Timestamp: m.timestamp.url + timestampPath,
		CTLog:     m.ct.url,

		Issuer:       m.issuer.URL,
		ClientID:     oidc.ClientID,
		ClientSecret: m.issuer.ClientSecret,

		Actions:             m.issuer.ActionsURL,
		ActionsRequestURL:   m.issuer.ActionsRequestURL,
		ActionsRequestToken: m.issuer.ActionsRequestToken,

		TrustedRoot:                m.path(trustedRootFile),
		SigningConfigV1:            m.path(configV1File),
		SigningConfigV1NoTimestamp: m.path(configV1NoStampsFile),
		SigningConfigV2:            m.path(configV2File),
		FulcioPEM:                  m.path(fulcioFile),
		RekorPEM:                   m.path(rekorFile),
		CTPEM:                      m.path(ctFile),
		TimestampPEM:               m.path(timestampFile),
		TUFRoot:                    m.tuf.RootFile(),
	}
}
