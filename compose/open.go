// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package compose

import (
	"context"
	"encoding/json"

	"github.com/cosignkit/cosignkit/registry/adapter"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// verifiers opens what each policy needs, once.
func (p *Plan) verifiers(ctx context.Context) (map[string]verify.Verifier, error) {
	opened, err := openEach(p, fieldVerify, func(s Service) (string, bool) {
		return keyOf(s.Fields.Verify), verifies(s.Fields)
	}, func(f adapter.Fields) (*adapter.Verification, error) {
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
	opened, err := openEach(p, fieldSign, func(s Service) (string, bool) {
		return keyOf(s.Fields.Sign), signs(s.Fields) && !s.Dependency
	}, func(f adapter.Fields) (*adapter.Signing, error) {
		return p.config.Adapter.Signing(ctx, f.Sign)
	})
	signers := map[string]signing.Signer{}
	for key, s := range opened {
		signers[key] = s.Signer()
	}
	return signers, err
}

// openEach opens what is asked for, once for each key, and finds what is wrong for
// every service.
func openEach[T any](p *Plan, field string, wanted func(Service) (key string, ok bool), open func(adapter.Fields) (T, error)) (map[string]T, error) {
	opened, failed := map[string]T{}, map[string]error{}
	found := &problems{files: newSources(p.project)}
	for _, s := range p.services {
		key, ok := wanted(s)
		if !ok {
			continue
		}
		_, done := opened[key]
		if !done && failed[key] == nil {
			what, err := open(s.Fields)
			if err != nil {
				failed[key] = err
			} else {
				opened[key] = what
			}
		}
		if failed[key] != nil {
			found.add(Problem{Service: s.Name, Field: field, Err: failed[key]})
		}
	}
	return opened, found.err(p.project.Name)
}

// keyOf is equal for equal options.
func keyOf(options any) string {
	b, err := json.Marshal(options)
	if err != nil { // of strings, booleans and maps of strings there is none
		return err.Error()
	}
	return string(b)
}
