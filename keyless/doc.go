// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package keyless signs without a long-lived key, and records signatures where
// everybody can see them.
//
// [New] returns a [Client] of a Sigstore instance: the public one, or a private
// one. [NewSigner] turns it and a source of identity tokens into a
// signing.Signer; the client itself is a signing.Log for signers with a key
// pair.
//
//	tuf, err := trust.NewTUF(trust.TUFConfig{})
//	…
//	config, err := keyless.FetchSigningConfig(ctx, tuf)
//	…
//	client, err := keyless.New(keyless.Config{
//		SigningConfig: config,
//		TrustedRoots:  tuf,
//		Consent:       true, // the user agreed to keyless.PublicRecord
//	})
//	…
//	signer, err := keyless.NewSigner(client, keyless.SignerConfig{
//		Tokens: keyless.Ambient(keyless.AmbientConfig{}),
//	})
//
// # Signing
//
// An OpenID Connect issuer vouches for an identity with a token. Fulcio binds
// that identity to a key that was just made, with a certificate that lives for
// minutes, and enters the certificate in a certificate transparency log. The key
// signs. A timestamp authority stamps the signature, and a transparency log
// (Rekor v1 or v2) records it, while the certificate lives. One certificate
// serves all images that are signed within its life; with the next one, its key
// is forgotten.
//
// # What is guaranteed
//
// No service is trusted. That the certificate is of a trusted authority, that a
// certificate transparency log has signed for it, and that it is for the key and
// the identity that were asked for, is checked before anything is signed; the
// log entry, its inclusion proof or promise, and the timestamps before the
// signature is returned. What is returned, a verifier of the same trusted root
// accepts, if it asks for no more logs and timestamps than the signing config
// names.
//
// Nothing is published without the caller's explicit consent, see
// [PublicRecord]. Tokens are sent to the Fulcio that was configured and to
// nobody else, over plain HTTP only to this machine unless InsecureAllowHTTP is
// set, and are in no error.
//
// Every wait ends with the context. Beside that, the requests for one
// certificate or one signature end with the client's budget, those for a token
// after 60 seconds, those for trusted roots as package verify/trust says, and a person
// has some minutes to log in. The package writes nothing to standard output or
// error, and reads the environment only where a function says so.
//
// # Errors
//
// Errors match one of the families of package verify: misconfigured when a
// token, an address or a service's material cannot be used and a human is
// needed, and inconclusive when a service could not be reached, refused, or gave
// what does not verify.
package keyless
