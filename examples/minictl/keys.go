// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/cosignkit/cosignkit/keyless"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/signing/keyfile"
	"github.com/cosignkit/cosignkit/verify"
)

// The providers, as nerdctl names them.
const (
	providerNone   = "none"
	providerCosign = "cosign"
)

func checkProvider(flag, provider string) error {
	switch provider {
	case providerNone, providerCosign:
		return nil
	}
	return usageError{fmt.Errorf("unknown provider --%s=%s; want %s or %s", flag, provider, providerCosign, providerNone)}
}

// signFlags are the flags that say how to sign.
type signFlags struct {
	set        *pflag.FlagSet
	provider   string
	key        string
	format     string
	tlogUpload bool
	recursive  bool
	services   serviceFlags
}

func (s *signFlags) flags(f *pflag.FlagSet) {
	s.set = f
	f.StringVar(&s.provider, "sign", providerNone, "sign the image with the `PROVIDER`: none or cosign")
	f.StringVar(&s.key, "cosign-key", "", "private key: a path or env://NAME; without it, sign with an identity")
	f.StringVar(&s.format, "signature-format", "bundle", "form of the signature: bundle, legacy or both")
	f.BoolVar(&s.recursive, "recursive", false, "sign what an index contains as well")
	f.BoolVar(&s.tlogUpload, "tlog-upload", true, "record the signature in a transparency log")
	s.services.flags(f)
}

// signer returns nil for --sign=none.
func (s *signFlags) signer(ctx context.Context, a *app) (signing.Signer, error) {
	if err := checkProvider("sign", s.provider); err != nil {
		return nil, err
	}
	if s.provider == providerNone {
		return nil, refuseWithout("--sign=cosign", s.set, append(serviceFlagNames, "cosign-key", "signature-format", "recursive", "tlog-upload")...)
	}
	if s.set.Changed("cosign-key") {
		return s.keySigner(ctx, a)
	}
	if !s.tlogUpload {
		return nil, usageError{errors.New("--tlog-upload=false needs --cosign-key: an identity is nothing without a record")}
	}
	client, config, err := s.services.client(ctx, a, s.set)
	if err != nil {
		return nil, err
	}
	tokens, err := s.services.tokens(a, s.set, config)
	if err != nil {
		return nil, err
	}
	return keyless.NewSigner(client, keyless.SignerConfig{Tokens: tokens})
}

func (s *signFlags) keySigner(ctx context.Context, a *app) (signing.Signer, error) {
	for _, name := range []string{"identity-token", "oidc-issuer", "fulcio-url"} {
		if s.set.Changed(name) {
			return nil, usageError{fmt.Errorf("--%s does nothing with --cosign-key", name)}
		}
	}
	if !s.tlogUpload {
		if err := refuseWithout("--tlog-upload", s.set, serviceFlagNames...); err != nil {
			return nil, err
		}
	}
	key, err := keyfile.Open(ctx, s.key, a.passphrase(false))
	if err != nil {
		return nil, err
	}
	config := signing.KeySignerConfig{Key: key, SkipTransparencyLog: !s.tlogUpload}
	if s.tlogUpload {
		client, _, err := s.services.client(ctx, a, s.set)
		if err != nil {
			return nil, err
		}
		config.Log = client
	}
	return signing.NewKeySigner(config)
}

// verifyFlags are the flags that say what to verify with.
type verifyFlags struct {
	set        *pflag.FlagSet
	provider   string
	keys       []string
	identity   verify.Identity
	ignoreTlog bool
	trust      trustFlags
}

func (v *verifyFlags) flags(f *pflag.FlagSet, provider string) {
	v.set = f
	f.StringVar(&v.provider, "verify", provider, "verify the image with the `PROVIDER`: none or cosign")
	f.StringArrayVar(&v.keys, "cosign-key", nil, "public key: a path or env://NAME; of several, any may have signed")
	f.StringVar(&v.identity.Subject, "cosign-certificate-identity", "", "`SUBJECT` of the certificate: who signed")
	f.StringVar(&v.identity.SubjectRegexp, "cosign-certificate-identity-regexp", "", "`REGEXP` that matches the whole of the subject")
	f.StringVar(&v.identity.Issuer, "cosign-certificate-oidc-issuer", "", "`URL` of the issuer that vouches for the subject")
	f.StringVar(&v.identity.IssuerRegexp, "cosign-certificate-oidc-issuer-regexp", "", "`REGEXP` that matches the whole of the issuer")
	f.BoolVar(&v.ignoreTlog, "insecure-ignore-tlog", false, "accept signatures that are in no transparency log")
	v.trust.flags(f)
}

// identityFlagNames are the flags of which verifying without a key needs two.
var identityFlagNames = []string{
	"cosign-certificate-identity", "cosign-certificate-identity-regexp",
	"cosign-certificate-oidc-issuer", "cosign-certificate-oidc-issuer-regexp",
}

// verifier returns nil for --verify=none.
func (v *verifyFlags) verifier(a *app) (verify.Verifier, error) {
	if err := checkProvider("verify", v.provider); err != nil {
		return nil, err
	}
	if v.provider == providerNone {
		return nil, refuseWithout("--verify=cosign", v.set, append(identityFlagNames, "cosign-key", "insecure-ignore-tlog", "trusted-root")...)
	}
	policy := verify.Policy{InsecureIgnoreTransparencyLog: v.ignoreTlog}
	for _, name := range identityFlagNames {
		if !v.set.Changed(name) {
			continue
		}
		// An empty variable of a script's must not ask for less.
		if v.set.Lookup(name).Value.String() == "" {
			return nil, usageError{fmt.Errorf("--%s is empty", name)}
		}
		policy.Identities = []verify.Identity{v.identity}
	}
	if len(v.keys)+len(policy.Identities) == 0 {
		return nil, usageError{errors.New("--verify=cosign needs --cosign-key, or --cosign-certificate-identity and --cosign-certificate-oidc-issuer")}
	}
	if len(v.keys) > 0 && len(policy.Identities) > 0 {
		return nil, usageError{errors.New("--cosign-key and the identity of a certificate exclude each other")}
	}
	for _, ref := range v.keys {
		key, err := verify.LoadPublicKey(ref)
		if err != nil {
			return nil, err
		}
		policy.Keys = append(policy.Keys, key)
	}
	// With a key and no log there is nothing to trust but the key.
	if !v.ignoreTlog || len(policy.Identities) > 0 {
		var err error
		if policy.TrustedRoots, _, err = v.trust.roots(a, v.set); err != nil {
			return nil, err
		}
	}
	return verify.New(policy)
}

// refuseWithout refuses flags that do nothing without another: who gives a key
// believes that it is used.
func refuseWithout(needed string, set *pflag.FlagSet, flags ...string) error {
	for _, name := range flags {
		if set.Changed(name) {
			return usageError{fmt.Errorf("--%s does nothing without %s", name, needed)}
		}
	}
	return nil
}

// generateKeyPair is the command generate-key-pair.
type generateKeyPair struct{ prefix string }

func (g *generateKeyPair) flags(f *pflag.FlagSet) {
	f.StringVar(&g.prefix, "output-key-prefix", "cosign", "write to `PREFIX`.key and PREFIX.pub")
}

func (g *generateKeyPair) run(ctx context.Context, a *app, _ string) error {
	if g.prefix == "" {
		return usageError{errors.New("--output-key-prefix is empty")}
	}
	files := keyFiles{Private: g.prefix + ".key", Public: g.prefix + ".pub"}
	passphrase, err := a.passphrase(true)(ctx, files.Private)
	if err != nil {
		return misconfigured("generate key pair", files.Private, err)
	}
	pair, err := keyfile.Generate(keyfile.DefaultAlgorithm, passphrase)
	if err != nil {
		return err
	}
	if err := pair.WriteFiles(g.prefix, false); err != nil {
		return err
	}
	return a.print(files)
}

// passphrase takes COSIGN_PASSWORD, or asks on a terminal, twice for a
// passphrase that is new. What is piped in is never taken for a passphrase.
func (a *app) passphrase(isNew bool) signing.PassphraseFunc {
	return signing.PassphraseFromEnvironment(func(ctx context.Context, name string) ([]byte, error) {
		terminal, ok := a.stdin.(*os.File)
		if !ok || !term.IsTerminal(int(terminal.Fd())) {
			return nil, fmt.Errorf("%w: set COSIGN_PASSWORD, or run on a terminal", signing.ErrNoPassphrase)
		}
		first, err := a.ask(ctx, terminal, "Enter passphrase for "+name+": ")
		if err != nil || !isNew {
			return first, err
		}
		second, err := a.ask(ctx, terminal, "Enter it again: ")
		if err == nil && string(first) != string(second) {
			err = errors.New("the passphrases differ")
		}
		return first, err
	})
}

// ask reads a line without echo. Reading a terminal cannot be cancelled, so it
// is left behind when ctx ends, with the terminal as it was.
func (a *app) ask(ctx context.Context, terminal *os.File, prompt string) ([]byte, error) {
	fd := int(terminal.Fd())
	state, err := term.GetState(fd)
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(a.stderr, printable(prompt)); err != nil {
		return nil, err
	}
	defer func() { _, _ = io.WriteString(a.stderr, "\n") }()
	type answer struct {
		line []byte
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		line, err := term.ReadPassword(fd)
		answers <- answer{line, err}
	}()
	select {
	case got := <-answers:
		return got.line, got.err
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), term.Restore(fd, state))
	}
}
