// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/cosignkit/cosignkit/keyless"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/trust"
)

// recording says which services record a signature.
type recording struct {
	name      string // column of the tables
	rekor     uint32 // version of the transparency log; 0 is none
	timestamp bool
}

var (
	rekorV1Stamped = recording{"Rekor v1, TSA", 1, true}
	rekorV1        = recording{"Rekor v1", 1, false}
	rekorV2Stamped = recording{"Rekor v2, TSA", 2, true}
	rekorV2        = recording{"Rekor v2", 2, false}
	stampedOnly    = recording{"TSA", 0, true}
)

func recordings() []recording {
	return []recording{rekorV1Stamped, rekorV1, rekorV2Stamped, rekorV2, stampedOnly}
}

// column of the tables for what is recorded so: the registry, if nothing is.
func (r recording) column(in testRegistry) string {
	if r.name == "" {
		return in.name
	}
	return r.name
}

// signingConfig is the path of the signing config for the recording.
func (r recording) signingConfig() string {
	return filepath.Join(scratch, "signing-config "+r.name+".json")
}

// writeSigningConfigs writes one for each recording: that of the stack without
// the services that do not take part.
func writeSigningConfigs() error {
	for _, r := range recordings() {
		source := stack.SigningConfigV1
		if r.rekor == 2 {
			source = stack.SigningConfigV2
		}
		content, err := os.ReadFile(source)
		if err != nil {
			return err
		}
		var config map[string]json.RawMessage
		if err := json.Unmarshal(content, &config); err != nil {
			return err
		}
		none := json.RawMessage("{}")
		if r.rekor == 0 {
			config["rekorTlogConfig"] = none
			delete(config, "rekorTlogUrls")
		}
		if !r.timestamp {
			config["tsaConfig"] = none
			delete(config, "tsaUrls")
		}
		if content, err = json.Marshal(config); err != nil {
			return err
		}
		if err := os.WriteFile(r.signingConfig(), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// services are those that record signatures, and how they are known.
type services struct {
	recording
	origin
}

// origin is where a signer has the addresses of the services from, and a
// verifier their keys.
type origin int

const (
	fromFiles origin = iota // signing config and trusted root
	fromPEMs                // addresses one by one, and PEM files that the environment names
	fromTUF                 // signing config and trusted root in the TUF repository
)

// pemFiles are the environment of fromPEMs.
func pemFiles() map[string]string {
	return map[string]string{
		"SIGSTORE_ROOT_FILE":              stack.FulcioPEM,
		"SIGSTORE_REKOR_PUBLIC_KEY":       stack.RekorPEM,
		"SIGSTORE_CT_LOG_PUBLIC_KEY_FILE": stack.CTPEM,
		"SIGSTORE_TSA_CERTIFICATE_FILE":   stack.TimestampPEM,
	}
}

// roots are what cosignkit trusts. One from PEM files is there only after a
// test that may set the environment has asked for it.
func (o origin) roots(t *testing.T) verify.TrustedRoots {
	t.Helper()
	return once("roots "+strconv.Itoa(int(o)), func() verify.TrustedRoots {
		var roots verify.TrustedRoots
		var err error
		switch o {
		case fromPEMs:
			for name, path := range pemFiles() {
				t.Setenv(name, path)
			}
			roots, _, err = trust.FromEnvironment()
		case fromTUF:
			roots = o.tuf(t)
		default:
			roots, err = trust.Load(stack.TrustedRoot)
		}
		if err != nil {
			t.Fatal(err)
		}
		return roots
	})
}

func (origin) tuf(t *testing.T) *trust.TUF {
	t.Helper()
	return once("TUF", func() *trust.TUF {
		initial, err := os.ReadFile(stack.TUFRoot)
		if err != nil {
			t.Fatal(err)
		}
		client, err := trust.NewTUF(trust.TUFConfig{
			Mirror: stack.TUF, InitialRoot: initial, CacheDir: filepath.Join(scratch, "tuf-"+here),
		})
		if err != nil {
			t.Fatal(err)
		}
		return client
	})
}

// environment of cosign.
func (o origin) environment(t *testing.T, c *cosign) []string {
	t.Helper()
	switch o {
	case fromPEMs:
		return assignments(pemFiles())
	case fromTUF:
		cache := "TUF_ROOT=" + filepath.Join(scratch, "tuf-"+c.name)
		return once(cache, func() []string {
			c.in(cache).run(t, "", "initialize", "--mirror", stack.TUF, "--root", stack.TUFRoot).succeeds(t)
			return []string{cache}
		})
	default:
		return nil
	}
}

func assignments(variables map[string]string) (environment []string) {
	for name, value := range variables {
		environment = append(environment, name+"="+value)
	}
	return environment
}

func (o origin) trustedRoot() []string {
	if o == fromFiles {
		return []string{"--trusted-root", stack.TrustedRoot}
	}
	return nil
}

// client of the services, for cosignkit.
func (s services) client(t *testing.T) *keyless.Client {
	t.Helper()
	config, err := s.config(t)
	if err != nil {
		t.Fatal(err)
	}
	client, err := keyless.New(keyless.Config{SigningConfig: config, TrustedRoots: s.roots(t), Consent: true})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func (s services) config(t *testing.T) (*keyless.SigningConfig, error) {
	t.Helper()
	switch s.origin {
	case fromPEMs:
		urls := keyless.ServiceURLs{Fulcio: stack.Fulcio, Rekor: s.rekorURL(), RekorVersion: s.rekor}
		if s.timestamp {
			urls.Timestamp = stack.Timestamp
		}
		return keyless.NewSigningConfig(urls)
	case fromTUF:
		return keyless.FetchSigningConfig(t.Context(), s.tuf(t))
	default:
		return keyless.LoadSigningConfig(s.signingConfig())
	}
}

func (s services) rekorURL() string {
	return []string{"", stack.Rekor, stack.RekorV2}[s.rekor]
}

// signFlags are those of cosign. Bundles take a signing config, and legacy
// signatures the addresses, for which the flags are hidden in cosign v3.
func (s services) signFlags(c *cosign, form signing.Form) []string {
	flags := s.trustedRoot()
	if form == signing.Bundle {
		if !c.isV3() {
			flags = append(flags, "--new-bundle-format")
		}
		if s.origin == fromTUF {
			return append(flags, "--use-signing-config")
		}
		return append(flags, "--signing-config", s.signingConfig())
	}
	flags = append(flags, "--fulcio-url", stack.Fulcio)
	if c.isV3() {
		flags = append(flags, "--use-signing-config=false", "--new-bundle-format=false")
	}
	if s.rekor == 0 {
		flags = append(flags, "--tlog-upload=false")
	} else {
		flags = append(flags, "--rekor-url", s.rekorURL())
	}
	if s.timestamp {
		flags = append(flags, "--timestamp-server-url", stack.Timestamp)
	}
	return flags
}

// verifyFlags are those of cosign that ask for what require does.
func (s services) verifyFlags() []string {
	flags := s.trustedRoot()
	if s.timestamp {
		flags = append(flags, "--use-signed-timestamps")
	}
	if s.rekor == 0 {
		return append(flags, "--insecure-ignore-tlog")
	}
	// It asks there for the entry of a legacy signature that shows none.
	return append(flags, "--rekor-url", stack.Rekor)
}

// require has a policy ask for what the services record.
func (s services) require(t *testing.T, policy verify.Policy) verify.Policy {
	t.Helper()
	policy.TrustedRoots = s.roots(t)
	policy.InsecureIgnoreTransparencyLog = s.rekor == 0
	if s.timestamp {
		policy.TimestampThreshold = 1
	}
	return policy
}
