// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	sgverify "github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/cosignkit/cosignkit/internal/limits"
)

// Identity is who may have signed with a Fulcio certificate: a subject, which
// one issuer vouches for. Subject or SubjectRegexp, and Issuer or IssuerRegexp,
// are required; of each pair only one may be given.
type Identity struct {
	// Subject is the certificate's subject alternative name: an email address
	// such as name@example.com, a URI such as that of a workflow, or a name of
	// Fulcio's own kind (extension 1.3.6.1.4.1.57264.1.7). It must be equal,
	// byte for byte. Certificates with several names are refused.
	Subject string
	// SubjectRegexp must match the whole of the subject. It has Go's RE2 syntax
	// (package regexp) and is anchored at both ends: it matches as
	// ^(?:SubjectRegexp)$ does. Unlike for cosign, ^https://github.com/org/ is
	// no prefix: write https://github\.com/org/.*
	SubjectRegexp string

	// Issuer is the URL of the OpenID Connect issuer that the certificate names
	// (Fulcio's extension 1.3.6.1.4.1.57264.1.8, or 1.1; they must agree where
	// both are there). It must be equal, byte for byte.
	Issuer string
	// IssuerRegexp must match the whole of the issuer, as SubjectRegexp does.
	IssuerRegexp string

	// GitHub asks for more of certificates that were issued to a GitHub Actions
	// workflow. Empty fields ask for nothing.
	GitHub GitHubWorkflow
}

// GitHubWorkflow is what a Fulcio certificate says of a GitHub Actions workflow
// (extensions 1.3.6.1.4.1.57264.1.2 to 1.6, which Fulcio still issues beside the
// ones that are for all systems).
type GitHubWorkflow struct {
	// Trigger is the event that started the workflow, such as push.
	Trigger string `json:"trigger,omitempty"`
	// SHA is the commit, in hexadecimal.
	SHA string `json:"sha,omitempty"`
	// Name is the workflow's name.
	Name string `json:"name,omitempty"`
	// Repository is owner/name.
	Repository string `json:"repository,omitempty"`
	// Ref is the git reference, such as refs/heads/main.
	Ref string `json:"ref,omitempty"`
}

func (g GitHubWorkflow) extensions() certificate.Extensions {
	return certificate.Extensions{
		GithubWorkflowTrigger:    g.Trigger,
		GithubWorkflowSHA:        g.SHA,
		GithubWorkflowName:       g.Name,
		GithubWorkflowRepository: g.Repository,
		GithubWorkflowRef:        g.Ref,
	}
}

// compile returns the identity in the form of sigstore-go.
func (i Identity) compile() (sgverify.CertificateIdentity, error) {
	var none sgverify.CertificateIdentity
	if i.Subject == "" && i.SubjectRegexp == "" {
		return none, errors.New("names no subject")
	}
	if i.Issuer == "" && i.IssuerRegexp == "" {
		return none, errors.New("names no issuer, and anybody's could vouch for the subject")
	}
	if i.Subject != "" && i.SubjectRegexp != "" || i.Issuer != "" && i.IssuerRegexp != "" {
		return none, errors.New("give a value or a regular expression, not both")
	}
	subject, err := anchor(i.SubjectRegexp)
	if err != nil {
		return none, fmt.Errorf("subject: %w", err)
	}
	issuer, err := anchor(i.IssuerRegexp)
	if err != nil {
		return none, fmt.Errorf("issuer: %w", err)
	}
	sanMatcher, err := sgverify.NewSANMatcher(i.Subject, subject)
	if err != nil {
		return none, err
	}
	issuerMatcher, err := sgverify.NewIssuerMatcher(i.Issuer, issuer)
	if err != nil {
		return none, err
	}
	return sgverify.NewCertificateIdentity(sanMatcher, issuerMatcher, i.GitHub.extensions())
}

// Check returns an error, of no family, for an identity that a policy would not
// take.
func (i Identity) Check() error {
	_, err := i.compile()
	return err
}

// Match returns an error, of no family, unless the names in a certificate are
// those of the identity. It verifies nothing: anybody can make a certificate
// with any names.
func (i Identity) Match(unverified *x509.Certificate) error {
	compiled, err := i.compile()
	if err != nil {
		return err
	}
	if err := checkNames(unverified); err != nil {
		return err
	}
	summary, err := certificate.SummarizeCertificate(unverified)
	if err != nil {
		return err
	}
	return compiled.Verify(summary)
}

// anchor makes a pattern that matches the whole of a text or nothing. The
// pattern is compiled on its own first: one that only the added parentheses
// make well formed, such as a)|(b, would escape them.
func anchor(pattern string) (string, error) {
	if pattern == "" {
		return "", nil
	}
	if len(pattern) > limits.Pattern {
		return "", limits.Exceeded("regular expression in bytes", limits.Pattern)
	}
	if _, err := regexp.Compile(pattern); err != nil {
		return "", err
	}
	anchored := "^(?:" + pattern + ")$"
	if _, err := regexp.Compile(anchored); err != nil {
		return "", err
	}
	return anchored, nil
}

// String returns the identity for messages.
func (i Identity) String() string {
	part := func(what, exact, pattern string) string {
		if pattern != "" { // with slashes around it, it would look like a URL or a path
			return what + " matching " + pattern
		}
		return exact
	}
	s := part("subject", i.Subject, i.SubjectRegexp) + " (" + part("issuer", i.Issuer, i.IssuerRegexp) + ")"
	return strings.ToValidUTF8(s, "?")
}

// Subject alternative names, and the kind of them that is a URI (RFC 5280,
// section 4.2.1.6).
var oidNames = asn1.ObjectIdentifier{2, 5, 29, 17}

const tagURI = 6

// checkNames wants a certificate to say one thing in one way, as those of Fulcio
// do: one subject, a URI in its normal form, and one issuer.
func checkNames(c *x509.Certificate) error {
	var oldIssuer, issuer *string
	for _, e := range c.Extensions {
		switch {
		case e.Id.Equal(oidNames):
			var names []asn1.RawValue
			if _, err := asn1.Unmarshal(e.Value, &names); err != nil {
				return fmt.Errorf("subject alternative names: %w", err)
			}
			if len(names) > 1 {
				return fmt.Errorf("the certificate has %d subject alternative names, want 1", len(names))
			}
			if len(names) == 1 && names[0].Tag == tagURI && (len(c.URIs) != 1 || c.URIs[0].String() != string(names[0].Bytes)) {
				return fmt.Errorf("the certificate's subject %.256q is not in its normal form", names[0].Bytes)
			}
		case e.Id.Equal(certificate.OIDIssuer): //nolint:staticcheck // old certificates have it alone
			s := string(e.Value)
			oldIssuer = &s
		case e.Id.Equal(certificate.OIDIssuerV2):
			issuer = new(string)
			if err := certificate.ParseDERString(e.Value, issuer); err != nil {
				return fmt.Errorf("issuer: %w", err)
			}
		}
	}
	if oldIssuer != nil && issuer != nil && *oldIssuer != *issuer {
		return fmt.Errorf("the certificate names two issuers, %.256q and %.256q", *oldIssuer, *issuer)
	}
	return nil
}

// CertificateIdentity is who a verified Fulcio certificate was issued to.
type CertificateIdentity struct {
	// Subject is the certificate's subject alternative name.
	Subject string `json:"subject"`
	// Issuer is the OpenID Connect issuer that vouched for it.
	Issuer string `json:"issuer"`
	// GitHub is set for workflows of GitHub Actions.
	GitHub GitHubWorkflow `json:"github,omitzero"`
}

func signerOf(s *certificate.Summary) *CertificateIdentity {
	return &CertificateIdentity{
		Subject: s.SubjectAlternativeName,
		Issuer:  s.Issuer,
		GitHub: GitHubWorkflow{
			Trigger:    s.GithubWorkflowTrigger,
			SHA:        s.GithubWorkflowSHA,
			Name:       s.GithubWorkflowName,
			Repository: s.GithubWorkflowRepository,
			Ref:        s.GithubWorkflowRef,
		},
	}
}
