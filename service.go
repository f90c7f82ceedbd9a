// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package cosignkit

import (
	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/verify"
)

// Service is a Compose service whose fields are read when they are needed, so
// that a command which neither signs nor verifies never fails for them. Its
// methods return what is wrong with them as [ParseFields] does, files included.
type Service struct {
	Name       string
	Extensions map[string]any
	// Dir is the project directory.
	Dir string
}

func (s Service) fields(signing, verifying bool) (Fields, error) {
	f, err := ParseFields(s.Name, s.Extensions, s.Dir)
	if err != nil {
		return Fields{}, err
	}
	if problems := f.CheckFiles(s.Name, signing, verifying); problems != nil {
		return Fields{}, fault.New(verify.ErrMisconfigured, "read fields of Compose service", printable(s.Name), "", problems)
	}
	return f, nil
}

// SignFlags is [Fields.SignFlags].
func (s Service) SignFlags() ([]string, error) {
	f, err := s.fields(true, false)
	if err != nil {
		return nil, err
	}
	return f.SignFlags()
}

// VerifyFlags is [Fields.VerifyFlags].
func (s Service) VerifyFlags() ([]string, error) {
	f, err := s.fields(false, true)
	if err != nil {
		return nil, err
	}
	return f.VerifyFlags()
}

// VerifyOptions are those of the fields. Without verification the provider is
// [None].
func (s Service) VerifyOptions() (VerifyOptions, error) {
	f, err := s.fields(false, true)
	if err == nil && f.Verify.Provider == "" {
		f.Verify.Provider = None
	}
	return f.Verify, err
}
