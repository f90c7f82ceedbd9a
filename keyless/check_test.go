// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/cosignkit/cosignkit/internal/fault/faulttest"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/trust"
)

// deployment is a Sigstore in miniature, without a network: every service is a
// handler, and is asked by transport. It is written from the specifications and
// not with the packages that verify.
type deployment struct {
	root, intermediate *authority
	ct                 *logKey
	stamps             *stampAuthority
	v1                 *logV1
	v2                 *logV2
	fulcio             *fulcioService

	mu       sync.Mutex
	handlers map[string]http.Handler // by host
	requests map[string]int          // by host
}

// The addresses of a deployment.
const (
	fulcioURL = "https://fulcio.test"
	v1URL     = "https://rekor.test"
	v2URL     = "https://tiles.test"
	stampURL  = "https://tsa.test/api/v1/timestamp"
)

func newDeployment() *deployment {
	now := time.Now()
	root := newAuthority("root", nil, now.Add(-24*time.Hour), now.Add(24*time.Hour))
	d := &deployment{
		root:         root,
		intermediate: newAuthority("intermediate", root, now.Add(-12*time.Hour), now.Add(12*time.Hour), x509.ExtKeyUsageCodeSigning),
		ct:           newLogKey("ct.test"),
		stamps:       newStampAuthority(now),
		requests:     map[string]int{},
	}
	d.v1 = &logV1{logKey: newLogKey("rekor.test")}
	d.v2 = &logV2{logKey: newLogKey("tiles.test")}
	d.fulcio = &fulcioService{deployment: d}
	d.handlers = map[string]http.Handler{
		"fulcio.test": d.fulcio, "rekor.test": d.v1, "tiles.test": d.v2, "tsa.test": d.stamps,
	}
	return d
}

// handle replaces the service of a host.
func (d *deployment) handle(host string, handler http.HandlerFunc) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.handlers[host] = handler
}

// asked is how often a host was.
func (d *deployment) asked(host string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.requests[host]
}

// RoundTrip makes the deployment a transport to itself.
func (d *deployment) RoundTrip(request *http.Request) (*http.Response, error) {
	d.mu.Lock()
	d.requests[request.URL.Host]++
	handler := d.handlers[request.URL.Host]
	d.mu.Unlock()
	if handler == nil {
		return nil, errors.New("no such host: " + request.URL.Host)
	}
	return serve(handler, request)
}

// trusted is the root of the deployment, by way of JSON as a user has it.
func (d *deployment) trusted(t testing.TB, change ...func(*prototrustroot.TrustedRoot)) *verify.TrustedRoot {
	t.Helper()
	always := &protocommon.TimeRange{Start: timestamppb.New(d.root.cert.NotBefore)}
	chained := func(uri string, chain ...*x509.Certificate) []*prototrustroot.CertificateAuthority {
		pb := &protocommon.X509CertificateChain{}
		for _, c := range chain {
			pb.Certificates = append(pb.Certificates, &protocommon.X509Certificate{RawBytes: c.Raw})
		}
		return []*prototrustroot.CertificateAuthority{{Uri: uri, CertChain: pb, ValidFor: always}}
	}
	logs := func(all ...*logKey) (pb []*prototrustroot.TransparencyLogInstance) {
		for _, l := range all {
			pb = append(pb, &prototrustroot.TransparencyLogInstance{
				BaseUrl: "https://" + l.host, HashAlgorithm: protocommon.HashAlgorithm_SHA2_256,
				PublicKey: &protocommon.PublicKey{
					RawBytes: publicDER(l.key.Public()), ValidFor: always,
					KeyDetails: protocommon.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256,
				},
				LogId: &protocommon.LogId{KeyId: l.id[:]},
			})
		}
		return pb
	}
	all := &prototrustroot.TrustedRoot{
		MediaType:              "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
		CertificateAuthorities: chained(fulcioURL, d.intermediate.cert, d.root.cert),
		TimestampAuthorities:   chained(stampURL, d.stamps.leaf.cert, d.stamps.root.cert),
		Ctlogs:                 logs(d.ct),
		Tlogs:                  logs(d.v1.logKey, d.v2.logKey),
	}
	for _, f := range change {
		f(all)
	}
	b, err := protojson.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	r, err := trust.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// client is one of the deployment's services that urls names.
func (d *deployment) client(t testing.TB, urls ServiceURLs, change ...func(*Config)) *Client {
	t.Helper()
	services, err := NewSigningConfig(urls)
	if err != nil {
		t.Fatal(err)
	}
	config := Config{SigningConfig: services, TrustedRoots: d.trusted(t), Consent: true, Transport: d}
	for _, f := range change {
		f(&config)
	}
	c, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// authority is a certificate with its key.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func newP256() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

func publicDER(key crypto.PublicKey) []byte { return must(x509.MarshalPKIXPublicKey(key)) }

func newSerial() *big.Int {
	return must(rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)))
}

// newAuthority makes a certificate authority. Without parent it is a root.
func newAuthority(name string, parent *authority, from, to time.Time, usage ...x509.ExtKeyUsage) *authority {
	return certifyBy(&x509.Certificate{
		SerialNumber: newSerial(), Subject: pkix.Name{Organization: []string{"sigstore.test"}, CommonName: name},
		NotBefore: from, NotAfter: to, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		ExtKeyUsage: usage, BasicConstraintsValid: true, IsCA: true,
	}, newP256(), parent)
}

// certifyBy signs template with parent, or with its own key if there is none.
func certifyBy(template *x509.Certificate, key crypto.Signer, parent *authority) *authority {
	if parent == nil {
		parent = &authority{template, key}
	}
	return &authority{signedBy(template, key.Public(), parent), key}
}

func signedBy(template *x509.Certificate, key crypto.PublicKey, parent *authority) *x509.Certificate {
	return must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, template, parent.cert, key, parent.key))))
}

// logKey is the key of a log.
type logKey struct {
	key  *ecdsa.PrivateKey
	id   [sha256.Size]byte
	host string
}

func newLogKey(host string) *logKey {
	l := &logKey{key: newP256(), host: host}
	l.id = sha256.Sum256(publicDER(l.key.Public()))
	return l
}

func (l *logKey) sign(message []byte) []byte {
	sum := sha256.Sum256(message)
	return must(ecdsa.SignASN1(rand.Reader, l.key, sum[:]))
}

// sct is RFC 6962, section 3.2, over a certificate without SCTs.
func (l *logKey) sct(cert, parent *x509.Certificate) []byte {
	var at [8]byte
	binary.BigEndian.PutUint64(at[:], uint64(time.Now().UnixMilli()))
	parentKey := sha256.Sum256(parent.RawSubjectPublicKeyInfo)
	n := len(cert.RawTBSCertificate)
	sig := l.sign(bytes.Join([][]byte{
		{0, 0}, at[:], {0, 1}, parentKey[:], {byte(n >> 16), byte(n >> 8), byte(n)}, cert.RawTBSCertificate, {0, 0},
	}, nil))
	return bytes.Join([][]byte{{0}, l.id[:], at[:], {0, 0}, {4, 3, byte(len(sig) >> 8), byte(len(sig))}, sig}, nil)
}

// wish is a certificate that Fulcio is to issue.
type wish struct {
	key       crypto.PublicKey
	name      pkix.Extension // the subject alternative name
	issuer    string
	from, to  time.Time
	authority *authority
	// ct signs the SCT. Nil leaves it out.
	ct *logKey
	// sctOf is the certificate that the SCT is for, if not this one.
	sctOf *x509.Certificate
	// changed makes what the SCT was not made for.
	change func(template *x509.Certificate)
}

// wish is a certificate that is in order.
func (d *deployment) wish(key crypto.PublicKey, subject, issuerURL string) *wish {
	now := time.Now()
	return &wish{
		key: key, name: subjectName(subject), issuer: issuerURL,
		from: now, to: now.Add(10 * time.Minute), authority: d.intermediate, ct: d.ct,
	}
}

// subjectName is critical, as a certificate without a subject has it.
func subjectName(subject string) pkix.Extension {
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	if u, err := url.Parse(subject); err == nil && u.Host != "" {
		template.URIs = []*url.URL{u}
	} else {
		template.EmailAddresses = []string{subject}
	}
	return sanOf(certifyBy(template, newP256(), nil).cert)
}

var (
	oidSAN = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidSCT = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}
)

func fulcioOID(n int) asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, n}
}

func sanOf(c *x509.Certificate) pkix.Extension {
	for _, e := range c.Extensions {
		if e.Id.Equal(oidSAN) {
			return e
		}
	}
	panic("no subject alternative name")
}

// otherName is how Fulcio names users without an email address.
func otherName(name string) pkix.Extension {
	return pkix.Extension{Id: oidSAN, Critical: true, Value: tlv(0x30, tlv(0xa0, der(fulcioOID(7)), tlv(0xa0, der(name, "utf8"))))}
}

func (w *wish) issue() *x509.Certificate {
	template := &x509.Certificate{
		SerialNumber: newSerial(), NotBefore: w.from, NotAfter: w.to,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		ExtraExtensions: []pkix.Extension{w.name, {Id: fulcioOID(8), Value: der(w.issuer, "utf8")}},
	}
	if w.change != nil {
		w.change(template)
	}
	if w.ct == nil {
		return signedBy(template, w.key, w.authority)
	}
	of := w.sctOf
	if of == nil {
		of = signedBy(template, w.key, w.authority)
	}
	sct := w.ct.sct(of, w.authority.cert)
	list := append([]byte{byte(len(sct) >> 8), byte(len(sct))}, sct...)
	list = append([]byte{byte(len(list) >> 8), byte(len(list))}, list...)
	template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{Id: oidSCT, Value: der(list)})
	return signedBy(template, w.key, w.authority)
}

// stampAuthority is a timestamp authority.
type stampAuthority struct{ root, leaf *authority }

func newStampAuthority(now time.Time) *stampAuthority {
	usage := der([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
	root := newAuthority("tsa", nil, now.Add(-24*time.Hour), now.Add(24*time.Hour))
	return &stampAuthority{root, certifyBy(&x509.Certificate{
		SerialNumber: newSerial(), Subject: pkix.Name{CommonName: "tsa leaf"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(12 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		// RFC 3161, section 2.3: alone and critical.
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: usage}},
	}, newP256(), root)}
}

func tlv(tag byte, content ...[]byte) []byte {
	body := bytes.Join(content, nil)
	head := []byte{tag}
	switch n := len(body); {
	case n < 0x80:
		head = append(head, byte(n))
	case n < 0x100:
		head = append(head, 0x81, byte(n))
	default:
		head = append(head, 0x82, byte(n>>8), byte(n))
	}
	return append(head, body...)
}

func der(v any, params ...string) []byte {
	return must(asn1.MarshalWithParams(v, strings.Join(params, ",")))
}

// stamp is a granted RFC 3161 response over something with the hash sum.
func (a *stampAuthority) stamp(sum []byte, at time.Time) []byte {
	const sequence, set, context0 = 0x30, 0x31, 0xa0
	hash := tlv(sequence, der(asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}))
	contentType := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}
	info := tlv(sequence,
		der(1), der(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 2}),
		tlv(sequence, hash, der(sum)), der(newSerial()), der(at.UTC(), "generalized"))
	infoSum := sha256.Sum256(info)
	attributes := bytes.Join([][]byte{
		tlv(sequence, der(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}), tlv(set, der(contentType))),
		tlv(sequence, der(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}), tlv(set, der(infoSum[:]))),
	}, nil)
	toSign := sha256.Sum256(tlv(set, attributes))
	sig := must(a.leaf.key.Sign(rand.Reader, toSign[:], crypto.SHA256))
	signer := tlv(sequence, der(1), tlv(sequence, a.leaf.cert.RawIssuer, der(a.leaf.cert.SerialNumber)), hash,
		tlv(context0, attributes), tlv(sequence, der(asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2})), der(sig))
	signed := tlv(sequence, der(3), tlv(set, hash),
		tlv(sequence, der(contentType), tlv(context0, der(info))),
		tlv(context0, a.leaf.cert.Raw), tlv(set, signer))
	return tlv(sequence, tlv(sequence, der(0)),
		tlv(sequence, der(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}), tlv(context0, signed)))
}

// jwt is a token with claims, of a signature that nobody here verifies.
func jwt(claims map[string]any) string {
	part := base64.RawURLEncoding.EncodeToString
	return part([]byte(`{"alg":"ES256"}`)) + "." + part(must(json.Marshal(claims))) + "." + part([]byte("signature"))
}

// The one who signs in these tests, unless a test says otherwise.
const (
	theSubject = "person@example.com"
	theIssuer  = "https://issuer.test"
)

func theClaims() map[string]any {
	return map[string]any{
		"iss": theIssuer, "sub": "4711", "email": theSubject, "email_verified": true,
		"aud": DefaultAudience, "exp": time.Now().Add(time.Hour).Unix(),
	}
}

func pemOf(kind string, b []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b})
}

// wantFault holds that err is of the family want and of no other, in one line
// that has all texts.
func wantFault(t testing.TB, err, want error, texts ...string) {
	t.Helper()
	faulttest.Want(t, err, want)
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error is %q, want %q in it", err, text)
		}
	}
	if strings.ContainsAny(err.Error(), "\n\x1b") {
		t.Errorf("error has what a terminal would obey: %q", err)
	}
}

func TestCheckCertificate(t *testing.T) {
	t.Parallel()
	d, foreign := newDeployment(), newDeployment()
	for name, c := range map[string]struct {
		change    func(w *wish)
		ignoreSCT bool
		want      string // empty if the certificate passes
	}{
		"as issued":            {change: func(*wish) {}},
		"a name without email": {change: func(w *wish) { w.name = otherName("name!issuer.test") }},
		"a clock that is ahead within the skew": {change: func(w *wish) {
			w.from = w.from.Add(limits.ClockSkew / 2)
		}},
		"a clock that is ahead beyond the skew": {
			change: func(w *wish) { w.from = w.from.Add(limits.ClockSkew + time.Minute) },
			want:   "not valid before",
		},
		"another key":       {change: func(w *wish) { w.key = newP256().Public() }, want: "for another key"},
		"another authority": {change: func(w *wish) { w.authority = foreign.intermediate }, want: "of no trusted authority"},
		"expired": {
			change: func(w *wish) { w.from, w.to = w.from.Add(-time.Hour), w.from.Add(-time.Minute) },
			want:   "not valid now",
		},
		"not for signing code": {
			change: func(w *wish) {
				w.change = func(template *x509.Certificate) {
					template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
				}
			},
			want: "of no trusted authority",
		},
		"a critical extension that nobody knows": {
			change: func(w *wish) {
				w.change = func(template *x509.Certificate) {
					template.ExtraExtensions = append(template.ExtraExtensions,
						pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}})
				}
			},
			want: "of no trusted authority",
		},
		"no SCT":            {change: func(w *wish) { w.ct = nil }, want: "signed certificate timestamp"},
		"no SCT, ignored":   {change: func(w *wish) { w.ct = nil }, ignoreSCT: true},
		"an SCT of no one":  {change: func(w *wish) { w.ct = foreign.ct }, want: "signed certificate timestamp"},
		"another one's SCT": {change: func(w *wish) { w.sctOf = d.wish(w.key, theSubject, theIssuer).issue() }, want: "signed certificate timestamp"},
		"ignoring the SCT alone": {
			change: func(w *wish) { w.ct, w.authority = nil, foreign.intermediate }, ignoreSCT: true, want: "of no trusted authority",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key := newP256()
			w := d.wish(key.Public(), theSubject, theIssuer)
			c.change(w)
			leaf := w.issue()
			client := d.client(t, ServiceURLs{Fulcio: fulcioURL}, func(config *Config) { config.InsecureIgnoreSCT = c.ignoreSCT })
			chain, err := client.checkCertificate(leaf.Raw, key.Public(), d.trusted(t))
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Fatalf("error is %v, want %q in it", err, c.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(chain) != 3 || !bytes.Equal(chain[0].Raw, leaf.Raw) || !chain[1].Equal(d.intermediate.cert) || !chain[2].Equal(d.root.cert) {
				t.Errorf("chain has %d certificates, want leaf, intermediate and root", len(chain))
			}
		})
	}
}

// TestCertificatesAreCheckedBeforeTheyAreParsed: those of Fulcio, like those that come
// with a signature.
func TestCertificatesAreCheckedBeforeTheyAreParsed(t *testing.T) {
	t.Parallel()
	d := newDeployment()
	client := d.client(t, ServiceURLs{Fulcio: fulcioURL})
	for name, b := range map[string][]byte{
		"deep": nestedDER(limits.DERDepth + 1), "large": tlv(0x30, tlv(0x04, make([]byte, limits.Certificate))),
	} {
		if _, err := client.checkCertificate(b, newP256().Public(), d.trusted(t)); !errors.Is(err, limits.ErrExceeded) {
			t.Errorf("%s: error is %v, want one of a limit", name, err)
		}
	}
}

func TestCheckCertificateWhichIsNone(t *testing.T) {
	t.Parallel()
	d := newDeployment()
	client := d.client(t, ServiceURLs{Fulcio: fulcioURL})
	// One with a key of a kind that Go does not know.
	ec, other := []byte{6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1}, []byte{6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 9}
	unknown := bytes.Replace(d.wish(newP256().Public(), theSubject, theIssuer).issue().Raw, ec, other, 1)
	for name, b := range map[string][]byte{"a key of no kind": unknown, "nothing": nil, "text": []byte("certificate"), "a key": publicDER(newP256().Public())} {
		if chain, err := client.checkCertificate(b, newP256().Public(), d.trusted(t)); err == nil || chain != nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestCheckIdentity(t *testing.T) {
	t.Parallel()
	const workflow = "https://github.com/team/app/.github/workflows/release.yml@refs/heads/main"
	d := newDeployment()
	person := func(change func(map[string]any)) map[string]any {
		claims := theClaims()
		change(claims)
		return claims
	}
	same := func(map[string]any) {}
	for name, c := range map[string]struct {
		subject, issuer string
		name            *pkix.Extension
		claims          map[string]any
		wanted          *verify.Identity
		want            string // empty if it passes
		family          error
	}{
		"the token's email address": {subject: theSubject, issuer: theIssuer, claims: person(same)},
		"the token's subject, a URI": {
			subject: "https://example.com/robot", issuer: theIssuer,
			claims: person(func(m map[string]any) { delete(m, "email"); m["sub"] = "https://example.com/robot" }),
		},
		"the token's workflow": {
			subject: workflow, issuer: "https://token.actions.githubusercontent.com",
			claims: map[string]any{
				"iss": "https://token.actions.githubusercontent.com", "sub": "repo:team/app:ref:refs/heads/main",
				"job_workflow_ref": "team/app/.github/workflows/release.yml@refs/heads/main",
			},
		},
		"a federated login": {
			subject: theSubject, issuer: "https://accounts.example.com",
			claims: person(func(m map[string]any) {
				m["federated_claims"] = map[string]any{"connector_id": "https://accounts.example.com", "user_id": "1"}
			}),
		},
		"a federated login elsewhere": {
			subject: theSubject, issuer: "https://evil.example.com",
			claims: person(func(m map[string]any) {
				m["federated_claims"] = map[string]any{"connector_id": "https://accounts.example.com"}
			}),
			want: "the certificate names the issuer",
		},
		"a federated login of no name": {
			subject: theSubject, issuer: "https://evil.example.com",
			claims: person(func(m map[string]any) { m["federated_claims"] = map[string]any{"connector_id": ""} }),
			want:   "the certificate names the issuer",
		},
		"another person": {
			subject: "mallory@example.com", issuer: theIssuer, claims: person(same),
			want: `the certificate is for "mallory@example.com" and the token for "person@example.com"`,
		},
		"a person of another case": {
			subject: "Person@example.com", issuer: theIssuer, claims: person(same), want: "the certificate is for",
		},
		"another workflow": {
			subject: workflow + "-evil", issuer: "https://token.actions.githubusercontent.com",
			claims: map[string]any{
				"iss": "https://token.actions.githubusercontent.com", "sub": "repo:team/app:ref:refs/heads/main",
				"job_workflow_ref": "team/app/.github/workflows/release.yml@refs/heads/main",
			},
			want: "the certificate is for",
		},
		"another issuer": {
			subject: theSubject, issuer: "https://issuer.example", claims: person(same),
			want: `the certificate names the issuer "https://issuer.example" and the token "https://issuer.test"`,
		},
		"no issuer": {subject: theSubject, issuer: "", claims: person(same), want: "the certificate names the issuer"},
		"a subject that the certificate authority derives, unasked": {
			subject: "https://derived.example/4711", issuer: theIssuer, claims: person(same), want: "SignerConfig.Identity",
		},
		"a subject that the certificate authority derives, asked for": {
			subject: "https://derived.example/4711", issuer: theIssuer, claims: person(same),
			wanted: &verify.Identity{Subject: "https://derived.example/4711", Issuer: theIssuer},
		},
		"a pattern": {
			subject: theSubject, issuer: theIssuer, claims: person(same),
			wanted: &verify.Identity{SubjectRegexp: `.*@example\.com`, Issuer: theIssuer},
		},
		"the token's, and another one is wanted": {
			subject: theSubject, issuer: theIssuer, claims: person(same),
			wanted: &verify.Identity{Subject: "release@example.com", Issuer: theIssuer},
			want:   "release@example.com", family: verify.ErrMisconfigured,
		},
		"the token's, and another issuer is wanted": {
			subject: theSubject, issuer: theIssuer, claims: person(same),
			wanted: &verify.Identity{Subject: theSubject, Issuer: "https://accounts.example.com"},
			want:   "https://accounts.example.com", family: verify.ErrMisconfigured,
		},
		"nobody is wanted": {
			subject: theSubject, issuer: theIssuer, claims: person(same),
			wanted: &verify.Identity{}, want: "names no subject", family: verify.ErrMisconfigured,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			leaf := d.wish(newP256().Public(), c.subject, c.issuer).issue()
			token, err := parseToken(jwt(c.claims))
			if err != nil {
				t.Fatal(err)
			}
			err = checkIdentity(leaf, token, c.wanted)
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want %q in it", err, c.want)
			}
			if c.family != nil {
				wantFault(t, err, c.family)
			}
		})
	}
}

func TestCheckIdentityOfACertificateWithoutOne(t *testing.T) {
	t.Parallel()
	d := newDeployment()
	token, err := parseToken(jwt(theClaims()))
	if err != nil {
		t.Fatal(err)
	}
	if err := checkIdentity(d.intermediate.cert, token, nil); err == nil {
		t.Error("no error")
	}
}
