// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package cosignkit

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/keys"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// FieldPrefix begins the name of every field of a Compose service that
// [ParseFields] reads.
const FieldPrefix = "x-nerdctl-"

// The fields, of which the first eight are nerdctl's.
const (
	fieldVerify         = FieldPrefix + "verify"
	fieldSign           = FieldPrefix + "sign"
	fieldPublicKey      = FieldPrefix + "cosign-public-key"
	fieldPrivateKey     = FieldPrefix + "cosign-private-key"
	fieldIdentity       = FieldPrefix + "cosign-certificate-identity"
	fieldIdentityRegexp = FieldPrefix + "cosign-certificate-identity-regexp"
	fieldIssuer         = FieldPrefix + "cosign-certificate-oidc-issuer"
	fieldIssuerRegexp   = FieldPrefix + "cosign-certificate-oidc-issuer-regexp"

	fieldTrustedRoot = FieldPrefix + "cosign-trusted-root"
	fieldAnnotations = FieldPrefix + "cosign-annotations"
	fieldFormat      = FieldPrefix + "cosign-signature-format"
	fieldIgnoreTlog  = FieldPrefix + "cosign-insecure-ignore-tlog"
)

var fieldNames = []string{
	fieldVerify, fieldSign, fieldPublicKey, fieldPrivateKey,
	fieldIdentity, fieldIdentityRegexp, fieldIssuer, fieldIssuerRegexp,
	fieldTrustedRoot, fieldAnnotations, fieldFormat, fieldIgnoreTlog,
}

// FieldNames returns the names of the fields, in the order in which the
// documentation lists them.
func FieldNames() []string { return slices.Clone(fieldNames) }

// Fields are the x-nerdctl- fields of a Compose service. Each provider is
// [Cosign], [Notation] or empty.
type Fields struct {
	Sign   SignOptions
	Verify VerifyOptions
}

// FieldError is one problem of one field.
type FieldError struct {
	// Service is the name of the service that has the field.
	Service string
	// Field is its name in full.
	Field string
	// Found is what is wrong, and Want what was expected, in words.
	Found, Want string
}

func (e FieldError) Error() string {
	return fmt.Sprintf("service %s: %s: found %s, want %s", printable(e.Service), printable(e.Field), e.Found, e.Want)
}

// FieldErrors are all problems of one service, by the name of the field. It is
// in the chain of the error of [ParseFields].
type FieldErrors []FieldError

func (e FieldErrors) Error() string {
	lines := make([]string, len(e))
	for i, problem := range e {
		lines[i] = problem.Error()
	}
	return strings.Join(lines, "\n")
}

// ParseFields reads the fields under [FieldPrefix] among the extension fields of
// a Compose service, as compose-go has them after interpolation. Every problem of
// every field is in the error, which is misconfigured and has [FieldErrors]: a
// wrong type, an unknown field, with the nearest that is known, a field
// without its provider, a provider without what it needs, fields that exclude
// each other, an empty value. So is a name outside of the prefix that is one of a
// field but for a typo, or looks like one, and a mapping under x-nerdctl itself.
// Relative paths are resolved against dir, and references with a scheme, such as
// env://NAME, are left as they are; whether files exist is [Fields.CheckFiles]'s.
//
// The provider "none" turns the other fields off, so that an override file can. Only
// their names are checked then. Fields that ask for nothing are the zero Fields. The
// provider notation is passed on, for tools that have it; the other fields do not
// apply to it.
//
// Call it only for what signs or verifies: a typo must not keep a project from
// being stopped.
func ParseFields(service string, extensions map[string]any, dir string) (Fields, error) {
	p := fieldParser{service: service, dir: dir, values: map[string]any{}}
	for name, value := range extensions {
		folded := folded(name)
		switch {
		case slices.Contains(fieldNames, name):
			p.values[name] = value
		case folded+"-" == FieldPrefix && value != nil:
			p.problem(name, describe(value), "fields beside it, such as "+fieldVerify+": "+Cosign)
		case strings.HasPrefix(folded, FieldPrefix) || nearPrefix(folded):
			p.unknown(name)
		default:
			// A typo in the prefix would switch verification off.
			if nearest, distance := nearestField(folded); distance <= 2 {
				p.problem(name, "an unknown field", nearest)
			}
		}
	}
	f := Fields{Sign: p.sign(), Verify: p.verify()}
	p.together(&f)
	if len(p.problems) == 0 {
		return f, nil
	}
	slices.SortFunc(p.problems, func(a, b FieldError) int {
		return strings.Compare(a.Field+"\x00"+a.Found, b.Field+"\x00"+b.Found)
	})
	return Fields{}, fault.New(verify.ErrMisconfigured, "read fields of Compose service", printable(service), "", p.problems)
}

type fieldParser struct {
	service, dir string
	values       map[string]any
	problems     FieldErrors
}

func (p *fieldParser) problem(field, found, want string) {
	p.problems = append(p.problems, FieldError{Service: p.service, Field: field, Found: found, Want: want})
}

func (p *fieldParser) unknown(name string) {
	want := "one of " + strings.Join(fieldNames, ", ")
	// A third of its length is as much as a typo changes.
	if nearest, distance := nearestField(folded(name)); distance <= (len(name)-len(FieldPrefix))/3+1 {
		want = nearest
	}
	p.problem(name, "an unknown field", want)
}

// has reports whether the service has the field at all.
func (p *fieldParser) has(field string) bool {
	_, ok := p.values[field]
	return ok
}

// text returns the value of a field that is a string, or the empty string.
func (p *fieldParser) text(field, want string) string {
	value, ok := p.values[field]
	if !ok {
		return ""
	}
	s, ok := value.(string)
	switch {
	case !ok:
		p.problem(field, describe(value), want+", as a string")
		return ""
	case strings.TrimSpace(s) == "":
		p.problem(field, "an empty value, such as that of a variable that is not set", want)
		return ""
	}
	return s
}

const wantProvider = "cosign, notation or none"

// provider returns cosign, notation or the empty string.
func (p *fieldParser) provider(field string) string {
	switch s := p.text(field, wantProvider); s {
	case Cosign, Notation:
		return s
	case "", None:
	default:
		p.problem(field, quote(s), wantProvider)
	}
	return ""
}

func (p *fieldParser) sign() SignOptions {
	if provider := p.provider(fieldSign); provider != Cosign {
		return SignOptions{Provider: provider}
	}
	o := SignOptions{Provider: Cosign, CosignKey: p.key(fieldPrivateKey, "a private key")}
	o.Format = p.text(fieldFormat, "bundle, legacy or both")
	if o.Format != "" {
		if _, err := signing.ParseForm(o.Format); err != nil {
			p.problem(fieldFormat, quote(o.Format), "bundle, legacy or both")
		}
	}
	return o
}

func (p *fieldParser) verify() VerifyOptions {
	if provider := p.provider(fieldVerify); provider != Cosign {
		return VerifyOptions{Provider: provider}
	}
	o := VerifyOptions{
		Provider:                          Cosign,
		CosignKey:                         p.key(fieldPublicKey, "a public key"),
		CosignCertificateIdentity:         p.text(fieldIdentity, "the subject of a certificate"),
		CosignCertificateIdentityRegexp:   p.regexp(fieldIdentityRegexp, "a regular expression for the subject of a certificate"),
		CosignCertificateOidcIssuer:       p.text(fieldIssuer, "the URL of an issuer"),
		CosignCertificateOidcIssuerRegexp: p.regexp(fieldIssuerRegexp, "a regular expression for the URL of an issuer"),
	}
	if value, ok := p.values[fieldIgnoreTlog]; ok {
		if o.InsecureIgnoreTlog, ok = value.(bool); !ok {
			p.problem(fieldIgnoreTlog, describe(value), "true or false, as a boolean")
		}
		o.RequireTlog = ok && !o.InsecureIgnoreTlog
	}
	p.who()
	return o
}

// who checks that the fields say by whom an image must be signed.
func (p *fieldParser) who() {
	subject, issuer := p.pair(fieldIdentity, fieldIdentityRegexp), p.pair(fieldIssuer, fieldIssuerRegexp)
	switch {
	case p.has(fieldPublicKey):
		for _, field := range []string{fieldIdentity, fieldIdentityRegexp, fieldIssuer, fieldIssuerRegexp} {
			if p.has(field) {
				p.problem(field, "it beside "+fieldPublicKey, "either a key or an identity")
			}
		}
	case !subject && !issuer:
		p.problem(fieldVerify, "cosign alone", fmt.Sprintf("also %s, or %s and %s", fieldPublicKey, fieldIdentity, fieldIssuer))
	case !issuer:
		p.problem(fieldIssuer, "nothing", "the URL of the issuer that vouches for the identity, here or in "+fieldIssuerRegexp)
	case !subject:
		p.problem(fieldIdentity, "nothing", "the subject that the issuer vouches for, here or in "+fieldIdentityRegexp)
	}
}

// pair reports whether one of two fields is there, of which only one may be.
func (p *fieldParser) pair(field, otherwise string) bool {
	if p.has(field) && p.has(otherwise) {
		p.problem(otherwise, "it beside "+field, "one of the two")
	}
	return p.has(field) || p.has(otherwise)
}

// together handles the fields that are for signing and verifying, and those
// whose provider is missing.
func (p *fieldParser) together(f *Fields) {
	if f.Sign.Provider == Cosign || f.Verify.Provider == Cosign {
		root, annotations := p.path(fieldTrustedRoot, "the path of a trusted root in JSON"), p.annotations()
		if f.Sign.Provider == Cosign {
			f.Sign.TrustedRoot, f.Sign.Annotations = root, annotations
		}
		if f.Verify.Provider == Cosign {
			f.Verify.TrustedRoot, f.Verify.Annotations = root, maps.Clone(annotations)
		}
	}
	p.providerOf([]string{fieldPrivateKey, fieldFormat}, fieldSign)
	p.providerOf([]string{fieldPublicKey, fieldIdentity, fieldIdentityRegexp, fieldIssuer, fieldIssuerRegexp, fieldIgnoreTlog}, fieldVerify)
	p.providerOf([]string{fieldTrustedRoot, fieldAnnotations}, fieldSign, fieldVerify)
}

// providerOf refuses fields where no provider is there to read them.
func (p *fieldParser) providerOf(fields []string, providers ...string) {
	for _, provider := range providers {
		// None was said on purpose, and what is no provider is a problem already.
		if p.has(provider) && p.values[provider] != Notation {
			return
		}
	}
	for _, field := range fields {
		if p.has(field) {
			p.problem(field, "it without its provider", "also "+strings.Join(providers, ": cosign, or ")+": cosign")
		}
	}
}

// key returns a reference to a key: a path in full, or one with a scheme.
func (p *fieldParser) key(field, want string) string {
	if s, ok := p.values[field].(string); ok {
		switch {
		case keys.Name(s) != s: // which the message must not repeat
			p.problem(field, "a key itself, or a reference with a password, a PIN or a module in it", want+", as a path or a reference such as env://NAME")
			return ""
		case hasScheme(s):
			return s
		}
	}
	return p.path(field, want+", as a path or a reference such as env://NAME")
}

func hasScheme(s string) bool {
	scheme, _, ok := strings.Cut(s, ":")
	// One letter is a drive of Windows.
	return ok && len(scheme) > 1 && (strings.Contains(s, "://") || strings.EqualFold(scheme, "pkcs11")) && !strings.ContainsAny(scheme, `/\.`)
}

// path returns the path of a file, in full where dir is.
func (p *fieldParser) path(field, want string) string {
	s := p.text(field, want)
	if s == "" || filepath.IsAbs(s) {
		return s
	}
	return filepath.Join(p.dir, s)
}

// CheckFiles returns a problem for each file that the fields name and that is not
// there: of those for signing, for verifying or for both. A host that pulls has no
// private key, so only what a command reads is looked for. It is nil if there is
// no problem.
func (f Fields) CheckFiles(service string, signing, verifying bool) FieldErrors {
	var problems FieldErrors
	check := func(field, path, want string) {
		if path == "" || hasScheme(path) {
			return
		}
		info, err := os.Stat(path)
		found := quote(path)
		switch {
		case err == nil && info.Mode().IsRegular():
			return
		case err == nil:
			found += ", which is not a regular file"
		case errors.Is(err, fs.ErrNotExist):
			found += ", which does not exist"
		default:
			found += ", which cannot be read"
		}
		problems = append(problems, FieldError{Service: service, Field: field, Found: found, Want: want})
	}
	if verifying {
		check(fieldPublicKey, f.Verify.CosignKey, "the file of a public key")
	}
	if signing {
		check(fieldPrivateKey, f.Sign.CosignKey, "the file of a private key")
	}
	switch {
	case verifying && f.Verify.TrustedRoot != "":
		check(fieldTrustedRoot, f.Verify.TrustedRoot, "the file of a trusted root in JSON")
	case signing:
		check(fieldTrustedRoot, f.Sign.TrustedRoot, "the file of a trusted root in JSON")
	}
	return problems
}

func (p *fieldParser) regexp(field, want string) string {
	s := p.text(field, want)
	if _, err := regexp.Compile("^(?:" + s + ")$"); err != nil {
		p.problem(field, quote(s)+", which does not compile", want)
		return ""
	}
	return s
}

const wantAnnotations = "a mapping of names to strings"

func (p *fieldParser) annotations() map[string]string {
	value, ok := p.values[fieldAnnotations]
	if !ok {
		return nil
	}
	mapping, ok := value.(map[string]any)
	if !ok || len(mapping) == 0 {
		p.problem(fieldAnnotations, describe(value), wantAnnotations)
		return nil
	}
	if len(mapping) > limits.Annotations {
		p.problem(fieldAnnotations, fmt.Sprintf("%d of them", len(mapping)), fmt.Sprintf("at most %d", limits.Annotations))
		return nil
	}
	annotations := map[string]string{}
	for name, value := range mapping {
		s, ok := value.(string)
		switch {
		case !ok:
			p.problem(fieldAnnotations, fmt.Sprintf("%s for %s", describe(value), quote(name)), "a string; quote it")
		case s == "" || name == "":
			p.problem(fieldAnnotations, "an empty name or value: "+quote(name), wantAnnotations)
		}
		annotations[name] = s
	}
	return annotations
}
