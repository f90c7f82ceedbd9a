// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package trust_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	pkixname "crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/trust"
)

// pemParts are the certificates and keys of a Sigstore of our own, in PEM.
var pemParts = func() (p struct{ root, intermediate, leaf, otherRoot, key, otherKey, exchangeKey, smallKey []byte }) {
	var serial int64
	newKey := func(curve elliptic.Curve) *ecdsa.PrivateKey {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			panic(err)
		}
		return key
	}
	certify := func(name string, isCA bool, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) ([]byte, *x509.Certificate, *ecdsa.PrivateKey) {
		serial++
		key := newKey(elliptic.P256())
		template := &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkixname.Name{CommonName: name}, IsCA: isCA, BasicConstraintsValid: true,
			NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0), KeyUsage: x509.KeyUsageDigitalSignature,
		}
		if isCA {
			template.KeyUsage = x509.KeyUsageCertSign
		}
		if parent == nil {
			parent, parentKey = template, key
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
		if err != nil {
			panic(err)
		}
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			panic(err)
		}
		return inPEM("CERTIFICATE", der), certificate, key
	}
	public := func(key any) []byte {
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			panic(err)
		}
		return inPEM("PUBLIC KEY", der)
	}
	var parent *x509.Certificate
	var key *ecdsa.PrivateKey
	p.root, parent, key = certify("root", true, nil, nil)
	p.intermediate, parent, key = certify("intermediate", true, parent, key)
	p.leaf, _, _ = certify("leaf", false, parent, key)
	p.otherRoot, _, _ = certify("root", true, nil, nil)
	p.key, p.otherKey = public(newKey(elliptic.P256()).Public()), public(newKey(elliptic.P384()).Public())
	p.smallKey = public(newKey(elliptic.P224()).Public())
	exchange, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	p.exchangeKey = public(exchange.PublicKey())
	return p
}()

func inPEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func join(all ...[]byte) []byte { return slices.Concat(all...) }

func TestParsePEMs(t *testing.T) {
	t.Parallel()
	junk, large := []byte("junk"), bytes.Repeat([]byte(" "), 1<<20)
	damaged := bytes.Replace(pemParts.root, []byte("\nMII"), []byte("\n!!!"), 1)
	if bytes.Equal(damaged, pemParts.root) {
		damaged = bytes.Replace(pemParts.root, []byte("\nM"), []byte("\n!"), 1)
	}
	for name, test := range map[string]struct {
		pems                trust.PEMs
		cas, logs, cts, tsa int
		reason              string
	}{
		"nothing": {reason: "no certificate and no key"},
		"all": {
			pems: trust.PEMs{Fulcio: pemParts.root, Rekor: pemParts.key, CTLog: pemParts.otherKey, Timestamp: join(pemParts.leaf, pemParts.intermediate, pemParts.root)},
			cas:  1, logs: 1, cts: 1, tsa: 1,
		},
		"a root and an intermediate": {pems: trust.PEMs{Fulcio: join(pemParts.root, pemParts.intermediate)}, cas: 1},
		"in the other order":         {pems: trust.PEMs{Fulcio: join(pemParts.intermediate, pemParts.root)}, cas: 1},
		"two roots":                  {pems: trust.PEMs{Fulcio: join(pemParts.root, pemParts.intermediate, pemParts.otherRoot)}, cas: 2},
		"with comments":              {pems: trust.PEMs{Fulcio: join([]byte("# old\n"), pemParts.root, []byte("\n# new\n\n"), pemParts.otherRoot, []byte("\n \n"))}, cas: 2},
		"with other ends of lines":   {pems: trust.PEMs{Fulcio: bytes.ReplaceAll(pemParts.root, []byte("\n"), []byte("\r\n"))}, cas: 1},
		"no root":                    {pems: trust.PEMs{Fulcio: pemParts.intermediate}, reason: "Fulcio: no root certificate, only intermediates"},
		"a leaf as an authority":     {pems: trust.PEMs{Fulcio: join(pemParts.root, pemParts.leaf)}, reason: "is not a certificate authority"},
		"a key as an authority":      {pems: trust.PEMs{Fulcio: pemParts.key}, reason: "Fulcio: "},
		"white space":                {pems: trust.PEMs{Fulcio: []byte(" \n")}, reason: "Fulcio: not a certificate in PEM"},
		"junk":                       {pems: trust.PEMs{Fulcio: junk}, reason: "Fulcio: not a certificate in PEM"},
		"junk after it":              {pems: trust.PEMs{Fulcio: join(pemParts.root, junk)}, reason: "Fulcio: not a certificate in PEM"},
		"cut short":                  {pems: trust.PEMs{Fulcio: join(pemParts.root, pemParts.otherRoot[:100])}, reason: "Fulcio: "},
		"damaged, then another":      {pems: trust.PEMs{Fulcio: join(damaged, pemParts.otherRoot)}, reason: "Fulcio: a certificate in PEM is damaged"},
		"not DER":                    {pems: trust.PEMs{Fulcio: inPEM("CERTIFICATE", junk)}, reason: "Fulcio: "},
		"large":                      {pems: trust.PEMs{Fulcio: join(pemParts.root, large)}, reason: "Fulcio: limit exceeded"},

		"two logs":            {pems: trust.PEMs{Rekor: join(pemParts.key, pemParts.otherKey), CTLog: pemParts.key}, logs: 2, cts: 1},
		"a log twice":         {pems: trust.PEMs{Rekor: join(pemParts.key, pemParts.key)}, logs: 1},
		"a log is junk":       {pems: trust.PEMs{Rekor: junk}, reason: "Rekor: not a public key in PEM"},
		"a log is blank":      {pems: trust.PEMs{Fulcio: pemParts.root, Rekor: []byte("\n")}, reason: "Rekor: not a public key in PEM"},
		"a log, then junk":    {pems: trust.PEMs{Rekor: join(pemParts.key, junk)}, reason: "Rekor: not a public key in PEM"},
		"a log is a root":     {pems: trust.PEMs{Rekor: pemParts.root}, reason: "Rekor: "},
		"a log of P-224":      {pems: trust.PEMs{Rekor: pemParts.smallKey}, reason: "Rekor: curve P-224 is not supported"},
		"a log of X25519":     {pems: trust.PEMs{CTLog: pemParts.exchangeKey}, reason: "certificate transparency log: keys of type"},
		"a log is large":      {pems: trust.PEMs{Rekor: join(pemParts.key, large)}, reason: "Rekor: limit exceeded"},
		"a CT log is damaged": {pems: trust.PEMs{CTLog: bytes.Replace(pemParts.key, []byte("\nM"), []byte("\n!"), 1)}, reason: "certificate transparency log: "},

		"no intermediate":             {pems: trust.PEMs{Timestamp: join(pemParts.leaf, pemParts.root)}, tsa: 1},
		"the root first":              {pems: trust.PEMs{Timestamp: join(pemParts.root, pemParts.intermediate, pemParts.leaf)}, reason: "timestamp authority: want the authority's certificate first"},
		"the intermediate last":       {pems: trust.PEMs{Timestamp: join(pemParts.leaf, pemParts.root, pemParts.intermediate)}, reason: "timestamp authority: want"},
		"an authority without a root": {pems: trust.PEMs{Timestamp: pemParts.leaf}, reason: "timestamp authority: want"},
		"a root without an authority": {pems: trust.PEMs{Timestamp: pemParts.root}, reason: "timestamp authority: want"},
		"no certificate of its own":   {pems: trust.PEMs{Timestamp: join(pemParts.intermediate, pemParts.root)}, reason: "timestamp authority: want"},
		"an authority is junk":        {pems: trust.PEMs{Timestamp: junk}, reason: "timestamp authority: not a certificate in PEM"},
		"an authority is large":       {pems: trust.PEMs{Timestamp: join(pemParts.leaf, pemParts.root, large)}, reason: "timestamp authority: limit exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			trusted, err := trust.ParsePEMs(test.pems)
			if test.reason != "" {
				wantMisconfigured(t, trusted, err, test.reason)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			m := trusted.Material()
			got := [4]int{len(m.FulcioCertificateAuthorities()), len(m.RekorLogs()), len(m.CTLogs()), len(m.TimestampingAuthorities())}
			if want := [4]int{test.cas, test.logs, test.cts, test.tsa}; got != want {
				t.Errorf("authorities, logs, CT logs and timestamp authorities are %v, want %v", got, want)
			}
			for id, log := range m.RekorLogs() {
				der, err := x509.MarshalPKIXPublicKey(log.PublicKey)
				if sum := sha256.Sum256(der); err != nil || id != hex.EncodeToString(sum[:]) || !bytes.Equal(log.ID, sum[:]) {
					t.Errorf("log %s has the id %x, want the hash of its key", id, log.ID)
				}
			}
		})
	}
}

func wantMisconfigured(t *testing.T, trusted *verify.TrustedRoot, err error, reason string) {
	t.Helper()
	wantFamily(t, err, verify.ErrMisconfigured)
	if trusted != nil {
		t.Error("a root beside the error")
	}
	if !strings.Contains(err.Error(), reason) {
		t.Errorf("error is %q, want one that says %q", err, reason)
	}
}

// publicPEMs are the parts of the public instance's root.
func publicPEMs(t *testing.T) trust.PEMs {
	t.Helper()
	m := publicRoot(t).Material()
	var p trust.PEMs
	for _, ca := range m.FulcioCertificateAuthorities() {
		fulcio, ok := ca.(*root.FulcioCertificateAuthority)
		if !ok {
			t.Fatalf("authority is a %T", ca)
		}
		for _, c := range append(fulcio.Intermediates, fulcio.Root) {
			p.Fulcio = append(p.Fulcio, inPEM("CERTIFICATE", c.Raw)...)
		}
	}
	keysOf := func(logs map[string]*root.TransparencyLog) (all []byte) {
		for _, log := range logs {
			der, err := x509.MarshalPKIXPublicKey(log.PublicKey)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, inPEM("PUBLIC KEY", der)...)
		}
		return all
	}
	p.Rekor, p.CTLog = keysOf(m.RekorLogs()), keysOf(m.CTLogs())
	return p
}

func TestParsePEMsVerifies(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*trust.PEMs)
		want   error
	}{
		"all parts": {change: func(*trust.PEMs) {}},
		// Who is not there vouches for nothing.
		"no authority":      {func(p *trust.PEMs) { p.Fulcio = nil }, verify.ErrMisconfigured},
		"another authority": {func(p *trust.PEMs) { p.Fulcio = pemParts.root }, verify.ErrRejected},
		"no log":            {func(p *trust.PEMs) { p.Rekor = nil }, verify.ErrMisconfigured},
		"another log":       {func(p *trust.PEMs) { p.Rekor = pemParts.key }, verify.ErrRejected},
		"no CT log":         {func(p *trust.PEMs) { p.CTLog = nil }, verify.ErrMisconfigured},
		"another CT log":    {func(p *trust.PEMs) { p.CTLog = pemParts.key }, verify.ErrRejected},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := publicPEMs(t)
			test.change(&p)
			trusted, err := trust.ParsePEMs(p)
			if err != nil {
				t.Fatal(err)
			}
			err = verifyPublicGood(t, trusted)
			if test.want != nil {
				wantFamily(t, err, test.want)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTrustedRootFromEnvironment(t *testing.T) {
	names := []string{"SIGSTORE_ROOT_FILE", "SIGSTORE_REKOR_PUBLIC_KEY", "SIGSTORE_CT_LOG_PUBLIC_KEY_FILE", "SIGSTORE_TSA_CERTIFICATE_FILE"}
	dir := t.TempDir()
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		writeFile(t, path, content)
		return path
	}
	rootFile, keyFile := file("root.pem", pemParts.root), file("key.pem", pemParts.key)
	chainFile := file("chain.pem", join(pemParts.leaf, pemParts.intermediate, pemParts.root))
	empty, junk, huge := file("empty", nil), file("junk", []byte("junk")), file("huge", make([]byte, 1<<20+1))
	for name, test := range map[string]struct {
		set     map[string]string
		nothing bool
		counts  [4]int
		reason  string
	}{
		"nothing is set":  {nothing: true},
		"all are set":     {set: map[string]string{names[0]: rootFile, names[1]: keyFile, names[2]: keyFile, names[3]: chainFile}, counts: [4]int{1, 1, 1, 1}},
		"a root":          {set: map[string]string{names[0]: rootFile}, counts: [4]int{1, 0, 0, 0}},
		"a log":           {set: map[string]string{names[1]: keyFile}, counts: [4]int{0, 1, 0, 0}},
		"a CT log":        {set: map[string]string{names[2]: keyFile}, counts: [4]int{0, 0, 1, 0}},
		"an authority":    {set: map[string]string{names[3]: chainFile}, counts: [4]int{0, 0, 0, 1}},
		"an empty root":   {set: map[string]string{names[0]: ""}, reason: names[0] + ": empty path"},
		"an empty log":    {set: map[string]string{names[0]: rootFile, names[1]: ""}, reason: names[1] + ": empty path"},
		"an empty CT log": {set: map[string]string{names[2]: ""}, reason: names[2] + ": empty path"},
		"an empty TSA":    {set: map[string]string{names[3]: ""}, reason: names[3] + ": empty path"},
		"no file":         {set: map[string]string{names[0]: filepath.Join(dir, "none")}, reason: names[0] + ": no such file"},
		"a directory":     {set: map[string]string{names[0]: dir}, reason: names[0] + ": is a directory"},
		"an empty file":   {set: map[string]string{names[1]: empty}, reason: names[1] + ": is empty"},
		"a huge file":     {set: map[string]string{names[2]: huge}, reason: names[2] + ": limit exceeded"},
		"junk":            {set: map[string]string{names[0]: rootFile, names[1]: junk}, reason: "Rekor: not a public key in PEM"},
	} {
		t.Run(name, func(t *testing.T) {
			setEnvironment(t, names, test.set)
			trusted, ok, err := trust.FromEnvironment()
			switch {
			case test.reason != "":
				wantMisconfigured(t, trusted, err, test.reason)
			case err != nil:
				t.Error(err)
			case test.nothing != (trusted == nil) || test.nothing == ok:
				t.Errorf("root is %v", trusted)
			case trusted != nil:
				m := trusted.Material()
				got := [4]int{len(m.FulcioCertificateAuthorities()), len(m.RekorLogs()), len(m.CTLogs()), len(m.TimestampingAuthorities())}
				if got != test.counts {
					t.Errorf("got %v, want %v", got, test.counts)
				}
			}
		})
	}
}

func TestLoadTrustedRoot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "empty"), nil)
	writeFile(t, filepath.Join(dir, "junk"), []byte("junk"))
	writeFile(t, filepath.Join(dir, "huge"), make([]byte, 1<<20+1))
	for path, reason := range map[string]string{
		"":                          "empty path",
		dir:                         "is a directory",
		filepath.Join(dir, "none"):  "no such file",
		filepath.Join(dir, "empty"): "is empty",
		filepath.Join(dir, "huge"):  "limit exceeded",
		filepath.Join(dir, "junk"):  "not an object in JSON",
		os.DevNull:                  "is not a regular file",
	} {
		trusted, err := trust.Load(path)
		wantMisconfigured(t, trusted, err, reason)
		if !strings.Contains(err.Error(), path) {
			t.Errorf("error does not name the file: %v", err)
		}
	}
	trusted := publicRoot(t)
	if again, err := trusted.TrustedRoot(t.Context()); again != trusted || err != nil {
		t.Errorf("gives %v, %v; want itself", again, err)
	}
}

// TestATrustedRootThatIsNoneIsNotShown: the path may lead to a secret.
func TestATrustedRootThatIsNoneIsNotShown(t *testing.T) {
	t.Parallel()
	for _, b := range []string{"s3cret", `"s3cret"`, `["s3cret"]`, "{s3cret", `{"mediaType": s3cret}`, "", " ", "\x1b[2J"} {
		_, err := trust.Parse([]byte(b))
		wantFamily(t, err, verify.ErrMisconfigured)
		if text := err.Error(); strings.Contains(text, "s3cret") || strings.Contains(text, "\x1b") {
			t.Errorf("%q: %q", b, text)
		}
	}
}

func TestParseTrustedRoot(t *testing.T) {
	t.Parallel()
	good := readFile(t, filepath.Join(publicGood, "trusted_root.json"))
	const mediaType = `{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"`
	// change sets what is at the path, of keys and "first" for the first element.
	change := func(value any, path ...string) []byte {
		t.Helper()
		var parsed map[string]any
		if err := json.Unmarshal(good, &parsed); err != nil {
			t.Fatal(err)
		}
		at := parsed
		for _, key := range path[:len(path)-1] {
			switch inner := at[key].(type) {
			case map[string]any:
				at = inner
			case []any:
				at = inner[0].(map[string]any)
			default:
				t.Fatalf("%v is a %T", path, inner)
			}
		}
		at[path[len(path)-1]] = value
		return marshal(t, parsed)
	}
	for name, b := range map[string][]byte{
		"nothing":                   nil,
		"white space":               []byte(" "),
		"junk":                      []byte("junk"),
		"null":                      []byte("null"),
		"a number":                  []byte("1"),
		"a list":                    []byte("[]"),
		"an object":                 []byte("{}"),
		"cut short":                 good[:len(good)/2],
		"two of them":               join(good, good),
		"deep":                      bytes.Repeat([]byte(`{"tlogs":[`), 50_000),
		"huge":                      join(good, bytes.Repeat([]byte(" "), 1<<20)),
		"not UTF-8":                 []byte("{\"mediaType\":\"\xff\"}"),
		"no media type":             change("", "mediaType"),
		"a later media type":        change("application/vnd.dev.sigstore.trustedroot.v0.2+json", "mediaType"),
		"another media type":        change("application/json", "mediaType"),
		"an unknown field":          change("x", "extra"),
		"lists of null":             []byte(mediaType + `,"tlogs":[null],"certificateAuthorities":[null],"ctlogs":[null],"timestampAuthorities":[null]}`),
		"a log of null":             []byte(mediaType + `,"tlogs":[null]}`),
		"a log of nothing":          []byte(mediaType + `,"tlogs":[{}]}`),
		"an authority of null":      []byte(mediaType + `,"certificateAuthorities":[null]}`),
		"an authority of nothing":   []byte(mediaType + `,"certificateAuthorities":[{}]}`),
		"a timestamper of nothing":  []byte(mediaType + `,"timestampAuthorities":[{}]}`),
		"a chain of nothing":        change(map[string]any{}, "certificateAuthorities", "certChain"),
		"a chain of null":           change(nil, "certificateAuthorities", "certChain"),
		"a certificate of null":     change([]any{nil}, "certificateAuthorities", "certChain", "certificates"),
		"a certificate of nothing":  change([]any{map[string]any{}}, "certificateAuthorities", "certChain", "certificates"),
		"a certificate is junk":     change("anVuaw==", "certificateAuthorities", "certChain", "certificates", "rawBytes"),
		"a timestamper is junk":     change([]any{map[string]any{"rawBytes": "anVuaw=="}}, "timestampAuthorities", "certChain", "certificates"),
		"a log without a key":       change(nil, "tlogs", "publicKey"),
		"a log without its bytes":   change(nil, "tlogs", "publicKey", "rawBytes"),
		"a log whose key is junk":   change("anVuaw==", "tlogs", "publicKey", "rawBytes"),
		"a log of another key":      change("PKIX_ED25519", "tlogs", "publicKey", "keyDetails"),
		"a log of an unknown key":   change("UNKNOWN", "tlogs", "publicKey", "keyDetails"),
		"a log of key 99":           change(99, "tlogs", "publicKey", "keyDetails"),
		"a log without an id":       change(nil, "tlogs", "logId"),
		"a log of no hash":          change(nil, "tlogs", "hashAlgorithm"),
		"a log of another hash":     change("SHA2_512", "tlogs", "hashAlgorithm"),
		"a log of no time":          change(nil, "tlogs", "publicKey", "validFor"),
		"a log of no start":         change(map[string]any{}, "tlogs", "publicKey", "validFor"),
		"a log of no time at all":   change("yesterday", "tlogs", "publicKey", "validFor", "start"),
		"a CT log whose key is nil": change(nil, "ctlogs", "publicKey"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			trusted, err := trust.Parse(b)
			wantMisconfigured(t, trusted, err, "")
		})
	}
	_, err := trust.Parse(join(good, bytes.Repeat([]byte(" "), 1<<20)))
	if !errors.Is(err, verify.ErrLimit) {
		t.Errorf("error is %v, want one that is ErrLimit", err)
	}
	if _, err := trust.Parse(change([]any{}, "timestampAuthorities")); err != nil {
		t.Errorf("a root may lack a part: %v", err)
	}
}

// FuzzParseTrustedRoot holds that no input panics, and that what is taken for a
// root has no part that is only half there. Whole files would be minimized for
// minutes; their parts are as good.
func FuzzParseTrustedRoot(f *testing.F) {
	var good map[string]json.RawMessage
	if err := json.Unmarshal(readFile(f, filepath.Join(publicGood, "trusted_root.json")), &good); err != nil {
		f.Fatal(err)
	}
	for _, part := range []string{"tlogs", "certificateAuthorities", "ctlogs", "timestampAuthorities"} {
		var all []json.RawMessage
		if err := json.Unmarshal(good[part], &all); err != nil || len(all) == 0 {
			f.Fatal(part, err)
		}
		f.Add(marshal(f, map[string]any{"mediaType": good["mediaType"], part: all[:1]}))
	}
	for _, seed := range []string{
		``, `null`, `{}`, `{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`,
		`{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1","tlogs":[{}],"certificateAuthorities":[{"certChain":{"certificates":[{}]}}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		trusted, err := trust.Parse(b)
		if err != nil {
			wantFamily(t, err, verify.ErrMisconfigured)
			if trusted != nil {
				t.Error("a root beside the error")
			}
			return
		}
		for _, logs := range []map[string]*root.TransparencyLog{trusted.Material().RekorLogs(), trusted.Material().CTLogs()} {
			for id, log := range logs {
				if id == "" || log == nil || log.PublicKey == nil || log.ValidityPeriodStart.IsZero() {
					t.Errorf("the log %q is %+v", id, log)
				}
			}
		}
		for _, ca := range trusted.Material().FulcioCertificateAuthorities() {
			if fulcio, ok := ca.(*root.FulcioCertificateAuthority); !ok || fulcio.Root == nil {
				t.Errorf("the authority is %+v", ca)
			}
		}
	})
}

// TestOffline changes globals, and cannot run with others. With a root from a
// file nothing asks the network, and no TUF client leaves a cache.
func TestOffline(t *testing.T) {
	home := t.TempDir()
	for _, name := range []string{"HOME", "home", "USERPROFILE", "TUF_ROOT"} {
		t.Setenv(name, home)
	}
	transport, resolver := http.DefaultTransport, net.DefaultResolver
	defer func() { http.DefaultTransport, net.DefaultResolver = transport, resolver }()
	var asked []string
	http.DefaultTransport = roundTripper(func(r *http.Request) (*http.Response, error) {
		asked = append(asked, r.URL.String())
		return nil, errors.New("offline")
	})
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(_ context.Context, _, address string) (net.Conn, error) {
		asked = append(asked, address)
		return nil, errors.New("offline")
	}}
	// A TUF client would be noticed.
	wantNone(t, newTUF(t, trust.TUFConfig{CacheDir: t.TempDir()}), "offline")
	if len(asked) != 1 {
		t.Errorf("asked %q, want one request", asked)
	}
	asked = nil

	parsed, err := trust.Parse(readFile(t, filepath.Join(publicGood, "trusted_root.json")))
	if err != nil {
		t.Fatal(err)
	}
	parsedPEMs, err := trust.ParsePEMs(publicPEMs(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, trusted := range []*verify.TrustedRoot{publicRoot(t), parsed, parsedPEMs} {
		if err := verifyPublicGood(t, trusted); err != nil {
			t.Error(err)
		}
	}
	key, err := verify.LoadPublicKey(filepath.Join(publicGood, "legacy-key", "cosign2.pub"))
	if err != nil {
		t.Fatal(err)
	}
	if err := verifyPublished(t, "legacy-key", verify.Policy{Keys: []crypto.PublicKey{key}, TrustedRoots: parsed}); err != nil {
		t.Error(err)
	}
	if len(asked) != 0 {
		t.Errorf("asked %q", asked)
	}
	if entries, err := os.ReadDir(home); err != nil || len(entries) != 0 {
		t.Errorf("the home directory has %v, %v", entries, err)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
