// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/root"
	sgverify "github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/cosignkit/cosignkit/internal/bundles"
	"github.com/cosignkit/cosignkit/internal/keys"
)

// keyMaterial is a trusted root with the one key that a signature is tried with.
type keyMaterial struct {
	root.TrustedMaterial
	key root.TimeConstrainedVerifier
}

func (m keyMaterial) PublicKeyVerifier(string) (root.TimeConstrainedVerifier, error) {
	return m.key, nil
}

// finding is what a signature was found to be.
type finding struct {
	key        policyKey
	signer     *CertificateIdentity
	identity   int
	rawKey     []byte // of the certificate
	timestamps []Timestamp
	// wants is the signature whose log entry has still to be looked up, without
	// which it does not count.
	wants *entity
}

// mark tells apart what a threshold counts: signers, and what was signed with which
// key, which is once whether it is shown with a certificate for the key or without.
type mark struct {
	signer string
	made   [sha256.Size]byte
}

func (f finding) by(claims Claims) mark {
	m := mark{signer: f.key.id}
	if f.signer != nil {
		m.signer = fmt.Sprintf("identity %d", f.identity)
	}
	key := f.key.id
	if f.rawKey != nil {
		key = keyID(f.rawKey)
	}
	message := claims.Statement
	if message == nil {
		message = claims.payload
	}
	m.made = sha256.Sum256(append([]byte(key), message...))
	return m
}

// verifyEntity checks one signature against the policy, with the authorities and
// logs of material.
func (v *validated) verifyEntity(ctx context.Context, e *entity, material root.TrustedMaterial) (finding, error) {
	if e.hasCertificate() {
		return v.verifyCertificate(e, material)
	}
	return v.verifyKey(ctx, e, material)
}

// verifyCertificate checks a signature that was made with a Fulcio certificate.
func (v *validated) verifyCertificate(e *entity, material root.TrustedMaterial) (finding, error) {
	if len(v.identities) == 0 {
		return finding{}, errors.New("signed with a certificate, and the policy names only keys")
	}
	content, err := e.VerificationContent()
	if err != nil {
		return finding{}, err
	}
	chains, err := v.checkSigner(e, content.Certificate(), material)
	if err != nil {
		return finding{}, err
	}
	if e, err = e.evidence(); err != nil {
		return finding{}, err
	}
	if v.lacksEntry(e) {
		if !v.ignoreSCT {
			err = sgverify.VerifySignedCertificateTimestamp(chains, 1, material)
		}
		return finding{wants: e}, err
	}
	policy := []sgverify.PolicyOption{}
	for _, identity := range v.identities {
		policy = append(policy, sgverify.WithCertificateIdentity(identity))
	}
	var failed error
	for _, options := range v.certificateOptions() {
		all := slices.Clip(options)
		if !v.ignoreSCT {
			all = append(all, sgverify.WithSignedCertificateTimestamps(1))
		}
		result, err := run(e, material, all, policy)
		if err != nil && olderKey(content.Certificate()) {
			if older, olderErr := v.verifyOlder(e, content.Certificate(), material, options); olderErr == nil {
				result, err = older, nil
			}
		}
		if err == nil {
			err = checkTimestamps(e, content.Certificate(), material)
		}
		if err == nil && !v.ignoreLog {
			err = bundles.CheckBodies(e.Bundle.Bundle)
		}
		if err != nil {
			if failed != nil {
				err = fmt.Errorf("%w; without a log entry: %w", failed, err)
			}
			failed = err
			continue
		}
		summary := result.Signature.Certificate
		for i, identity := range v.identities {
			if identity.Verify(*summary) == nil {
				return finding{
					signer: signerOf(summary), identity: i, rawKey: content.Certificate().RawSubjectPublicKeyInfo, timestamps: timestampsOf(result),
				}, nil
			}
		}
		return finding{}, errors.New("the certificate is for no identity of the policy")
	}
	return finding{}, explain(e, failed)
}

// checkTimestamps refuses a certificate that an authority saw used outside of its
// life. sigstore-go looks at the first timestamp of each authority alone.
func checkTimestamps(e *entity, leaf *x509.Certificate, material root.TrustedMaterial) error {
	stamps, err := e.Timestamps()
	if err != nil {
		return err
	}
	content, err := e.SignatureContent()
	if err != nil {
		return err
	}
	for _, stamp := range stamps {
		for _, authority := range material.TimestampingAuthorities() {
			t, err := authority.Verify(stamp, content.Signature())
			if err == nil && (t.Time.Before(leaf.NotBefore) || t.Time.After(leaf.NotAfter)) {
				return fmt.Errorf("a timestamp of %s is outside of the certificate's life", t.Time.UTC().Format(time.RFC3339))
			}
		}
	}
	return nil
}

// olderKey reports whether clients once signed with SHA-256 and keys like the
// certificate's, which the algorithm registry has another hash for.
func olderKey(leaf *x509.Certificate) bool {
	key, ok := leaf.PublicKey.(*ecdsa.PublicKey)
	return ok && (key.Curve == elliptic.P384() || key.Curve == elliptic.P521())
}

// verifyOlder verifies what such a client signed. sigstore-go does as well, and
// writes to standard error; so it is shown the key here, and what makes a
// certificate good is checked with its parts.
func (v *validated) verifyOlder(e *entity, leaf *x509.Certificate, material root.TrustedMaterial, options []sgverify.VerifierOption) (*sgverify.VerificationResult, error) {
	verifiers, err := keys.Verifiers(leaf.PublicKey)
	if err != nil {
		return nil, err
	}
	view := &entity{Bundle: e.Bundle, artifact: e.artifact, older: true}
	withSHA256 := verifiers[len(verifiers)-1]
	result, err := run(view, keyMaterial{material, withSHA256}, options, []sgverify.PolicyOption{sgverify.WithKey()})
	if err != nil {
		return nil, err
	}
	summary, err := certificate.SummarizeCertificate(leaf)
	if err != nil {
		return nil, err
	}
	var chains [][]*x509.Certificate
	for _, t := range result.VerifiedTimestamps {
		if chains, err = sgverify.VerifyLeafCertificate(t.Timestamp, leaf, chainedMaterial{material, e.intermediates}); err != nil {
			return nil, err
		}
	}
	if !v.ignoreSCT {
		if err := sgverify.VerifySignedCertificateTimestamp(chains, 1, material); err != nil {
			return nil, err
		}
	}
	result.Signature.Certificate = &summary
	return result, nil
}

// chainedMaterial is a trusted root whose authorities issue through intermediates,
// which came with a signature, as well as through their own.
type chainedMaterial struct {
	root.TrustedMaterial
	intermediates []*x509.Certificate
}

func (m chainedMaterial) FulcioCertificateAuthorities() []root.CertificateAuthority {
	all := slices.Clone(m.TrustedMaterial.FulcioCertificateAuthorities())
	for i, authority := range all {
		if fulcio, ok := authority.(*root.FulcioCertificateAuthority); ok {
			more := *fulcio
			more.Intermediates = slices.Concat(fulcio.Intermediates, m.intermediates)
			all[i] = &more
		}
	}
	return all
}

// certificateOptions are the ways in which a certificate can be found good, but for
// what certificate transparency logs have to say about it. A
// certificate lives for minutes: without an authority's word for the time at
// which it was used, it proves nothing.
func (v *validated) certificateOptions() [][]sgverify.VerifierOption {
	var common []sgverify.VerifierOption
	if v.timestampThreshold > 0 {
		common = append(common, sgverify.WithSignedTimestamps(v.timestampThreshold))
	}
	// The chain is checked at each time that an authority vouches for: that of
	// the log, unless it is one that vouches for none, and every timestamp.
	logged := append(common[:len(common):len(common)],
		sgverify.WithTransparencyLog(v.logThreshold), sgverify.WithObserverTimestamps(1))
	ways := [][]sgverify.VerifierOption{logged}
	if v.ignoreLog {
		ways = append(ways, append(common[:len(common):len(common)], sgverify.WithSignedTimestamps(max(1, v.timestampThreshold))))
	}
	return ways
}

// verifyKey checks a signature that was made with a long-lived key.
func (v *validated) verifyKey(ctx context.Context, e *entity, material root.TrustedMaterial) (finding, error) {
	if len(v.keys) == 0 {
		return finding{}, errors.New("signed with a key, and the policy names only identities")
	}
	// Which key it is comes first, and costs one signature check a key; what
	// else the policy asks for is then checked with that key alone.
	var keyed root.TrustedMaterial
	key, err := v.anyKey(ctx, func(key policyKey) (err error) {
		keyed, err = signedBy(e, material, key)
		return err
	})
	if err != nil {
		return finding{}, err
	}
	material = keyed
	var options []sgverify.VerifierOption
	if !v.ignoreLog {
		options = append(options, sgverify.WithTransparencyLog(v.logThreshold))
	} else if v.timestampThreshold == 0 {
		return finding{key: key}, nil
	}
	if e, err = e.evidence(); err != nil {
		return finding{key: key}, err
	}
	if v.lacksEntry(e) {
		return finding{key: key, wants: e}, nil
	}
	var result *sgverify.VerificationResult
	if v.timestampThreshold > 0 {
		result, err = run(e, material, append(options, sgverify.WithSignedTimestamps(v.timestampThreshold)), withKey)
	} else {
		result, err = runTimeless(e, material, options)
	}
	if err == nil && !v.ignoreLog {
		err = bundles.CheckBodies(e.Bundle.Bundle)
	}
	if err != nil {
		return finding{key: key}, err
	}
	return finding{key: key, timestamps: timestampsOf(result)}, nil
}

var (
	withKey = []sgverify.PolicyOption{sgverify.WithKey()}
	// bare asks for the signature alone.
	bare = []sgverify.VerifierOption{sgverify.WithNoObserverTimestamps()}
)

// runTimeless runs where no time need be vouched for. A log that shows an entry
// without saying when it took it shows it now, and must be trusted now, unless
// an authority vouches for a time at which it was.
func runTimeless(e *entity, material root.TrustedMaterial, options []sgverify.VerifierOption) (*sgverify.VerificationResult, error) {
	now, all := timely(e, material, []time.Time{time.Now()})
	options = slices.Clip(options)
	result, err := runOnce(e, now, append(options, sgverify.WithNoObserverTimestamps()), withKey)
	if err == nil || all {
		return result, err
	}
	if result, stampedErr := run(e, material, append(options, sgverify.WithObserverTimestamps(1)), withKey); stampedErr == nil {
		return result, nil
	}
	return nil, fmt.Errorf("%w; the log is not trusted any more or not yet, and no timestamp says that it was", err)
}

// timelyMaterial is a trusted root with fewer logs.
type timelyMaterial struct {
	root.TrustedMaterial
	logs map[string]*root.TransparencyLog
}

func (m timelyMaterial) RekorLogs() map[string]*root.TransparencyLog { return m.logs }

// timely is material without the logs that are only proved to have an entry, and
// were trusted at none of the times that are vouched for: the key of a log is
// good for the period that the trusted root gives it.
func timely(e *entity, material root.TrustedMaterial, times []time.Time) (timelyMaterial, bool) {
	logs, all := maps.Clone(material.RekorLogs()), true
	for _, entry := range e.GetVerificationMaterial().GetTlogEntries() {
		id := hex.EncodeToString(entry.GetLogId().GetKeyId())
		log, ok := logs[id]
		if !ok || len(entry.GetInclusionPromise().GetSignedEntryTimestamp()) > 0 {
			continue
		}
		if !slices.ContainsFunc(times, func(t time.Time) bool {
			return !t.Before(log.ValidityPeriodStart) && (log.ValidityPeriodEnd.IsZero() || !t.After(log.ValidityPeriodEnd))
		}) {
			delete(logs, id)
			all = false
		}
	}
	return timelyMaterial{material, logs}, all
}

func run(e *entity, material root.TrustedMaterial, options []sgverify.VerifierOption, policy []sgverify.PolicyOption) (*sgverify.VerificationResult, error) {
	result, err := runOnce(e, material, options, policy)
	if err != nil || len(result.VerifiedTimestamps) == 0 {
		return result, err
	}
	var times []time.Time
	for _, t := range result.VerifiedTimestamps {
		times = append(times, t.Timestamp)
	}
	if fewer, all := timely(e, material, times); !all {
		return runOnce(e, fewer, options, policy)
	}
	return result, nil
}

func runOnce(e *entity, material root.TrustedMaterial, options []sgverify.VerifierOption, policy []sgverify.PolicyOption) (*sgverify.VerificationResult, error) {
	verifier, err := sgverify.NewVerifier(material, options...)
	if err != nil {
		return nil, err
	}
	result, err := verifier.Verify(e, sgverify.NewPolicy(e.artifact(), policy...))
	if err != nil {
		// Where there was none, sigstore-go says that it was nil.
		if text := err.Error(); strings.Contains(text, nilError) {
			err = errors.New(strings.ReplaceAll(text, nilError, ""))
		}
		return nil, err
	}
	return result, nil
}

const nilError = "; error: %!w(<nil>)"

func timestampsOf(result *sgverify.VerificationResult) []Timestamp {
	var all []Timestamp
	for _, t := range result.VerifiedTimestamps {
		source := TimestampFromAuthority
		if t.Type == "Tlog" {
			source = TimestampFromLog
		}
		all = append(all, Timestamp{Source: source, URI: t.URI, Time: t.Timestamp})
	}
	return all
}
