// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package policyfile

import (
	"context"
	"errors"
	"iter"
	"log/slog"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/verify"
)

// Config is what a file cannot say. The zero Config is fine for files that name
// their trusted root.
type Config struct {
	// TrustedRoots is for rules of a file that names no trusted root of its own.
	// Nil means that there is none.
	TrustedRoots verify.TrustedRoots

	// Logger is told, when the file is read, of what in it is insecure, and of
	// each image that is let through with a warning. Nil discards it.
	Logger *slog.Logger
}

// Policy is the content of a policy file. It is immutable and safe for
// concurrent use. It implements [verify.Verifier], [verify.StreamVerifier] and
// [verify.RepositoryVerifier].
type Policy struct{}

// Load reads a policy file in YAML or JSON. Paths in it are relative to its
// directory. Whatever is wrong with it, all of it, is misconfigured, with lines.
func Load(path string, config Config) (*Policy, error) { return nil, errUnbuilt }

// Parse is [Load] for content; paths in it are relative to dir.
func Parse(b []byte, dir string, config Config) (*Policy, error) { return nil, errUnbuilt }

// LoadContainers reads a policy.json, see containers-policy.json(5).
func LoadContainers(path string, config Config) (*Policy, error) { return nil, errUnbuilt }

// Rule returns the rule that applies to an image reference.
func (p *Policy) Rule(ref string) (Rule, error) { return Rule{}, errUnbuilt }

// Verify implements [verify.Verifier].
func (p *Policy) Verify(ctx context.Context, image verify.Image, candidates []verify.Candidate) (*verify.Result, error) {
	return nil, errUnbuilt
}

// VerifyStream implements [verify.StreamVerifier].
func (p *Policy) VerifyStream(ctx context.Context, image verify.Image, candidates iter.Seq[verify.Candidate]) (*verify.Result, error) {
	return nil, errUnbuilt
}

// SignatureRepository implements [verify.RepositoryVerifier].
func (p *Policy) SignatureRepository(image string) (repository string, ok bool) { return "", false }

// Rule says what a policy file asks of an image, and where in the file.
type Rule struct {
	// Scope is the scope of the rule; empty for the default.
	Scope string
	// Line is the line in the file at which the rule begins.
	Line int
	// Requirement is what the rule asks for, in words for people.
	Requirement string
}

// Watch returns a verifier that applies the policy file at path as it is at each
// time, and reads it again when it has changed. While it cannot be read, every
// image is misconfigured: an older policy is not gone on with.
func Watch(path string, load func(path string) (*Policy, error)) verify.Verifier { return nil }

var errUnbuilt = fault.New(verify.ErrMisconfigured, "policy file", "", "", errors.New("not built"))
