// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/verify"
)

// texter is a result in lines for humans; as JSON it is what its fields say.
type texter interface{ text() []string }

// print writes the result of a command to stdout.
func (a *app) print(result texter) error {
	if a.json {
		return json.NewEncoder(a.stdout).Encode(result)
	}
	for _, line := range result.text() {
		if _, err := io.WriteString(a.stdout, printable(line)+"\n"); err != nil {
			return err
		}
	}
	return nil
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

// verdict is what verify found. As JSON it is the library's own rendering.
type verdict struct{ *verify.Result }

func (v verdict) text() []string {
	lines := []string{v.Image.String()}
	for _, s := range v.Signatures {
		form := strings.TrimSpace(string(s.Form) + " signature")
		if s.Err == nil {
			lines = append(lines, fmt.Sprintf("passed: %s, %s, by %s", form, s.Origin, signerOf(s)))
		} else {
			lines = append(lines, fmt.Sprintf("failed: %s, %s: %s", form, s.Origin, s.Err))
		}
	}
	if v.Accepted {
		return append(lines, "accepted")
	}
	return append(lines, "not accepted")
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
