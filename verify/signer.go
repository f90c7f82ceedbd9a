// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/root"
	sgverify "github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/cosignkit/cosignkit/internal/keys"
)

// checkSigner checks what can be checked of a certificate without log entries and
// timestamps: that it is for an identity of the policy, that its key made the
// signature, and that an authority issued it. The rest costs more, and so waits: to
// parse, and maybe to look up. It returns the chains of the certificate.
func (v *validated) checkSigner(e *entity, leaf *x509.Certificate, material root.TrustedMaterial) ([][]*x509.Certificate, error) {
	if err := checkNames(leaf); err != nil {
		return nil, err
	}
	summary, err := certificate.SummarizeCertificate(leaf)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	if _, err := sgverify.CertificateIdentities(v.identities).Verify(summary); err != nil {
		return nil, explain(e, err)
	}
	key, err := newPolicyKey(leaf.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	view := &entity{Bundle: e.Bundle, artifact: e.artifact, older: true}
	if _, err := signedBy(view, material, key); err != nil {
		const mismatch = "does not verify with the key of the certificate"
		if isMismatch(err.Error()) {
			return nil, errors.New(mismatch)
		}
		return nil, fmt.Errorf(mismatch+": %w", err)
	}
	return checkChain(leaf, e.intermediates, material)
}

// signedBy checks the signature alone, with each algorithm of key as a verification of
// its own. It returns material with key and the algorithm that fits. The error is of
// the algorithm that was closest.
func signedBy(e *entity, material root.TrustedMaterial, key policyKey) (root.TrustedMaterial, error) {
	content, err := e.SignatureContent()
	if err != nil {
		return nil, err
	}
	var reason error
	for _, v := range key.verifiers {
		keyed := keyMaterial{material, v}
		_, err := run(e, keyed, bare, withKey)
		if err == nil {
			return keyed, keys.CheckEncoding(key.public, content.Signature())
		}
		if reason == nil || closeness(err) > closeness(reason) {
			reason = err
		}
	}
	return nil, reason
}

// closeness is how far an algorithm came, by the words of sigstore-go: to what was
// signed, which is not what it should be; to the signature; or not even there.
func closeness(err error) int {
	switch text := err.Error(); {
	case strings.Contains(text, "artifact digest does not match"), strings.Contains(text, "could not verify artifact"):
		return 2
	case isMismatch(text):
		return 1
	default:
		return 0
	}
}

// checkChain checks that an authority issued leaf, and was valid at some time in its
// life: which one it was used at is not known yet. If there is such a time, then
// something in the chain begins to be valid at the first one.
func checkChain(leaf *x509.Certificate, intermediates []*x509.Certificate, material root.TrustedMaterial) ([][]*x509.Certificate, error) {
	// Go does not know some names of Fulcio, which checkNames has read.
	known := *leaf
	known.UnhandledCriticalExtensions = slices.DeleteFunc(slices.Clone(leaf.UnhandledCriticalExtensions),
		func(id asn1.ObjectIdentifier) bool { return id.Equal(cryptoutils.SANOID) })
	chained := chainedMaterial{material, intermediates}.FulcioCertificateAuthorities()
	for i, authority := range material.FulcioCertificateAuthorities() {
		times := []time.Time{leaf.NotBefore}
		if len(intermediates) > 0 {
			// The chain of a signature is used together or not at all.
			times = append(times, slices.MaxFunc(intermediates, func(a, b *x509.Certificate) int { return a.NotBefore.Compare(b.NotBefore) }).NotBefore)
		}
		if fulcio, ok := authority.(*root.FulcioCertificateAuthority); ok {
			times = append(times, fulcio.ValidityPeriodStart, fulcio.Root.NotBefore)
			for _, c := range fulcio.Intermediates {
				times = append(times, c.NotBefore)
			}
		}
		for j, t := range times {
			if t.Before(leaf.NotBefore) || t.After(leaf.NotAfter) || slices.ContainsFunc(times[:j], t.Equal) {
				continue
			}
			if chains, err := chained[i].Verify(&known, t); err == nil {
				return chains, nil
			}
		}
	}
	return nil, errors.New("failed to verify leaf certificate: leaf certificate verification failed")
}

// explain says who signed where it was not the one who should have.
func explain(e *entity, err error) error {
	var mismatch *sgverify.ErrNoMatchingCertificateIdentity
	if !errors.As(err, &mismatch) {
		return err
	}
	content, contentErr := e.VerificationContent()
	if contentErr != nil {
		return contentErr
	}
	who, summaryErr := certificate.SummarizeCertificate(content.Certificate())
	if summaryErr != nil {
		return summaryErr
	}
	reason := errors.New("which is none of the policy's identities")
	if reasons := mismatch.Unwrap(); len(reasons) == 1 {
		reason = reasons[0]
	}
	return fmt.Errorf("signed by %.256q (issuer %.256q): %w", who.SubjectAlternativeName, who.Issuer, reason)
}
