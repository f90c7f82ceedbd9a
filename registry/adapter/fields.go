// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package adapter

// Fields are the x-nerdctl- fields of a Compose service.
type Fields struct {
	Sign   SignOptions
	Verify VerifyOptions
}

// ParseFields reads the fields under the prefix x-nerdctl- among the extension
// fields of a Compose service, as compose-go has them. Every problem of every
// field is in the error, which is misconfigured and names service, field, what
// was found and what was expected: a wrong type, a field that does not exist,
// with the nearest that does, one without its provider, a provider without what
// it needs, an empty value, a file that does not exist. Relative paths are
// resolved against dir. Fields of no signing and no verifying are the zero
// Fields.
func ParseFields(service string, extensions map[string]any, dir string) (Fields, error) {
	return Fields{}, errUnbuilt
}

// PushFlags are the flags of "nerdctl push" that the fields ask for.
func (f Fields) PushFlags() []string { return nil }

// PullFlags are the flags of "nerdctl pull", "run" and "create" that the fields
// ask for.
func (f Fields) PullFlags() []string { return nil }
