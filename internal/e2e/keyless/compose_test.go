// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	ggcr "github.com/google/go-containerregistry/pkg/registry"

	"github.com/cosignkit/cosignkit"
	"github.com/cosignkit/cosignkit/compose"
	"github.com/cosignkit/cosignkit/internal/embedded"
	"github.com/cosignkit/cosignkit/internal/testimage"
)

// TestAComposeProjectHasOneCertificate: a hundred services over ten images are
// pushed by one identity, with one token and one certificate, whatever else their
// signatures say.
func TestAComposeProjectHasOneCertificate(t *testing.T) {
	t.Parallel()
	const email = "project@example.com"
	fulcio := must(url.Parse(stack.Fulcio))
	var certificates, tokens atomic.Int64
	proxy := httputil.NewSingleHostReverseProxy(fulcio)
	counting := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "signingCert") {
			certificates.Add(1)
		}
		r.Host = fulcio.Host
		proxy.ServeHTTP(w, r)
	}))
	defer counting.Close()
	server := httptest.NewServer(ggcr.New(ggcr.Logger(discard), ggcr.WithReferrersSupport(true)))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")

	ctx := namespaces.WithNamespace(t.Context(), "test")
	cd := must(embedded.Open(t.TempDir()))
	defer func() { _ = cd.Close() }()
	project := &types.Project{Name: "large", WorkingDir: t.TempDir(), Services: types.Services{}}
	for i := range 100 {
		name := fmt.Sprintf("s%02d", i)
		image := fmt.Sprintf("%s/app%d:v1", host, i%10)
		if i < 10 {
			var archive bytes.Buffer
			if err := testimage.WriteArchive(&archive, testimage.Image{Name: image, Content: name}); err != nil {
				t.Fatal(err)
			}
			if _, err := cd.Import(ctx, &archive); err != nil {
				t.Fatal(err)
			}
		}
		project.Services[name] = types.ServiceConfig{
			Name:          name,
			ContainerSpec: types.ContainerSpec{Image: image},
			Extensions: types.Extensions{
				"x-nerdctl-sign":                           "cosign",
				"x-nerdctl-verify":                         "cosign",
				"x-nerdctl-cosign-certificate-identity":    email,
				"x-nerdctl-cosign-certificate-oidc-issuer": stack.Issuer,
				"x-nerdctl-cosign-annotations":             map[string]any{"policy": fmt.Sprint(i / 10 % 3)},
				"x-nerdctl-cosign-signature-format":        "bundle",
			},
		}
	}
	a := must(cosignkit.New(cosignkit.Config{
		Environ: []string{
			"COSIGN_FULCIO_URL=" + counting.URL, "COSIGN_REKOR_URL=" + stack.Rekor,
			"COSIGN_TRUSTED_ROOT=" + stack.TrustedRoot,
		},
		Tokens: tokenFunc(func(ctx context.Context, _ string) (string, error) {
			tokens.Add(1)
			return stack.Mint(ctx, url.Values{"email": {email}})
		}),
	}))
	defer a.CloseIdleConnections()

	plan := must(compose.NewPlan(project, compose.Config{Adapter: a, Push: true}))
	if _, err := plan.Push(ctx, compose.PushWith(cd.Client)); err != nil {
		t.Fatal(err)
	}
	t.Logf("push: %d tokens, %d certificates for 30 signatures of 100 services", tokens.Load(), certificates.Load())
	if tokens.Load() != 1 || certificates.Load() != 1 {
		t.Error("want one token and one certificate")
	}
	plan = must(compose.NewPlan(project, compose.Config{Adapter: a, RequireVerified: true}))
	result, err := plan.Verify(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range result.Outcomes {
		if o.Verification == nil || !o.Verification.Accepted {
			t.Errorf("%s is not verified", o.Service)
		}
	}
}

// tokenFunc is a function that is a keyless.TokenSource.
type tokenFunc func(ctx context.Context, audience string) (string, error)

func (f tokenFunc) Token(ctx context.Context, audience string) (string, error) {
	return f(ctx, audience)
}
