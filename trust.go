// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package cosignkit

import (
	"fmt"

	"github.com/cosignkit/cosignkit/internal/files"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/trust"
)

// roots are those of the path that an option gives, else of the environment,
// else of TUF, which is Sigstore's public instance unless the environment says
// otherwise. Only then the TUF is not nil.
func (r *reader) roots(path string) (verify.TrustedRoots, *trust.TUF, error) {
	if path == "" {
		path = r.text("COSIGN_TRUSTED_ROOT")
	}
	pems, given := r.pems()
	// What the environment says in several ways is not guessed at, and what is
	// wrong with it is reported with the rest.
	if err := r.err(); err != nil {
		return nil, nil, err
	}
	switch {
	case path != "":
		root, err := trust.Load(path)
		return root, nil, err
	case given:
		root, err := trust.ParsePEMs(pems)
		return root, nil, err
	}
	tuf, err := r.adapter.sharedTUF(r)
	return tuf, tuf, err
}

// pems reads what trust.FromEnvironment reads.
func (r *reader) pems() (pems trust.PEMs, given bool) {
	for _, part := range []struct {
		name string
		to   *[]byte
	}{
		{"SIGSTORE_ROOT_FILE", &pems.Fulcio},
		{"SIGSTORE_REKOR_PUBLIC_KEY", &pems.Rekor},
		{"SIGSTORE_CT_LOG_PUBLIC_KEY_FILE", &pems.CTLog},
		{"SIGSTORE_TSA_CERTIFICATE_FILE", &pems.Timestamp},
	} {
		if b := r.file(part.name); b != nil {
			*part.to, given = b, true
		}
	}
	return pems, given
}

// file reads the file that a variable names.
func (r *reader) file(name string) []byte {
	path := r.text(name)
	if path == "" {
		return nil
	}
	b, err := files.Read(path, limits.TrustedRoot, "file")
	if err != nil {
		r.errs = append(r.errs, fmt.Errorf("%s: %s: %w", name, printable(path), err))
	}
	return b
}

// sharedTUF is one for all who sign and verify, so that it is refreshed once.
func (a *Adapter) sharedTUF(r *reader) (*trust.TUF, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.tuf != nil {
		return a.tuf, nil
	}
	config := trust.TUFConfig{
		Mirror:      r.text("TUF_MIRROR"),
		CacheDir:    r.text("TUF_ROOT"),
		InitialRoot: r.file("TUF_ROOT_JSON"),
		Logger:      a.log,
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	tuf, err := trust.NewTUF(config)
	if err == nil {
		a.tuf = tuf
	}
	return tuf, err
}
