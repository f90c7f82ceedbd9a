// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package kms

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	sigkms "github.com/sigstore/sigstore/pkg/signature/kms"
	"github.com/sigstore/sigstore/pkg/signature/options"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/keypair"
	"github.com/cosignkit/cosignkit/internal/keys"
)

// imports are the providers of sigstore that the program may import.
var imports = map[string]string{
	"awskms":     "github.com/sigstore/sigstore/pkg/signature/kms/aws",
	"azurekms":   "github.com/sigstore/sigstore/pkg/signature/kms/azure",
	"gcpkms":     "github.com/sigstore/sigstore/pkg/signature/kms/gcp",
	"hashivault": "github.com/sigstore/sigstore/pkg/signature/kms/hashivault",
	"openbao":    "github.com/sigstore/sigstore/pkg/signature/kms/hashivault",
}

// PrivateKey opens the private key that ref names. It is safe for concurrent use.
//
// Opening a key makes one signature with it, over a text that is no image, statement
// or payload. So a key that does not exist, that may not be used, or that signs by
// another algorithm than this library does, such as RSA-PSS, is found before anything
// is uploaded. Keep the key: each call opens connections of its own, and some
// providers keep them until the program ends.
//
// The key has the method SignContext, by which a signing.KeySigner cancels it. Each
// operation, also of Sign, takes a minute at most. Those of a provider that has no
// context, as Vault's, may go on behind it until their own time is over.
func PrivateKey(ctx context.Context, ref string) (crypto.Signer, error) {
	const op = "open private key"
	service, err := open(ctx, op, ref)
	if err != nil {
		return nil, err
	}
	public, err := publicKey(ctx, op, ref, service)
	if err != nil {
		return nil, err
	}
	opened := &key{ref: ref, service: service, public: public}
	if err := opened.try(ctx); err != nil {
		return nil, fault.New(kindOf(err), op, keys.Name(ref), "trial signature", err)
	}
	return opened, nil
}

// PublicKey returns the public half of the key that ref names, as it is now. A
// policy that it is put into asks the service no more, and does not see that the key
// was replaced.
func PublicKey(ctx context.Context, ref string) (crypto.PublicKey, error) {
	const op = "open public key"
	service, err := open(ctx, op, ref)
	if err != nil {
		return nil, err
	}
	return publicKey(ctx, op, ref, service)
}

func publicKey(ctx context.Context, op, ref string, service sigkms.SignerVerifier) (crypto.PublicKey, error) {
	public, err := await(ctx, func(ctx context.Context) (crypto.PublicKey, error) {
		return service.PublicKey(options.WithContext(ctx))
	})
	if err != nil {
		return nil, fault.New(kindOf(err), op, keys.Name(ref), "public key", err)
	}
	if _, err := keypair.Algorithm(public); err != nil {
		return nil, fault.New(fault.ErrMisconfigured, op, keys.Name(ref), "", err)
	}
	return public, nil
}

// open asks the provider of ref for its client. Providers ask their service nothing
// for that, and what goes wrong is what they were given.
func open(ctx context.Context, op, ref string) (sigkms.SignerVerifier, error) {
	if err := checkScheme(ref); err != nil {
		return nil, fault.New(fault.ErrMisconfigured, op, keys.Name(ref), "", err)
	}
	// Some providers keep the context for the life of the key, to renew credentials
	// with. It ends with ctx only as long as the key is being opened.
	lasting, cancel := context.WithCancel(context.WithoutCancel(ctx))
	service, err := await(ctx, func(ctx context.Context) (sigkms.SignerVerifier, error) {
		stop := context.AfterFunc(ctx, cancel)
		// The hash is Vault's default, and is named again with each signature.
		service, err := sigkms.Get(lasting, ref, crypto.SHA256)
		if !stop() {
			return nil, fault.Ended(ctx)
		}
		return service, err
	})
	if err != nil {
		cancel()
		return nil, fault.New(fault.ErrMisconfigured, op, keys.Name(ref), "provider", err)
	}
	return service, nil
}

// checkScheme refuses what sigkms.Get would take for the name of a program to run:
// all that has the prefix of no provider. Providers are added and never removed.
func checkScheme(ref string) error {
	provided := sigkms.SupportedProviders()
	if slices.ContainsFunc(provided, func(prefix string) bool { return strings.HasPrefix(ref, prefix) }) {
		return nil
	}
	scheme, _, ok := strings.Cut(ref, "://")
	if !ok {
		return fmt.Errorf("want a reference with a scheme: %s", strings.Join(slices.Sorted(maps.Keys(imports)), "://, ")+"://")
	}
	if path, ok := imports[scheme]; ok {
		return fmt.Errorf("no provider of %s:// is linked: the program must import _ %q", scheme, path)
	}
	if len(provided) == 0 {
		return errors.New("no provider is linked: the program imports none")
	}
	slices.Sort(provided)
	return fmt.Errorf("no linked provider has the scheme %.64q; there is %s", scheme, strings.Join(provided, ", "))
}
