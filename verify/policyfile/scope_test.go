// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package policyfile_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/distribution/reference"

	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/policyfile"
)

const someDigest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// rejecting is a policy that rejects in each scope.
func rejecting(scopes ...string) string {
	var b strings.Builder
	b.WriteString("version: 1\nrules:\n")
	for _, s := range scopes {
		fmt.Fprintf(&b, "- {scope: %q, reject: true}\n", s)
	}
	return b.String()
}

func TestScopesThatAreNone(t *testing.T) {
	t.Parallel()
	for scope, want := range map[string]string{
		"https://registry.example":       "has a scheme",
		"docker://docker.io/library":     "has a scheme",
		"registry.example/":              "ends in a slash",
		"registry.example/team/":         "ends in a slash",
		"registry.example /team":         "has a space in it",
		"Registry.example":               "has capital letters",
		"registry.example/Team":          "has capital letters",
		"alpine":                         "is not in full, want docker.io/library/alpine",
		"library/alpine":                 "is not in full, want docker.io/library/alpine",
		"team/app":                       "is not in full, want docker.io/team/app",
		"team/app:v1":                    "is not in full, want docker.io/team/app",
		"index.docker.io":                "images there are called docker.io",
		"index.docker.io/library/alpine": "is not in full, want docker.io/library/alpine",
		"registry.example//team":         "no image has such a name",
		"registry.example/team..a":       "no image has such a name",
		"registry.example/../team":       "no image has such a name",
		"registry.example:port":          "no image has such a name",
		"-registry.example":              "no image has such a name",
		"registry.example.":              "no image has such a name",
		"/team":                          "no image has such a name",
		"registry.example/a:v 1":         "has a space in it",
		"registry.example/a:-v1":         "invalid reference format",
		"registry.example/a:":            "invalid reference format",
		"registry.example/a@sha256:1":    "invalid reference format",
		"registry.example/a@sha512:" + strings.Repeat("0", 128): "want a digest of sha256",
		"registry.example/a:v1@" + someDigest:                   "has a tag and a digest",
		"docker.io/a:v1":                                        "is not in full, want docker.io/library/a:v1",
		"*":                                                     "a wildcard is *.DOMAIN",
		"*.":                                                    "is no wildcard for hosts",
		"*.*.example":                                           "a wildcard is *.DOMAIN",
		"registry.*.example":                                    "a wildcard is *.DOMAIN",
		"registry.example/*":                                    "a wildcard is *.DOMAIN",
		"*.example/team":                                        "a wildcard is *.DOMAIN",
		"*.example:5000":                                        "a wildcard is *.DOMAIN",
		"*.Example":                                             "is no wildcard for hosts",
		"registry.example/" + strings.Repeat("a", 300): "no image has such a name",
		strings.Repeat("a.", 1<<15) + "example":        "is too long for any image",
		"registry.example/\u202eapp":                   "no image has such a name",
	} {
		_, err := policyfile.Parse([]byte(rejecting(scope)), "", policyfile.Config{})
		wantFamily(t, err, verify.ErrMisconfigured)
		if !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "read policy: policy:3: scope: ") {
			t.Errorf("%q: %v, want %q", scope, err, want)
		}
	}
}

func TestScopesThatApply(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		scopes []string
		image  string
		want   string // the scope, most specific first, and all the others
	}{
		"a host":                        {[]string{"registry.example", "other.example"}, "registry.example/app", "registry.example "},
		"a host with a port":            {[]string{"registry.example", "registry.example:5000"}, "registry.example:5000/app", "registry.example:5000 "},
		"localhost":                     {[]string{"localhost", "localhost:5000"}, "localhost:5000/app", "localhost:5000 "},
		"an address":                    {[]string{"10.0.0.1:5000"}, "10.0.0.1:5000/app", "10.0.0.1:5000 "},
		"an address of IPv6":            {[]string{"[::1]:5000", "[::1]"}, "[::1]:5000/app", "[::1]:5000 "},
		"Docker's short names":          {[]string{"docker.io", "docker.io/library", "docker.io/library/alpine"}, "alpine", "docker.io/library/alpine docker.io/library docker.io "},
		"Docker's old host":             {[]string{"docker.io/team"}, "index.docker.io/team/app", "docker.io/team "},
		"a namespace":                   {[]string{"registry.example/a", "registry.example/a/b"}, "registry.example/a/b/c", "registry.example/a/b registry.example/a "},
		"no part of a component":        {[]string{"registry.example/a/b"}, "registry.example/a/bc", ""},
		"nothing above":                 {[]string{"registry.example/a/b"}, "registry.example/a", ""},
		"a wildcard":                    {[]string{"*.example", "*.registry.example"}, "a.b.registry.example:5000/app", "*.registry.example *.example "},
		"a wildcard is for those below": {[]string{"*.registry.example"}, "registry.example/app", ""},
		"a host before a wildcard":      {[]string{"*.example", "registry.example"}, "registry.example/app", "registry.example *.example "},
		"a tag":                         {[]string{"registry.example/app:v1", "registry.example/app"}, "registry.example/app:v1", "registry.example/app:v1 registry.example/app "},
		"another tag":                   {[]string{"registry.example/app:v1", "registry.example/app"}, "registry.example/app:v2", "registry.example/app "},
		"no tag is latest":              {[]string{"registry.example/app:latest", "registry.example/app"}, "registry.example/app", "registry.example/app:latest registry.example/app "},
		"a digest":                      {[]string{"registry.example/app@" + someDigest, "registry.example/app"}, "registry.example/app@" + someDigest, "registry.example/app@" + someDigest + " registry.example/app "},
		"a digest with a tag":           {[]string{"registry.example/app@" + someDigest, "registry.example/app"}, "registry.example/app:v1@" + someDigest, "registry.example/app@" + someDigest + " registry.example/app "},
		"capital letters in a host":     {[]string{"registry.example"}, "REGISTRY.Example/app", "registry.example "},
		"capital letters of Docker's":   {[]string{"docker.io/library", "*.docker.io"}, "DOCKER.IO/alpine:v1", "docker.io/library "},
		"capital letters, Docker's old": {[]string{"docker.io/team", "*.docker.io"}, "Index.Docker.io/team/app", "docker.io/team "},
		"capital letters, no dot":       {[]string{"docker.io/registry"}, "REGISTRY/app", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := mustParse(t, rejecting(c.scopes...), policyfile.Config{})
			rule, err := p.Rule(c.image)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, r := range append([]policyfile.Rule{rule}, rule.LessSpecific...) {
				if r.Scope != "" {
					got += r.Scope + " "
				}
			}
			if got != c.want {
				t.Errorf("scopes are %q, want %q", got, c.want)
			}
		})
	}
}

// TestADigestIsOfTheTarget: what is said of a digest is said of nothing else,
// whatever a name claims.
func TestADigestIsOfTheTarget(t *testing.T) {
	t.Parallel()
	p := mustParse(t, "version: 1\nrules:\n- scope: registry.example/app@"+someDigest+"\n  insecureAcceptAnything: true\n", policyfile.Config{})
	image := verify.Image{Name: "registry.example/app@" + someDigest}
	image.Target.Digest = someDigest
	if result, err := decide(t.Context(), p, image, nil); err != nil || !result.Accepted {
		t.Errorf("%+v, %v", result, err)
	}
	other, candidates := signed(t, byKey, "registry.example/app@"+someDigest)
	_, err := decide(t.Context(), p, other, candidates)
	wantFamily(t, err, verify.ErrRejected)
}

// TestATagBesideADigest: the digest counts, and a rule for the tag must not be
// passed over unnoticed, in either direction.
func TestATagBesideADigest(t *testing.T) {
	t.Parallel()
	for name, rules := range map[string]string{
		"a lax tag":    "- {scope: 'registry.example/app:v1', insecureAcceptAnything: true}\n- {scope: registry.example, reject: true}\n",
		"a strict tag": "- {scope: 'registry.example/app:v1', reject: true}\n- {scope: registry.example, insecureAcceptAnything: true}\n",
	} {
		p := mustParse(t, "version: 1\nrules:\n"+rules, policyfile.Config{})
		image, candidates := signed(t, byKey, "registry.example/app:v1@"+someDigest)
		image.Target.Digest = someDigest
		_, err := decide(t.Context(), p, image, candidates)
		wantFamily(t, err, verify.ErrMisconfigured)
		if !strings.Contains(err.Error(), "give one of them") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHostileNames(t *testing.T) {
	t.Parallel()
	p := mustParse(t, "version: 1\ndefault: insecureAcceptAnything\n"+strings.TrimPrefix(rejecting("registry.example"), "version: 1\n"), policyfile.Config{})
	for _, name := range []string{
		"", " ", "/", ":", "@", "registry.example", "registry.example/", "registry.example/app:", "registry.example/app@",
		"registry.example/app@sha256:0", "registry.example/App", "registry.example /app", "registry.example\x00/app", "registry.example\n/app",
		"https://registry.example/app", "//registry.example/app", "user@registry.example/app", "registry.example#/app", "registry.example./app",
		"registry.example/app\x1b[2J", strings.Repeat("a/", 1<<16), "registry.example/" + strings.Repeat("a", 1<<20), someDigest[7:],
		"\u202eregistry.example/app", "ʀegistry.example/app", "registry。example/app",
	} {
		rule, err := p.Rule(name)
		image, candidates := signed(t, byKey, "registry.example/app")
		image.Name = name
		result, verifyErr := decide(t.Context(), p, image, candidates)
		if (err == nil) != (verifyErr == nil) {
			t.Errorf("%.64q: Rule says %v and Verify %v", name, err, verifyErr)
		}
		if err == nil {
			// It is another image, by Docker's rules, and not one of the registry.
			if strings.Contains(reference.Domain(mustName(t, name)), "registry.example") || rule.Scope != "" || result.Verified() {
				t.Errorf("%.64q: %+v, %+v", name, rule, result)
			}
			continue
		}
		wantFamily(t, err, verify.ErrMisconfigured)
		wantFamily(t, verifyErr, verify.ErrMisconfigured)
		if text := err.Error() + verifyErr.Error(); strings.ContainsAny(text, "\n\x00\x1b\u202e") || len(text) > 4096 {
			t.Errorf("%.64q: error of %d bytes: %.256q", name, len(text), text)
		}
	}
}

func mustName(t *testing.T, name string) reference.Named {
	t.Helper()
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		t.Fatal(err)
	}
	return named
}

// TestTheMostSpecificScopeWins compares with a slow and obvious way to find it.
func TestTheMostSpecificScopeWins(t *testing.T) {
	t.Parallel()
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 0))
		pick := func(of ...string) string { return of[r.IntN(len(of))] }
		name := func() string {
			n := pick("a.example", "b.a.example", "b.a.example:5000", "example", "c.example")
			if n == "example" {
				n += ":80"
			}
			for range 1 + r.IntN(3) {
				n += pick("/x", "/y", "/xy", "/x-y")
			}
			return n
		}
		scopes := map[string]bool{}
		for range 1 + r.IntN(12) {
			scope := name()
			switch r.IntN(6) {
			case 0:
				scope, _, _ = strings.Cut(scope, "/")
			case 1:
				scope = pick("*.example", "*.a.example", "*.b.a.example")
			case 2:
				scope += pick(":v1", ":v2")
			case 3:
				scope += "@" + someDigest
			}
			scopes[scope] = true
		}
		list := make([]string, 0, len(scopes))
		for s := range scopes {
			list = append(list, s)
		}
		p := mustParse(t, rejecting(list...), policyfile.Config{})
		for range 20 {
			image := name() + pick(":v1", ":v2", "@"+someDigest)
			want := ""
			for scope := range scopes {
				if contains(scope, image) && (want == "" || moreSpecific(scope, want)) {
					want = scope
				}
			}
			rule, err := p.Rule(image)
			if err != nil || rule.Scope != want {
				t.Fatalf("seed %d: of %q, the rule for %s is %q, %v, want %q", seed, list, image, rule.Scope, err, want)
			}
		}
	}
}

func contains(scope, image string) bool {
	if domain, ok := strings.CutPrefix(scope, "*"); ok {
		host, _, _ := strings.Cut(image, "/")
		host, _, _ = strings.Cut(host, ":")
		return strings.HasSuffix(host, domain)
	}
	rest, ok := strings.CutPrefix(image, scope)
	if !strings.Contains(scope, "/") {
		return ok && rest[0] == '/' // what follows a host may be its port
	}
	return ok && (rest == "" || strings.ContainsAny(rest[:1], "/:@"))
}

func moreSpecific(a, b string) bool {
	if wildA, wildB := strings.HasPrefix(a, "*"), strings.HasPrefix(b, "*"); wildA != wildB {
		return wildB
	}
	return len(a) > len(b)
}
