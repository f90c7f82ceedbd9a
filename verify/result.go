// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/limits"
)

// Result says what was found and what it was worth.
type Result struct {
	// Image is what was verified. When Accepted, Image.Target is the pinned
	// descriptor to fetch and run. Its MediaType is what the registry said, of
	// which a signature says nothing: what the bytes of that digest are tells.
	Image Image

	// Rule says by which rule, where there are several: that of the [Selection].
	Rule string

	// Accepted reports whether the policy is satisfied.
	Accepted bool

	// Matched is the manifest or index whose signatures satisfied the policy
	// when Accepted: Image.Target, or an index that contains it.
	Matched ocispec.Descriptor

	// Unverified is why an image that is Accepted was not verified all the same:
	// the rule for it accepts anything, or does no more than warn, see
	// [Selection]. Ask [Result.Verified] rather than whether it is nil.
	Unverified error

	// Signatures has one entry for each candidate that was checked, good or bad, in
	// that order. A verification that ends as soon as the image is acceptable
	// checks them as they arrive, so that which there are beside those that were
	// enough, and their order, may change from one to the next: what must hold
	// belongs into the policy, and is not to be read from here.
	Signatures []Signature

	// Differences are where the verifiers of [Both] do not agree, in words.
	Differences []string
}

// Form is the form of a candidate.
type Form string

// The forms of candidates.
const (
	FormBundle Form = "bundle"
	FormLegacy Form = "legacy"
)

// Signature is the verdict on one candidate.
type Signature struct {
	// Form is empty when the candidate could not be read.
	Form Form
	// Origin says where the candidate was found.
	Origin Origin
	// Subject is the digest that the candidate was found for: that of the image,
	// or of an index or manifest that was looked at in its stead.
	Subject digest.Digest
	// Err is nil if the signature passed every check, and otherwise the reason.
	Err error
	// KeyID is the key of the policy that signed this very digest, as sha256:
	// and the hexadecimal SHA-256 of its PKIX DER form. It and Claims are also
	// set when a later check failed: look at Err first.
	KeyID string
	// Identity is who the certificate was issued to, for a signature that was
	// made with one.
	Identity *CertificateIdentity
	// Timestamps are the times at which authorities that the policy trusts say
	// that the signature existed. A signature with a key has some only if the
	// policy asks for them.
	Timestamps []Timestamp
	// Claims are what was signed.
	Claims Claims
	// Candidate is what was checked, as it was found, of a signature that passed:
	// to keep it, or to show it elsewhere. It must not be modified.
	Candidate Candidate
}

// Timestamp is a time that an authority vouches for.
type Timestamp struct {
	// Source is the kind of authority.
	Source TimestampSource `json:"source"`
	// URI of the authority, as the trusted root has it; may be empty.
	URI string `json:"uri,omitempty"`
	// Time to the second.
	Time time.Time `json:"time"`
}

// TimestampSource is a kind of authority for times.
type TimestampSource string

// The authorities.
const (
	// TimestampFromLog is the time at which a log took an entry, by its
	// signed entry timestamp.
	TimestampFromLog TimestampSource = "transparency log"
	// TimestampFromAuthority is an RFC 3161 timestamp.
	TimestampFromAuthority TimestampSource = "timestamp authority"
)

// Claims are what a verified signature says about the image, in addition to its digest.
type Claims struct {
	// Repository is the name that the signer gave, as signed; may be empty.
	Repository string
	// Annotations are the signed annotations whose values are strings.
	Annotations map[string]string
	// PredicateType is what the in-toto statement that was signed says it is about
	// its subject; empty for a legacy signature, and for a bundle with a message
	// signature.
	PredicateType string
	// Statement is that statement, in JSON, or nil.
	Statement json.RawMessage

	payload json.RawMessage
}

// Verified reports whether signatures made the image acceptable. An image may be
// Accepted without: see Unverified.
func (r *Result) Verified() bool { return r != nil && r.Accepted && r.Unverified == nil }

// Pinned returns the reference that stands for the verified image and cannot be
// moved: Image.Name with the verified digest. A result that is not accepted has
// none.
func (r *Result) Pinned() (string, error) {
	if r == nil || !r.Accepted {
		return "", fault.New(ErrRejected, "pin", "", "", errors.New("the image is not accepted"))
	}
	if err := validDigest(r.Image.Target.Digest); err != nil {
		return "", fault.New(ErrMisconfigured, "pin", r.Image.Name, "", err)
	}
	if _, err := repositoryName(r.Image.Name); err != nil {
		return "", fault.New(ErrMisconfigured, "pin", "", "", err)
	}
	return r.Image.String(), nil
}

// MarshalJSON renders the result, reasons as strings.
func (r Result) MarshalJSON() ([]byte, error) {
	type signature struct {
		Form        Form                 `json:"form,omitempty"`
		Origin      Origin               `json:"origin"`
		Subject     digest.Digest        `json:"subject,omitempty"`
		Passed      bool                 `json:"passed"`
		Reason      string               `json:"reason,omitempty"`
		KeyID       string               `json:"keyID,omitempty"`
		Identity    *CertificateIdentity `json:"identity,omitempty"`
		Timestamps  []Timestamp          `json:"timestamps,omitempty"`
		Repository  string               `json:"repository,omitempty"`
		Annotations map[string]string    `json:"annotations,omitempty"`
	}
	signatures := make([]signature, 0, len(r.Signatures))
	for _, s := range r.Signatures {
		out := signature{
			Form: s.Form, Origin: s.Origin, Subject: s.Subject, Passed: s.Err == nil, KeyID: s.KeyID,
			Identity: s.Identity, Timestamps: s.Timestamps,
			Repository: s.Claims.Repository, Annotations: s.Claims.Annotations,
		}
		if s.Err != nil {
			out.Reason = s.Err.Error()
		}
		signatures = append(signatures, out)
	}
	unverified := ""
	if r.Unverified != nil {
		unverified = r.Unverified.Error()
	}
	return json.Marshal(struct {
		Name        string        `json:"name"`
		Digest      string        `json:"digest"`
		MediaType   string        `json:"mediaType,omitempty"`
		Matched     digest.Digest `json:"matched,omitempty"`
		Rule        string        `json:"rule,omitempty"`
		Accepted    bool          `json:"accepted"`
		Verified    bool          `json:"verified"`
		Unverified  string        `json:"unverified,omitempty"`
		Signatures  []signature   `json:"signatures"`
		Differences []string      `json:"differences,omitempty"`
	}{r.Image.Name, r.Image.Target.Digest.String(), r.Image.Target.MediaType, r.Matched.Digest, r.Rule, r.Accepted, r.Verified(), unverified, signatures, r.Differences})
}

// Payloads renders the signatures that passed as cosign verify prints them: an
// array of simple signing payloads, [{"critical":…,"optional":…}]. It is [] when
// none passed. Where cosign fills in the reference that was asked for, because a
// bundle claims none, the docker-reference is empty here: only what was signed
// is shown.
func (r Result) Payloads() ([]byte, error) {
	payloads := []json.RawMessage{}
	for _, s := range r.Signatures {
		if s.Err == nil && s.Claims.payload != nil {
			payloads = append(payloads, s.Claims.payload)
		}
	}
	return json.Marshal(payloads)
}

// reasonsShown bounds how many candidates an error speaks of.
const reasonsShown = 3

// reason is the cause of a rejection, in one line.
func (r *Result) reason(signers, threshold int) error {
	if len(r.Signatures) == 0 {
		return errors.New("no signatures found")
	}
	// That there is more than was looked at is not to be lost in the list of what
	// was, least of all that of a whole place.
	var failed []Signature
	for _, s := range r.Signatures {
		if s.Err != nil {
			failed = append(failed, s)
		}
	}
	weight := func(s Signature) int {
		switch {
		case !errors.Is(s.Err, limits.ErrExceeded):
			return 2
		case s.Origin.Manifest == "":
			return 0
		default:
			return 1
		}
	}
	slices.SortStableFunc(failed, func(a, b Signature) int { return weight(a) - weight(b) })
	head := "no signature is acceptable"
	if signers > 0 {
		head = fmt.Sprintf("signed by %d of the %d different signers required", signers, threshold)
	}
	if len(failed) == 0 {
		return errors.New(head)
	}
	var texts []string
	for i, s := range failed {
		if i == reasonsShown {
			texts = append(texts, fmt.Sprintf("and %d more", len(failed)-i))
			break
		}
		texts = append(texts, fmt.Sprintf("%s: %s", s.Origin, fault.OneLine(s.Err.Error())))
	}
	text := head + ": " + strings.Join(texts, "; ")
	if weight(failed[0]) < 2 {
		return limitError(text)
	}
	return errors.New(text)
}

// limitError is a reason of which one is a limit.
type limitError string

func (e limitError) Error() string        { return string(e) }
func (e limitError) Is(target error) bool { return target == limits.ErrExceeded }

// withDigest returns name with its digest, if any, replaced by d.
func withDigest(name, d string) string {
	if ref, err := reference.ParseAnyReference(name); err == nil {
		if named, ok := ref.(reference.Named); ok {
			tagged := named.Name()
			if t, ok := named.(reference.Tagged); ok {
				tagged += ":" + t.Tag()
			}
			return tagged + "@" + d
		}
	}
	return name + "@" + d
}
