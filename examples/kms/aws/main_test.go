// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/cosignkit/cosignkit/examples/kms/fakeaws"
	"github.com/cosignkit/cosignkit/examples/kms/program"
	"github.com/cosignkit/cosignkit/verify"
)

// start starts a service with a key of each kind, and a registry with an image. The
// environment is all that the provider knows of the service.
func start(t *testing.T) (service *fakeaws.Service, image string) {
	t.Helper()
	service = fakeaws.Start()
	t.Cleanup(service.Close)
	for alias, make := range map[string]func() (*fakeaws.Key, error){
		"alias/p256": fakeaws.P256, "alias/p384": fakeaws.P384, "alias/rsa": fakeaws.RSA, "alias/encryption": fakeaws.Encryption,
	} {
		key, err := make()
		if err != nil {
			t.Fatal(err)
		}
		service.Add(alias, key)
	}
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(bundle, service.CertificatePEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"AWS_CA_BUNDLE": bundle, "AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_ACCESS_KEY_ID": service.AccessKey, "AWS_SECRET_ACCESS_KEY": "secret", "AWS_MAX_ATTEMPTS": "1",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
		"AWS_PROFILE": "", "AWS_SESSION_TOKEN": "", "AWS_TLS_INSECURE_SKIP_VERIFY": "",
	} {
		t.Setenv(name, value)
	}
	return service, push(t)
}

func push(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithReferrersSupport(true)))
	t.Cleanup(server.Close)
	ref, err := name.ParseReference(strings.TrimPrefix(server.URL, "http://") + "/app:1")
	if err != nil {
		t.Fatal(err)
	}
	image, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image); err != nil {
		t.Fatal(err)
	}
	return ref.String()
}

func run(ctx context.Context, args ...string) (string, error) {
	var out bytes.Buffer
	err := program.Run(ctx, args, &out)
	return out.String(), err
}

func TestSignAndVerify(t *testing.T) {
	service, image := start(t)
	for _, alias := range []string{"p256", "p384", "rsa"} {
		t.Run(alias, func(t *testing.T) {
			key := "awskms://" + service.Endpoint() + "/alias/" + alias
			if out, err := run(t.Context(), "verify", key, image); !errors.Is(err, verify.ErrRejected) {
				t.Fatalf("before it is signed: %q, %v", out, err)
			}
			if out, err := run(t.Context(), "sign", key, image); err != nil || !strings.Contains(out, "signed sha256:") {
				t.Fatalf("signing: %q, %v", out, err)
			}
			if out, err := run(t.Context(), "verify", key, image); err != nil || !strings.Contains(out, "verified sha256:") {
				t.Fatalf("verifying: %q, %v", out, err)
			}
		})
	}
}

// TestWhatCannotBeUsed is found before the image is looked at.
func TestWhatCannotBeUsed(t *testing.T) {
	service, image := start(t)
	for name, c := range map[string]struct {
		key   string
		fault string
		want  error
		text  string
	}{
		"no such key":               {key: "alias/none", want: verify.ErrMisconfigured, text: "NotFoundException"},
		"no reference of AWS":       {key: "release", want: verify.ErrMisconfigured, text: "awskms://[ENDPOINT]"},
		"a key for encryption":      {key: "alias/encryption", want: verify.ErrMisconfigured, text: "panic"},
		"not allowed":               {key: "alias/p256", fault: "AccessDeniedException", want: verify.ErrMisconfigured, text: "AccessDeniedException"},
		"throttled":                 {key: "alias/p256", fault: "ThrottlingException", want: verify.ErrInconclusive, text: "ThrottlingException"},
		"a service that is broken":  {key: "alias/p256", fault: "KMSInternalException", want: verify.ErrInconclusive, text: "KMSInternalException"},
		"a key that is in no state": {key: "alias/p256", fault: "KMSInvalidStateException", want: verify.ErrMisconfigured, text: "KMSInvalidStateException"},
	} {
		t.Run(name, func(t *testing.T) {
			service.Fault(func(w http.ResponseWriter, r *http.Request) bool {
				if c.fault == "" || !strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".Sign") {
					return false
				}
				fakeaws.Fail(w, c.fault)
				return true
			})
			out, err := run(t.Context(), "sign", "awskms://"+service.Endpoint()+"/"+c.key, image)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) || out != "" {
				t.Errorf("output %q, error %v; want the family %v and the text %q", out, err, c.want, c.text)
			}
		})
	}
}

func TestNoCredentials(t *testing.T) {
	service, image := start(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIAI44QH8DHBEXAMPLE")
	_, err := run(t.Context(), "sign", "awskms://"+service.Endpoint()+"/alias/p256", image)
	if !errors.Is(err, verify.ErrMisconfigured) || !strings.Contains(err.Error(), "UnrecognizedClientException") {
		t.Errorf("error is %v", err)
	}
}

func TestAServiceThatIsNotThere(t *testing.T) {
	service, image := start(t)
	service.Close()
	_, err := run(t.Context(), "sign", "awskms://"+service.Endpoint()+"/alias/p256", image)
	if !errors.Is(err, verify.ErrInconclusive) {
		t.Errorf("error is %v, want one that is inconclusive", err)
	}
}

// TestAServiceOfAnotherAuthority: the provider's option that turns this off is in
// the environment, and not set here.
func TestAServiceOfAnotherAuthority(t *testing.T) {
	service, image := start(t)
	t.Setenv("AWS_CA_BUNDLE", "")
	_, err := run(t.Context(), "sign", "awskms://"+service.Endpoint()+"/alias/p256", image)
	if !errors.Is(err, verify.ErrInconclusive) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("error is %v, want one about the certificate", err)
	}
	if calls := service.Calls(); len(calls) > 0 {
		t.Errorf("it was asked for %q", calls)
	}
}

// TestCancelling reaches the request, which ends.
func TestCancelling(t *testing.T) {
	service, image := start(t)
	asked, ended := make(chan struct{}), make(chan struct{})
	service.Fault(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".Sign") {
			_, _ = io.Copy(io.Discard, r.Body) // The server watches the connection from here on.
			close(asked)
			<-r.Context().Done()
			close(ended)
		}
		return false
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	_, err := run(ctx, "sign", "awskms://"+service.Endpoint()+"/alias/p256", image)
	if !errors.Is(err, verify.ErrInconclusive) || !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want the context's", err)
	}
	<-ended
	if calls := service.Calls(); slices.Index(calls, "Sign") != len(calls)-1 {
		t.Errorf("it was asked for %q, want nothing after Sign", calls)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"sign"}, {"pull", "awskms:///alias/p256", "image"}} {
		if _, err := run(t.Context(), args...); err == nil || !strings.Contains(err.Error(), "usage") {
			t.Errorf("%q: error is %v", args, err)
		}
	}
}
