// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/files"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/internal/strictjson"
	"github.com/cosignkit/cosignkit/verify"
)

const opOpenRoot = "open trusted root"

// Load reads a trusted root from a regular file, see
// [Parse].
func Load(path string) (*verify.TrustedRoot, error) {
	b, err := files.Read(path, limits.TrustedRoot, "trusted root")
	if err != nil {
		return nil, fault.New(verify.ErrMisconfigured, opOpenRoot, path, "", err)
	}
	return parseNamed(path, b)
}

// Parse parses a trusted root in JSON: the message TrustedRoot of
// Sigstore's protobuf-specs, media type
// application/vnd.dev.sigstore.trustedroot+json;version=0.1. A root that is not
// well formed is misconfigured.
func Parse(b []byte) (*verify.TrustedRoot, error) { return parseNamed("", b) }

func parseNamed(name string, b []byte) (*verify.TrustedRoot, error) {
	r, err := newRoot(b)
	if err != nil {
		return nil, fault.New(verify.ErrMisconfigured, opOpenRoot, name, "", err)
	}
	return r, nil
}

// newRoot leaves the family of the error to the caller, who knows where b is from.
func newRoot(b []byte) (_ *verify.TrustedRoot, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("not well formed: %.256v", r)
		}
	}()
	if len(b) > limits.TrustedRoot {
		return nil, limits.Exceeded("trusted root in bytes", limits.TrustedRoot)
	}
	// The path may be one of a project, to a file that is none of its business: the
	// parser's error repeats what it does not understand.
	if text := bytes.TrimSpace(b); !bytes.HasPrefix(text, []byte("{")) || strictjson.Check(text) != nil {
		return nil, errors.New("it is not an object in JSON, or names a field twice")
	}
	material, err := root.NewTrustedRootFromJSON(b)
	if err != nil {
		return nil, fault.Printable(err)
	}
	return verify.NewTrustedRoot(material), nil
}

// Names of the environment variables that [FromEnvironment] reads.
const (
	envFulcio    = "SIGSTORE_ROOT_FILE"
	envRekor     = "SIGSTORE_REKOR_PUBLIC_KEY"
	envCTLog     = "SIGSTORE_CT_LOG_PUBLIC_KEY_FILE"
	envTimestamp = "SIGSTORE_TSA_CERTIFICATE_FILE"
)

// FromEnvironment makes a trusted root of the PEM files that these
// variables name, for a Sigstore whose keys the user gives one by one:
//
//	SIGSTORE_ROOT_FILE               certificates of Fulcio
//	SIGSTORE_REKOR_PUBLIC_KEY        public keys of Rekor v1
//	SIGSTORE_CT_LOG_PUBLIC_KEY_FILE  public keys of certificate transparency logs
//	SIGSTORE_TSA_CERTIFICATE_FILE    certificates of a timestamp authority
//
// It reports false when none is set. A variable that is set and empty, or names
// what cannot be used, is misconfigured. Unlike cosign, it adds nothing from TUF
// to those that are set.
func FromEnvironment() (r *verify.TrustedRoot, ok bool, err error) {
	var p PEMs
	found := false
	for _, part := range []struct {
		name string
		to   *[]byte
	}{{envFulcio, &p.Fulcio}, {envRekor, &p.Rekor}, {envCTLog, &p.CTLog}, {envTimestamp, &p.Timestamp}} {
		path, ok := os.LookupEnv(part.name) //nolint:forbidigo // docs/environment.md lists it
		if !ok {
			continue
		}
		found = true
		b, err := files.Read(path, limits.TrustedRoot, "file")
		if err != nil {
			return nil, false, fault.New(verify.ErrMisconfigured, opOpenRoot, part.name, "", err)
		}
		*part.to = b
	}
	if !found {
		return nil, false, nil
	}
	r, err = ParsePEMs(p)
	return r, err == nil, err
}
