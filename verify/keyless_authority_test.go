// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	pkixname "crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"testing"
	"time"

	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/cosignkit/cosignkit/internal/merkle"
	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/trust"
)

// This file is a Sigstore in miniature, written from the specifications and not
// with the packages that verify: what both got wrong in the same way, no test
// would find. Every part of it can be told to misbehave.

// noon is when everything happens. Nothing depends on the clock of the machine.
var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

const year = 365 * 24 * time.Hour

// certifier is a certificate with its key.
type certifier struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// certify signs template with parent, or with its own key if there is none.
func certify(template *x509.Certificate, key crypto.Signer, parent *certifier) *certifier {
	if parent == nil {
		parent = &certifier{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent.cert, key.Public(), parent.key)
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return &certifier{cert, key}
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic(err)
	}
	return n.Add(n, big.NewInt(1))
}

// newCA makes a certificate authority. Without parent it is a root.
func newCA(name string, parent *certifier, from, to time.Time, usage ...x509.ExtKeyUsage) *certifier {
	return certify(&x509.Certificate{
		SerialNumber: serial(), Subject: pkixname.Name{Organization: []string{"sigstore.test"}, CommonName: name},
		NotBefore: from, NotAfter: to, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		ExtKeyUsage: usage, BasicConstraintsValid: true, IsCA: true,
	}, newECDSA(elliptic.P256()), parent)
}

// journal is the key of a log: of certificates, of Rekor v1, or of Rekor v2.
type journal struct {
	key  *ecdsa.PrivateKey
	id   [sha256.Size]byte
	host string
}

func newJournal(host string) *journal {
	j := &journal{key: newECDSA(elliptic.P256()), host: host}
	der, err := x509.MarshalPKIXPublicKey(j.key.Public())
	if err != nil {
		panic(err)
	}
	j.id = sha256.Sum256(der)
	return j
}

func (j *journal) sign(message []byte) []byte {
	sum := sha256.Sum256(message)
	sig, err := ecdsa.SignASN1(rand.Reader, j.key, sum[:])
	if err != nil {
		panic(err)
	}
	return sig
}

// set signs an entry as Rekor v1 promises to include it.
func (j *journal) set(e *logEntry) []byte {
	return j.sign(marshalled(object{
		"body": e.body, "integratedTime": e.time, "logID": hex.EncodeToString(e.logID), "logIndex": e.index,
	}))
}

// checkpoint is a signed note about a tree.
func (j *journal) checkpoint(origin string, size int, root []byte) string {
	text := fmt.Sprintf("%s\n%d\n%s\n", origin, size, base64.StdEncoding.EncodeToString(root))
	sig := append(append([]byte{}, j.id[:4]...), j.sign([]byte(text))...)
	return fmt.Sprintf("%s\n\u2014 %s %s\n", text, j.host, base64.StdEncoding.EncodeToString(sig))
}

// originV1 is what checkpoints of Rekor v1 begin with; v2 has the host alone.
func (j *journal) originV1() string { return j.host + " - 1193050959916656506" }

// include puts an entry into a tree of seven and proves it.
func (j *journal) include(body []byte, origin string) *inclusion {
	const at, size = 3, 7
	leaves := make([][]byte, size)
	for i := range leaves {
		leaves[i] = merkle.Leaf([]byte{byte(i)})
	}
	leaves[at] = merkle.Leaf(body)
	root := merkle.Root(leaves)
	return &inclusion{
		index: at, size: size, root: root, hashes: merkle.Path(at, leaves), checkpoint: j.checkpoint(origin, size, root),
	}
}

// logEntry and inclusion are what a log hands out, in no encoding yet.
type logEntry struct {
	logID         []byte
	index, time   int64
	kind, version string
	body          []byte
	set           []byte
	proof         *inclusion
}

type inclusion struct {
	index, size int64
	root        []byte
	hashes      [][]byte
	checkpoint  string
}

// tsa is a timestamp authority.
type tsa struct {
	root, leaf *certifier
	uri        string
}

func newTSA(uri string, from, to time.Time) *tsa {
	usage, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
	if err != nil {
		panic(err)
	}
	root := newCA("root of "+uri, nil, noon.Add(-10*year), noon.Add(10*year))
	return &tsa{root: root, uri: uri, leaf: certify(&x509.Certificate{
		SerialNumber: serial(), Subject: pkixname.Name{CommonName: uri}, NotBefore: from, NotAfter: to,
		KeyUsage: x509.KeyUsageDigitalSignature,
		// RFC 3161, section 2.3: alone and critical.
		ExtraExtensions: []pkixname.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: usage}},
	}, newECDSA(elliptic.P256()), root)}
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

func derOf(v any, params ...string) []byte {
	b, err := asn1.MarshalWithParams(v, append(params, "")[0])
	if err != nil {
		panic(err)
	}
	return b
}

// stamp is a granted RFC 3161 response over message; bag are certificates that
// come before the authority's own.
func (a *tsa) stamp(message []byte, at time.Time, bag ...*x509.Certificate) []byte {
	const sequence, set, context0 = 0x30, 0x31, 0xa0
	sum := sha256.Sum256(message)
	hash := tlv(sequence, derOf(asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}))
	contentType := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}
	info := tlv(sequence,
		derOf(1), derOf(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 2}),
		tlv(sequence, hash, derOf(sum[:])), derOf(serial()), derOf(at.UTC(), "generalized"))
	infoSum := sha256.Sum256(info)
	attributes := bytes.Join([][]byte{
		tlv(sequence, derOf(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}), tlv(set, derOf(contentType))),
		tlv(sequence, derOf(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}), tlv(set, derOf(infoSum[:]))),
	}, nil)
	toSign := sha256.Sum256(tlv(set, attributes))
	sig, err := a.leaf.key.Sign(rand.Reader, toSign[:], crypto.SHA256)
	if err != nil {
		panic(err)
	}
	var certificates []byte
	for _, c := range append(bag[:len(bag):len(bag)], a.leaf.cert) {
		certificates = append(certificates, c.Raw...)
	}
	signer := tlv(sequence, derOf(1), tlv(sequence, a.leaf.cert.RawIssuer, derOf(a.leaf.cert.SerialNumber)), hash,
		tlv(context0, attributes), tlv(sequence, derOf(asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2})), derOf(sig))
	signed := tlv(sequence, derOf(3), tlv(set, hash),
		tlv(sequence, derOf(contentType), tlv(context0, derOf(info))),
		tlv(context0, certificates), tlv(set, signer))
	return tlv(sequence, tlv(sequence, derOf(0)),
		tlv(sequence, derOf(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}), tlv(context0, signed)))
}

// sigstore is one deployment.
type sigstore struct {
	root, intermediate *certifier
	ct, otherCT        *journal
	rekor, otherRekor  *journal
	tiles, otherTiles  *journal
	tsa, otherTSA      *tsa
}

func newSigstore() *sigstore {
	root := newCA("root", nil, noon.Add(-5*year), noon.Add(5*year))
	return &sigstore{
		root:         root,
		intermediate: newCA("intermediate", root, noon.Add(-year), noon.Add(4*year), x509.ExtKeyUsageCodeSigning),
		ct:           newJournal("ct.test"), otherCT: newJournal("ct-2.test"),
		rekor: newJournal("rekor.test"), otherRekor: newJournal("rekor-2.test"),
		tiles: newJournal("tiles.test"), otherTiles: newJournal("tiles-2.test"),
		tsa:      newTSA("https://tsa.test", noon.Add(-year), noon.Add(year)),
		otherTSA: newTSA("https://tsa-2.test", noon.Add(-year), noon.Add(year)),
	}
}

// ours is the deployment that the tests trust, and foreign one that they do not
// and that has the same names everywhere.
var ours, foreign = newSigstore(), newSigstore()

// period is when something is trusted; the end may be zero.
type period struct{ from, to time.Time }

var always = period{from: noon.Add(-5 * year)}

func (p period) proto() *protocommon.TimeRange {
	r := &protocommon.TimeRange{Start: timestamppb.New(p.from)}
	if !p.to.IsZero() {
		r.End = timestamppb.New(p.to)
	}
	return r
}

type trustedCA struct {
	chain []*x509.Certificate // the root last
	uri   string
	valid period
}

func (c trustedCA) proto() *prototrustroot.CertificateAuthority {
	chain := &protocommon.X509CertificateChain{}
	for _, cert := range c.chain {
		chain.Certificates = append(chain.Certificates, &protocommon.X509Certificate{RawBytes: cert.Raw})
	}
	return &prototrustroot.CertificateAuthority{Uri: c.uri, CertChain: chain, ValidFor: c.valid.proto()}
}

type trustedLog struct {
	*journal
	valid period
}

func (l trustedLog) proto() *prototrustroot.TransparencyLogInstance {
	return &prototrustroot.TransparencyLogInstance{
		BaseUrl: "https://" + l.host, HashAlgorithm: protocommon.HashAlgorithm_SHA2_256,
		PublicKey: &protocommon.PublicKey{
			RawBytes: derKey(l.key.Public()), ValidFor: l.valid.proto(),
			KeyDetails: protocommon.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256,
		},
		LogId: &protocommon.LogId{KeyId: l.id[:]},
	}
}

func derKey(public crypto.PublicKey) []byte {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		panic(err)
	}
	return der
}

// rootParts are what goes into a trusted root.
type rootParts struct {
	cas     []trustedCA
	ct, log []trustedLog
	tsas    []trustedCA
}

func (s *sigstore) trust() *rootParts {
	return &rootParts{
		cas: []trustedCA{{[]*x509.Certificate{s.intermediate.cert, s.root.cert}, "https://fulcio.test", always}},
		ct:  []trustedLog{{s.ct, always}, {s.otherCT, always}},
		log: []trustedLog{{s.rekor, always}, {s.otherRekor, always}, {s.tiles, always}, {s.otherTiles, always}},
		tsas: []trustedCA{
			{[]*x509.Certificate{s.tsa.leaf.cert, s.tsa.root.cert}, s.tsa.uri, always},
			{[]*x509.Certificate{s.otherTSA.leaf.cert, s.otherTSA.root.cert}, s.otherTSA.uri, always},
		},
	}
}

// parsed is the trusted root, by way of JSON as a user has it.
func (tr *rootParts) parsed(t testing.TB) *verify.TrustedRoot {
	t.Helper()
	pb := &prototrustroot.TrustedRoot{MediaType: "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}
	for _, ca := range tr.cas {
		pb.CertificateAuthorities = append(pb.CertificateAuthorities, ca.proto())
	}
	for _, l := range tr.ct {
		pb.Ctlogs = append(pb.Ctlogs, l.proto())
	}
	for _, l := range tr.log {
		pb.Tlogs = append(pb.Tlogs, l.proto())
	}
	for _, ca := range tr.tsas {
		pb.TimestampAuthorities = append(pb.TimestampAuthorities, ca.proto())
	}
	b, err := protojson.Marshal(pb)
	if err != nil {
		t.Fatal(err)
	}
	r, err := trust.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// fulcio numbers an extension of Fulcio's.
func fulcio(n int) asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, n}
}

// extension replaces or adds an extension of a template. No value removes it.
func extension(template *x509.Certificate, id asn1.ObjectIdentifier, value []byte) {
	var kept []pkixname.Extension
	for _, e := range template.ExtraExtensions {
		if !e.Id.Equal(id) {
			kept = append(kept, e)
		}
	}
	if value != nil {
		kept = append(kept, pkixname.Extension{Id: id, Value: value})
	}
	template.ExtraExtensions = kept
}

var (
	sanOID = asn1.ObjectIdentifier{2, 5, 29, 17}
	sctOID = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}
)

// The kinds of subject alternative name.
const (
	emailName = 0x81
	dnsName   = 0x82
	uriName   = 0x86
)

// names sets the subject alternative names, byte for byte.
func names(template *x509.Certificate, all ...[]byte) {
	extension(template, sanOID, nil)
	if len(all) > 0 {
		template.ExtraExtensions = append(template.ExtraExtensions,
			pkixname.Extension{Id: sanOID, Critical: true, Value: tlv(0x30, all...)})
	}
}

// otherName is how Fulcio names users without an email address. It is the one
// kind of name that is not limited to ASCII.
func otherName(name string) []byte {
	return tlv(0xa0, derOf(fulcio(7)), tlv(0xa0, derOf(name, "utf8")))
}

// promise is an SCT that is to be in a certificate.
type promise struct {
	by *journal
	at time.Time
	// of is the certificate that it is for, if not the one that it is in.
	of *x509.Certificate
}

// sct is RFC 6962, section 3.2, over a certificate without SCTs.
func (p promise) sct(cert, issuer *x509.Certificate) []byte {
	if p.of != nil {
		cert = p.of
	}
	var timestamp [8]byte
	binary.BigEndian.PutUint64(timestamp[:], uint64(p.at.UnixMilli()))
	issuerKey := sha256.Sum256(issuer.RawSubjectPublicKeyInfo)
	n := len(cert.RawTBSCertificate)
	sig := p.by.sign(bytes.Join([][]byte{
		{0, 0}, timestamp[:], {0, 1}, issuerKey[:], {byte(n >> 16), byte(n >> 8), byte(n)}, cert.RawTBSCertificate, {0, 0},
	}, nil))
	return bytes.Join([][]byte{{0}, p.by.id[:], timestamp[:], {0, 0}, {4, 3, byte(len(sig) >> 8), byte(len(sig))}, sig}, nil)
}

// The one who signs in these tests, unless a test says otherwise.
const (
	theSubject = "https://github.com/team/app/.github/workflows/release.yml@refs/heads/main"
	theIssuer  = "https://token.actions.githubusercontent.com"
)

var theWorkflow = verify.GitHubWorkflow{
	Trigger: "push", SHA: "b0f3f5f6c1d2e3a4958677869504a3b2c1d0e9f8", Name: "Release", Repository: "team/app", Ref: "refs/heads/main",
}

func theIdentity() verify.Identity { return verify.Identity{Subject: theSubject, Issuer: theIssuer} }

// leafTemplate is a certificate as Fulcio issues it to a workflow.
func leafTemplate() *x509.Certificate {
	template := &x509.Certificate{
		SerialNumber: serial(), NotBefore: noon.Add(-time.Minute), NotAfter: noon.Add(9 * time.Minute),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	}
	names(template, tlv(uriName, []byte(theSubject)))
	extension(template, fulcio(1), []byte(theIssuer))
	extension(template, fulcio(8), derOf(theIssuer, "utf8"))
	for i, s := range []string{theWorkflow.Trigger, theWorkflow.SHA, theWorkflow.Name, theWorkflow.Repository, theWorkflow.Ref} {
		extension(template, fulcio(i+2), []byte(s))
	}
	return template
}

// issue makes the certificate of key, with SCTs by promises.
func (ca *certifier) issue(key crypto.Signer, template *x509.Certificate, promises ...promise) *x509.Certificate {
	bare := certify(template, key, ca).cert
	if len(promises) == 0 {
		return bare
	}
	var list []byte
	for _, p := range promises {
		sct := p.sct(bare, ca.cert)
		list = append(append(list, byte(len(sct)>>8), byte(len(sct))), sct...)
	}
	list = append([]byte{byte(len(list) >> 8), byte(len(list))}, list...)
	extension(template, sctOID, derOf(list))
	return certify(template, key, ca).cert
}

// hashFor is the hash that Sigstore's clients sign with under a key.
func hashFor(key crypto.Signer) crypto.Hash {
	switch public := key.Public().(type) {
	case *ecdsa.PublicKey:
		switch public.Curve {
		case elliptic.P384():
			return crypto.SHA384
		case elliptic.P521():
			return crypto.SHA512
		}
	case ed25519.PublicKey:
		return crypto.SHA512
	}
	return crypto.SHA256
}

func marshalled(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
