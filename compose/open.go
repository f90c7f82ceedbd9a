// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package compose

import (
	"context"
	"fmt"

	"github.com/cosignkit/cosignkit"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// verifiers opens what each policy needs, once.
func (p *Plan) verifiers(ctx context.Context) (map[string]verify.Verifier, error) {
	opened, err := openEach(p, func(s Service) (wanted, bool) {
		o := s.Fields.Verify
		return wanted{keyOf(o), o.CosignKey, fieldVerify, fieldPublicKey}, verifies(s.Fields)
	}, func(f cosignkit.Fields) (*cosignkit.Verification, error) {
		return p.config.Adapter.Verification(ctx, f.Verify)
	})
	verifiers := map[string]verify.Verifier{}
	for key, v := range opened {
		verifiers[key] = v.Verifier()
	}
	return verifiers, err
}

// signers opens the key of each service that is pushed, or gets a certificate. The
// adapter opens a key once, and shares one identity among all who sign with it.
func (p *Plan) signers(ctx context.Context) (map[string]signing.Signer, error) {
	opened, err := openEach(p, func(s Service) (wanted, bool) {
		o := s.Fields.Sign
		return wanted{keyOf(o), o.CosignKey, fieldSign, fieldPrivateKey}, signs(s.Fields) && !s.Dependency
	}, func(f cosignkit.Fields) (*cosignkit.Signing, error) {
		return p.config.Adapter.Signing(ctx, f.Sign)
	})
	signers := map[string]signing.Signer{}
	for key, s := range opened {
		signers[key] = s.Signer()
	}
	return signers, err
}

// wanted is what a service wants opened: its options, the key among them, and the
// fields that have both.
type wanted struct{ options, key, provider, keyField string }

// openEach opens what is asked for, once for all that want the same, and finds what is wrong for
// every service.
func openEach[T any](p *Plan, want func(Service) (w wanted, ok bool), open func(cosignkit.Fields) (T, error)) (map[string]T, error) {
	opened, failed := map[string]T{}, map[string]error{}
	found := &problems{files: newSources(p.project)}
	for _, s := range p.services {
		w, ok := want(s)
		if !ok {
			continue
		}
		_, done := opened[w.options]
		if !done && failed[w.options] == nil {
			what, err := open(s.Fields)
			if err != nil {
				failed[w.options] = err
			} else {
				opened[w.options] = what
			}
		}
		if failed[w.options] != nil {
			field := w.provider
			if w.key != "" {
				field = w.keyField
			}
			found.add(Problem{Service: s.Name, Field: field, Err: failed[w.options]})
		}
	}
	return opened, found.err(opRead, p.project.Name)
}

// keyOf is equal for equal options, of which it has every field.
func keyOf(options any) string { return fmt.Sprintf("%#v", options) }
