// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/policyfile"
)

// texter is a result in lines for humans; as JSON it is what its fields say.
type texter interface{ text() []string }

// print writes the result of a command to stdout.
func (a *app) print(result texter) error {
	if a.json {
		return writeJSON(a.stdout, result)
	}
	for _, line := range result.text() {
		if _, err := io.WriteString(a.stdout, printable(line)+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// writeJSON writes a line of JSON. Like printable it is for terminals: what controls
// one is escaped, also where JSON does not ask for it.
func writeJSON(w io.Writer, value any) error {
	content, err := json.Marshal(value)
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, r := range string(content) {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	_, err = io.WriteString(w, b.String()+"\n")
	return err
}

// keyFiles is what generate-key-pair wrote.
type keyFiles struct {
	Private string `json:"private"`
	Public  string `json:"public"`
}

func (k keyFiles) text() []string {
	return []string{"private key: " + k.Private, "public key:  " + k.Public}
}

// imageList is what load loaded, and what images lists.
type imageList []imageRow

type imageRow struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
}

func (l imageList) text() (lines []string) {
	widest := 0
	for _, row := range l {
		widest = max(widest, len(row.Name))
	}
	for _, row := range l {
		lines = append(lines, fmt.Sprintf("%-*s  %s  %s", widest, row.Name, row.Digest, byteCount(row.Size)))
	}
	return lines
}

// pushed is what push pushed.
type pushed struct {
	Name       string              `json:"name"`
	Digest     string              `json:"digest"`
	Signatures []registry.Attached `json:"signatures"`

	pinned string
}

func newPushed(name string, target ocispec.Descriptor, signatures []registry.Attached) *pushed {
	// JSON's reader should find a list, also an empty one.
	signatures = append([]registry.Attached{}, signatures...)
	return &pushed{Name: name, Digest: target.Digest.String(), Signatures: signatures, pinned: pin(name, target)}
}

func (p *pushed) text() []string {
	lines := []string{p.pinned}
	for _, s := range p.Signatures {
		lines = append(lines, fmt.Sprintf("signed: %s, %s %s", s.Form, s.Source, s.Manifest.Digest))
	}
	return lines
}

// pulled is what pull pulled. Verification is nil for an image that was not
// verified.
type pulled struct {
	Name         string         `json:"name"`
	Digest       string         `json:"digest"`
	Verification *verify.Result `json:"verification,omitempty"`

	target ocispec.Descriptor
}

func newPulled(name string, target ocispec.Descriptor, result *verify.Result) *pulled {
	return &pulled{Name: name, Digest: target.Digest.String(), Verification: result, target: target}
}

func (p *pulled) text() []string {
	lines := []string{pin(p.Name, p.target)}
	if p.Verification == nil {
		return lines
	}
	if !p.Verification.Verified() {
		return append(lines, notVerified(p.Verification))
	}
	for _, s := range p.Verification.Signatures {
		if line := "verified by " + signerOf(s); s.Err == nil && !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return lines
}

// signerOf is the identity or the key that made a signature.
func signerOf(s verify.Signature) string {
	if s.Identity == nil {
		return s.KeyID
	}
	return s.Identity.Subject + " (" + s.Identity.Issuer + ")"
}

// notVerified is for images that a policy lets through.
func notVerified(r *verify.Result) string { return fmt.Sprintf("not verified: %v", r.Unverified) }

// verdict is what verify found, and what it went by if that is asked for. Without
// rule it is in JSON the library's own rendering.
type verdict struct {
	rule *policyfile.Rule
	*verify.Result
}

func (v verdict) MarshalJSON() ([]byte, error) {
	if v.rule == nil {
		return json.Marshal(v.Result)
	}
	return json.Marshal(struct {
		Rule   *policyfile.Rule `json:"rule"`
		Result *verify.Result   `json:"result"`
	}{v.rule, v.Result})
}

func (v verdict) text() (lines []string) {
	if v.rule != nil {
		lines = explain(*v.rule)
	}
	if v.Result == nil {
		return append(lines, "not accepted")
	}
	lines = append(lines, v.Image.String())
	for _, s := range v.Signatures {
		form := strings.TrimSpace(string(s.Form) + " signature")
		if s.Err == nil {
			lines = append(lines, fmt.Sprintf("passed: %s, %s, by %s", form, s.Origin, signerOf(s)))
		} else {
			lines = append(lines, fmt.Sprintf("failed: %s, %s: %s", form, s.Origin, s.Err))
		}
	}
	switch {
	case v.Verified():
		return append(lines, "accepted")
	case v.Accepted:
		return append(lines, notVerified(v.Result), "accepted without being verified")
	default:
		return append(lines, "not accepted")
	}
}

// explain says which rule applies and which do not.
func explain(rule policyfile.Rule) []string {
	scope := func(r policyfile.Rule) string {
		switch {
		case r.Scope == "" && r.Line == 0:
			return "the default, which is not set"
		case r.Scope == "":
			return fmt.Sprintf("the default, line %d", r.Line)
		default:
			return fmt.Sprintf("scope %s, line %d", r.Scope, r.Line)
		}
	}
	applies := fmt.Sprintf("rule: %s of %s", scope(rule), rule.File)
	if rule.Scope == "" && rule.Line == 0 {
		applies = fmt.Sprintf("rule: the default: no scope of %s fits, and it sets none", rule.File)
	}
	lines := []string{
		applies,
		fmt.Sprintf("asks for: %s: %s", rule.Action, rule.Requirement),
	}
	for _, other := range rule.LessSpecific {
		lines = append(lines, fmt.Sprintf("less specific: %s: %s", scope(other), other.Action))
	}
	return lines
}

// pin is name with the digest that it stood for.
func pin(name string, target ocispec.Descriptor) string {
	return verify.Image{Name: name, Target: target}.String()
}

// byteCount renders n in decimal units.
func byteCount(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	value, units := float64(n)/1000, "kMGTPE"
	for value >= 999.95 {
		value, units = value/1000, units[1:]
	}
	return fmt.Sprintf("%.1f %cB", value, units[0])
}
