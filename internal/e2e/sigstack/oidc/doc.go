// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package oidc is an OpenID Connect provider for tests. It has two issuers: one
// of people, with the authorization code, device and client credentials grants,
// and one that gives tokens to workflows as GitHub Actions does.
//
// Nobody logs in: whoever follows a link is the user that login_hint names. In
// all that a client can get wrong the provider is strict, and answers with the
// errors of RFC 6749, RFC 7636 and RFC 8628.
package oidc
