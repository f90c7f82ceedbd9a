// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"

	"github.com/cosignkit/cosignkit/internal/golden"
)

// Who may sign without a key.
const (
	person   = "keyless"
	workflow = "workflow" // of GitHub Actions
)

// spec is a vector to make.
type spec struct {
	release *cosign
	form    golden.Form
	signers []string // kinds of keys, person or workflow
	recording
	annotations map[string]string
	recursive   bool
	referrers   golden.Referrers // ByAPI unless told otherwise
}

// name is also that of the vector's directory.
func (s spec) name() string {
	parts := []string{s.release.Version, string(s.form), strings.Join(s.signers, "-and-"), s.recording.String()}
	if s.recording == (recording{}) {
		parts = parts[:3]
	}
	if s.annotations != nil {
		parts = append(parts, "annotations")
	}
	if s.recursive {
		parts = append(parts, "recursive")
	}
	if s.referrers == golden.ByTag {
		parts = append(parts, "referrers-tag")
	}
	return strings.Join(parts, "-")
}

func (s spec) keyless() bool { return s.signers[0] == person || s.signers[0] == workflow }

// note is what a verifier has to know of the signature.
func (s spec) note() string {
	switch kind, old := s.signers[0], s.release.line < v26; {
	case s.form == golden.Bundle && s.release.line == v26 && s.annotations != nil:
		return "cosign v2 signs no annotations into bundles, whatever it is told"
	case kind == p384 && !old:
		return "SHA-384"
	case kind == p521 && !old:
		return "SHA-512"
	case kind == p384 || kind == p521:
		return "SHA-256, as with every curve"
	case kind == edwards && old:
		return "pure Ed25519"
	case kind == edwards:
		return "Ed25519ph"
	}
	return ""
}

// specsOf lists what a release can sign on the services; README.md says why it
// cannot sign the rest.
func specsOf(r *cosign) []spec {
	l := list{base: spec{release: r, form: golden.Legacy, signers: []string{p256}, referrers: golden.ByAPI}}
	l.addLegacy()
	if r.line >= v22 {
		l.addStamped()
		l.base.form = golden.OCI11
		l.addOCI11()
	}
	if r.line >= v26 {
		l.base.form = golden.Bundle
		l.addBundles()
	}
	if r.line >= v3 {
		l.addRekorV2()
	}
	return l.all
}

// list collects specs that differ from base.
type list struct {
	base spec
	all  []spec
}

func (l *list) add(changes ...func(*spec)) {
	s := l.base
	for _, change := range changes {
		change(&s)
	}
	l.all = append(l.all, s)
}

func (l *list) addLegacy() {
	l.add()
	l.add(logged)
	l.add(by(p384))
	l.add(by(p521))
	l.add(by(rsa2048), logged)
	l.add(by(rsa4096))
	l.add(by(edwards))
	if l.base.release.line == v3 {
		l.add(by(p384), logged)
		l.add(by(p521), logged)
		l.add(by(edwards), logged)
	}
	l.add(by(p256, rsa2048))
	l.add(by(p256, rsa2048), logged)
	l.add(by(person), logged)
	l.add(by(workflow), logged)
	l.add(annotated)
	l.add(by(person), logged, annotated)
	l.add(recursive)
	l.add(by(person), logged, recursive)
}

func (l *list) addStamped() {
	l.add(logged, stamped)
	l.add(by(person), logged, stamped)
	l.add(by(person), stamped)
}

func (l *list) addOCI11() {
	l.add()
	l.add(by(person), logged)
	l.add(recursive)
	l.add(tagged)
}

func (l *list) addBundles() {
	l.add()
	l.add(by(p384))
	l.add(by(p521))
	l.add(by(rsa2048))
	l.add(by(edwards))
	l.add(logged)
	l.add(by(rsa4096), logged)
	l.add(logged, stamped)
	l.add(stamped)
	l.add(by(p256, rsa2048))
	l.add(by(person), logged)
	l.add(by(person), logged, stamped)
	l.add(by(person), stamped)
	l.add(by(workflow), logged)
	l.add(annotated)
	l.add(recursive)
	l.add(by(person), logged, recursive)
	l.add(tagged)
	l.add(by(person), logged, tagged)
	l.add(by(p256, rsa2048), tagged)
}

func (l *list) addRekorV2() {
	l.add(loggedV2)
	l.add(loggedV2, stamped)
	l.add(by(p384), loggedV2, stamped)
	l.add(by(p521), loggedV2, stamped)
	l.add(by(rsa2048), loggedV2, stamped)
	l.add(by(person), loggedV2, stamped)
	l.add(by(workflow), loggedV2, stamped)
	l.add(by(person), loggedV2, stamped, annotated, recursive)
}

// What a spec may have in the place of what is usual.

func by(signers ...string) func(*spec) {
	return func(s *spec) { s.signers = slices.Clone(signers) }
}

func logged(s *spec)    { s.rekor = 1 }
func loggedV2(s *spec)  { s.rekor = 2 }
func stamped(s *spec)   { s.timestamp = true }
func annotated(s *spec) { s.annotations = map[string]string{"env": "golden", "run": "7"} }
func recursive(s *spec) { s.recursive = true }
func tagged(s *spec)    { s.referrers = golden.ByTag }
