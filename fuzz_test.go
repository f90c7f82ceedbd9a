// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package cosignkit_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cosignkit/cosignkit"
	"github.com/cosignkit/cosignkit/verify"
)

// FuzzParseFields: whatever a project says, either it is refused for reasons that
// are told, or what is to be verified is verified by somebody's key or identity.
func FuzzParseFields(f *testing.F) {
	for _, seed := range []string{
		`{}`,
		`{"x-nerdctl-verify":"cosign","x-nerdctl-cosign-public-key":"cosign.pub"}`,
		`{"x-nerdctl-verify":"cosign","x-nerdctl-cosign-certificate-identity":"a","x-nerdctl-cosign-certificate-oidc-issuer-regexp":".*"}`,
		`{"x-nerdctl-sign":"cosign","x-nerdctl-cosign-annotations":{"a":"b"},"x-nerdctl-cosign-signature-format":"both"}`,
		`{"x-nerdctl-verify":"none","x-nerdctl-sign":null,"x-nerdctl-cosign-insecure-ignore-tlog":true}`,
		`{"x-nerdctl-verfy":1,"x-nerdclt-sign":"cosign","X-nerdctl-sign":[],"x-nerdctl-":{}}`,
		`{"x-nerdctl-verify":"notation","x-nerdctl-cosign-trusted-root":"\u202e"}`,
		`{"x-nerdctl":{"verify":"cosign"},"x-nerdctl_sign":"cosign","x-n\u0435rdctl\u2010verify":"cosign","x-\u8a2d\u5b9a":1}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, project []byte) {
		var extensions map[string]any
		if json.Unmarshal(project, &extensions) != nil {
			return
		}
		got, err := cosignkit.ParseFields("web", extensions, "/project")
		if err != nil {
			var problems cosignkit.FieldErrors
			if !errors.Is(err, verify.ErrMisconfigured) || !errors.As(err, &problems) || len(problems) == 0 || !reflect.DeepEqual(got, cosignkit.Fields{}) {
				t.Errorf("%q: got %+v and %v", project, got, err)
			}
			return
		}
		for name := range extensions {
			if strings.HasPrefix(strings.ReplaceAll(name, "_", "-"), cosignkit.FieldPrefix) && !slices.Contains(cosignkit.FieldNames(), name) {
				t.Errorf("%q: %q is passed over", project, name)
			}
		}
		if provider, ok := extensions["x-nerdctl-verify"]; ok && provider != "none" && got.Verify.Provider != provider {
			t.Errorf("%q: the provider is %q", project, got.Verify.Provider)
		}
		o := got.Verify
		byKey := o.CosignKey != ""
		bySubject := (o.CosignCertificateIdentity != "") != (o.CosignCertificateIdentityRegexp != "")
		byIssuer := (o.CosignCertificateOidcIssuer != "") != (o.CosignCertificateOidcIssuerRegexp != "")
		if o.Provider == "cosign" && (byKey == bySubject || bySubject != byIssuer) {
			t.Errorf("%q: verifies by %+v", project, o)
		}
		if o.Provider != "cosign" && !reflect.DeepEqual(o, cosignkit.VerifyOptions{Provider: o.Provider}) {
			t.Errorf("%q: %+v without a provider", project, o)
		}
	})
}
