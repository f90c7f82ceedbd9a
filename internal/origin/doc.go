// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package origin decides where a secret may go.
//
// A secret is a password, a token, a code or an API key in a header or in the body of
// a request. It is for one origin: a scheme, a host and a port. A server that
// redirects moves it to no other one, and it goes over plain HTTP to no other machine
// unless the user allowed that. [Rule.Confine] and [Rule.Check] hold this below
// whatever client follows redirects; docs/secrets.md lists who uses them.
package origin
