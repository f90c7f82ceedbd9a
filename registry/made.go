// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"slices"

	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/bundles"
	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/leash"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// checked is a signature that a verifier with the signer's key accepts for what was
// to be signed. Only checkMade makes one, and only one can be attached.
type checked struct{ signing.Signature }

// checkMade reads what a signer returned as a verifier reads it: a signer can be
// anybody's, and a signature that is attached counts as one of the user's. The
// error is misconfigured, as the signer is the caller's to choose.
func checkMade(ctx context.Context, target ocispec.Descriptor, request signing.Request, made []signing.Signature) ([]checked, error) {
	all := make([]checked, 0, len(made))
	err := checkForms(request.Form, made)
	for _, s := range made {
		if err != nil {
			break
		}
		if err = checkSignature(ctx, target, request, s); err == nil {
			all = append(all, checked{s})
		}
	}
	switch {
	case err == nil:
		return all, nil
	case ctx.Err() != nil:
		return nil, fault.Ended(ctx)
	default:
		return nil, fault.New(verify.ErrMisconfigured, opSign, target.Digest.String(), "check of what the signer returned", err)
	}
}

// checkForms wants each form that was asked for, and no other. A request that names
// none leaves the form to the signer.
func checkForms(form signing.Form, made []signing.Signature) error {
	if len(made) == 0 {
		return errors.New("it returned no signature")
	}
	if len(made) > limits.Candidates {
		return limits.Exceeded("number of signatures", limits.Candidates)
	}
	for _, single := range []signing.Form{signing.Bundle, signing.Legacy} {
		wanted := form == single || form == signing.Both
		has := slices.ContainsFunc(made, func(s signing.Signature) bool { return s.Form == single })
		if form != "" && wanted != has {
			return fmt.Errorf("the form %s was asked for, and it returned others", form)
		}
	}
	return nil
}

func checkSignature(ctx context.Context, target ocispec.Descriptor, request signing.Request, s signing.Signature) error {
	candidate, key, err := shown(s)
	if err == nil && key == nil {
		if key = s.PublicKey; key == nil {
			err = errors.New("it has neither a certificate nor a PublicKey to verify it with")
		}
	}
	if err != nil {
		return fmt.Errorf("signature of the form %.32q: %w", s.Form, fault.Printable(err))
	}
	verifier, err := verify.New(verify.Policy{
		Keys: []crypto.PublicKey{key}, Annotations: request.Annotations,
		InsecureIgnoreTransparencyLog: true, // whose entries a Log checks
	})
	if err != nil {
		return fmt.Errorf("the key that it shows: %w", withoutFamily(err))
	}
	result, err := verifier.Verify(ctx, verify.Image{Name: request.Repository, Target: target}, []verify.Candidate{candidate})
	if result != nil && len(result.Signatures) == 1 && result.Signatures[0].Err != nil {
		err = result.Signatures[0].Err
	}
	if err != nil {
		return fmt.Errorf("signature of the form %s: %w", s.Form, withoutFamily(err))
	}
	return checkClaimed(request.Repository, result.Signatures[0].Claims.Repository)
}

// shown returns the signature as one of a long-lived key, and the key in its
// certificate, if it comes with one. Whom the certificate is for, and whether its
// authority is trusted, is for policies to say.
func shown(s signing.Signature) (c verify.Candidate, key crypto.PublicKey, err error) {
	err = leash.Recovered(func() (err error) {
		switch {
		case s.Form == signing.Bundle && s.Bundle != nil && s.Payload == nil && s.Annotations == nil:
			key, c.Bundle, err = bundles.Shown(s.Bundle)
		case s.Form == signing.Legacy && s.Bundle == nil && s.Payload != nil:
			c.Payload, c.Annotations = s.Payload, s.Annotations
			key, err = bundles.ShownLegacy(s.Payload, s.Annotations)
		default:
			err = errors.New("it has not the fields of that form, or that is no form")
		}
		return err
	})
	return c, key, err
}

// checkClaimed compares the repository in a signature with the one that was to be
// signed. Bundles of other signers name none, and Docker Hub has two names.
func checkClaimed(wanted, claimed string) error {
	if claimed == "" || claimed == wanted {
		return nil
	}
	a, err := reference.ParseNormalizedNamed(wanted)
	b, err2 := reference.ParseNormalizedNamed(claimed)
	if err != nil || err2 != nil || a.Name() != b.Name() {
		return fmt.Errorf("the signature claims the repository %.256q, want %q", claimed, wanted)
	}
	return nil
}

// withoutFamily is an error of the caller's signer, whatever it would be for a
// registry.
func withoutFamily(err error) error { return errors.New(fault.OneLine(err.Error())) }
