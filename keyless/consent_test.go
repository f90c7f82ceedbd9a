// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/cosignkit/cosignkit/signing"
)

// TestTheFirstUploadOfAProcessNamesTheLog: one warning for each log and each
// certificate authority, however many clients and signatures there are, and none
// is used up by a client that nobody listens to.
func TestTheFirstUploadOfAProcessNamesTheLog(t *testing.T) {
	t.Parallel()
	const logAddress, caAddress = "https://first-log.test", "https://first-ca.test"
	d := newDeployment()
	d.handlers["first-log.test"], d.handlers["first-ca.test"] = d.v1, d.fulcio
	urls := ServiceURLs{Fulcio: caAddress, Rekor: logAddress}
	t.Cleanup(func() { // for -count
		warned.Delete(logAddress)
		warned.Delete(caAddress)
	})
	sign := func(client *Client) {
		t.Helper()
		if _, err := record(t.Context(), t, client, newP256(), signing.Bundle); err != nil {
			t.Fatal(err)
		}
		if _, err := newSigner(t, client, SignerConfig{Tokens: &tokens{}}).Sign(t.Context(), theRequest("")); err != nil {
			t.Fatal(err)
		}
	}
	sign(d.client(t, urls))
	var told bytes.Buffer
	client := d.client(t, urls, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&told, nil)) })
	if told.Len() > 0 {
		t.Errorf("before anything is published: %s", &told)
	}
	sign(client)
	sign(client)
	sign(d.client(t, urls, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&told, nil)) }))
	for _, want := range []string{
		`level=WARN msg="signing publishes the signature and its public key or certificate for ever, in a log that anyone can read" log=` + logAddress + "\n",
		`level=WARN msg="signing publishes who signs for ever, in a log that anyone can read" log=` + caAddress + "\n",
	} {
		if strings.Count(told.String(), want) != 1 {
			t.Errorf("want once %q in\n%s", want, &told)
		}
	}
}
