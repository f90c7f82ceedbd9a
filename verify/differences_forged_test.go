// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"crypto"
	"crypto/x509"
	"log"
	"os"
	"testing"
	"time"

	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/cosign"
)

// TestDifferencesFromCosignByForgery has the differences that docs/guide.md tells of and
// no golden vector shows. It is not parallel: nobody writes to standard error
// meanwhile.
func TestDifferencesFromCosignByForgery(t *testing.T) {
	expired := newCA("intermediate", ours.root, noon.Add(-year), noon.Add(-time.Second), x509.ExtKeyUsageCodeSigning)
	along := newCA("along", ours.intermediate, noon.Add(-year), noon.Add(year), x509.ExtKeyUsageCodeSigning)
	const onlyHere, onlyCosign = true, false
	for name, c := range map[string]struct {
		form    signing.Form
		prepare func(*attempt)
		want    bool
	}{
		"expired intermediate":                   {signing.Legacy, func(a *attempt) { a.ca, a.trust.cas[0].chain[0] = expired, expired.cert }, onlyCosign},
		"authority that is not trusted any more": {signing.Legacy, func(a *attempt) { a.trust.cas[0].valid.to = noon.Add(-time.Second) }, onlyCosign},
		"payload of another type": {signing.Legacy, func(a *attempt) {
			p := payloadOf()
			p["critical"].(object)["type"] = "atomic container signature"
			a.content = marshalled(p)
		}, onlyCosign},
		"timestamp after the certificate":         {signing.Legacy, func(a *attempt) { a.stamps = []stamp{{ours.tsa, noon.Add(time.Hour)}} }, onlyCosign},
		"timestamp after the certificate, bundle": {signing.Bundle, func(a *attempt) { a.stamps = []stamp{{ours.tsa, noon.Add(time.Hour)}} }, onlyCosign},
		"intermediate that comes along":           {signing.Legacy, through(along), onlyHere},
		"intermediate that comes along, bundle":   {signing.Bundle, through(along), onlyHere},
		"Rekor v2, and no TimestampThreshold":     {signing.Bundle, (*attempt).inRekorV2, onlyHere},
		"SHA-256 by a certificate of a P-384 key": {signing.Bundle, func(a *attempt) { a.key, a.hash = keys["P-384"](), crypto.SHA256 }, onlyHere},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAttempt(c.form)
			c.prepare(a)
			candidates := []verify.Candidate{a.candidate(t)}
			_, here := a.verifier(t).Verify(t.Context(), a.image, candidates)
			engine, err := cosign.New(a.policy)
			if err != nil {
				t.Fatal(err)
			}
			var there error
			if text := written(t, func() { _, there = engine.Verify(t.Context(), a.image, candidates) }); text != "" {
				t.Errorf("cosign writes %q", text)
			}
			if (here == nil) != c.want || (there == nil) == c.want {
				t.Errorf("here: %v; cosign: %v", here, there)
			}
		})
	}
}

// written returns what f writes to standard error.
func written(t *testing.T, f func()) string {
	t.Helper()
	file, err := os.CreateTemp(t.TempDir(), "stderr")
	if err != nil {
		t.Fatal(err)
	}
	stderr := os.Stderr
	os.Stderr = file
	log.SetOutput(file)
	f()
	os.Stderr = stderr
	log.SetOutput(stderr)
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return string(readFile(t, file.Name()))
}
