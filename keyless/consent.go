// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless

// PublicRecord says what becomes public when [Config].Consent is given, for a
// program to show to its user.
const PublicRecord = `Signing publishes, in append-only logs that anyone can read, for ever:
  - the signature, its public key or certificate, and about when it was made;
  - the digest of the image, so that whoever knows it can find the signature;
    the name of its repository and the annotations as part of a hash that can
    be guessed, and as they are to the operators of some logs;
  - if you sign with an identity, everything in the certificate: your email
    address, or for a workflow its repository, owner, commit, branch and run,
    also of a private repository, and who vouched for it. This is published
    when the certificate is issued, even if nothing is signed then.
The logs give no way to change or delete any of it, now or later.`
