// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package cosignkit

import (
	"context"
	"crypto"
	"errors"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/keys"
	"github.com/cosignkit/cosignkit/internal/leash"
	"github.com/cosignkit/cosignkit/verify"
)

const opVerification = "set up verification"

// Verification is what the flags of a pull, run or create ask for. It is safe
// for concurrent use.
type Verification struct {
	adapter  *Adapter
	verifier verify.Verifier // nil if nothing is verified
}

// Verification checks o and opens the key. It makes no request but those of
// Config.PublicKey. For the provider
// none it returns a Verification that does not verify.
func (a *Adapter) Verification(ctx context.Context, o VerifyOptions) (*Verification, error) {
	v := &Verification{adapter: a}
	on, err := a.enabled(o.Provider, o.useless)
	if err != nil {
		return nil, misconfigured(opVerification, "", err)
	}
	if !on {
		return v, nil
	}
	if err := a.checkClient(opVerification); err != nil {
		return nil, err
	}
	policy, err := leash.Call(ctx, func(ctx context.Context) (verify.Policy, error) { return a.policy(ctx, o) })
	if err == nil {
		v.verifier, err = verify.New(policy)
	}
	if err != nil {
		return nil, fault.New(verify.ErrMisconfigured, opVerification, "", "", err)
	}
	return v, nil
}

// Enabled reports whether it verifies. A tool that is about to use what no
// registry has, such as a root file system or an archive, refuses if it is true.
func (v *Verification) Enabled() bool { return v.verifier != nil }

// Verifier returns what verifies, or nil if nothing is verified. It is for
// registry.Client, which fails without one.
func (v *Verification) Verifier() verify.Verifier { return v.verifier }

func (a *Adapter) policy(ctx context.Context, o VerifyOptions) (verify.Policy, error) {
	r := a.read(verifies)
	policy := verify.Policy{Annotations: o.Annotations}
	if len(policy.Annotations) == 0 {
		policy.Annotations = r.annotations()
	}
	key, identity := r.who(o)
	policy.InsecureIgnoreTransparencyLog = r.ignoresTlog(o)
	policy.InsecureIgnoreSCT = r.weakened("COSIGN_INSECURE_IGNORE_SCT", true, "certificates count that no certificate transparency log has signed for")
	if r.boolean("COSIGN_USE_SIGNED_TIMESTAMPS", false) {
		policy.TimestampThreshold = 1
	}
	if err := r.err(); err != nil {
		return policy, err
	}
	if key != "" {
		public, err := r.publicKey(ctx, key)
		if err != nil {
			return policy, err
		}
		policy.Keys = []crypto.PublicKey{public}
	} else {
		policy.Identities = []verify.Identity{identity}
	}
	// With a key and no log there is nothing to trust but the key.
	if key == "" || !policy.InsecureIgnoreTransparencyLog || policy.TimestampThreshold > 0 {
		var err error
		if policy.TrustedRoots, _, err = r.roots(o.TrustedRoot); err != nil {
			return policy, err
		}
	}
	return policy, nil
}

func (r *reader) publicKey(ctx context.Context, ref string) (crypto.PublicKey, error) {
	if open := r.adapter.config.PublicKey; open != nil && keys.IsElsewhere(ref) {
		return open(ctx, ref)
	}
	return verify.LoadPublicKey(ref)
}

// ignoresTlog returns whether signatures count that are in no transparency log. What
// the options say, either way, goes before what the environment says.
func (r *reader) ignoresTlog(o VerifyOptions) bool {
	const consequence = "signatures count that are in no transparency log"
	if o.InsecureIgnoreTlog && o.RequireTlog {
		r.errs = append(r.errs, errors.New("a transparency log is both required and ignored"))
	}
	if o.InsecureIgnoreTlog {
		r.adapter.log.Warn("insecure-ignore-tlog: " + consequence)
	}
	ignored := o.InsecureIgnoreTlog
	for _, name := range []string{"COSIGN_INSECURE_IGNORE_TLOG", "COSIGN_PRIVATE_INFRASTRUCTURE"} {
		if !o.RequireTlog {
			ignored = r.weakened(name, true, consequence) || ignored
		} else if r.boolean(name, false) {
			r.adapter.log.Debug(name+"=true has no effect", "reason", "the options require a transparency log")
		}
	}
	return ignored
}

// who returns the key, or else the identity, that must have signed. What flags
// say goes before what the environment says.
func (r *reader) who(o VerifyOptions) (key string, identity verify.Identity) {
	identity = o.identity()
	if o.CosignKey != "" {
		if identity != (verify.Identity{}) {
			r.errs = append(r.errs, errors.New("a key and the identity of a certificate exclude each other"))
		}
		return o.CosignKey, verify.Identity{}
	}
	if identity == (verify.Identity{}) {
		if key := r.text("COSIGN_KEY"); key != "" {
			return key, verify.Identity{}
		}
	}
	if identity.Subject == "" && identity.SubjectRegexp == "" {
		identity.Subject = r.text("COSIGN_CERTIFICATE_IDENTITY")
		identity.SubjectRegexp = r.text("COSIGN_CERTIFICATE_IDENTITY_REGEXP")
	}
	if identity.Issuer == "" && identity.IssuerRegexp == "" {
		identity.Issuer = r.text("COSIGN_CERTIFICATE_OIDC_ISSUER")
		identity.IssuerRegexp = r.text("COSIGN_CERTIFICATE_OIDC_ISSUER_REGEXP")
	}
	if identity.Subject == "" && identity.SubjectRegexp == "" {
		r.errs = append(r.errs, errors.New("want a cosign-key, or else cosign-certificate-identity or cosign-certificate-identity-regexp"))
	}
	if identity.Issuer == "" && identity.IssuerRegexp == "" {
		r.errs = append(r.errs, errors.New("without a cosign-key want cosign-certificate-oidc-issuer or cosign-certificate-oidc-issuer-regexp"))
	}
	for _, part := range []struct {
		name string
		to   *string
	}{
		{"COSIGN_CERTIFICATE_GITHUB_WORKFLOW_NAME", &identity.GitHub.Name},
		{"COSIGN_CERTIFICATE_GITHUB_WORKFLOW_REF", &identity.GitHub.Ref},
		{"COSIGN_CERTIFICATE_GITHUB_WORKFLOW_REPOSITORY", &identity.GitHub.Repository},
		{"COSIGN_CERTIFICATE_GITHUB_WORKFLOW_SHA", &identity.GitHub.SHA},
		{"COSIGN_CERTIFICATE_GITHUB_WORKFLOW_TRIGGER", &identity.GitHub.Trigger},
	} {
		*part.to = r.text(part.name)
	}
	return "", identity
}
