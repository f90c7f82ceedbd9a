// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package cosignkit

import (
	"errors"
	"strings"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/verify"
)

// SignFlags are the flags of "nerdctl push" that the fields ask for; nil for no
// signing. A field without a flag in nerdctl is misconfigured, and never dropped. A
// tool that signs in its own process calls [Adapter.Signing] instead.
func (f Fields) SignFlags() ([]string, error) {
	o := f.Sign
	if o.Provider == "" || o.Provider == None {
		return nil, nil
	}
	if err := flagless(map[string]bool{
		fieldFormat:      o.Format != "",
		fieldAnnotations: len(o.Annotations) > 0,
		fieldTrustedRoot: o.TrustedRoot != "",
	}); err != nil {
		return nil, err
	}
	return appendFlags([]string{"--sign=" + o.Provider}, "cosign-key", o.CosignKey), nil
}

// VerifyFlags are the flags of "nerdctl pull", "run" and "create" that the fields
// ask for; nil for no verifying. A field without a flag in nerdctl is misconfigured,
// and never dropped.
func (f Fields) VerifyFlags() ([]string, error) {
	o := f.Verify
	if o.Provider == "" || o.Provider == None {
		return nil, nil
	}
	if err := flagless(map[string]bool{
		fieldAnnotations: len(o.Annotations) > 0,
		fieldTrustedRoot: o.TrustedRoot != "",
		fieldIgnoreTlog:  o.InsecureIgnoreTlog || o.RequireTlog,
	}); err != nil {
		return nil, err
	}
	return appendFlags([]string{"--verify=" + o.Provider},
		"cosign-key", o.CosignKey,
		"cosign-certificate-identity", o.CosignCertificateIdentity,
		"cosign-certificate-identity-regexp", o.CosignCertificateIdentityRegexp,
		"cosign-certificate-oidc-issuer", o.CosignCertificateOidcIssuer,
		"cosign-certificate-oidc-issuer-regexp", o.CosignCertificateOidcIssuerRegexp,
	), nil
}

// appendFlags appends those that have a value, in the form in which no value is
// taken for a flag.
func appendFlags(flags []string, namesAndValues ...string) []string {
	for i := 0; i+1 < len(namesAndValues); i += 2 {
		if value := namesAndValues[i+1]; value != "" {
			flags = append(flags, "--"+namesAndValues[i]+"="+value)
		}
	}
	return flags
}

// flagless refuses the fields of which one is set.
func flagless(set map[string]bool) error {
	var found []string
	for _, field := range fieldNames {
		if set[field] {
			found = append(found, field)
		}
	}
	if found == nil {
		return nil
	}
	return fault.New(verify.ErrMisconfigured, "make flags", "", "",
		errors.New("the command has no flags for these fields: "+strings.Join(found, ", ")))
}
