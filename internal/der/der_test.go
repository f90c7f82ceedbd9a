// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package der_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/cosignkit/cosignkit/internal/der"
	"github.com/cosignkit/cosignkit/internal/limits"
)

func tlv(tag byte, content []byte) []byte {
	b, _ := asn1.Marshal(asn1.RawValue{Class: int(tag >> 6), Tag: int(tag & 0x1f), IsCompound: tag&0x20 != 0, Bytes: content})
	return b
}

func nested(tag byte, n int) []byte {
	b := []byte{tag, 0}
	for range n - 1 {
		b = tlv(tag, b)
	}
	return b
}

func certificate(t testing.TB) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1e9, 0),
		DNSNames: []string{"example.com"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}, BasicConstraintsValid: true, IsCA: true,
	}
	b, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// It counts allocations, and so runs alone.
func TestAcceptsDER(t *testing.T) {
	for name, b := range map[string][]byte{
		"a null":                  {5, 0},
		"a length of one byte":    tlv(4, make([]byte, 127)),
		"a length of two":         tlv(4, make([]byte, 128)),
		"a length of three":       tlv(4, make([]byte, 256)),
		"a length of four":        tlv(4, make([]byte, 1<<16)),
		"a context tag of either": tlv(0x30, []byte{0x80, 0, 0xa0, 2, 0x81, 0}),
		"a tag of two bytes":      {0x9f, 0x1f, 0},
		"a tag of three bytes":    {0xbf, 0x81, 0x00, 0},
		"a certificate":           certificate(t),
		"the deepest":             nested(0x31, limits.DERDepth),
		"an octet string of junk": tlv(4, []byte{0x31, 0x7f, 0x31}),
	} {
		t.Run(name, func(t *testing.T) {
			if err := der.Check(b); err != nil {
				t.Error(err)
			}
			if got := testing.AllocsPerRun(10, func() { _ = der.Check(b) }); got > 0 {
				t.Errorf("%v allocations", got)
			}
		})
	}
}

func TestRefusesWhatIsNotDER(t *testing.T) {
	t.Parallel()
	const longer, minimal = "longer than what contains it", "shortest form"
	for name, c := range map[string]struct {
		der []byte
		why string
	}{
		"nothing":                          {nil, longer},
		"a tag alone":                      {[]byte{0x30}, longer},
		"a length that is cut off":         {[]byte{0x30, 0x82, 1}, longer},
		"a content that is cut off":        {[]byte{4, 3, 1, 2}, longer},
		"a child longer than its parent":   {append([]byte{0x31, 0x04, 0x31, 0x7f}, make([]byte, 200)...), longer},
		"a child cut off by its parent":    {tlv(0x30, []byte{5}), longer},
		"children that overlap":            {append(bytes.Repeat([]byte{0x31, 0x7f, 0x31, 0x02}, 14), make([]byte, 160)...), longer},
		"a length above 32 bits":           {[]byte{4, 0x85, 1, 0, 0, 0, 0}, longer},
		"the largest length":               {[]byte{4, 0x84, 0xff, 0xff, 0xff, 0xff}, longer},
		"an indefinite length":             {[]byte{0x30, 0x80, 0, 0}, "indefinite"},
		"the end of an indefinite one":     {tlv(0x30, []byte{0, 0}), "tag 0x00"},
		"a byte after the end":             {[]byte{5, 0, 0}, "after its end"},
		"a long form of a short length":    {[]byte{4, 0x81, 1, 0}, minimal},
		"a length with a leading zero":     {append([]byte{4, 0x82, 0, 0x80}, make([]byte, 128)...), minimal},
		"a tag with a leading zero":        {[]byte{0x9f, 0x80, 0x1f, 0}, minimal},
		"a long form of a short tag":       {[]byte{0x9f, 0x1e, 0}, minimal},
		"a tag of five bytes":              {[]byte{0x9f, 0x81, 0x81, 0x81, 0x81, 0x01, 0}, "too long"},
		"a tag that is cut off":            {[]byte{0x9f, 0x81}, "too long"},
		"an unknown universal tag":         {[]byte{0x1f, 0x1f, 0}, "unknown universal"},
		"a primitive sequence":             {[]byte{0x10, 0}, "tag 0x10"},
		"a primitive set":                  {[]byte{0x11, 0}, "tag 0x11"},
		"a constructed octet string":       {tlv(0x24, []byte{4, 0}), "tag 0x24"},
		"one level too deep":               {nested(0x30, limits.DERDepth+1), limits.ErrExceeded.Error()},
		"levels of a context tag":          {nested(0xa0, limits.DERDepth+1), limits.ErrExceeded.Error()},
		"one element too many":             {tlv(0x30, bytes.Repeat([]byte{5, 0}, limits.DERElements)), limits.ErrExceeded.Error()},
		"junk behind the deepest elements": {append(nested(0x30, limits.DERDepth), 1), "after its end"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := der.Check(c.der); err == nil || !strings.Contains(err.Error(), c.why) {
				t.Errorf("error is %v, want one that says %q", err, c.why)
			}
		})
	}
}

// FuzzCheck holds that each element is visited once, and that encoding/asn1 takes
// the same bytes for the first element.
func FuzzCheck(f *testing.F) {
	f.Add(certificate(f))
	f.Add(append(bytes.Repeat([]byte{0x31, 0x7f, 0x31, 0x02}, 14), make([]byte, 160)...))
	f.Add(nested(0x30, 40))
	f.Add([]byte{0xbf, 0x81, 0x00, 0x80, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := der.Elements(b)
		if n > 1+len(b)/2 {
			t.Errorf("visited %d elements in %d bytes", n, len(b))
		}
		if err != nil {
			if n > limits.DERElements && !errors.Is(err, limits.ErrExceeded) {
				t.Errorf("visited %d elements: %v", n, err)
			}
			return
		}
		var raw asn1.RawValue
		if rest, err := asn1.Unmarshal(b, &raw); err != nil || len(rest) > 0 {
			t.Errorf("encoding/asn1: %v, %d bytes after the end", err, len(rest))
		}
	})
}
