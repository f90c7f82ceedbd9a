// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/registry/hooks"
	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

// said keeps what a logger is told, one JSON object a line.
type said struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

// passedOver returns the hosts that were said to have given no signatures, with
// where there were some.
func (s *said) passedOver(t *testing.T) (hosts []string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for line := range strings.Lines(s.text.String()) {
		var entry struct {
			Level, Msg, Host, Err, Image string
			FoundAt                      string `json:"found at"`
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(entry.Msg, "gave no signatures") {
			continue
		}
		if entry.Level != "INFO" || !strings.HasPrefix(entry.Image, "registry.test/app") {
			t.Errorf("said %s", line)
		}
		hosts = append(hosts, entry.Host+" for "+entry.FoundAt+map[bool]string{true: ", failed"}[entry.Err != ""])
	}
	s.text.Reset()
	return hosts
}

// TestMirrorWithoutSignaturesIsSaidSo: it is passed over, and the log says so once.
func TestMirrorWithoutSignaturesIsSaidSo(t *testing.T) {
	t.Parallel()
	all := func(*http.Request) bool { return true }
	tests := []struct {
		name         string
		capabilities string
		mirror       func(mirror *testRegistry)
		want         string // after the name of the mirror; empty if nothing is said
	}{
		{"the mirror has nothing", `"pull", "resolve", "referrers"`, func(*testRegistry) {}, " for ORIGIN"},
		{"the mirror is not asked for referrers", `"pull", "resolve"`, func(*testRegistry) {}, " for ORIGIN"},
		{"the mirror fails", `"pull", "resolve", "referrers"`, func(m *testRegistry) { m.failing(http.StatusBadGateway, all) }, " for ORIGIN, failed"},
		{"the mirror has another's signature", `"pull", "resolve", "referrers"`, nil, ""},
		{"the mirror is not asked for anything", `"push"`, func(*testRegistry) {}, ""},
	}
	for _, test := range tests {
		for _, form := range []signing.Form{signing.Bundle, signing.Legacy} {
			t.Run(test.name+", "+string(form), func(t *testing.T) {
				t.Parallel()
				origin, _, verifier, desc := signedImage(t, true, form)
				mirror := newTestRegistry(t, true)
				cd, ctx := newStore(t)
				plain := newClient(t, registry.Config{})
				if test.mirror != nil {
					pushUnsigned(ctx, t, plain, cd, mirror.ref("app:v1"), putImage(ctx, t, cd, "image"))
					test.mirror(mirror)
				} else if _, err := hooks.Push(ctx, plain, cd.Client, mirror.ref("app:v1"), putImage(ctx, t, cd, "image"), signerOf(t, newKey(t)), nil, registry.WithForm(form)); err != nil {
					t.Fatal(err)
				}
				log := &said{}
				c := newClient(t, registry.Config{
					HostsDirs: []string{hostsDir(t, "registry.test", fmt.Sprintf(
						"server = %q\n[host.%q]\ncapabilities = [%s]\n", origin.url, mirror.url, test.capabilities), nil)},
					Logger: slog.New(slog.NewJSONHandler(log, nil)),
				})
				image := verify.Image{Name: "registry.test/app:v1", Target: desc}
				var want []string
				if test.want != "" {
					want = []string{mirror.host + strings.Replace(test.want, "ORIGIN", origin.host, 1)}
				}
				calls := [][]registry.VerifyOption{nil, {registry.WithEverySignature()}}
				if test.capabilities == `"pull", "resolve"` {
					calls = calls[1:] // or the registry's referrers may do before the mirror's tag is there
				}
				for _, opts := range calls {
					if _, err := c.VerifyImage(ctx, image, verifier, opts...); err != nil {
						t.Fatal(err)
					}
					if got := log.passedOver(t); fmt.Sprint(got) != fmt.Sprint(want) {
						t.Errorf("said %q, want %q", got, want)
					}
				}
				// Of an image that nobody signed there is nothing to say.
				unsigned := putImage(ctx, t, cd, "unsigned")
				pushUnsigned(ctx, t, plain, cd, origin.ref("app:v2"), unsigned)
				if _, err := c.VerifyImage(ctx, verify.Image{Name: "registry.test/app:v2", Target: unsigned}, verifier); err == nil {
					t.Error("an unsigned image is acceptable")
				}
				if got := log.passedOver(t); len(got) > 0 {
					t.Errorf("said %q", got)
				}
			})
		}
	}
}
