// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"os"
	"slices"
	"strconv"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/golden"
	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/trust"
)

// specimen is a vector's image with its signatures, and what a verifier is to
// trust and to ask for, in a form in which any of it can be altered.
type specimen struct {
	golden.Vector
	set     vectorSet
	image   verify.Image
	policy  verify.Policy
	samples []*sample
	root    object // the trusted root; nil unless it was altered
}

// specimens makes specimens of a vector, of which it reads the files once.
func specimens(t testing.TB, set vectorSet, v golden.Vector) func() *specimen {
	t.Helper()
	policy, candidates := set.policy(t, v), set.candidates(t, v, v.Digest)
	return func() *specimen {
		s := &specimen{
			Vector: v, set: set, policy: policy,
			image: verify.Image{Name: v.Repository, Target: ocispec.Descriptor{Digest: v.Digest}},
		}
		s.policy.Keys, s.policy.Identities = slices.Clone(policy.Keys), slices.Clone(policy.Identities)
		for _, c := range candidates {
			s.samples = append(s.samples, newSample(t, c))
		}
		return s
	}
}

// first is the signature that is altered.
func (s *specimen) first() *sample { return s.samples[0] }

// trusted is the trusted root, to be altered.
func (s *specimen) trusted(t testing.TB) object {
	t.Helper()
	if s.root == nil {
		content, err := os.ReadFile(s.set.TrustedRoot())
		if err != nil {
			t.Fatal(err)
		}
		s.root = parseObject(t, content)
	}
	return s.root
}

// verify verifies what the specimen is by now.
func (s *specimen) verify(t testing.TB) (*verify.Result, error) {
	t.Helper()
	candidates := s.now(t)
	return newVerifier(t, s.policy).Verify(t.Context(), s.image, candidates)
}

// now returns the candidates that the specimen has by now, and completes its policy.
func (s *specimen) now(t testing.TB) []verify.Candidate {
	t.Helper()
	if s.root != nil {
		roots, err := trust.Parse(marshal(t, s.root))
		if err != nil {
			t.Fatal(err)
		}
		s.policy.TrustedRoots = roots
	}
	var candidates []verify.Candidate
	for _, sample := range s.samples {
		candidates = append(candidates, sample.candidate(t))
	}
	return candidates
}

// sample is one signature.
type sample struct {
	bundle object // of a bundle; the rest is of a legacy signature

	payload     []byte
	annotations object
	// What the annotations say in JSON.
	logged, stamped object
}

func newSample(t testing.TB, c verify.Candidate) *sample {
	t.Helper()
	if c.Bundle != nil {
		return &sample{bundle: parseObject(t, c.Bundle)}
	}
	s := &sample{payload: bytes.Clone(c.Payload), annotations: object{}}
	for key, value := range c.Annotations {
		switch key {
		case logKey:
			s.logged = parseObject(t, []byte(value))
		case timestampKey:
			s.stamped = parseObject(t, []byte(value))
		default:
			s.annotations[key] = value
		}
	}
	return s
}

func (s *sample) candidate(t testing.TB) verify.Candidate {
	t.Helper()
	if s.bundle != nil {
		return verify.Candidate{Bundle: marshal(t, s.bundle)}
	}
	c := verify.Candidate{Payload: s.payload, Annotations: map[string]string{}}
	for key, value := range s.annotations {
		c.Annotations[key] = value.(string)
	}
	if s.logged != nil {
		c.Annotations[logKey] = string(marshal(t, s.logged))
	}
	if s.stamped != nil {
		c.Annotations[timestampKey] = string(marshal(t, s.stamped))
	}
	return c
}

func parseObject(t testing.TB, b []byte) object {
	t.Helper()
	var o object
	decoder := json.NewDecoder(bytes.NewReader(b))
	decoder.UseNumber()
	if err := decoder.Decode(&o); err != nil {
		t.Fatalf("%v in %.200s", err, b)
	}
	return o
}

// within is the object that o has at a path of names and positions, or nil.
func within(o object, path ...any) object {
	var v any = o
	for _, step := range path {
		switch step := step.(type) {
		case string:
			v = v.(object)[step]
		case int:
			list, _ := v.([]any)
			if len(list) <= step {
				return nil
			}
			v = list[step]
		}
		if v == nil {
			return nil
		}
	}
	return v.(object)
}

// place is where bytes are encoded as text.
type place struct {
	get func() []byte
	put func([]byte)
}

func placeIn(o object, key string, decode func(string) ([]byte, error), encode func([]byte) string) *place {
	if _, ok := o[key].(string); !ok {
		return nil
	}
	return &place{
		func() []byte {
			b, err := decode(o[key].(string))
			if err != nil {
				panic(err)
			}
			return b
		},
		func(b []byte) { o[key] = encode(b) },
	}
}

func base64In(o object, key string) *place {
	return placeIn(o, key, base64.StdEncoding.DecodeString, base64.StdEncoding.EncodeToString)
}

func hexIn(o object, key string) *place {
	return placeIn(o, key, hex.DecodeString, hex.EncodeToString)
}

func certificateIn(o object, key string) *place {
	return placeIn(o, key, func(text string) ([]byte, error) {
		block, _ := pem.Decode([]byte(text))
		return block.Bytes, nil
	}, func(b []byte) string { return string(pemOf("CERTIFICATE", b)) })
}

func (s *sample) material() object { return within(s.bundle, "verificationMaterial") }
func (s *sample) envelope() object { return within(s.bundle, "dsseEnvelope") }

func (s *sample) signature() *place {
	if s.bundle != nil {
		return base64In(within(s.envelope(), "signatures", 0), "sig")
	}
	return base64In(s.annotations, sigKey)
}

// content is what was signed.
func (s *sample) content() *place {
	if s.bundle != nil {
		return base64In(s.envelope(), "payload")
	}
	return &place{func() []byte { return s.payload }, func(b []byte) { s.payload = b }}
}

func (s *sample) certificate() *place {
	if s.bundle != nil {
		return base64In(within(s.material(), "certificate"), "rawBytes")
	}
	return certificateIn(s.annotations, certificateKey)
}

// entry is the log entry, which the other methods have the parts of.
func (s *sample) entry() object {
	if s.bundle != nil {
		return within(s.material(), "tlogEntries", 0)
	}
	return s.logged
}

// numbers has integratedTime and logIndex.
func (s *sample) numbers() object {
	if s.bundle != nil {
		return s.entry()
	}
	return within(s.logged, "Payload")
}

func (s *sample) promise() *place {
	if s.bundle != nil {
		return base64In(within(s.entry(), "inclusionPromise"), "signedEntryTimestamp")
	}
	return base64In(s.logged, "SignedEntryTimestamp")
}

func (s *sample) proof() object { return within(s.entry(), "inclusionProof") }

func (s *sample) logID() *place {
	if s.bundle != nil {
		return base64In(within(s.entry(), "logId"), "keyId")
	}
	return hexIn(within(s.logged, "Payload"), "logID")
}

func (s *sample) body() *place {
	if s.bundle != nil {
		return base64In(s.entry(), "canonicalizedBody")
	}
	return base64In(within(s.logged, "Payload"), "body")
}

func (s *sample) timestamps() object { return within(s.material(), "timestampVerificationData") }

func (s *sample) timestamp() *place {
	if s.bundle != nil {
		return base64In(within(s.timestamps(), "rfc3161Timestamps", 0), "signedTimestamp")
	}
	return base64In(s.stamped, "SignedRFC3161Timestamp")
}

// The functions below report whether there was what they alter.

// edit replaces the bytes at a place by others.
func edit(p *place, f func([]byte) []byte) bool {
	if p == nil {
		return false
	}
	before := p.get()
	after := f(slices.Clone(before))
	p.put(after)
	return !bytes.Equal(before, after)
}

func setBytes(p *place, b []byte) bool { return edit(p, func([]byte) []byte { return b }) }

// flipAt flips the lowest bit of a byte; those before the first are counted from
// the end.
func flipAt(p *place, at int) bool {
	return edit(p, func(b []byte) []byte { b[(at+len(b))%len(b)] ^= 1; return b })
}

// copied puts what the one place has into the other.
func copied(to, from *place) bool {
	return to != nil && from != nil && !bytes.Equal(to.get(), from.get()) && setBytes(to, from.get())
}

// editObject edits an object in JSON at a place.
func editObject(t testing.TB, p *place, f func(object) bool) bool {
	t.Helper()
	if p == nil {
		return false
	}
	o := parseObject(t, p.get())
	if !f(o) {
		return false
	}
	p.put(marshal(t, o))
	return true
}

// raised adds one to a number, of which the JSON of protobuf leaves out zeros.
func raised(o object, key string) bool {
	if o == nil {
		return false
	}
	text := "0"
	switch v := o[key].(type) {
	case json.Number:
		text = v.String()
	case string:
		text = v
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		panic(err)
	}
	o[key] = json.Number(strconv.FormatInt(n+1, 10))
	return true
}

// without deletes a member.
func without(o object, key string) bool {
	if _, ok := o[key]; !ok {
		return false
	}
	delete(o, key)
	return true
}

// put sets a member that is there.
func put(o object, key string, v any) bool {
	if _, ok := o[key]; !ok {
		return false
	}
	o[key] = v
	return true
}
