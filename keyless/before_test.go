// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless

import (
	"context"
	"crypto"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// wantUnpublished holds that no service was asked that keeps a record for ever.
func wantUnpublished(t *testing.T, d *deployment) {
	t.Helper()
	for _, host := range []string{"fulcio.test", "rekor.test", "tiles.test"} {
		if n := d.asked(host); n != 0 {
			t.Errorf("%s was asked %d times, and keeps that for ever", host, n)
		}
	}
}

// TestNothingIsRecordedWithACertificateThatCannotVerify: who gives a certificate
// with a key learns that it is not accepted before the log keeps the signature.
func TestNothingIsRecordedWithACertificateThatCannotVerify(t *testing.T) {
	t.Parallel()
	foreign := newDeployment()
	for name, c := range map[string]struct {
		change func(w *wish)
		want   string
	}{
		"of another authority":  {func(w *wish) { w.authority = foreign.intermediate }, "of no trusted authority"},
		"expired":               {func(w *wish) { w.from, w.to = w.from.Add(-time.Hour), w.from.Add(-time.Minute) }, "not valid now"},
		"in no CT log":          {func(w *wish) { w.ct = nil }, "signed certificate timestamp"},
		"in a CT log of no one": {func(w *wish) { w.ct = foreign.ct }, "signed certificate timestamp"},
	} {
		for _, form := range []signing.Form{signing.Bundle, signing.Legacy} {
			t.Run(name+", "+string(form), func(t *testing.T) {
				t.Parallel()
				d, key := newDeployment(), newP256()
				w := d.wish(key.Public(), theSubject, theIssuer)
				c.change(w)
				signer, err := signing.NewKeySigner(signing.KeySignerConfig{
					Key: key, CertificateChain: []*x509.Certificate{w.issue(), w.authority.cert}, Log: d.client(t, ServiceURLs{Rekor: v1URL, Timestamp: stampURL}),
				})
				if err != nil {
					t.Fatal(err)
				}
				_, err = signer.Sign(t.Context(), theRequest(form))
				wantFault(t, err, verify.ErrMisconfigured, "check of the signature", c.want)
				wantUnpublished(t, d)
			})
		}
	}
}

// TestASignatureWithACertificateOfOnesOwnIsRecorded is the other side.
func TestASignatureWithACertificateOfOnesOwnIsRecorded(t *testing.T) {
	t.Parallel()
	for _, form := range []signing.Form{signing.Bundle, signing.Legacy} {
		d, key := newDeployment(), newP256()
		signer, err := signing.NewKeySigner(signing.KeySignerConfig{
			Key: key, CertificateChain: []*x509.Certificate{d.wish(key.Public(), theSubject, theIssuer).issue(), d.intermediate.cert},
			Log: d.client(t, ServiceURLs{Rekor: v1URL}),
		})
		if err != nil {
			t.Fatal(err)
		}
		made, err := signer.Sign(t.Context(), theRequest(form))
		if err != nil {
			t.Fatal(err)
		}
		wantVerified(t, made[0], verify.Policy{
			Identities: []verify.Identity{{Subject: theSubject, Issuer: theIssuer}}, TrustedRoots: d.trusted(t),
		})
	}
}

// otherKey shows the log another key than the one that signed.
type otherKey struct{ *Client }

func (o otherKey) Record(ctx context.Context, b *protobundle.Bundle, _ crypto.PublicKey) error {
	return o.Client.Record(ctx, b, newP256().Public())
}

func TestNothingIsRecordedThatDoesNotVerify(t *testing.T) {
	t.Parallel()
	for _, form := range []signing.Form{signing.Bundle, signing.Legacy} {
		d := newDeployment()
		_, err := record(t.Context(), t, otherKey{d.client(t, ServiceURLs{Rekor: v1URL})}, newP256(), form)
		wantFault(t, err, verify.ErrMisconfigured, "check of the signature")
		wantUnpublished(t, d)
	}
}

// TestNothingIsRecordedWithATimestampThatCannotVerify: the authority is asked
// first, and keeps nothing.
func TestNothingIsRecordedWithATimestampThatCannotVerify(t *testing.T) {
	t.Parallel()
	for name, urls := range map[string]ServiceURLs{
		"Rekor v1": {Rekor: v1URL, Timestamp: stampURL},
		"Rekor v2": {Rekor: v2URL, RekorVersion: 2, Timestamp: stampURL},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDeployment()
			client := d.client(t, urls)
			d.stamps.leaf = newStampAuthority(time.Now()).leaf
			_, err := record(t.Context(), t, client, newP256(), signing.Bundle)
			wantFault(t, err, verify.ErrInconclusive, "check of the timestamp")
			wantUnpublished(t, d)
		})
	}
}

// past ends the life of every log before now.
func past(r *prototrustroot.TrustedRoot) {
	for _, log := range r.Tlogs {
		log.PublicKey.ValidFor.End = timestamppb.New(time.Now().Add(-time.Minute))
	}
}

func TestNothingIsRecordedThatTheTrustedRootCannotVerify(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*prototrustroot.TrustedRoot)
		want   string
	}{
		"without a log":                 {func(r *prototrustroot.TrustedRoot) { r.Tlogs = nil }, "no transparency log"},
		"with a log of the past":        {past, "no transparency log"},
		"without a timestamp authority": {func(r *prototrustroot.TrustedRoot) { r.TimestampAuthorities = nil }, "no timestamp authority"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDeployment()
			client := d.client(t, everything, func(config *Config) { config.TrustedRoots = d.trusted(t, c.change) })
			_, err := record(t.Context(), t, client, newP256(), signing.Bundle)
			wantFault(t, err, verify.ErrMisconfigured, c.want)
			_, err = newSigner(t, client, SignerConfig{Tokens: &tokens{}}).Sign(t.Context(), theRequest(signing.Bundle))
			wantFault(t, err, verify.ErrMisconfigured, c.want)
			wantUnpublished(t, d)
		})
	}
}

// TestNothingIsRecordedUnlessEachLogCanBeAsked: of several logs, the first would keep
// the entry when the second cannot be asked.
func TestNothingIsRecordedUnlessEachLogCanBeAsked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		second string
		change func(*prototrustroot.TrustedRoot)
		want   string
	}{
		"the second over plain HTTP": {"http://second.test", nil, "plain HTTP"},
		"the second at no address":   {"second.test", nil, "is not the URL of a service"},
		"the trusted root has one":   {"https://second.test", func(r *prototrustroot.TrustedRoot) { r.Tlogs = r.Tlogs[:1] }, "asks for 2 transparency logs"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDeployment()
			config, err := ParseSigningConfig([]byte(configOf(
				`"caUrls":[`+service(fulcioURL, 1, "a", inUse)+`]`,
				`"rekorTlogUrls":[`+service(c.second, 1, "a", inUse)+","+service(v1URL, 1, "b", inUse)+`]`, `"rekorTlogConfig":{"selector":"ALL"}`)))
			if err != nil {
				t.Fatal(err)
			}
			client := d.client(t, everything, func(k *Config) {
				k.SigningConfig = config
				if c.change != nil {
					k.TrustedRoots = d.trusted(t, c.change)
				}
			})
			for _, form := range []signing.Form{signing.Bundle, signing.Both} {
				_, err = record(t.Context(), t, client, newP256(), form)
				wantFault(t, err, verify.ErrMisconfigured, c.want)
				_, err = newSigner(t, client, SignerConfig{Tokens: &tokens{}}).Sign(t.Context(), theRequest(form))
				wantFault(t, err, verify.ErrMisconfigured, c.want)
			}
			wantUnpublished(t, d)
		})
	}
}

// TestNoCertificateIsIssuedInVain: a certificate shows the identity for ever,
// whether anything is signed with it or not.
func TestNoCertificateIsIssuedInVain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change   func(*prototrustroot.TrustedRoot)
		identity *verify.Identity
		want     string
	}{
		"by an authority that is not trusted": {func(r *prototrustroot.TrustedRoot) { r.CertificateAuthorities = nil }, nil, "no certificate authority"},
		"without a CT log that is trusted":    {func(r *prototrustroot.TrustedRoot) { r.Ctlogs = nil }, nil, "no certificate transparency log"},
		"for a token of another issuer":       {nil, &verify.Identity{Subject: theSubject, Issuer: "https://other.test"}, "the token is from issuer"},
		"for a token of no such issuer":       {nil, &verify.Identity{Subject: theSubject, IssuerRegexp: "https://other.*"}, "the token is from issuer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDeployment()
			client := d.client(t, everything, func(config *Config) {
				if c.change != nil {
					config.TrustedRoots = d.trusted(t, c.change)
				}
			})
			s := newSigner(t, client, SignerConfig{Tokens: &tokens{}, Identity: c.identity})
			wantFault(t, s.Preflight(t.Context(), theRequest("")), verify.ErrMisconfigured, c.want)
			wantUnpublished(t, d)
		})
	}
	_, err := NewSigner(newDeployment().client(t, everything), SignerConfig{Tokens: &tokens{}, Identity: &verify.Identity{Subject: theSubject}})
	wantFault(t, err, verify.ErrMisconfigured, "names no issuer")
}

// TestNothingIsRecordedThatIsTooLarge: of several forms, the first would be in
// the log when the second turns out to be too large.
func TestNothingIsRecordedThatIsTooLarge(t *testing.T) {
	t.Parallel()
	for form, size := range map[signing.Form]int{signing.Both: limits.Payload, signing.Legacy: limits.Payload, signing.Bundle: limits.Statement} {
		t.Run(string(form), func(t *testing.T) {
			t.Parallel()
			d := newDeployment()
			client := d.client(t, everything)
			request := theRequest(form)
			request.Annotations = map[string]string{"note": strings.Repeat("x", size)}
			byKey, err := signing.NewKeySigner(signing.KeySignerConfig{Key: newP256(), Log: client})
			if err != nil {
				t.Fatal(err)
			}
			for _, signer := range []signing.Signer{byKey, newSigner(t, client, SignerConfig{Tokens: &tokens{}})} {
				_, err := signer.Sign(t.Context(), request)
				wantFault(t, err, verify.ErrMisconfigured, limits.ErrExceeded.Error())
				early := request
				early.Digest = ""
				wantFault(t, signer.(signing.Preflighter).Preflight(t.Context(), early), verify.ErrMisconfigured, limits.ErrExceeded.Error())
			}
			wantUnpublished(t, d)
		})
	}
}
