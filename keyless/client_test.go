// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/trust"
)

// TestPublicRecord: what becomes public is stated, in words that have to change
// if what is published does.
func TestPublicRecord(t *testing.T) {
	t.Parallel()
	for _, stated := range []string{
		"append-only", "anyone can read", "for ever", "the signature", "public key", "when it was made",
		"digest of the image", "name of its repository", "email address", "workflow", "who vouched for it",
		"no way to change or delete",
	} {
		if !strings.Contains(strings.Join(strings.Fields(PublicRecord), " "), stated) {
			t.Errorf("does not state %q", stated)
		}
	}
	for _, line := range strings.Split(PublicRecord, "\n") {
		if len(line) > 80 {
			t.Errorf("a line does not fit a terminal: %q", line)
		}
	}
}

func TestNewWithoutConsentSendsNothing(t *testing.T) {
	t.Parallel()
	d := newDeployment()
	services, err := NewSigningConfig(ServiceURLs{Fulcio: fulcioURL, Rekor: v1URL, Timestamp: stampURL})
	if err != nil {
		t.Fatal(err)
	}
	sent := 0
	count := roundTrip(func(*http.Request) (*http.Response, error) { sent++; return nil, errors.New("not reached") })
	client, err := New(Config{SigningConfig: services, TrustedRoots: d.trusted(t), Transport: count})
	wantFault(t, err, verify.ErrMisconfigured, "consent", "PublicRecord")
	if client != nil || sent != 0 {
		t.Errorf("client is %v, and %d requests were sent", client, sent)
	}
	// With it, New sends nothing either.
	_, err = New(Config{SigningConfig: services, TrustedRoots: d.trusted(t), Transport: count, Consent: true})
	if err != nil || sent != 0 {
		t.Errorf("%v, and %d requests were sent", err, sent)
	}
}

func TestNewRefusesWhatCannotBeUsed(t *testing.T) {
	t.Parallel()
	d := newDeployment()
	trusted := d.trusted(t)
	services, err := NewSigningConfig(ServiceURLs{Rekor: v1URL})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		config Config
		want   string
	}{
		"nothing":              {Config{}, "no signing config"},
		"no signing config":    {Config{TrustedRoots: trusted, Consent: true}, "no signing config"},
		"no root":              {Config{SigningConfig: services, Consent: true}, "no trusted root"},
		"a root that is nil":   {Config{SigningConfig: services, TrustedRoots: (*verify.TrustedRoot)(nil), Consent: true}, "no trusted root"},
		"a TUF client that is": {Config{SigningConfig: services, TrustedRoots: (*trust.TUF)(nil), Consent: true}, "no trusted root"},
		"no consent":           {Config{SigningConfig: services, TrustedRoots: trusted}, "consent"},
		"a negative budget":    {Config{SigningConfig: services, TrustedRoots: trusted, Consent: true, Budget: -time.Second}, "negative budget"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, err := New(c.config)
			wantFault(t, err, verify.ErrMisconfigured, "new keyless client", c.want)
			if client != nil {
				t.Error("a client beside an error")
			}
		})
	}
}

func TestNewDefaults(t *testing.T) {
	t.Parallel()
	d := newDeployment()
	c := d.client(t, ServiceURLs{Rekor: v1URL}, func(config *Config) { config.Transport = nil })
	if c.config.Budget != limits.ServiceBudget || c.config.Transport != http.DefaultTransport || c.config.Logger == nil {
		t.Errorf("config is %+v", c.config)
	}
}

func TestNewTellsWhatIsInsecure(t *testing.T) {
	t.Parallel()
	d := newDeployment()
	for name, c := range map[string]struct {
		change func(*Config)
		want   []string
	}{
		"nothing":  {func(*Config) {}, nil},
		"SCT":      {func(config *Config) { config.InsecureIgnoreSCT = true }, []string{"InsecureIgnoreSCT"}},
		"HTTP":     {func(config *Config) { config.InsecureAllowHTTP = true }, []string{"InsecureAllowHTTP"}},
		"all that": {func(config *Config) { config.InsecureIgnoreSCT, config.InsecureAllowHTTP = true, true }, []string{"InsecureIgnoreSCT", "InsecureAllowHTTP"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var said bytes.Buffer
			d.client(t, ServiceURLs{Rekor: v1URL}, c.change, func(config *Config) { config.Logger = slog.New(slog.NewTextHandler(&said, nil)) })
			if got := strings.Count(said.String(), "level=WARN"); got != len(c.want) {
				t.Errorf("%d warnings, want %d:\n%s", got, len(c.want), &said)
			}
			for _, want := range c.want {
				if !strings.Contains(said.String(), "option="+want) {
					t.Errorf("nothing about %s:\n%s", want, &said)
				}
			}
		})
	}
}
