// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package fault_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/cosignkit/cosignkit/internal/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var families = []error{fault.ErrRejected, fault.ErrInconclusive, fault.ErrMisconfigured}

func TestNewMatchesExactlyOneFamily(t *testing.T) {
	t.Parallel()
	inner := fault.New(fault.ErrRejected, "verify", "image", "", errors.New("bad"))
	for name, c := range map[string]struct {
		kind, err, want error
	}{
		"no cause":                      {fault.ErrRejected, nil, fault.ErrRejected},
		"a cause without family":        {fault.ErrMisconfigured, fs.ErrNotExist, fault.ErrMisconfigured},
		"a cancelled context":           {fault.ErrRejected, context.Canceled, fault.ErrInconclusive},
		"a deadline":                    {fault.ErrMisconfigured, fmt.Errorf("get: %w", context.DeadlineExceeded), fault.ErrInconclusive},
		"the cause's family wins":       {fault.ErrInconclusive, fmt.Errorf("layer: %w", inner), fault.ErrRejected},
		"and over its context":          {fault.ErrInconclusive, errors.Join(inner, context.Canceled), fault.ErrRejected},
		"a family alone":                {fault.ErrRejected, fault.ErrInconclusive, fault.ErrInconclusive},
		"rejected and inconclusive":     {fault.ErrRejected, errors.Join(fault.ErrRejected, fault.ErrInconclusive), fault.ErrInconclusive},
		"inconclusive and rejected":     {fault.ErrRejected, errors.Join(fault.ErrInconclusive, fault.ErrRejected), fault.ErrInconclusive},
		"misconfigured and the rest":    {fault.ErrRejected, errors.Join(fault.ErrInconclusive, inner, fault.ErrMisconfigured), fault.ErrMisconfigured},
		"several, wrapped by New twice": {fault.ErrRejected, fault.New(fault.ErrRejected, "a", "b", "c", errors.Join(inner, fault.ErrInconclusive)), fault.ErrInconclusive},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := fmt.Errorf("a caller's: %w", fault.New(c.kind, "op", "subject", "stage", c.err))
			for _, family := range families {
				if got := errors.Is(err, family); got != (family == c.want) {
					t.Errorf("errors.Is(%q, %v) = %t, want %v alone", err, family, got, c.want)
				}
			}
			if got := fault.Family(err); got != c.want {
				t.Errorf("Family = %v, want %v", got, c.want)
			}
		})
	}
}

func TestFamilyOfOtherErrorsIsNil(t *testing.T) {
	t.Parallel()
	for _, err := range []error{nil, fs.ErrNotExist, context.Canceled, errors.New("rejected")} {
		if got := fault.Family(err); got != nil {
			t.Errorf("Family(%v) = %v", err, got)
		}
	}
}

// typed is a cause that errors.As finds, of a type that == panics on.
type typed struct{ values []int }

func (typed) Error() string { return "typed" }

func TestTheCauseIsFound(t *testing.T) {
	t.Parallel()
	err := fault.New(fault.ErrInconclusive, "pull", "image", "", errors.Join(fs.ErrPermission, typed{[]int{1}}, fault.ErrInconclusive))
	if !errors.Is(err, fs.ErrPermission) {
		t.Error("errors.Is does not find the cause")
	}
	var cause typed
	if !errors.As(err, &cause) || len(cause.values) != 1 {
		t.Error("errors.As does not find the cause")
	}
	if errors.Is(err, typed{}) {
		t.Error("matches an error that cannot be compared")
	}
	if errors.Is(err, fs.ErrExist) {
		t.Error("matches an error that is not there")
	}
	if parts := err.Unwrap(); len(parts) != 2 || parts[1].Error() != err.Err.Error() {
		t.Errorf("unwraps to %v", parts)
	}
	var outer *fault.Error
	if !errors.As(fmt.Errorf("%w", err), &outer) || outer != err {
		t.Error("errors.As does not find the error itself")
	}
}

func TestErrorText(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	for want, err := range map[string]*fault.Error{
		"verify image: referrers: cause": fault.New(fault.ErrRejected, "verify", "image", "referrers", cause),
		"verify image: cause":            fault.New(fault.ErrRejected, "verify", "image", "", cause),
		"verify: cause":                  fault.New(fault.ErrRejected, "verify", "", "", cause),
		"verify image: referrers":        fault.New(fault.ErrRejected, "verify", "image", "referrers", nil),
		"verify":                         fault.New(fault.ErrRejected, "verify", "", "", nil),
	} {
		if got := err.Error(); got != want {
			t.Errorf("text is %q, want %q", got, want)
		}
	}
}

func TestNewDoesNotSayEverythingTwice(t *testing.T) {
	t.Parallel()
	inner := fault.New(fault.ErrRejected, "verify", "image", "", errors.New("bad"))
	if again := fault.New(fault.ErrInconclusive, "verify", "image", "", inner); again != inner {
		t.Errorf("wrapped as %q", again)
	}
	for want, err := range map[string]*fault.Error{
		"verify image: tag: verify image: bad": fault.New(fault.ErrRejected, "verify", "image", "tag", inner),
		"pull image: verify image: bad":        fault.New(fault.ErrRejected, "pull", "image", "", inner),
		"verify other: verify image: bad":      fault.New(fault.ErrRejected, "verify", "other", "", inner),
	} {
		if got := err.Error(); got != want {
			t.Errorf("text is %q, want %q", got, want)
		}
	}
}

func TestASubjectIsPrintableAndBounded(t *testing.T) {
	t.Parallel()
	err := fault.New(fault.ErrMisconfigured, "verify", "app\x1b]0;title\a\u202e\n"+strings.Repeat("a", 1<<20), "", nil)
	if text := err.Error(); len(text) > 9000 || strings.ContainsAny(text, "\x1b\a\u202e\n") {
		t.Errorf("%d bytes: %.100q", len(text), text)
	}
}

func TestErrorHasNoExitCode(t *testing.T) {
	t.Parallel()
	var err any = fault.New(fault.ErrRejected, "verify", "", "", nil)
	if _, ok := err.(interface{ ExitCode() int }); ok {
		t.Error("has a method ExitCode")
	}
}

func TestURLsAreShownWithoutSecrets(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"get https://me:pw@host.example/a/b?key=x#y: no route":                  "get https://host.example/a/b: no route",
		"HTTPS://token@host.example":                                            "HTTPS://host.example",
		`parse "http://me:pw@[::1": bad`:                                        `parse "http://[::1": bad`,
		"redis://:pw@host.example:1":                                            "redis://host.example:1",
		"https://github.com/a/b/.github/workflows/c.yml@refs/heads/main":        "https://github.com/a/b/.github/workflows/c.yml@refs/heads/main",
		"name@example.com: what?":                                               "name@example.com: what?",
		"https://host.example/\x7f?key=x":                                       "https://host.example/ ",
		"https://host.example/?t=10:00&key=x: gone, https://b.example?z: again": "https://host.example/: gone, https://b.example: again",
		"https://me:" + strings.Repeat("p", 600) + "@host.example":              "https://host.example",
	} {
		if got := fault.OneLine(text); got != want {
			t.Errorf("%.80q is shown as %q, want %q", text, got, want)
		}
	}
	if err := fault.New(fault.ErrInconclusive, "ask", "https://me:pw@host.example/?key=x", "", nil); err.Error() != "ask https://host.example/" {
		t.Errorf("a subject is shown as %q", err)
	}
}
