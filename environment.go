// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package cosignkit

import (
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// operation is what a variable is for.
type operation int

const (
	signs operation = 1 << iota
	verifies
	both = signs | verifies
)

// effect is what a variable does.
type effect int

const (
	// honoured variables do what they do for cosign.
	honoured effect = iota
	// weakens is honoured, with a warning each time.
	weakens
	// refused variables say what cannot be honoured, and what nobody would want to
	// be dropped in silence: whom to trust, what to sign with, what to check.
	refused
	// refusedIfTrue and refusedIfFalse are booleans of which one value is so.
	refusedIfTrue
	refusedIfFalse
	// noEffect variables are known to need none, for the reason given.
	noEffect
)

// variable is a variable of the environment. docs/nerdctl.md has the table, which
// a test holds to this one.
type variable struct {
	name    string
	of      operation
	effect  effect
	meaning string
}

// variables are those that people set for cosign: each of its flags is a
// variable COSIGN_FLAG, see docs/cosign-flags.md.
var variables = []variable{
	{"COSIGN_PASSWORD", signs, honoured, "passphrase of the private key; an empty one is a passphrase"},
	{"COSIGN_KEY", both, honoured, "the key, where no flag gives a key or an identity"},
	{"COSIGN_REPOSITORY", both, honoured, "repository of the signatures; empty means the image's own"},
	{"COSIGN_ANNOTATIONS", both, honoured, "annotations to sign, or that must be signed: name=value, with commas between"},
	{"COSIGN_TRUSTED_ROOT", both, honoured, "path of a trusted root in JSON"},
	{"SIGSTORE_ROOT_FILE", both, honoured, "path of certificates of Fulcio, in place of a trusted root"},
	{"SIGSTORE_REKOR_PUBLIC_KEY", both, honoured, "path of public keys of Rekor, in place of a trusted root"},
	{"SIGSTORE_CT_LOG_PUBLIC_KEY_FILE", both, honoured, "path of public keys of certificate transparency logs, in place of a trusted root"},
	{"SIGSTORE_TSA_CERTIFICATE_FILE", both, honoured, "path of certificates of a timestamp authority, in place of a trusted root"},
	{"TUF_MIRROR", both, honoured, "URL of the TUF repository that distributes the trusted root; needs TUF_ROOT_JSON"},
	{"TUF_ROOT", both, honoured, "directory of its cache"},
	{"TUF_ROOT_JSON", both, honoured, "path of the root metadata from which trust starts"},

	{"COSIGN_NEW_BUNDLE_FORMAT", signs, honoured, "true: sign in the form bundle; false: legacy"},
	{"COSIGN_SIGNING_CONFIG", signs, honoured, "path of a signing config in JSON"},
	{"COSIGN_FULCIO_URL", signs, honoured, "URL of the certificate authority; with it, only the services that variables name are used"},
	{"COSIGN_REKOR_URL", signs, honoured, "URL of the transparency log, in the same way"},
	{"COSIGN_TIMESTAMP_SERVER_URL", signs, honoured, "URL of the timestamp authority, in the same way"},
	{"COSIGN_IDENTITY_TOKEN", signs, honoured, "identity token, or the path of one"},
	{"SIGSTORE_ID_TOKEN", signs, honoured, "identity token"},
	{"COSIGN_TLOG_UPLOAD", signs, weakens, "false: record the signature in no transparency log; needs a key"},
	{"COSIGN_INSECURE_SKIP_VERIFY", signs, weakens, "true: accept certificates that no certificate transparency log has signed for"},

	{"COSIGN_CERTIFICATE_IDENTITY", verifies, honoured, "subject of the certificate, where no flag gives one"},
	{"COSIGN_CERTIFICATE_IDENTITY_REGEXP", verifies, honoured, "regular expression for it"},
	{"COSIGN_CERTIFICATE_OIDC_ISSUER", verifies, honoured, "its issuer, where no flag gives one"},
	{"COSIGN_CERTIFICATE_OIDC_ISSUER_REGEXP", verifies, honoured, "regular expression for it"},
	{"COSIGN_CERTIFICATE_GITHUB_WORKFLOW_NAME", verifies, honoured, "asks for the workflow's name as well"},
	{"COSIGN_CERTIFICATE_GITHUB_WORKFLOW_REF", verifies, honoured, "asks for its git reference as well"},
	{"COSIGN_CERTIFICATE_GITHUB_WORKFLOW_REPOSITORY", verifies, honoured, "asks for its repository as well"},
	{"COSIGN_CERTIFICATE_GITHUB_WORKFLOW_SHA", verifies, honoured, "asks for its commit as well"},
	{"COSIGN_CERTIFICATE_GITHUB_WORKFLOW_TRIGGER", verifies, honoured, "asks for its event as well"},
	{"COSIGN_USE_SIGNED_TIMESTAMPS", verifies, honoured, "true: a timestamp authority must have stamped the signature"},
	{"COSIGN_INSECURE_IGNORE_TLOG", verifies, weakens, "true: accept signatures that are in no transparency log, unless a Compose field says false"},
	{"COSIGN_PRIVATE_INFRASTRUCTURE", verifies, weakens, "true: the same"},
	{"COSIGN_INSECURE_IGNORE_SCT", verifies, weakens, "true: accept certificates that no certificate transparency log has signed for"},

	{"COSIGN_SK", both, refusedIfTrue, "a key on a token; give its reference as the key"},
	{"COSIGN_SLOT", both, refused, "a key on a token; give its reference as the key"},
	{"COSIGN_CERTIFICATE", both, refused, "a certificate given beside the signature"},
	{"COSIGN_CERTIFICATE_CHAIN", both, refused, "certificates to trust; give a trusted root"},
	{"COSIGN_ATTACHMENT", both, refused, "something other than the image"},
	{"COSIGN_ATTACHMENT_TAG_PREFIX", both, refused, "another place of signatures"},
	{"COSIGN_PAYLOAD", both, refused, "a payload made elsewhere"},
	{"COSIGN_UPLOAD", signs, refusedIfFalse, "signing without attaching"},
	{"COSIGN_RECURSIVE", signs, refusedIfTrue, "signing what an index contains; package registry has WithRecursive"},
	{"COSIGN_ISSUE_CERTIFICATE", signs, refusedIfTrue, "a certificate for a long-lived key"},
	{"COSIGN_SIGN_CONTAINER_IDENTITY", signs, refused, "another name to claim; package registry has WithClaimedRepository"},
	{"COSIGN_OIDC_ISSUER", signs, refused, "a login at this issuer; the tool has the login"},
	{"COSIGN_OIDC_CLIENT_ID", signs, refused, "a login as this client; the tool has the login"},
	{"COSIGN_OIDC_CLIENT_SECRET_FILE", signs, refused, "a login with this secret; the tool has the login"},
	{"COSIGN_OIDC_REDIRECT_URL", signs, refused, "a login that ends there; the tool has the login"},
	{"COSIGN_OIDC_PROVIDER", signs, refused, "one source of identity tokens; put the token into SIGSTORE_ID_TOKEN"},
	{"COSIGN_OIDC_DISABLE_AMBIENT_PROVIDERS", signs, refusedIfTrue, "a login in place of the machine's own token"},
	{"COSIGN_FULCIO_AUTH_FLOW", signs, refused, "one kind of login; the tool has the login"},
	{"COSIGN_TIMESTAMP_CLIENT_CACERT", signs, refused, "TLS to the timestamp authority"},
	{"COSIGN_TIMESTAMP_CLIENT_CERT", signs, refused, "TLS to the timestamp authority"},
	{"COSIGN_TIMESTAMP_CLIENT_KEY", signs, refused, "TLS to the timestamp authority"},
	{"COSIGN_TIMESTAMP_SERVER_NAME", signs, refused, "TLS to the timestamp authority"},
	{"COSIGN_CA_ROOTS", verifies, refused, "certificates to trust; give a trusted root"},
	{"COSIGN_CA_INTERMEDIATES", verifies, refused, "certificates to trust; give a trusted root"},
	{"COSIGN_TIMESTAMP_CERTIFICATE_CHAIN", verifies, refused, "certificates to trust; SIGSTORE_TSA_CERTIFICATE_FILE"},
	{"COSIGN_SCT", verifies, refused, "a timestamp of the certificate given beside the signature"},
	{"COSIGN_SIGNATURE", verifies, refused, "a signature given beside the image"},
	{"COSIGN_CHECK_CLAIMS", verifies, refusedIfFalse, "not comparing the digest"},
	{"COSIGN_LOCAL_IMAGE", verifies, refusedIfTrue, "an image in a directory"},

	{"COSIGN_EXPERIMENTAL", both, noEffect, "an identity needs no such flag"},
	{"COSIGN_YES", signs, noEffect, "the provider cosign is the agreement, as for nerdctl, which passes --yes"},
	{"COSIGN_USE_SIGNING_CONFIG", signs, noEffect, "a signing config is always used"},
	{"COSIGN_OFFLINE", verifies, noEffect, "verifying asks no log"},
	{"COSIGN_EXPERIMENTAL_OCI11", verifies, noEffect, "all places of signatures are looked at"},
	{"COSIGN_SIGNATURE_DIGEST_ALGORITHM", verifies, noEffect, "all that are usual are tried"},
	{"COSIGN_ALLOW_HTTP_REGISTRY", both, noEffect, "signatures take the image's way to the registry"},
	{"COSIGN_ALLOW_INSECURE_REGISTRY", both, noEffect, "the same"},
	{"COSIGN_REGISTRY_CACERT", both, noEffect, "the same"},
	{"COSIGN_REGISTRY_CLIENT_CERT", both, noEffect, "the same"},
	{"COSIGN_REGISTRY_CLIENT_KEY", both, noEffect, "the same"},
	{"COSIGN_REGISTRY_SERVER_NAME", both, noEffect, "the same"},
	{"COSIGN_REGISTRY_USERNAME", both, noEffect, "the same"},
	{"COSIGN_REGISTRY_PASSWORD", both, noEffect, "the same"},
	{"COSIGN_REGISTRY_TOKEN", both, noEffect, "the same"},
	{"COSIGN_K8S_KEYCHAIN", both, noEffect, "the same"},
}

// environment is what Config.Environ holds of use.
type environment map[string]string

func newEnvironment(environ []string) environment {
	e := environment{}
	for _, entry := range environ {
		name, value, ok := strings.Cut(entry, "=")
		if runtime.GOOS == "windows" {
			name = strings.ToUpper(name)
		}
		if _, seen := e[name]; ok && !seen && name != "" { // of two, the first counts, as for package os
			e[name] = value
		}
	}
	return e
}

func (e environment) lookup(name string) (string, bool) {
	value, ok := e[name]
	return value, ok
}

// reader reads variables for one operation and collects what is wrong with them.
type reader struct {
	environment
	adapter *Adapter
	errs    []error
}

// read refuses what cannot be honoured, and says what has no effect.
func (a *Adapter) read(of operation) *reader {
	r := &reader{environment: a.environ, adapter: a}
	known := map[string]bool{}
	for _, v := range variables {
		known[v.name] = true
		value, ok := r.lookup(v.name)
		if !ok || v.of&of == 0 {
			continue
		}
		switch v.effect {
		case refused:
			if value != "" { // to cosign, an empty one is none
				r.refuse(v)
			}
		case refusedIfTrue, refusedIfFalse:
			if value != "" && r.boolean(v.name, v.effect == refusedIfFalse) == (v.effect == refusedIfTrue) {
				r.refuse(v)
			}
		case noEffect:
			a.log.Debug(v.name+" has no effect", "reason", v.meaning)
		case honoured, weakens:
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a.environ)) {
		if !known[name] && (strings.HasPrefix(name, "COSIGN_") || strings.HasPrefix(name, "SIGSTORE_")) {
			a.log.Debug(printable(name) + " has no effect")
		}
	}
	return r
}

func (r *reader) refuse(v variable) {
	r.errs = append(r.errs, fmt.Errorf("%s asks for what is not supported: %s", v.name, v.meaning))
}

// text returns the value of a variable that is set. An empty one is refused: it
// is that of a script in which something is missing.
func (r *reader) text(name string) string {
	value, ok := r.lookup(name)
	if ok && value == "" {
		r.errs = append(r.errs, fmt.Errorf("%s is empty", name))
	}
	return value
}

// boolean returns the value of a variable, or otherwise if it is not set.
func (r *reader) boolean(name string, otherwise bool) bool {
	value, ok := r.lookup(name)
	if !ok {
		return otherwise
	}
	b, err := strconv.ParseBool(value) // as cosign's flags do
	if err != nil {
		r.errs = append(r.errs, fmt.Errorf("%s is %s, want true or false", name, quote(value)))
		return otherwise
	}
	return b
}

// weakened returns whether a variable has the value that weakens, and warns if
// it does.
func (r *reader) weakened(name string, value bool, consequence string) bool {
	if r.boolean(name, !value) != value {
		return false
	}
	r.adapter.log.Warn(fmt.Sprintf("%s=%t: %s", name, value, consequence))
	return true
}

// annotations are those of COSIGN_ANNOTATIONS.
func (r *reader) annotations() map[string]string {
	const name = "COSIGN_ANNOTATIONS"
	if _, ok := r.lookup(name); !ok {
		return nil
	}
	all := map[string]string{}
	for pair := range strings.SplitSeq(r.text(name), ",") {
		key, value, ok := strings.Cut(pair, "=")
		if _, twice := all[key]; !ok || key == "" || twice {
			r.errs = append(r.errs, fmt.Errorf("%s is malformed, want name=value,name=value", name))
			return nil
		}
		all[key] = value
	}
	return all
}

func (r *reader) err() error { return errors.Join(r.errs...) }
