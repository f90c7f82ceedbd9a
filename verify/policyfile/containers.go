// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package policyfile

import (
	"encoding/base64"
	"errors"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/trust"
)

// LoadContainers reads the policy.json of Podman, Skopeo, Buildah and CRI-O, as
// containers-policy.json(5) has it. It means at least what it does there:
//
//   - sigstoreSigned with keys, or with fulcio, and with every signedIdentity. It is
//     matchRepoDigestOrExact if there is none, which signatures by cosign do not
//     satisfy: they claim a repository at most.
//   - reject, and insecureAcceptAnything. Several requirements must all be satisfied.
//   - signedBy, signedBaseLayer, and sigstoreSigned with pki are not supported. Images
//     in such a scope are misconfigured, and those in others are not concerned.
//   - Only the scopes of the transport docker mean anything here, and the
//     requirements of others are not looked at.
//
// Unlike there, a scope that no image could be in is misconfigured, and so is a
// key that cannot be read, already here. Paths are relative to the directory of the
// file. Without rekorPublicKey…, no transparency log entry is wanted, nor is a
// signed certificate timestamp ever. TrustedRoots of the Config is not used.
func LoadContainers(path string, config Config) (*Policy, error) {
	return load(path, config, parseContainers)
}

// ParseContainers is [LoadContainers] for content; paths in it are relative to dir.
func ParseContainers(b []byte, dir string, config Config) (*Policy, error) {
	return parseWith(b, "policy.json", &sources{dir: dir}, config, parseContainers)
}

// containers reads a document in the format of containers-policy.json(5).
type containers struct {
	*document
	files  *sources
	config Config
}

func parseContainers(d *document, b []byte, files *sources, config Config, p *Policy) {
	root := d.parseJSON(b)
	if root == nil {
		return
	}
	config.TrustedRoots = nil
	c := &containers{d, files, config}
	top, ok := c.mapping(root, "", "default", "transports")
	if !ok {
		return
	}
	if n := top.value["default"]; n != nil {
		c.add(p, top.lines["default"], "", n)
	} else {
		c.problem(top.line, "default", "is missing, want a list of requirements")
	}
	if n := top.value["transports"]; n != nil {
		c.transports(n, p)
	}
}

func (c *containers) transports(n *yaml.Node, p *Policy) {
	all, _ := c.mapping(n, "transports")
	for _, name := range all.names {
		scopes, ok := c.mapping(all.value[name], name)
		if !ok || name != "docker" {
			continue // It is well formed, see parse, and about no registry.
		}
		for _, scope := range scopes.names {
			line := scopes.lines[scope]
			if scope != "" {
				if err := checkScope(scope); err != nil {
					c.problem(line, "docker", "%.128q %v", scope, err)
					continue
				}
			}
			// The default of the transport takes the place of that of the file.
			c.add(p, line, scope, scopes.value[scope])
		}
	}
}

// add adds the rule of a list of requirements.
func (c *containers) add(p *Policy, line int, scope string, n *yaml.Node) {
	before := len(c.problems)
	var all []requirement
	for _, item := range c.list(n, scope) {
		all = append(all, c.requirement(item))
	}
	if len(c.problems) > before || len(all) == 0 || c.damaged[n] {
		return
	}
	p.add(c.document, line, scope, together(all), c.config)
}

// together is the requirement that all are satisfied.
func together(all []requirement) requirement {
	sum := requirement{action: InsecureAcceptAnything}
	for _, req := range all {
		switch {
		case sum.action == Reject:
		case req.action == Reject, req.action == Unsupported && sum.action != Unsupported:
			sum = req
		case sum.action == Unsupported || req.action != Enforce:
		default:
			sum.action = Enforce
			sum.policies = append(sum.policies, req.policies...)
			sum.words = append(sum.words, req.words...)
		}
	}
	return sum
}

// requirement reads one of a list.
func (c *containers) requirement(n *yaml.Node) requirement {
	f, ok := c.mapping(n, "")
	if !ok {
		return requirement{}
	}
	if !f.has("type") {
		c.problem(n.Line, "type", "is missing")
		return requirement{}
	}
	kind := c.oneOf(f.value["type"], "type", "insecureAcceptAnything", "reject", "sigstoreSigned", "signedBy", "signedBaseLayer")
	switch kind {
	case "insecureAcceptAnything", "reject":
		c.mapping(n, kind, "type")
		return requirement{action: Action(kind)}
	case "signedBy":
		c.mapping(n, kind, "type", "keyType", "keyPath", "keyPaths", "keyData", "signedIdentity")
		return requirement{action: Unsupported, because: "signedBy asks for a signature by GPG"}
	case "signedBaseLayer":
		c.mapping(n, kind, "type", "baseLayerIdentity")
		return requirement{action: Unsupported, because: "signedBaseLayer is not supported"}
	case "sigstoreSigned":
		return c.sigstoreSigned(n)
	default:
		return requirement{}
	}
}

// Each of these may be given in four ways.
var (
	keyFields   = materialFields{"keyPath", "keyPaths", "keyData", "keyDatas"}
	rekorFields = materialFields{"rekorPublicKeyPath", "rekorPublicKeyPaths", "rekorPublicKeyData", "rekorPublicKeyDatas"}
	caFields    = materialFields{path: "caPath", data: "caData"}
)

type materialFields struct{ path, paths, data, datas string }

func (m materialFields) all() []string { return []string{m.path, m.paths, m.data, m.datas} }

func (c *containers) sigstoreSigned(n *yaml.Node) requirement {
	known := append(append([]string{"type", "fulcio", "pki", "signedIdentity"}, keyFields.all()...), rekorFields.all()...)
	f, ok := c.mapping(n, "sigstoreSigned", known...)
	if !ok {
		return requirement{}
	}
	req := requirement{action: Enforce}
	var policy verify.Policy
	var words string
	if policy.Reference, words = c.signedIdentity(f); words != "" {
		req.words = append(req.words, words)
	}
	if from := c.oneWay(f, "of the signer", append(keyFields.all(), "fulcio", "pki")...); from == "" {
		return req
	} else if from == "pki" {
		return requirement{action: Unsupported, because: "sigstoreSigned with pki asks for a certificate that is not Fulcio's"}
	}
	var roots trust.PEMs
	if c.anyOf(f, rekorFields) {
		roots.Rekor = joinPEM(c.material(f, rekorFields, limits.TrustedRoot))
	} else {
		policy.InsecureIgnoreTransparencyLog = true
	}
	if f.has("fulcio") {
		if policy.InsecureIgnoreTransparencyLog {
			c.problem(f.lines["fulcio"], "fulcio", "needs %s: a certificate is only good at a time that a log vouches for", rekorFields.path)
		}
		policy.Identities, roots.Fulcio = c.fulcio(f.value["fulcio"])
		policy.InsecureIgnoreSCT = true
	}
	for _, b := range c.material(f, keyFields, limits.KeyFile) {
		key, err := verify.ParsePublicKey(b.content)
		if err != nil {
			c.problem(b.line, b.field, "%s%v", b.name, causeOf(err))
			continue
		}
		policy.Keys = append(policy.Keys, key)
	}
	if len(roots.Rekor)+len(roots.Fulcio) > 0 {
		root, err := trust.ParsePEMs(roots)
		if err != nil {
			c.problem(f.line, "sigstoreSigned", "%v", causeOf(err))
		} else {
			policy.TrustedRoots = root
		}
	}
	req.policies = []verify.Policy{policy}
	return req
}

func (c *containers) fulcio(n *yaml.Node) ([]verify.Identity, []byte) {
	f, ok := c.mapping(n, "fulcio", "caPath", "caData", "oidcIssuer", "subjectEmail")
	if !ok || c.oneWay(f, "of the certificate authority", "caPath", "caData") == "" {
		return nil, nil
	}
	var i verify.Identity
	for name, to := range map[string]*string{"oidcIssuer": &i.Issuer, "subjectEmail": &i.Subject} {
		if value := f.value[name]; value != nil {
			*to, _ = c.text(value, name)
		} else {
			c.problem(f.line, name, "is missing")
		}
	}
	return []verify.Identity{i}, joinPEM(c.material(f, caFields, limits.TrustedRoot))
}

// oneWay returns which of the fields is there, of which it must be exactly one.
func (c *containers) oneWay(f fields, what string, names ...string) string {
	var found []string
	for _, name := range f.names {
		for _, n := range names {
			if n == name {
				found = append(found, name)
			}
		}
	}
	if len(found) == 1 {
		return found[0]
	}
	if len(found) == 0 {
		c.problem(f.line, "", "says nothing %s, want one of %s", what, strings.Join(names, ", "))
	} else {
		c.problem(f.line, "", "has %s, want one of them", strings.Join(found, " and "))
	}
	return ""
}

func (c *containers) anyOf(f fields, m materialFields) bool {
	for _, name := range m.all() {
		if f.has(name) {
			return c.oneWay(f, "", m.all()...) != ""
		}
	}
	return false
}

// material is what a key or certificate was read from.
type material struct {
	content     []byte
	line        int
	field, name string
}

// material reads keys or certificates, given in one of the ways.
func (c *containers) material(f fields, m materialFields, limit int64) (all []material) {
	for _, field := range m.all() {
		n := f.value[field]
		if n == nil || field == "" {
			continue
		}
		items := []*yaml.Node{n}
		if field == m.paths || field == m.datas {
			items = c.list(n, field)
		}
		for _, item := range items {
			text, ok := c.text(item, field)
			if !ok {
				continue
			}
			got := material{line: item.Line, field: field}
			var err error
			if field == m.path || field == m.paths {
				got.name = text + ": "
				got.content, err = c.files.file(text, limit, "file")
			} else if got.content, err = base64.StdEncoding.DecodeString(text); err == nil && len(got.content) == 0 {
				err = errors.New("is empty")
			}
			if err != nil {
				c.problem(item.Line, field, "%.256s%v", got.name, err)
				continue
			}
			all = append(all, got)
		}
	}
	return all
}

func joinPEM(all []material) []byte {
	var joined []byte
	for _, m := range all {
		joined = append(append(joined, m.content...), '\n')
	}
	return joined
}
