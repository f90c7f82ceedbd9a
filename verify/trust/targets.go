// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/cosignkit/cosignkit/internal/limits"
)

// The targets of a Sigstore TUF repository.
const (
	targetTrustedRoot   = "trusted_root.json"
	targetSigningConfig = "signing_config.v0.2.json"
)

var errNoTarget = errors.New("not found")

// targets is section 5.6 for the role targets, and 5.6.7 for delegated ones. A
// role is verified for each role that delegates to it.
func (w *workflow) targets(role, parent string) error {
	meta := w.set.Snapshot.Signed.Meta[role+".json"]
	if meta == nil {
		return fmt.Errorf("snapshot.json says nothing about %q", role)
	}
	update := func(b []byte) error {
		if err := checkForm(b); err != nil {
			return err
		}
		_, err := w.set.UpdateDelegatedTargets(b, role, parent)
		return err
	}
	name := roleName(role)
	for _, c := range slices.Concat([]reader{w.files}, w.copies) {
		if w.measure(c, name, limits.TUFMetadata, func(b []byte) bool { return update(b) == nil }) {
			return nil
		}
	}
	b, err := w.fetch(name, w.versioned(meta.Version, url.PathEscape(role)+".json"), bound(meta.Length, limits.TUFMetadata))
	if err != nil {
		return err
	}
	if err := update(b); err != nil {
		return err
	}
	w.accept(name, b)
	return nil
}

// find searches the delegations depth first, in their order.
func (w *workflow) find(target string) (*metadata.TargetFiles, error) {
	type delegation struct{ role, parent string }
	next := []delegation{{metadata.TARGETS, metadata.ROOT}}
	visited := map[string]bool{}
	for len(next) > 0 {
		d := next[len(next)-1]
		next = next[:len(next)-1]
		if visited[d.role] {
			continue
		}
		if len(visited) > limits.TUFDelegations {
			return nil, fmt.Errorf("%s: %w", target, limits.Exceeded("delegated roles", limits.TUFDelegations))
		}
		visited[d.role] = true
		if err := w.targets(d.role, d.parent); err != nil {
			return nil, err
		}
		role := w.set.Targets[d.role].Signed
		if file := role.Targets[target]; file != nil {
			return file, nil
		}
		if role.Delegations == nil {
			continue
		}
		var children []delegation
		for _, child := range role.Delegations.GetRolesForTarget(target) {
			children = append(children, delegation{child.Name, d.role})
			if child.Terminating {
				next = nil
				break
			}
		}
		slices.Reverse(children)
		next = append(next, children...)
	}
	return nil, fmt.Errorf("%s %w", target, errNoTarget)
}

// target is section 5.7.
func (w *workflow) target(target string) ([]byte, error) {
	file, err := w.find(target)
	if err != nil {
		return nil, err
	}
	name := targetName(target)
	var content []byte
	for _, c := range w.copies {
		if w.measure(c, name, limits.TUFMetadata, func(b []byte) bool { content = b; return file.VerifyLengthHashes(b) == nil }) {
			return content, nil
		}
	}
	content, err = w.fetch(name, w.targetPath(target, file), bound(file.Length, limits.TUFMetadata))
	if err != nil {
		return nil, err
	}
	if err := file.VerifyLengthHashes(content); err != nil {
		return nil, fmt.Errorf("%s: %w", target, err)
	}
	w.accept(name, content)
	return content, nil
}

// targetPath has any of the hashes; the same one each time.
func (w *workflow) targetPath(target string, file *metadata.TargetFiles) string {
	dir, base := path.Split(target)
	if w.set.Root.Signed.ConsistentSnapshot {
		for _, algorithm := range []string{"sha256", "sha512"} {
			if hash, ok := file.Hashes[algorithm]; ok {
				base = fmt.Sprintf("%x.%s", []byte(hash), base)
				break
			}
		}
	}
	return dirTargets + dir + base
}
