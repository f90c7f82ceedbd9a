// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package kms opens keys that a key management service keeps.
//
// [PrivateKey] is for signing.KeySignerConfig.Key, and [PublicKey] for the keys of
// a verify.Policy. A reference such as awskms:///alias/release is served by one of
// sigstore's providers, which the program imports for its effect:
//
//	import _ "github.com/sigstore/sigstore/pkg/signature/kms/aws"       // awskms://
//	import _ "github.com/sigstore/sigstore/pkg/signature/kms/azure"     // azurekms://
//	import _ "github.com/sigstore/sigstore/pkg/signature/kms/gcp"       // gcpkms://
//	import _ "github.com/sigstore/sigstore/pkg/signature/kms/hashivault" // hashivault://, openbao://
//
// Each is a module of its own and links the SDK of its service; this package links
// none. A scheme that no imported provider has is misconfigured. The program
// sigstore-kms-NAME, which sigstore's own registry runs for such a scheme, is never
// run.
//
// # What a provider does
//
// A provider finds the credentials of its service as the service's own tools do: in
// the environment, in files, from a metadata server, and from programs where a file
// of the user's says so. It is outside of what this library promises about these.
// A reference may name a host, which then gets requests with these credentials: take
// one from those alone whom you trust with them. Vault's client follows one redirect
// with its token, from a standby server to the active one, and none from TLS to plain
// HTTP; VAULT_DISABLE_REDIRECTS=true has it follow none.
//
// # Errors
//
// An error is misconfigured where no provider has the scheme, where the reference or
// the provider's own settings are wrong, where the service knows no such key or does
// not let the caller use it, and where the key is not one that this library signs
// with. Everything else, such as a service that does not answer, is inconclusive.
package kms
