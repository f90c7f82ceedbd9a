// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless

import (
	"errors"
	"log/slog"
	"net/http"
	"reflect"
	"time"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/verify"
)

// Config configures [New].
type Config struct {
	// SigningConfig says which services are used. Required.
	SigningConfig *SigningConfig

	// TrustedRoots gives the root that everything the services return is
	// verified with. Required.
	TrustedRoots verify.TrustedRoots

	// Consent says that whoever signs agreed to what [PublicRecord] says.
	// Without it [New] fails. Required also for a private instance, whose logs
	// are read by all who may read them.
	Consent bool

	// InsecureIgnoreSCT accepts certificates without a signed certificate
	// timestamp, from a private Fulcio that has no certificate transparency
	// log. Verifiers refuse them unless they ignore it as well.
	InsecureIgnoreSCT bool

	// InsecureAllowHTTP sends tokens and signatures over plain HTTP. Without
	// it only this machine, by a loopback address, can be reached so.
	InsecureAllowHTTP bool

	// Transport sends the requests. Nil means [http.DefaultTransport].
	Transport http.RoundTripper

	// Budget bounds the time that one signature, or one certificate, takes
	// with the services, retries and waits included. Zero means 60 seconds.
	Budget time.Duration

	// UserAgent is sent with each request. Empty means that of sigstore-go.
	UserAgent string

	// Logger is told of retries, by New of what in the config is insecure, and
	// with a warning, once in a process for each log, that something is about to
	// be published there for ever. Nil discards it.
	Logger *slog.Logger
}

// Client uses the services of a Sigstore instance. It is immutable and safe for
// concurrent use, and implements signing.Log.
type Client struct {
	config Config
}

// New returns a client for config. It sends nothing. A config that cannot be
// used is misconfigured.
func New(config Config) (*Client, error) {
	if err := config.check(); err != nil {
		return nil, fault.New(verify.ErrMisconfigured, "new keyless client", "", "", err)
	}
	config.setDefaults()
	if config.InsecureIgnoreSCT {
		config.Logger.Warn("certificates are accepted without a signed certificate timestamp", "option", "InsecureIgnoreSCT")
	}
	if config.InsecureAllowHTTP {
		config.Logger.Warn("services may be reached over plain HTTP", "option", "InsecureAllowHTTP")
	}
	return &Client{config}, nil
}

func (c *Config) setDefaults() {
	if c.Transport == nil {
		c.Transport = http.DefaultTransport
	}
	if c.Budget == 0 {
		c.Budget = limits.ServiceBudget
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
}

func (c Config) check() error {
	if c.SigningConfig == nil {
		return errors.New("no signing config")
	}
	// A nil pointer in the interface is what a constructor returns besides an error
	// that nobody looked at.
	if roots := reflect.ValueOf(c.TrustedRoots); c.TrustedRoots == nil || roots.Kind() == reflect.Pointer && roots.IsNil() {
		return errors.New("no trusted root")
	}
	if !c.Consent {
		return errors.New("signing publishes a record for ever, which needs consent; see PublicRecord")
	}
	if c.Budget < 0 {
		return errors.New("negative budget")
	}
	return nil
}
