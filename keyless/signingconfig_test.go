// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/trust"
)

const configMediaType = "application/vnd.dev.sigstore.signingconfig.v0.2+json"

// service is one of a signing config, in JSON.
func service(address string, version int, operator string, validFor string) string {
	return fmt.Sprintf(`{"url":%q,"majorApiVersion":%d,"operator":%q,"validFor":{%s}}`, address, version, operator, validFor)
}

// configOf is a signing config with members.
func configOf(members ...string) string {
	return `{"mediaType":"` + configMediaType + `",` + strings.Join(members, ",") + "}"
}

const (
	inUse    = `"start":"2020-01-01T00:00:00Z"`
	upcoming = `"start":"2999-01-01T00:00:00Z"`
	retired  = `"start":"2020-01-01T00:00:00Z","end":"2020-02-01T00:00:00Z"`
)

func TestParseSigningConfig(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"nothing but its type":       `{"mediaType":"` + configMediaType + `"}`,
		"null members":               configOf(`"caUrls":null`, `"oidcUrls":null`, `"rekorTlogUrls":null`, `"rekorTlogConfig":null`, `"tsaUrls":null`, `"tsaConfig":null`),
		"no member":                  configOf(`"caUrls":[]`, `"rekorTlogConfig":{}`),
		"the largest":                `{"mediaType":"` + configMediaType + `"}` + strings.Repeat(" ", limits.TrustedRoot-len(configMediaType)-16),
		"a service without a period": configOf(`"caUrls":[{"url":"https://fulcio.test","majorApiVersion":1}]`),
	} {
		if c, err := ParseSigningConfig([]byte(text)); err != nil || c == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range map[string]string{
		"nothing":                     "",
		"text":                        "signing config",
		"HTML":                        "<html></html>",
		"null":                        "null",
		"a list":                      "[]",
		"an empty object":             "{}",
		"no media type":               `{"caUrls":[]}`,
		"a trusted root":              `{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`,
		"an older version":            `{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.1+json"}`,
		"a later version":             `{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.3+json"}`,
		"cut short":                   configOf(`"caUrls":[{"url":"https://fu`)[:90],
		"more than one":               `{"mediaType":"` + configMediaType + `"}{}`,
		"a member of another type":    configOf(`"caUrls":"https://fulcio.test"`),
		"a null service":              configOf(`"caUrls":[null]`),
		"a version of another type":   configOf(`"caUrls":[{"url":"https://fulcio.test","majorApiVersion":"one"}]`),
		"a negative version":          configOf(`"caUrls":[{"url":"https://fulcio.test","majorApiVersion":-1}]`),
		"a huge version":              configOf(`"caUrls":[{"url":"https://fulcio.test","majorApiVersion":4294967296}]`),
		"a date that is none":         configOf(`"caUrls":[` + service(fulcioURL, 1, "a", `"start":"yesterday"`) + `]`),
		"a selector of another type":  configOf(`"rekorTlogConfig":{"selector":[]}`),
		"a selector that is none":     configOf(`"rekorTlogConfig":{"selector":"MOST"}`),
		"a negative count":            configOf(`"rekorTlogConfig":{"selector":"EXACT","count":-1}`),
		"the same member twice":       configOf(`"caUrls":[]`, `"caUrls":[]`),
		"deep":                        strings.Repeat(`{"a":`, 20000),
		"larger than is read":         `{"mediaType":"` + configMediaType + `"}` + strings.Repeat(" ", limits.TrustedRoot),
		"logs without a selector":     configOf(`"rekorTlogUrls":[` + service(v1URL, 1, "a", inUse) + `]`),
		"logs with a null selector":   configOf(`"rekorTlogUrls":[`+service(v1URL, 1, "a", inUse)+`]`, `"rekorTlogConfig":null`),
		"logs with no selector":       configOf(`"rekorTlogUrls":[`+service(v1URL, 1, "a", inUse)+`]`, `"rekorTlogConfig":{}`),
		"logs of no number":           configOf(`"rekorTlogUrls":[`+service(v1URL, 1, "a", inUse)+`]`, `"rekorTlogConfig":{"selector":"SERVICE_SELECTOR_UNDEFINED"}`),
		"stamps without a selector":   configOf(`"tsaUrls":[` + service(stampURL, 1, "a", inUse) + `]`),
		"stamps with a null selector": configOf(`"tsaUrls":[`+service(stampURL, 1, "a", inUse)+`]`, `"tsaConfig":null`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := ParseSigningConfig([]byte(text))
			wantFault(t, err, verify.ErrMisconfigured, "open signing config")
			if c != nil {
				t.Error("a config beside an error")
			}
		})
	}
}

func TestLoadSigningConfig(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "signing_config.json")
	_, err := LoadSigningConfig(file)
	wantFault(t, err, verify.ErrMisconfigured, "open signing config", file)
	if err := os.WriteFile(file, []byte(configOf(`"oidcUrls":[`+service(theIssuer, 1, "a", inUse)+`]`)), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := LoadSigningConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	if issuer, err := c.OIDCIssuer(); err != nil || issuer != theIssuer {
		t.Errorf("issuer is %q: %v", issuer, err)
	}
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = LoadSigningConfig(file)
	wantFault(t, err, verify.ErrMisconfigured, file)
}

func TestFetchSigningConfig(t *testing.T) {
	t.Parallel()
	tuf, err := trust.NewTUF(trust.TUFConfig{Mirror: "https://tuf.test", InitialRoot: trust.PublicInitialRoot(), CacheDir: t.TempDir(), Transport: newDeployment()})
	if err != nil {
		t.Fatal(err)
	}
	c, err := FetchSigningConfig(t.Context(), tuf)
	wantFault(t, err, verify.ErrInconclusive, "https://tuf.test")
	if c != nil {
		t.Error("a config beside an error")
	}
}

// TestSigningConfigSelects: the newest service that is in use, and of logs and
// authorities as many as it says, of different operators.
func TestSigningConfigSelects(t *testing.T) {
	t.Parallel()
	logs := func(config string, all ...string) string {
		return configOf(`"rekorTlogUrls":[`+strings.Join(all, ",")+`]`, `"rekorTlogConfig":{`+config+`}`)
	}
	one, other := service("https://one.test", 1, "one", inUse), service("https://other.test", 1, "other", inUse)
	second := service("https://second.test", 2, "one", inUse)
	for name, c := range map[string]struct {
		config   string
		versions []uint32
		from     []string // what is selected is of these
		n        int      // how many; negative if that is an error
	}{
		"all":                             {logs(`"selector":"ALL"`, one, other), []uint32{1}, []string{"one", "other"}, 2},
		"any":                             {logs(`"selector":"ANY"`, one, other), []uint32{1}, []string{"one", "other"}, 1},
		"exactly one":                     {logs(`"selector":"EXACT","count":1`, one, other), []uint32{1}, []string{"one", "other"}, 1},
		"exactly two":                     {logs(`"selector":"EXACT","count":2`, one, other), []uint32{1}, []string{"one", "other"}, 2},
		"exactly more than there are":     {logs(`"selector":"EXACT","count":3`, one, other), []uint32{1}, nil, -1},
		"exactly none":                    {logs(`"selector":"EXACT","count":0`, one, other), []uint32{1}, nil, -1},
		"exactly an unknown number":       {logs(`"selector":"EXACT"`, one), []uint32{1}, nil, -1},
		"no selector that is known":       {logs(`"selector":99`, one), []uint32{1}, nil, -1},
		"the latest version that is read": {logs(`"selector":"ALL"`, one, other, second), []uint32{1, 2}, []string{"second"}, 1},
		"the version that is wanted":      {logs(`"selector":"ALL"`, one, other, second), []uint32{1}, []string{"one", "other"}, 2},
		"a version that is not there":     {logs(`"selector":"ALL"`, one), []uint32{2}, nil, -1},
		"not before it is in use":         {logs(`"selector":"ALL"`, one, service("https://soon.test", 1, "soon", upcoming)), []uint32{1}, []string{"one"}, 1},
		"not after it was in use":         {logs(`"selector":"ALL"`, one, service("https://old.test", 1, "old", retired)), []uint32{1}, []string{"one"}, 1},
		"none that is in use":             {logs(`"selector":"ALL"`, service("https://old.test", 1, "old", retired)), []uint32{1}, nil, -1},
		"one of each operator":            {logs(`"selector":"ALL"`, one, service("https://newer.test", 1, "one", `"start":"2021-01-01T00:00:00Z"`)), []uint32{1}, []string{"newer"}, 1},
		"none":                            {configOf(`"rekorTlogConfig":{"selector":"EXACT","count":1}`), []uint32{1}, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, config := range []string{c.config, strings.NewReplacer("rekorTlogUrls", "tsaUrls", "rekorTlogConfig", "tsaConfig").Replace(c.config)} {
				parsed, err := ParseSigningConfig([]byte(config))
				if err != nil {
					t.Fatal(err)
				}
				selected, err := parsed.logs(time.Now(), c.versions)
				if config != c.config {
					if len(c.versions) != 1 || c.versions[0] != 1 {
						continue
					}
					selected, err = parsed.timestamps(time.Now())
				}
				if c.n < 0 {
					if err == nil {
						t.Errorf("selected %v, want an error", selected)
					}
					continue
				}
				if err != nil || len(selected) != c.n {
					t.Errorf("selected %v, want %d: %v", selected, c.n, err)
				}
				for _, s := range selected {
					if !strings.Contains(strings.Join(c.from, " "), strings.TrimSuffix(strings.TrimPrefix(s.URL, "https://"), ".test")) {
						t.Errorf("selected %s, want of %v", s.URL, c.from)
					}
				}
			}
		})
	}
}

// TestSigningConfigWithoutServices: what is not in use is said before anything
// is signed.
func TestSigningConfigWithoutServices(t *testing.T) {
	t.Parallel()
	d := newDeployment()
	fulcio := `"caUrls":[` + service(fulcioURL, 1, "a", inUse) + `]`
	log := func(validFor, selector string) string {
		return `"rekorTlogUrls":[` + service(v1URL, 1, "a", validFor) + `],"rekorTlogConfig":{"selector":"` + selector + `"}`
	}
	stamp := func(validFor string) string {
		return `"tsaUrls":[` + service(stampURL, 1, "a", validFor) + `],"tsaConfig":{"selector":"ALL"}`
	}
	for name, c := range map[string]struct{ config, want string }{
		"a log that is not in use yet":       {configOf(fulcio, log(upcoming, "ALL"), stamp(inUse)), "no transparency log of version [1 2] that is in use now"},
		"a log that is out of use":           {configOf(fulcio, log(retired, "ALL"), stamp(inUse)), "no transparency log of version [1 2] that is in use now"},
		"an authority that is out of use":    {configOf(fulcio, log(inUse, "ALL"), stamp(retired)), "timestamp authorities"},
		"no number of logs":                  {configOf(fulcio, log(inUse, "EXACT")), "no transparency log"},
		"a log whose address is none":        {configOf(fulcio, strings.Replace(log(inUse, "ALL"), v1URL, "rekor.test", 1)), "is not the URL of a service"},
		"a log whose address has a password": {configOf(fulcio, strings.Replace(log(inUse, "ALL"), v1URL, "https://a:b@rekor.test", 1)), "is not the URL of a service"},
		"an authority whose address is none": {configOf(fulcio, stampAt("file:///etc/passwd")), "is not the URL of a service"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parsed, err := ParseSigningConfig([]byte(c.config))
			if err != nil {
				t.Fatal(err)
			}
			client := d.client(t, everything, func(config *Config) { config.SigningConfig = parsed })
			if err := client.CanRecord(signing.Bundle, newP256().Public()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want %q in it", err, c.want)
			}
			source := &tokens{}
			_, err = newSigner(t, client, SignerConfig{Tokens: source}).Sign(t.Context(), theRequest(signing.Bundle))
			wantFault(t, err, verify.ErrMisconfigured, c.want)
			if source.asked != 0 {
				t.Error("a token was asked for")
			}
		})
	}
	if len(d.requests) != 0 {
		t.Errorf("asked %v", d.requests)
	}
}

func stampAt(address string) string {
	return `"tsaUrls":[` + service(address, 1, "a", inUse) + `],"tsaConfig":{"selector":"ALL"}`
}

func TestNewSigningConfig(t *testing.T) {
	t.Parallel()
	for name, urls := range map[string]ServiceURLs{
		"nothing":    {},
		"everything": everything,
		"an issuer":  {OIDCIssuer: theIssuer},
		"a path":     {Fulcio: "https://sigstore.test/fulcio"},
		"a port":     {Fulcio: "http://127.0.0.1:5555"},
	} {
		c, err := NewSigningConfig(urls)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if issuer, err := c.OIDCIssuer(); issuer != urls.OIDCIssuer || (err == nil) != (issuer != "") {
			t.Errorf("%s: issuer is %q: %v", name, issuer, err)
		}
	}
	for name, address := range map[string]string{
		"no scheme": "fulcio.test", "another scheme": "ftp://fulcio.test", "a file": "file:///etc/passwd", "no host": "https:///path",
		"a user": "https://user@fulcio.test", "a password": "https://user:password@fulcio.test", "a bad escape": "https://fulcio.test/%zz",
		"a control character": "https://fulcio.test/\x7f", "white space": " https://fulcio.test", "a line": "https://fulcio.test\n",
		"script": "javascript:alert(1)", "relative": "//fulcio.test", "a port that is none": "https://fulcio.test:port",
	} {
		for service, urls := range map[string]ServiceURLs{
			"Fulcio": {Fulcio: address}, "Rekor": {Rekor: address}, "timestamp": {Timestamp: address}, "issuer": {OIDCIssuer: address},
		} {
			c, err := NewSigningConfig(urls)
			wantFault(t, err, verify.ErrMisconfigured, "is not the URL of a service")
			if c != nil {
				t.Errorf("%s, %s: a config beside an error", name, service)
			}
		}
	}
}

// FuzzParseSigningConfig: whatever it parses can be selected from.
func FuzzParseSigningConfig(f *testing.F) {
	f.Add([]byte(`{"mediaType":"` + configMediaType + `"}`))
	f.Add([]byte(configOf(`"caUrls":[`+service(fulcioURL, 1, "a", inUse)+`]`, `"oidcUrls":[`+service(theIssuer, 1, "a", inUse)+`]`,
		`"rekorTlogUrls":[`+service(v1URL, 1, "a", inUse)+`,`+service(v2URL, 2, "b", retired)+`]`, `"rekorTlogConfig":{"selector":"EXACT","count":1}`,
		stampAt(stampURL))))
	f.Add([]byte(configOf(`"rekorTlogUrls":[{}]`, `"rekorTlogConfig":null`, `"tsaUrls":[{}]`)))
	d := newDeployment()
	key := newP256().Public()
	trusted := d.trusted(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		parsed, err := ParseSigningConfig(b)
		if err != nil {
			wantFault(t, err, verify.ErrMisconfigured)
			return
		}
		_, _ = parsed.OIDCIssuer()
		client, err := New(Config{SigningConfig: parsed, TrustedRoots: trusted, Consent: true, Transport: d})
		if err != nil {
			t.Fatal(err)
		}
		for _, form := range []signing.Form{signing.Bundle, signing.Legacy} {
			_ = client.CanRecord(form, key)
			_ = certified{client}.CanRecord(form, key)
		}
		if _, err := NewSigner(client, SignerConfig{Tokens: &tokens{}}); err != nil {
			wantFault(t, err, verify.ErrMisconfigured)
		}
	})
}
