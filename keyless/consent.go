// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless

import (
	"context"
	"log/slog"
	"sync"
)

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

// warned are the services of which the process has said already that they publish.
var warned sync.Map

// warn says, once in a process for each service, what is about to be published
// there. Consent can be a setting that somebody else made, or a flag that says
// nothing of a log.
func (c *Client) warn(ctx context.Context, address, what string) {
	if !c.config.Logger.Enabled(ctx, slog.LevelWarn) {
		return
	}
	if _, before := warned.LoadOrStore(address, true); !before {
		c.config.Logger.WarnContext(ctx, "signing publishes "+what+" for ever, in a log that anyone can read", "log", address)
	}
}
