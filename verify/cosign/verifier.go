// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package cosign

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sigstore/cosign/v2/pkg/cosign"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/keys"
	"github.com/cosignkit/cosignkit/verify"
)

// New returns a Verifier for policy that decides as cosign verify does. It implements
// the same interfaces as that of [verify.New].
//
// These are misconfigured, because cosign cannot express them:
//
//   - Threshold, LogThreshold or TimestampThreshold above 1: one signature is enough
//     for cosign, and one log and one timestamp for a signature;
//   - LogLookup: cosign runs as with --offline;
//   - Repository and Reference: cosign compares no names;
//   - AllowMessageSignaturesUnsafe: cosign takes no message signature for one of an
//     image;
//   - Identities with InsecureIgnoreTransparencyLog and without a TimestampThreshold:
//     cosign would check the certificate at the present time.
//
// Annotations are checked of legacy signatures alone. With a policy that has some,
// a bundle is misconfigured.
func New(policy verify.Policy) (verify.Verifier, error) {
	e := &engine{limits: policy.Limits.WithDefaults()}
	err := inexpressible(policy)
	if err != nil {
		return nil, fault.New(verify.ErrMisconfigured, "new verifier", "", "policy", err)
	}
	v, err := verify.NewWithEngine(policy, e.check)
	if err != nil {
		return nil, err
	}
	// The keys and identities are good ones by now.
	if err := e.prepare(policy); err != nil {
		return nil, fault.New(verify.ErrMisconfigured, "new verifier", "", "policy", err)
	}
	return v, nil
}

// inexpressible says what of a policy cosign cannot express.
func inexpressible(p verify.Policy) error {
	for _, field := range []struct {
		set       bool
		name, why string
	}{
		{p.Threshold > 1, "Threshold", "accepts an image that one of them signed"},
		{p.LogThreshold > 1, "LogThreshold", "asks for one log entry"},
		{p.TimestampThreshold > 1, "TimestampThreshold", "asks for one timestamp"},
		{p.LogLookup != nil, "LogLookup", "is asked to decide without the network"},
		{p.Repository != nil, "Repository", "compares no repository"},
		{p.Reference != nil, "Reference", "compares no reference"},
		{p.AllowMessageSignaturesUnsafe, "AllowMessageSignaturesUnsafe", "takes no message signature for one of an image"},
		{
			len(p.Identities) > 0 && p.InsecureIgnoreTransparencyLog && p.TimestampThreshold == 0, "InsecureIgnoreTransparencyLog",
			"then checks certificates at the present time; ask for a timestamp with TimestampThreshold",
		},
	} {
		if field.set {
			return fmt.Errorf("%s: cosign cannot express it: it %s", field.name, field.why)
		}
	}
	return nil
}

// engine asks cosign about one candidate at a time.
type engine struct {
	options cosign.CheckOpts // of all signers
	signers []signer
	limits  verify.Limits
}

// signer is a key with one of its hashes, or an identity. cosign verify is run with one
// of them, and decides for bundles about no more than one.
type signer struct {
	keyID   string
	options cosign.CheckOpts
}

func (e *engine) prepare(p verify.Policy) error {
	e.options = cosign.CheckOpts{
		Offline:             true,
		ClaimVerifier:       cosign.SimpleClaimVerifier,
		IgnoreTlog:          p.InsecureIgnoreTransparencyLog,
		IgnoreSCT:           p.InsecureIgnoreSCT,
		UseSignedTimestamps: p.TimestampThreshold > 0,
	}
	if len(p.Annotations) > 0 {
		e.options.Annotations = map[string]any{}
		for key, value := range p.Annotations {
			e.options.Annotations[key] = value
		}
	}
	for _, key := range p.Keys {
		content, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(content)
		for _, hash := range keys.Hashes(key) {
			s := signer{options: e.options, keyID: "sha256:" + hex.EncodeToString(sum[:])}
			if s.options.SigVerifier, err = signature.LoadVerifier(key, hash); err != nil {
				return err
			}
			e.signers = append(e.signers, s)
		}
	}
	for _, i := range p.Identities {
		s := signer{options: e.options}
		s.options.Identities = []cosign.Identity{{
			Issuer: i.Issuer, IssuerRegExp: anchored(i.IssuerRegexp), Subject: i.Subject, SubjectRegExp: anchored(i.SubjectRegexp),
		}}
		s.options.CertGithubWorkflowTrigger = i.GitHub.Trigger
		s.options.CertGithubWorkflowSha = i.GitHub.SHA
		s.options.CertGithubWorkflowName = i.GitHub.Name
		s.options.CertGithubWorkflowRepository = i.GitHub.Repository
		s.options.CertGithubWorkflowRef = i.GitHub.Ref
		e.signers = append(e.signers, s)
	}
	return nil
}

// anchored is a pattern as a policy means it: cosign's match a part.
func anchored(pattern string) string {
	if pattern == "" {
		return ""
	}
	return "^(?:" + pattern + ")$"
}

// attempt asks cosign about one candidate and one signer. cosign writes to options.
type attempt func(ctx context.Context, options *cosign.CheckOpts) (verify.Signature, error)

// check is a [verify.Engine].
func (e *engine) check(ctx context.Context, image verify.Image, c verify.Candidate, roots *verify.TrustedRoot) (verify.Signature, error) {
	open := e.openLegacy
	if c.Bundle != nil {
		open = e.openBundle
	}
	try, err := open(image, c, roots.Material())
	if err != nil {
		return verify.Signature{}, err
	}
	var reasons []string
	for _, s := range e.signers {
		if err := ctx.Err(); err != nil {
			return verify.Signature{}, err
		}
		options := s.options
		options.TrustedMaterial = roots.Material()
		found, err := try(ctx, &options)
		if err == nil {
			found.KeyID = s.keyID
			return found, nil
		}
		if reason := err.Error(); !slices.Contains(reasons, reason) {
			reasons = append(reasons, reason)
		}
	}
	return verify.Signature{}, errors.New("cosign: " + strings.Join(reasons, "; "))
}

func identityOf(s certificate.Summary) *verify.CertificateIdentity {
	return &verify.CertificateIdentity{
		Subject: s.SubjectAlternativeName,
		Issuer:  s.Issuer,
		GitHub: verify.GitHubWorkflow{
			Trigger:    s.GithubWorkflowTrigger,
			SHA:        s.GithubWorkflowSHA,
			Name:       s.GithubWorkflowName,
			Repository: s.GithubWorkflowRepository,
			Ref:        s.GithubWorkflowRef,
		},
	}
}
