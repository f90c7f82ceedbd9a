// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore/pkg/signature/payload"

	"github.com/cosignkit/cosignkit/internal/fault"
)

// Engine decides whether one candidate, of either form, is a signature of image that
// the policy asks for, as far as roots trusts who vouches for it. It returns who
// signed, in KeyID or Identity, and for a bundle the signed statement, in Claims.
// What else a [Signature] has is filled in. An error is why the candidate failed; if
// it is of one of the three families, it counts as that of a [Candidate] does.
//
// A panic is a failed candidate. An Engine is safe for concurrent use.
type Engine func(ctx context.Context, image Image, c Candidate, roots *TrustedRoot) (Signature, error)

// NewWithEngine returns a Verifier that asks engine about each candidate, and does all
// else as that of [New] does. The engine honours the policy: it is only checked here
// that a policy can be honoured at all. A Threshold above 1 and a LogLookup are
// misconfigured: they need more than a verdict on each candidate.
func NewWithEngine(policy Policy, engine Engine) (Verifier, error) {
	v, err := policy.validate()
	switch {
	case err != nil:
	case v.threshold > 1:
		err = errors.New("an engine decides about one signature at a time, and the policy has a Threshold above 1")
	case v.lookup != nil:
		err = errors.New("an engine looks up no log entries, and the policy has a LogLookup")
	}
	if err != nil {
		return nil, fault.New(ErrMisconfigured, "new verifier", "", "policy", err)
	}
	v.engine = engine
	return v, nil
}

// ask returns what the engine finds, and reads what was signed.
func (v *validated) ask(ctx context.Context, image Image, c Candidate, material root.TrustedMaterial) (finding, Claims, error) {
	signed, err := v.engine(ctx, image, c, NewTrustedRoot(material))
	found := finding{key: policyKey{id: signed.KeyID}, signer: signed.Identity, timestamps: signed.Timestamps}
	if err != nil {
		return found, Claims{}, err
	}
	if c.Bundle == nil {
		var p payload.SimpleContainerImage
		if err := json.Unmarshal(c.Payload, &p); err != nil {
			return finding{}, Claims{}, err
		}
		return found, payloadClaims(p, c.Payload), nil
	}
	statement, err := parseStatement(signed.Claims.Statement)
	if err != nil {
		return finding{}, Claims{}, err
	}
	claims, err := imageClaims(statement, image.Target.Digest, signed.Claims.Statement)
	return found, claims, err
}
