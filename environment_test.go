// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package cosignkit_test

import (
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cosignkit/cosignkit"
	"github.com/cosignkit/cosignkit/internal/tufrepo"
	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/verify"
)

const (
	golden       = "testdata/golden"
	goldenKey    = golden + "/keys/cosign-v2.6.5-p256.pub"
	workflow     = "https://github.com/example/app/.github/workflows/release.yml@refs/heads/main"
	vectorKey    = "v2.6.5-legacy-p256"
	vectorLogged = "v2.6.5-bundle-p256-rekor-v1"
	vectorActor  = "v2.6.5-bundle-workflow-rekor-v1"
	vectorTSA    = "v2.6.5-bundle-keyless-rekor-v1-tsa"
	vectorPerson = "v2.6.5-bundle-keyless-rekor-v1"
)

// vector is what cosign signed, as a list in testdata says.
type vector struct {
	Name       string
	Repository string
	Digest     string
	Identity   struct{ Subject, Issuer string }
}

func vectorNamed(t *testing.T, name string) vector {
	t.Helper()
	b, err := os.ReadFile(golden + "/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var list struct{ Vectors []vector }
	if err := json.Unmarshal(b, &list); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list.Vectors, func(v vector) bool { return v.Name == name })
	if i < 0 {
		t.Fatalf("no vector %s", name)
	}
	return list.Vectors[i]
}

// rootPEMs writes the parts of the golden trusted root to files, and returns the
// variables that name them.
func rootPEMs(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile(golden + "/trusted_root.json")
	if err != nil {
		t.Fatal(err)
	}
	type key struct{ PublicKey struct{ RawBytes []byte } }
	type authority struct {
		CertChain struct{ Certificates []struct{ RawBytes []byte } }
	}
	var root struct {
		Tlogs, Ctlogs          []key
		CertificateAuthorities []authority
	}
	if err := json.Unmarshal(b, &root); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(variable, kind string, blocks [][]byte) string {
		var text []byte
		for _, block := range blocks {
			text = append(text, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: block})...)
		}
		path := filepath.Join(dir, variable)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return variable + "=" + path
	}
	var certificates, logs, ctLogs [][]byte
	for _, a := range root.CertificateAuthorities {
		for _, c := range a.CertChain.Certificates {
			certificates = append(certificates, c.RawBytes)
		}
	}
	for _, k := range root.Tlogs {
		logs = append(logs, k.PublicKey.RawBytes)
	}
	for _, k := range root.Ctlogs {
		ctLogs = append(ctLogs, k.PublicKey.RawBytes)
	}
	return []string{
		write("SIGSTORE_ROOT_FILE", "CERTIFICATE", certificates),
		write("SIGSTORE_REKOR_PUBLIC_KEY", "PUBLIC KEY", logs),
		write("SIGSTORE_CT_LOG_PUBLIC_KEY_FILE", "PUBLIC KEY", ctLogs),
	}
}

// What cosign signed is verified with the options and variables that people have
// for cosign.
func TestVariablesForVerifying(t *testing.T) {
	t.Parallel()
	const root = "COSIGN_TRUSTED_ROOT=" + golden + "/trusted_root.json"
	byKey := cosignkit.VerifyOptions{Provider: "cosign", CosignKey: goldenKey}
	actor := vectorNamed(t, vectorActor).Identity
	byActor := cosignkit.VerifyOptions{Provider: "cosign", CosignCertificateIdentity: workflow, CosignCertificateOidcIssuer: actor.Issuer}
	person := vectorNamed(t, vectorPerson).Identity
	byPerson := cosignkit.VerifyOptions{Provider: "cosign", CosignCertificateIdentity: person.Subject, CosignCertificateOidcIssuerRegexp: "http://127.0.0.1:[0-9]+"}
	bare := cosignkit.VerifyOptions{Provider: "cosign"}
	withRoot := byKey
	withRoot.TrustedRoot = golden + "/trusted_root.json"
	ignoring := byKey
	ignoring.InsecureIgnoreTlog = true
	pems := rootPEMs(t)
	for name, c := range map[string]struct {
		vector   string
		options  cosignkit.VerifyOptions
		env      []string
		family   error
		warnings []string
	}{
		"a key, in a log":                                {vector: vectorLogged, options: byKey, env: []string{root}},
		"a trusted root as an option":                    {vector: vectorLogged, options: withRoot},
		"the option goes before the variable":            {vector: vectorLogged, options: withRoot, env: []string{"COSIGN_TRUSTED_ROOT=missing"}},
		"a trusted root that does not exist":             {vector: vectorLogged, options: byKey, env: []string{"COSIGN_TRUSTED_ROOT=missing"}, family: verify.ErrMisconfigured},
		"an empty trusted root is not the public one":    {vector: vectorLogged, options: byKey, env: []string{"COSIGN_TRUSTED_ROOT="}, family: verify.ErrMisconfigured},
		"a trusted root in parts":                        {vector: vectorLogged, options: byKey, env: pems},
		"a part that does not exist":                     {vector: vectorLogged, options: byKey, env: []string{"SIGSTORE_REKOR_PUBLIC_KEY=missing"}, family: verify.ErrMisconfigured},
		"a part that is empty":                           {vector: vectorLogged, options: byKey, env: []string{"SIGSTORE_REKOR_PUBLIC_KEY="}, family: verify.ErrMisconfigured},
		"a key, in no log":                               {vector: vectorKey, options: byKey, env: []string{root}, family: verify.ErrRejected},
		"the log ignored by an option":                   {vector: vectorKey, options: ignoring, warnings: []string{"WARN cosign: insecure-ignore-tlog: signatures count that are in no transparency log"}},
		"the log ignored by a variable":                  {vector: vectorKey, options: byKey, env: []string{"COSIGN_INSECURE_IGNORE_TLOG=1"}, warnings: []string{"WARN cosign: COSIGN_INSECURE_IGNORE_TLOG=true: signatures count that are in no transparency log"}},
		"the log ignored by its other name":              {vector: vectorKey, options: byKey, env: []string{"COSIGN_PRIVATE_INFRASTRUCTURE=true"}, warnings: []string{"WARN cosign: COSIGN_PRIVATE_INFRASTRUCTURE=true: signatures count that are in no transparency log"}},
		"false ignores nothing, and warns of nothing":    {vector: vectorKey, options: byKey, env: []string{root, "COSIGN_INSECURE_IGNORE_TLOG=false"}, family: verify.ErrRejected},
		"an empty boolean ignores nothing":               {vector: vectorKey, options: byKey, env: []string{root, "COSIGN_INSECURE_IGNORE_TLOG="}, family: verify.ErrMisconfigured},
		"a boolean that is none ignores nothing":         {vector: vectorKey, options: byKey, env: []string{root, "COSIGN_INSECURE_IGNORE_TLOG=yes"}, family: verify.ErrMisconfigured},
		"a key as a variable":                            {vector: vectorLogged, options: bare, env: []string{root, "COSIGN_KEY=" + goldenKey}},
		"a key as a variable, beside an identity":        {vector: vectorActor, options: byActor, env: []string{root, "COSIGN_KEY=missing"}},
		"an empty key as a variable":                     {vector: vectorLogged, options: bare, env: []string{root, "COSIGN_KEY="}, family: verify.ErrMisconfigured},
		"an identity":                                    {vector: vectorActor, options: byActor, env: []string{root}},
		"an identity, and a root in parts":               {vector: vectorActor, options: byActor, env: pems},
		"an identity, and a regular expression":          {vector: vectorPerson, options: byPerson, env: []string{root}},
		"an identity of somebody else":                   {vector: vectorPerson, options: byActor, env: []string{root}, family: verify.ErrRejected},
		"an identity as variables":                       {vector: vectorActor, options: bare, env: []string{root, "COSIGN_CERTIFICATE_IDENTITY_REGEXP=https://github.com/example/.*", "COSIGN_CERTIFICATE_OIDC_ISSUER=" + actor.Issuer}},
		"an empty identity as a variable":                {vector: vectorActor, options: bare, env: []string{root, "COSIGN_CERTIFICATE_IDENTITY=", "COSIGN_CERTIFICATE_OIDC_ISSUER=" + actor.Issuer}, family: verify.ErrMisconfigured},
		"the workflow, as variables":                     {vector: vectorActor, options: byActor, env: []string{root, "COSIGN_CERTIFICATE_GITHUB_WORKFLOW_NAME=release", "COSIGN_CERTIFICATE_GITHUB_WORKFLOW_REPOSITORY=example/app", "COSIGN_CERTIFICATE_GITHUB_WORKFLOW_TRIGGER=push", "COSIGN_CERTIFICATE_GITHUB_WORKFLOW_SHA=5d41402abc4b2a76b9719d911017c592ab4b2a76", "COSIGN_CERTIFICATE_GITHUB_WORKFLOW_REF=refs/heads/main"}},
		"another workflow":                               {vector: vectorActor, options: byActor, env: []string{root, "COSIGN_CERTIFICATE_GITHUB_WORKFLOW_REF=refs/heads/feature"}, family: verify.ErrRejected},
		"an empty workflow":                              {vector: vectorActor, options: byActor, env: []string{root, "COSIGN_CERTIFICATE_GITHUB_WORKFLOW_REF="}, family: verify.ErrMisconfigured},
		"annotations that are not signed":                {vector: vectorLogged, options: byKey, env: []string{root, "COSIGN_ANNOTATIONS=env=prod"}, family: verify.ErrRejected},
		"annotations that are malformed":                 {vector: vectorLogged, options: byKey, env: []string{root, "COSIGN_ANNOTATIONS=env"}, family: verify.ErrMisconfigured},
		"annotations that are empty":                     {vector: vectorLogged, options: byKey, env: []string{root, "COSIGN_ANNOTATIONS="}, family: verify.ErrMisconfigured},
		"a timestamp that is there":                      {vector: vectorTSA, options: byPerson, env: []string{root, "COSIGN_USE_SIGNED_TIMESTAMPS=true"}},
		"a timestamp that is not there":                  {vector: vectorPerson, options: byPerson, env: []string{root, "COSIGN_USE_SIGNED_TIMESTAMPS=true"}, family: verify.ErrRejected},
		"certificates that nobody has seen":              {vector: vectorPerson, options: byPerson, env: []string{root, "COSIGN_INSECURE_IGNORE_SCT=t"}, warnings: []string{"WARN cosign: COSIGN_INSECURE_IGNORE_SCT=true: certificates count that no certificate transparency log has signed for"}},
		"certificates to trust, which are not":           {vector: vectorPerson, options: byPerson, env: []string{root, "COSIGN_CA_ROOTS=ca.pem"}, family: verify.ErrMisconfigured},
		"an attachment, which is not the image":          {vector: vectorLogged, options: byKey, env: []string{root, "COSIGN_ATTACHMENT=sbom"}, family: verify.ErrMisconfigured},
		"an attachment, which is not said":               {vector: vectorLogged, options: byKey, env: []string{root, "COSIGN_ATTACHMENT="}},
		"the digest not compared":                        {vector: vectorLogged, options: byKey, env: []string{root, "COSIGN_CHECK_CLAIMS=false"}, family: verify.ErrMisconfigured},
		"the digest compared":                            {vector: vectorLogged, options: byKey, env: []string{root, "COSIGN_CHECK_CLAIMS=true"}},
		"a token, which is not":                          {vector: vectorLogged, options: byKey, env: []string{root, "COSIGN_SK=true"}, family: verify.ErrMisconfigured},
		"what is for signing only":                       {vector: vectorLogged, options: byKey, env: []string{root, "COSIGN_UPLOAD=false", "COSIGN_TLOG_UPLOAD=perhaps", "COSIGN_FULCIO_URL="}},
		"a TUF repository without its root":              {vector: vectorLogged, options: byKey, env: []string{"TUF_MIRROR=https://tuf.example"}, family: verify.ErrMisconfigured},
		"a TUF repository that is empty":                 {vector: vectorLogged, options: byKey, env: []string{"TUF_MIRROR="}, family: verify.ErrMisconfigured},
		"of two values, the first, as for the process's": {vector: vectorLogged, options: byKey, env: []string{root, "COSIGN_TRUSTED_ROOT=missing"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &bench{t: t, ctx: t.Context()}
			a := b.adapterOf(cosignkit.Config{
				Environ:  c.env,
				Registry: registry.Config{Resolver: registry.LayoutResolver(filepath.Join(golden, c.vector))},
			})
			v, err := a.Verification(b.ctx, c.options)
			if err == nil {
				image := vectorNamed(t, c.vector)
				_, err = v.Verify(b.ctx, image.Repository+"@"+image.Digest)
			}
			if c.family == nil && err != nil {
				t.Fatal(err)
			}
			if c.family != nil {
				wantFamily(t, err, c.family)
			}
			if warnings := b.logged(slog.LevelWarn); !slices.Equal(warnings, c.warnings) {
				t.Errorf("warned %q, want %q", warnings, c.warnings)
			}
		})
	}
}

// Each use of what weakens is told, not the first one only.
func TestEachUseWarns(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := b.adapter()
	for range 2 {
		b.signing(a)
		b.verification(a)
	}
	want := []string{
		"WARN cosign: COSIGN_TLOG_UPLOAD=false: the signature is recorded in no transparency log",
		"WARN cosign: COSIGN_INSECURE_IGNORE_TLOG=true: signatures count that are in no transparency log",
	}
	if got := b.logged(slog.LevelWarn); !slices.Equal(got, slices.Concat(want, want)) {
		t.Errorf("warned %q", got)
	}
}

func TestOtherVariablesHaveNoEffect(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := b.adapter("COSIGN_FOO=SECRET", "SIGSTORE_BAR=SECRET", "COSIGN_REGISTRY_PASSWORD=SECRET", "COSIGN_\x1b[2J=SECRET", "PATH=SECRET", "TUF_MIRROR=http://127.0.0.1", "malformed")
	b.verification(a)
	lines := b.logged(slog.LevelDebug)
	for _, want := range []string{
		"DEBUG cosign: COSIGN_FOO has no effect",
		"DEBUG cosign: SIGSTORE_BAR has no effect",
		"DEBUG cosign: COSIGN_REGISTRY_PASSWORD has no effect reason=the same",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("no line %q in %q", want, lines)
		}
	}
	for _, line := range lines {
		if _, message, _ := strings.Cut(line, " "); !strings.HasPrefix(message, "cosign: ") {
			t.Errorf("%q has no prefix", line)
		}
		if strings.Contains(line, "SECRET") || strings.Contains(line, "PATH") || strings.ContainsRune(line, '\x1b') {
			t.Errorf("%q tells too much", line)
		}
	}
}

// An address that was given replaces the public instance, and is asked before any
// registry.
func TestVariablesForSigning(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var services atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		services.Add(1)
		w.WriteHeader(http.StatusBadRequest)
	}))
	t.Cleanup(server.Close)
	root := "COSIGN_TRUSTED_ROOT=" + golden + "/trusted_root.json"
	token := "eyJhbGciOiJub25lIn0.eyJhdWQiOiJzaWdzdG9yZSIsImV4cCI6NDEwMjQ0NDgwMCwiaXNzIjoiaHR0cHM6Ly9pc3N1ZXIuZXhhbXBsZSIsInN1YiI6InMiLCJlbWFpbCI6Im5hbWVAZXhhbXBsZS5jb20iLCJlbWFpbF92ZXJpZmllZCI6dHJ1ZX0.c2ln"
	tokenFile := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(tokenFile, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	fulcio, rekor := "COSIGN_FULCIO_URL="+server.URL, "COSIGN_REKOR_URL="+server.URL
	for name, c := range map[string]struct {
		env    []string
		key    bool
		family error
		want   string
		asked  bool // the service
	}{
		"a key and a log of one's own":            {env: []string{root, rekor}, key: true},
		"a key and no trusted root for the log":   {env: []string{"COSIGN_TRUSTED_ROOT=missing", rekor}, key: true, family: verify.ErrMisconfigured, want: "missing"},
		"a trusted root and no services":          {env: []string{root}, key: true, family: verify.ErrMisconfigured, want: "COSIGN_SIGNING_CONFIG"},
		"a timestamp authority and no log":        {env: []string{root, "COSIGN_TIMESTAMP_SERVER_URL=" + server.URL}, key: true, family: verify.ErrMisconfigured, want: "COSIGN_REKOR_URL is missing"},
		"a log and no certificate authority":      {env: []string{root, rekor, "SIGSTORE_ID_TOKEN=" + token}, family: verify.ErrMisconfigured, want: "COSIGN_FULCIO_URL is missing"},
		"addresses and a signing config":          {env: []string{root, rekor, "COSIGN_SIGNING_CONFIG=x.json"}, key: true, family: verify.ErrMisconfigured, want: "exclude each other"},
		"a signing config that does not exist":    {env: []string{root, "COSIGN_SIGNING_CONFIG=x.json"}, key: true, family: verify.ErrMisconfigured, want: "x.json"},
		"an empty address":                        {env: []string{root, "COSIGN_REKOR_URL="}, key: true, family: verify.ErrMisconfigured, want: "COSIGN_REKOR_URL is empty"},
		"an address that is none":                 {env: []string{root, "COSIGN_REKOR_URL=rekor"}, key: true, family: verify.ErrMisconfigured, want: "rekor"},
		"a certificate that is refused":           {env: []string{root, rekor, fulcio, "SIGSTORE_ID_TOKEN=" + token}, family: verify.ErrMisconfigured, want: "Fulcio returned 400", asked: true},
		"a token in a file":                       {env: []string{root, rekor, fulcio, "COSIGN_IDENTITY_TOKEN=" + tokenFile}, family: verify.ErrMisconfigured, want: "Fulcio returned 400", asked: true},
		"a token as the flag's variable":          {env: []string{root, rekor, fulcio, "COSIGN_IDENTITY_TOKEN=" + token}, family: verify.ErrMisconfigured, want: "Fulcio returned 400", asked: true},
		"a token in quotes":                       {env: []string{root, rekor, fulcio, "COSIGN_IDENTITY_TOKEN='" + token + "'"}, family: verify.ErrMisconfigured, want: "COSIGN_IDENTITY_TOKEN is neither an identity token nor the path of a file"},
		"a token as in a header":                  {env: []string{root, rekor, fulcio, "COSIGN_IDENTITY_TOKEN=Bearer " + token}, family: verify.ErrMisconfigured, want: "COSIGN_IDENTITY_TOKEN is neither"},
		"no token":                                {env: []string{root, rekor, fulcio}, family: verify.ErrMisconfigured, want: "no identity token"},
		"an empty token":                          {env: []string{root, rekor, fulcio, "SIGSTORE_ID_TOKEN="}, family: verify.ErrMisconfigured, want: "SIGSTORE_ID_TOKEN is empty"},
		"a workflow without permission":           {env: []string{root, rekor, fulcio, "GITHUB_ACTIONS=true"}, family: verify.ErrMisconfigured, want: "no identity token"},
		"a token that is none":                    {env: []string{root, rekor, fulcio, "SIGSTORE_ID_TOKEN=x"}, family: verify.ErrMisconfigured, want: "token"},
		"a login that only the tool has":          {env: []string{root, rekor, fulcio, "COSIGN_OIDC_ISSUER=https://issuer.example"}, family: verify.ErrMisconfigured, want: "COSIGN_OIDC_ISSUER asks for what is not supported"},
		"a key as a variable":                     {env: []string{root, rekor, "COSIGN_KEY=" + b.key}},
		"an empty key is no wish for an identity": {env: []string{root, rekor, fulcio, "COSIGN_KEY=", "SIGSTORE_ID_TOKEN=" + token}, family: verify.ErrMisconfigured, want: "COSIGN_KEY is empty"},
		"signing without attaching":               {env: []string{root, rekor, "COSIGN_UPLOAD=0"}, key: true, family: verify.ErrMisconfigured, want: "COSIGN_UPLOAD asks for what is not supported"},
		"all of an index":                         {env: []string{root, rekor, "COSIGN_RECURSIVE=1"}, key: true, family: verify.ErrMisconfigured, want: "COSIGN_RECURSIVE"},
		"all problems at once":                    {env: []string{root, rekor, "COSIGN_RECURSIVE=1", "COSIGN_SLOT=9c", "COSIGN_TLOG_UPLOAD=no"}, key: true, family: verify.ErrMisconfigured, want: "COSIGN_TLOG_UPLOAD is \"no\", want true or false"},
		"for verifying only":                      {env: []string{root, rekor, "COSIGN_CHECK_CLAIMS=false", "COSIGN_CA_ROOTS=x", "COSIGN_INSECURE_IGNORE_TLOG=?"}, key: true},
		"consent that is refused by a variable":   {env: []string{root, rekor, "COSIGN_YES=false"}, key: true},
	} {
		t.Run(name, func(t *testing.T) { // one by one: they share the count
			before := services.Load()
			a := b.adapterOf(cosignkit.Config{Environ: append(slices.Clone(c.env), "COSIGN_PASSWORD="+passphrase)})
			o := cosignkit.SignOptions{Provider: "cosign"}
			if c.key {
				o.CosignKey = b.key
			}
			_, err := a.Signing(b.ctx, o)
			if c.family == nil && err != nil {
				t.Fatal(err)
			}
			if c.family != nil {
				wantFamily(t, err, c.family)
				wantText(t, err, c.want)
				if strings.Contains(err.Error(), token) || strings.Contains(err.Error(), passphrase) {
					t.Error("the error has a secret")
				}
			}
			if asked := services.Load() > before; asked != c.asked {
				t.Errorf("the service was asked: %v, want %v", asked, c.asked)
			}
		})
	}
	if requests := b.taken(); len(requests) > 0 {
		t.Errorf("the registry was asked: %q", requests)
	}
	http.DefaultClient.CloseIdleConnections()
}

// Without a trusted root of one's own, it is that of TUF, which is fetched once
// for all who verify.
func TestTheTrustedRootOfTUF(t *testing.T) {
	t.Parallel()
	root, err := os.ReadFile(golden + "/trusted_root.json")
	if err != nil {
		t.Fatal(err)
	}
	repo, err := tufrepo.New(t.TempDir(), time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	repo.Set(map[string][]byte{"trusted_root.json": root})
	if err := repo.Publish(); err != nil {
		t.Fatal(err)
	}
	var fetched atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "trusted_root.json") {
			fetched.Add(1)
		}
		repo.Handler().ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	b := &bench{t: t, ctx: t.Context()}
	image := vectorNamed(t, vectorLogged)
	a := b.adapterOf(cosignkit.Config{
		Environ:  []string{"TUF_MIRROR=" + server.URL, "TUF_ROOT=" + t.TempDir(), "TUF_ROOT_JSON=" + repo.RootFile()},
		Registry: registry.Config{Resolver: registry.LayoutResolver(filepath.Join(golden, vectorLogged))},
	})
	for range 3 {
		v, err := a.Verification(b.ctx, cosignkit.VerifyOptions{Provider: "cosign", CosignKey: goldenKey})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Verify(b.ctx, image.Repository+"@"+image.Digest); err != nil {
			t.Fatal(err)
		}
	}
	if n := fetched.Load(); n != 1 {
		t.Errorf("the trusted root was fetched %d times", n)
	}
	if _, err := a.Signing(b.ctx, cosignkit.SignOptions{Provider: "cosign"}); !errors.Is(err, verify.ErrMisconfigured) {
		t.Errorf("signing with a repository that has no signing config: %v", err)
	}
	http.DefaultClient.CloseIdleConnections()
}
