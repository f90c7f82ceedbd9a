// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cosignkit/cosignkit/signing"
	"github.com/cosignkit/cosignkit/verify"
)

const (
	certificateKey = "dev.sigstore.cosign/certificate"
	chainKey       = "dev.sigstore.cosign/chain"
	logKey         = "dev.sigstore.cosign/bundle"
	timestampKey   = "dev.sigstore.cosign/rfc3161timestamp"
)

// attempt is one try to have an image accepted: how its signature is made, what
// is done to it afterwards, and what the verifier trusts and asks for.
type attempt struct {
	form   signing.Form
	trust  *rootParts
	policy verify.Policy
	image  verify.Image

	// How the signature is made.
	key      crypto.Signer // the key of the certificate, or the key alone
	bare     bool          // with no certificate
	ca       *certifier
	leaf     *x509.Certificate // the template
	promises []promise
	chain    []*x509.Certificate // what comes with the certificate
	content  []byte              // what is signed: a statement or a payload
	records  []record
	stamps   []stamp
	// hash to sign with; that of the key if it is zero.
	hash crypto.Hash
	// encode gives the signature another encoding, before anybody records it.
	encode func(sig []byte) []byte

	// What is done to it, and to what a registry then serves.
	alter []func(*parts)
	serve []func(*verify.Candidate)
}

// record asks for a log entry.
type record struct {
	by *journal
	v2 bool
	// kind and version of a v1 entry; the usual one if empty.
	kind, version  string
	at             time.Time
	index          int64
	noSET, noProof bool
}

// stamp asks for a timestamp.
type stamp struct {
	by *tsa
	at time.Time
}

// parts is a signature with all that belongs to it, in no encoding yet.
type parts struct {
	form        signing.Form
	certificate *x509.Certificate
	chain       []*x509.Certificate
	content     []byte
	signature   []byte
	entries     []*logEntry
	timestamps  [][]byte
}

// newAttempt is a signature by the right workflow, recorded in one log of Rekor
// v1, and a policy that accepts it.
func newAttempt(form signing.Form) *attempt {
	return &attempt{
		form: form, trust: ours.trust(), image: theImage(),
		policy: verify.Policy{Identities: []verify.Identity{theIdentity()}},
		key:    keys["P-256"](), ca: ours.intermediate, leaf: leafTemplate(),
		promises: []promise{{by: ours.ct, at: noon.Add(-time.Minute)}},
		content:  contentOf(form),
		records:  []record{{by: ours.rekor, at: noon}},
	}
}

func contentOf(form signing.Form) []byte {
	if form == signing.Legacy {
		return marshalled(payloadOf())
	}
	return marshalled(statement())
}

// inRekorV2 records the signature in a log of Rekor v2 instead, with the timestamp
// that it then needs.
func (a *attempt) inRekorV2() {
	a.records = []record{{by: ours.tiles, v2: true}}
	a.stamps = []stamp{{ours.tsa, noon}}
}

// byKey signs with the key alone, which the policy then names.
func (a *attempt) byKey() {
	a.bare = true
	a.policy = verify.Policy{Keys: []crypto.PublicKey{a.key.Public()}}
}

func pae(content []byte) []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(intotoType), intotoType, len(content), content)
}

// message is what the signature is over.
func (p *parts) message() []byte {
	if p.form == signing.Legacy {
		return p.content
	}
	return pae(p.content)
}

// make makes the signature, and does to it what is to be done.
func (a *attempt) make(t testing.TB) *parts {
	t.Helper()
	p := &parts{form: a.form, content: a.content, chain: a.chain}
	if !a.bare {
		p.certificate = a.ca.issue(a.key, a.leaf, a.promises...)
	}
	p.signature = a.sign(t, p.message())
	for _, r := range a.records {
		p.entries = append(p.entries, a.record(p, r))
	}
	for _, s := range a.stamps {
		p.timestamps = append(p.timestamps, s.by.stamp(p.signature, s.at))
	}
	for _, f := range a.alter {
		f(p)
	}
	return p
}

func (a *attempt) sign(t testing.TB, message []byte) []byte {
	t.Helper()
	if _, ok := a.key.(ed25519.PrivateKey); ok && a.form == signing.Legacy {
		return withEd25519ph(a.key)(t, message)
	}
	sig := with(a.key, a.hashing())(t, message)
	if a.encode != nil {
		sig = a.encode(sig)
	}
	return sig
}

func (a *attempt) hashing() crypto.Hash {
	if a.hash != 0 {
		return a.hash
	}
	return hashFor(a.key)
}

// record makes the log entry of a signature.
func (a *attempt) record(p *parts, r record) *logEntry {
	e := &logEntry{logID: r.by.id[:], index: r.index, time: r.at.Unix()}
	if r.at.IsZero() {
		e.time = 0
	}
	if e.index == 0 {
		e.index = 3
	}
	hash := a.hashing()
	sum := sumOf(hash, p.message())
	if r.v2 {
		e.kind, e.version = "hashedrekord", "0.0.2"
		e.body = a.bodyV2(p, hash, sum)
		e.proof = r.by.include(e.body, r.by.host)
		e.index = e.proof.index
		return e
	}
	e.kind, e.version = r.kind, r.version
	if e.kind == "" {
		e.kind, e.version = "dsse", "0.0.1"
		if p.form == signing.Legacy {
			e.kind = "hashedrekord"
		}
	}
	e.body = a.bodyV1(p, e.kind, e.version, hash, sum)
	e.seal(r)
	return e
}

// seal has the log sign for the entry as it now is.
func (e *logEntry) seal(r record) {
	e.set, e.proof = nil, nil
	if !r.noSET {
		e.set = r.by.set(e)
	}
	if !r.noProof {
		e.proof = r.by.include(e.body, r.by.originV1())
	}
}

func sumOf(hash crypto.Hash, b []byte) []byte {
	h := hash.New()
	h.Write(b)
	return h.Sum(nil)
}

// verifierPEM is the certificate or key of a signature.
func (a *attempt) verifierPEM(p *parts) []byte {
	if p.certificate != nil {
		return pemOf("CERTIFICATE", p.certificate.Raw)
	}
	return pemOf("PUBLIC KEY", derKey(a.key.Public()))
}

func (a *attempt) bodyV1(p *parts, kind, version string, hash crypto.Hash, sum []byte) []byte {
	sha := func(b []byte) object {
		return object{"algorithm": "sha256", "value": hex.EncodeToString(sumOf(crypto.SHA256, b))}
	}
	verifier := a.verifierPEM(p)
	var spec object
	switch kind {
	case "dsse":
		spec = object{
			"envelopeHash": sha(p.signature), "payloadHash": sha(p.content),
			"signatures": []any{object{"signature": base64.StdEncoding.EncodeToString(p.signature), "verifier": verifier}},
		}
	case "intoto":
		spec = object{"content": object{
			"envelope": object{"payloadType": intotoType, "signatures": []any{object{
				"publicKey": verifier, "sig": []byte(base64.StdEncoding.EncodeToString(p.signature)),
			}}},
			"hash": sha(p.signature), "payloadHash": sha(p.content),
		}}
	case "rekord":
		spec = object{
			"data":      object{"hash": sha(p.message())},
			"signature": object{"format": "x509", "content": p.signature, "publicKey": object{"content": verifier}},
		}
	default:
		spec = object{
			"data":      object{"hash": object{"algorithm": strings.ReplaceAll(strings.ToLower(hash.String()), "-", ""), "value": hex.EncodeToString(sum)}},
			"signature": object{"content": p.signature, "publicKey": object{"content": verifier}},
		}
	}
	return marshalled(object{"apiVersion": version, "kind": kind, "spec": spec})
}

func (a *attempt) bodyV2(p *parts, hash crypto.Hash, sum []byte) []byte {
	verifier := object{"keyDetails": "PKIX_ECDSA_P256_SHA_256"}
	if p.certificate != nil {
		verifier["x509Certificate"] = object{"rawBytes": p.certificate.Raw}
	} else {
		verifier["publicKey"] = object{"rawBytes": derKey(a.key.Public())}
	}
	return marshalled(object{"apiVersion": "0.0.2", "kind": "hashedrekord", "spec": object{"hashedRekordV002": object{
		"data":      object{"algorithm": "SHA2_" + fmt.Sprint(hash.Size()*8), "digest": sum},
		"signature": object{"content": p.signature, "verifier": verifier},
	}}})
}

// candidate is the signature as a registry serves it.
func (p *parts) candidate() verify.Candidate {
	if p.form == signing.Legacy {
		return p.legacy()
	}
	return p.bundle()
}

func (p *parts) bundle() verify.Candidate {
	return verify.Candidate{
		Origin: verify.Origin{Source: verify.SourceReferrersAPI, Manifest: manifest}, Bundle: marshalled(p.object()),
	}
}

func (p *parts) object() object {
	material := object{}
	switch {
	case p.certificate == nil:
		material["publicKey"] = object{"hint": "a hint"}
	case p.chain == nil:
		material["certificate"] = object{"rawBytes": p.certificate.Raw}
	default:
		all := []any{object{"rawBytes": p.certificate.Raw}}
		for _, c := range p.chain {
			all = append(all, object{"rawBytes": c.Raw})
		}
		material["x509CertificateChain"] = object{"certificates": all}
	}
	var entries, timestamps []any
	for _, e := range p.entries {
		o := object{
			"logIndex": fmt.Sprint(e.index), "logId": object{"keyId": e.logID}, "integratedTime": fmt.Sprint(e.time),
			"kindVersion": object{"kind": e.kind, "version": e.version}, "canonicalizedBody": e.body,
		}
		if e.set != nil {
			o["inclusionPromise"] = object{"signedEntryTimestamp": e.set}
		}
		if e.proof != nil {
			o["inclusionProof"] = object{
				"logIndex": fmt.Sprint(e.proof.index), "treeSize": fmt.Sprint(e.proof.size), "rootHash": e.proof.root,
				"hashes": e.proof.hashes, "checkpoint": object{"envelope": e.proof.checkpoint},
			}
		}
		entries = append(entries, o)
	}
	for _, b := range p.timestamps {
		timestamps = append(timestamps, object{"signedTimestamp": b})
	}
	material["tlogEntries"] = entries
	if timestamps != nil {
		material["timestampVerificationData"] = object{"rfc3161Timestamps": timestamps}
	}
	return object{
		"mediaType":            "application/vnd.dev.sigstore.bundle.v0.3+json",
		"verificationMaterial": material,
		"dsseEnvelope": object{
			"payload": p.content, "payloadType": intotoType, "signatures": []any{object{"sig": p.signature}},
		},
	}
}

func (p *parts) legacy() verify.Candidate {
	annotations := map[string]string{sigKey: base64.StdEncoding.EncodeToString(p.signature)}
	if p.certificate != nil {
		annotations[certificateKey] = string(pemOf("CERTIFICATE", p.certificate.Raw))
	}
	for _, c := range p.chain {
		annotations[chainKey] += string(pemOf("CERTIFICATE", c.Raw))
	}
	if len(p.entries) > 0 {
		e := p.entries[0]
		annotations[logKey] = string(marshalled(object{
			"SignedEntryTimestamp": e.set,
			"Payload": object{
				"body": e.body, "integratedTime": e.time, "logIndex": e.index, "logID": hex.EncodeToString(e.logID),
			},
		}))
	}
	if len(p.timestamps) > 0 {
		annotations[timestampKey] = string(marshalled(object{"SignedRFC3161Timestamp": p.timestamps[0]}))
	}
	return verify.Candidate{
		Origin:  verify.Origin{Source: verify.SourceSignatureTag, Manifest: manifest, Layer: 1},
		Payload: p.content, Annotations: annotations,
	}
}

// candidate makes the signature and serves it.
func (a *attempt) candidate(t testing.TB) verify.Candidate {
	t.Helper()
	c := a.make(t).candidate()
	for _, f := range a.serve {
		f(&c)
	}
	return c
}

func (a *attempt) verifier(t testing.TB) verify.Verifier {
	t.Helper()
	if a.policy.TrustedRoots == nil && a.trust != nil {
		a.policy.TrustedRoots = a.trust.parsed(t)
	}
	return newVerifier(t, a.policy)
}

func (a *attempt) verify(t testing.TB) (*verify.Result, error) {
	t.Helper()
	c := a.candidate(t)
	return a.verifier(t).Verify(t.Context(), a.image, []verify.Candidate{c})
}

// accepted holds that the attempt succeeds.
func (a *attempt) accepted(t testing.TB) verify.Signature {
	t.Helper()
	result, err := a.verify(t)
	if err != nil {
		t.Fatal(err)
	}
	s := result.Signatures[0]
	if !result.Accepted || s.Err != nil || (s.Identity == nil) == (s.KeyID == "") {
		t.Errorf("accepted is %t, signature is %+v", result.Accepted, s)
	}
	return s
}

// rejected holds that the attempt fails, for the reason that why is a part of.
func (a *attempt) rejected(t testing.TB, why string) {
	t.Helper()
	result, err := a.verify(t)
	if err == nil {
		t.Fatalf("accepted: %+v", result.Signatures)
	}
	wantFamily(t, err, verify.ErrRejected)
	if result.Accepted || result.Signatures[0].Err == nil {
		t.Fatalf("result is %+v beside the error %v", result, err)
	}
	if reason := result.Signatures[0].Err.Error(); !strings.Contains(reason, why) || strings.Contains(reason, "panic") {
		t.Errorf("reason is %q, want one that says %q", reason, why)
	}
	if _, err := result.Pinned(); err == nil {
		t.Error("a rejected image is pinned")
	}
}

// trial is an attack beside the honest attempt that it differs from.
type trial struct {
	name string
	// only is the one form that the attack is possible in, if not both.
	only signing.Form
	// honest is what the honest attempt and the attack have in common.
	honest func(*attempt)
	attack func(*attempt)
	why    string
	// legacyWhy is the reason in the legacy form, where it is another one.
	legacyWhy string
}

// runTrials holds for each that the honest attempt is accepted and the attack is
// not.
func runTrials(t *testing.T, trials []trial) {
	t.Helper()
	seen := map[string]bool{}
	for _, trial := range trials {
		if seen[trial.name] {
			t.Errorf("two trials are named %q", trial.name)
		}
		seen[trial.name] = true
		for _, form := range forms {
			if trial.only != "" && trial.only != form {
				continue
			}
			t.Run(trial.name+" "+string(form), func(t *testing.T) {
				t.Parallel()
				prepared := func() *attempt {
					a := newAttempt(form)
					if trial.honest != nil {
						trial.honest(a)
					}
					return a
				}
				prepared().accepted(t)
				a := prepared()
				trial.attack(a)
				why := trial.why
				if form == signing.Legacy && trial.legacyWhy != "" {
					why = trial.legacyWhy
				}
				a.rejected(t, why)
			})
		}
	}
}

// altered is an attack on a signature that was made honestly.
func altered(f func(*parts)) func(*attempt) {
	return func(a *attempt) { a.alter = append(a.alter, f) }
}

// served is an attack by the registry.
func served(f func(*verify.Candidate)) func(*attempt) {
	return func(a *attempt) { a.serve = append(a.serve, f) }
}

// annotated sets an annotation.
func annotated(key, value string) func(*attempt) {
	return served(func(c *verify.Candidate) { c.Annotations[key] = value })
}

// flipped is b with its last bit changed.
func flipped(b []byte) []byte {
	c := append([]byte{}, b...)
	c[len(c)-1] ^= 1
	return c
}
