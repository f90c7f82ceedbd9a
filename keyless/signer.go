// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sigstore/sigstore-go/pkg/sign"

	"github.com/cosignkit/cosignkit/internal/bundles"
	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/keypair"
	"github.com/cosignkit/cosignkit/internal/leash"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// SignerConfig configures [NewSigner].
type SignerConfig struct {
	// Tokens gives the identity tokens. It is asked once for each certificate.
	// Required.
	Tokens TokenSource

	// Audience of the tokens. Empty means [DefaultAudience].
	Audience string

	// Identity is what the certificate must be issued to. Nil means the
	// token's own email address, or its subject: the ones that Fulcio has of
	// people, of GitHub and GitLab workflows, of Kubernetes service accounts,
	// and of subjects that are URIs. Others must be given.
	Identity *verify.Identity
}

// Signer is a signing.Signer with keys that live for as long as one
// certificate. It is safe for concurrent use: whoever signs while there is a
// good certificate shares it.
type Signer struct {
	client *Client
	config SignerConfig
	// probe checks requests before there is a key to sign them.
	probe *signing.KeySigner
	// turn holds one token: who has it may look at and change current and
	// failure.
	turn    chan struct{}
	current *credential
	// failure is the last one that was not the end of a caller's context.
	failure atomic.Pointer[fault.Error]
}

var (
	_ signing.Signer         = (*Signer)(nil)
	_ signing.Preflighter    = (*Signer)(nil)
	_ signing.ArtifactSigner = (*Signer)(nil)
)

// credential is a certificate and the signer with its key.
type credential struct {
	signer   *signing.KeySigner
	leaf     *x509.Certificate
	notAfter time.Time
}

// NewSigner returns a signer that gets its certificates from the Fulcio of
// client. It sends nothing.
func NewSigner(client *Client, config SignerConfig) (*Signer, error) {
	const op = "new keyless signer"
	if client == nil {
		return nil, fault.New(verify.ErrMisconfigured, op, "", "", errors.New("no client"))
	}
	if config.Tokens == nil {
		return nil, fault.New(verify.ErrMisconfigured, op, "", "", errors.New("no source of identity tokens"))
	}
	if _, err := client.config.SigningConfig.fulcio(time.Now()); err != nil {
		return nil, fault.New(verify.ErrMisconfigured, op, "", "", err)
	}
	if config.Identity != nil {
		if err := config.Identity.Check(); err != nil {
			return nil, fault.New(verify.ErrMisconfigured, op, "", "identity", err)
		}
	}
	if config.Audience == "" {
		config.Audience = DefaultAudience
	}
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	probe, err := signing.NewKeySigner(signing.KeySignerConfig{Key: key, Log: certified{client}})
	if err != nil {
		return nil, err
	}
	s := &Signer{client: client, config: config, probe: probe, turn: make(chan struct{}, 1)}
	s.turn <- struct{}{}
	return s, nil
}

func newKey() (*ecdsa.PrivateKey, error) {
	// P-256, which every Fulcio certifies and every verifier knows.
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fault.New(verify.ErrInconclusive, "generate key", "", "", err)
	}
	return key, nil
}

// certified is the client as the log of keys that come with a certificate.
type certified struct{ *Client }

func (c certified) CanRecord(form signing.Form, key crypto.PublicKey) error {
	_, _, err := c.services(form == signing.Legacy, key, true)
	if err == nil && form == signing.Both {
		_, _, err = c.services(true, key, true)
	}
	return err
}

// Preflight implements signing.Preflighter. It gets a token and a certificate,
// so that a person logs in, and a refusal is known, before anything is uploaded.
// That enters the identity in the certificate transparency log, for ever. If the
// upload then takes longer than the certificate lives, Sign gets another one,
// with another token.
func (s *Signer) Preflight(ctx context.Context, request signing.Request) error {
	if err := s.probe.Preflight(ctx, request); err != nil {
		return err
	}
	_, err := s.credential(ctx)
	return err
}

// Sign implements signing.Signer.
func (s *Signer) Sign(ctx context.Context, request signing.Request) ([]signing.Signature, error) {
	if err := s.probe.Preflight(ctx, request); err != nil {
		return nil, err
	}
	if err := request.Digest.Validate(); err != nil {
		return nil, fault.New(verify.ErrMisconfigured, "sign", "", "", err)
	}
	c, err := s.credential(ctx)
	if err != nil {
		return nil, err
	}
	return c.signer.Sign(ctx, request)
}

// SignArtifact implements signing.ArtifactSigner.
func (s *Signer) SignArtifact(ctx context.Context, content []byte) ([]byte, error) {
	// Before anybody logs in.
	if err := bundles.CheckArtifact(content); err != nil {
		return nil, fault.New(verify.ErrMisconfigured, "sign artifact", "", "", err)
	}
	signer, err := s.artifactSigner(ctx)
	if err != nil {
		return nil, err
	}
	return signer.SignArtifact(ctx, content)
}

// SignStatement implements signing.ArtifactSigner.
func (s *Signer) SignStatement(ctx context.Context, statement []byte) ([]byte, error) {
	// Before anybody logs in.
	if err := bundles.CheckStatement(statement); err != nil {
		return nil, fault.New(verify.ErrMisconfigured, "sign statement", "", "", err)
	}
	signer, err := s.artifactSigner(ctx)
	if err != nil {
		return nil, err
	}
	return signer.SignStatement(ctx, statement)
}

func (s *Signer) artifactSigner(ctx context.Context) (signing.ArtifactSigner, error) {
	if err := s.probe.Preflight(ctx, signing.Request{Form: signing.Bundle}); err != nil {
		return nil, err
	}
	c, err := s.credential(ctx)
	if err != nil {
		return nil, err
	}
	return c.signer, nil
}

// Certificate returns the certificate that the next signature is made with. If
// there is none, it gets one, as Preflight does. It tells a user who they sign
// as.
func (s *Signer) Certificate(ctx context.Context) (*x509.Certificate, error) {
	c, err := s.credential(ctx)
	if err != nil {
		return nil, err
	}
	return c.leaf, nil
}

// credential returns one that is good for long enough to sign with. One
// goroutine at a time gets a new one, each no longer than its own context lasts.
// Those that waited share a failure: a person who did not log in is not asked
// once for each image.
func (s *Signer) credential(ctx context.Context) (*credential, error) {
	const op = "get certificate"
	failed := s.failure.Load()
	select {
	case <-s.turn:
		defer func() { s.turn <- struct{}{} }()
	case <-ctx.Done():
		return nil, fault.New(verify.ErrInconclusive, op, "", "", ctx.Err())
	}
	if err := ctx.Err(); err != nil {
		return nil, fault.New(verify.ErrInconclusive, op, "", "", err)
	}
	if s.current != nil && time.Until(s.current.notAfter) > limits.CertificateMargin {
		return s.current, nil
	}
	if f := s.failure.Load(); f != failed {
		return nil, f
	}
	s.current = nil
	c, err := leash.Call(ctx, s.certify)
	if err != nil {
		f := fault.New(verify.ErrInconclusive, op, "", "", err)
		if ctx.Err() == nil {
			s.failure.Store(f)
		}
		return nil, f
	}
	s.current = c
	return c, nil
}

// certify gets a token, and a certificate for a new key.
func (s *Signer) certify(ctx context.Context) (*credential, error) {
	token, err := s.config.Tokens.Token(ctx, s.config.Audience)
	if err != nil {
		return nil, fault.New(verify.ErrInconclusive, opToken, "", "", err)
	}
	claims, err := checkToken(token, s.config.Audience, time.Now())
	if err != nil {
		return nil, err
	}
	trusted, err := s.client.config.TrustedRoots.TrustedRoot(ctx)
	if err != nil {
		return nil, err
	}
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	err = s.client.checkIssuance(trusted, key.Public())
	if err == nil {
		err = checkIssuer(claims, s.config.Identity)
	}
	if err != nil {
		return nil, fault.New(verify.ErrMisconfigured, opCertificate, "", "", err)
	}
	der, address, err := s.client.askFulcio(ctx, token, key)
	if err != nil {
		return nil, fault.New(verify.ErrInconclusive, opCertificate, address, "", err)
	}
	chain, err := s.client.checkCertificate(der, key.Public(), trusted)
	if err == nil {
		err = checkIdentity(chain[0], claims, s.config.Identity)
	}
	if err != nil {
		return nil, fault.New(verify.ErrInconclusive, opCertificate, address, "check of the certificate", err)
	}
	signer, err := signing.NewKeySigner(signing.KeySignerConfig{Key: key, CertificateChain: chain, Log: certified{s.client}})
	if err != nil {
		return nil, err
	}
	return &credential{signer: signer, leaf: chain[0], notAfter: chain[0].NotAfter}, nil
}

const opCertificate = "request certificate"

// askFulcio requests a certificate for key by Fulcio's API v2.
func (c *Client) askFulcio(ctx context.Context, token string, key *ecdsa.PrivateKey) (der []byte, address string, err error) {
	if address, err = c.config.SigningConfig.fulcio(time.Now()); err != nil {
		return nil, "", err
	}
	if _, err := parseURL(address); err != nil {
		return nil, address, fault.New(verify.ErrMisconfigured, opCertificate, "", "", err)
	}
	pair, err := keypair.New(key)
	if err != nil {
		return nil, address, err
	}
	ctx, cancel := c.budget(ctx)
	defer cancel()
	c.warn(ctx, address, "who signs")
	t := c.transport(ctx)
	t.check = checkFulcioReply
	fulcio := sign.NewFulcio(&sign.FulcioOptions{BaseURL: address, Transport: t, Timeout: -1})
	der, err = leash.Call(ctx, func(ctx context.Context) ([]byte, error) {
		return fulcio.GetCertificate(ctx, pair, &sign.CertificateProviderOptions{IDToken: token})
	})
	if err != nil {
		return nil, address, t.explain(ctx, withoutToken(err, token))
	}
	return der, address, nil
}

// withoutToken makes sure of what no reply should contain.
func withoutToken(err error, token string) error {
	if token == "" || !strings.Contains(err.Error(), token) {
		return err
	}
	return errors.New(strings.ReplaceAll(err.Error(), token, "[token]"))
}
