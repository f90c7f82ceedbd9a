// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"net/http"
	"net/url"
	"testing"
)

func TestNextPage(t *testing.T) {
	t.Parallel()
	base := &url.URL{Scheme: "https", Host: "registry.test", Path: "/v2/app/referrers/d"}
	for value, want := range map[string]string{
		"":                                     "",
		`<?page=2>; rel="next"`:                "https://registry.test/v2/app/referrers/d?page=2",
		`</other>;rel=next`:                    "https://registry.test/other",
		`<a>; REL=NEXT`:                        "https://registry.test/v2/app/referrers/a",
		`<a>; rel="last next"`:                 "https://registry.test/v2/app/referrers/a",
		`<a>; title="x, <y>; \"z"; rel="next"`: "https://registry.test/v2/app/referrers/a",
		`<a>; rel="prev", <b>; rel="next"`:     "https://registry.test/v2/app/referrers/b",
		`<b> ; rel = "next" ; foo`:             "https://registry.test/v2/app/referrers/b",
		`<a>; rel="nextish"`:                   "",
		`<a>; rel=prev`:                        "",
		`<a>`:                                  "",
		`<a;b,c>; rel="next"`:                  "https://registry.test/v2/app/referrers/a;b,c",
		`<a>; rel="next`:                       "error",
		`a; rel="next"`:                        "error",
		`<a; rel="next"`:                       "error",
		"<\x7f>; rel=\"next\"":                 "error",
	} {
		t.Run(value, func(t *testing.T) {
			t.Parallel()
			got, err := nextPage(base, http.Header{"Link": {value}})
			switch {
			case want == "error":
				if err == nil {
					t.Errorf("%v, want an error", got)
				}
			case err != nil:
				t.Error(err)
			case want == "" && got != nil, want != "" && (got == nil || got.String() != want):
				t.Errorf("%v, want %q", got, want)
			}
		})
	}
}

func TestFollowing(t *testing.T) {
	t.Parallel()
	const page = "https://registry.test/v2/app/referrers/d?ns=docker.io"
	for link, want := range map[string]string{
		"https://registry.test/v2/a?page=2":              "https://registry.test/v2/a?page=2&ns=docker.io",
		"https://registry.test/v2/a?page=2&ns=docker.io": "https://registry.test/v2/a?page=2&ns=docker.io",
		"https://registry.test/v2/a?ns=other.test":       "https://registry.test/v2/a?ns=other.test",
		"https://registry.test/v2/a":                     "https://registry.test/v2/a?ns=docker.io",
		"https://REGISTRY.test:443/v2/a":                 "https://registry.test/v2/a?ns=docker.io",
		"https://user:password@registry.test/v2/a":       "https://registry.test/v2/a?ns=docker.io",
		"http://registry.test/v2/a":                      "",
		"https://registry.test:80/v2/a":                  "",
		"https://registry.test:444/v2/a":                 "",
		"https://registry.test.example/v2/a":             "",
		"https://registry.test@other.test/v2/a":          "",
		"ftp://registry.test/v2/a":                       "",
	} {
		t.Run(link, func(t *testing.T) {
			t.Parallel()
			from, err := url.Parse(page)
			if err != nil {
				t.Fatal(err)
			}
			to, err := url.Parse(link)
			if err != nil {
				t.Fatal(err)
			}
			got, err := following(from, to)
			if want == "" {
				wantContentError(t, err)
			} else if err != nil || got.String() != want {
				t.Errorf("%v, %v, want %s", got, err, want)
			}
		})
	}
}
