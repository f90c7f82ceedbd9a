// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/cosignkit/cosignkit/internal/fault/faulttest"
	"github.com/cosignkit/cosignkit/verify"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// wantFamily wants an error of a family, and of no other.
var wantFamily = faulttest.Want

// wantAccepted holds that v accepts the candidates, and the last one itself.
func wantAccepted(t testing.TB, v verify.Verifier, candidates ...verify.Candidate) *verify.Result {
	t.Helper()
	result, err := v.Verify(t.Context(), theImage(), candidates)
	if err != nil {
		t.Fatal(err)
	}
	wantLists(t, result, candidates)
	if !result.Accepted {
		t.Error("no error, and not accepted")
	}
	if err := result.Signatures[len(candidates)-1].Err; err != nil {
		t.Errorf("the last candidate failed: %v", err)
	}
	return result
}

// wantRejected holds that v rejects the one candidate, and that it says why.
func wantRejected(t testing.TB, v verify.Verifier, candidate verify.Candidate, why string) *verify.Result {
	t.Helper()
	candidates := []verify.Candidate{candidate}
	result, err := v.Verify(t.Context(), theImage(), candidates)
	wantFamily(t, err, verify.ErrRejected)
	wantLists(t, result, candidates)
	if result.Accepted {
		t.Error("accepted beside an error")
	}
	reason := result.Signatures[0].Err
	if reason == nil {
		t.Fatal("the candidate passed")
	}
	if !strings.Contains(reason.Error(), why) {
		t.Errorf("reason is %q, want one that says %q", reason, why)
	}
	return result
}

// wantLists holds that the result has an entry for each candidate, in order.
func wantLists(t testing.TB, result *verify.Result, candidates []verify.Candidate) {
	t.Helper()
	if result == nil {
		t.Fatal("no result")
	}
	if len(result.Signatures) != len(candidates) {
		t.Fatalf("result lists %d signatures of %d candidates", len(result.Signatures), len(candidates))
	}
	for i, s := range result.Signatures {
		if s.Origin != candidates[i].Origin {
			t.Errorf("entry %d is from %v, want %v", i, s.Origin, candidates[i].Origin)
		}
		if s.Err == nil && s.KeyID == "" {
			t.Errorf("entry %d passed without a key", i)
		}
	}
	if !result.Accepted {
		return
	}
	for _, s := range result.Signatures {
		if s.Err == nil {
			return
		}
	}
	t.Error("accepted, and nothing passed")
}
