// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"sync"

	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"google.golang.org/protobuf/proto"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/leash"
	"github.com/cosignkit/cosignkit/internal/limits"
)

// Anybody can make candidates that show no log entry. So a candidate is looked up
// last, after everything else about it was found good. A stream is not looked up if
// another candidate was enough.

// errNoEntry is why a signature does not count as long as its entry is not found.
var errNoEntry = errors.New("it shows no transparency log entry")

// lacksEntry reports whether the log entry of e is to be looked up, if all else is
// good.
func (v *validated) lacksEntry(e *entity) bool {
	return v.lookup != nil && !v.ignoreLog && len(e.GetVerificationMaterial().GetTlogEntries()) == 0
}

// lookUps are the signatures of one verification whose log entries are wanted. Equal
// signatures are looked up once.
type lookUps struct {
	v        *validated
	material root.TrustedMaterial
	bySum    map[[sha256.Size]byte]*lookUp
	inOrder  []*lookUp
}

// lookUp is one request to the logs, and the candidates that it is for.
type lookUp struct {
	key     crypto.PublicKey // nil for a certificate
	waiting []waiting
}

// waiting is a candidate that lacks nothing but a log entry. What was found in the
// end is told.
type waiting struct {
	entity *entity
	tell   func(finding, error)
}

// add has a signature looked up, unless there are too many.
func (l *lookUps) add(found finding, tell func(finding, error)) error {
	sum, err := found.sum()
	if err != nil {
		return err
	}
	one := l.bySum[sum]
	if one == nil {
		if len(l.inOrder) == limits.LogLookups {
			return fault.New(ErrInconclusive, opVerify, "", stageLookUp, limits.Exceeded("number of look-ups", limits.LogLookups))
		}
		one = &lookUp{key: found.key.public}
		if l.bySum == nil {
			l.bySum = map[[sha256.Size]byte]*lookUp{}
		}
		l.bySum[sum] = one
		l.inOrder = append(l.inOrder, one)
	}
	one.waiting = append(one.waiting, waiting{found.wants, tell})
	return nil
}

const stageLookUp = "look up log entry"

// sum is equal for equal signatures with equal certificates, or by one key.
func (f finding) sum() (sum [sha256.Size]byte, err error) {
	signed, err := f.wants.SignatureContent()
	if err != nil {
		return sum, err
	}
	content, err := f.wants.VerificationContent()
	if err != nil {
		return sum, err
	}
	by := []byte(f.key.id)
	if c := content.Certificate(); c != nil {
		by = c.Raw
	}
	made := sha256.Sum256(signed.Signature())
	return sha256.Sum256(append(made[:], by...)), nil
}

// run makes all look-ups at once, and tells what comes of each as it arrives, in the
// goroutine of the caller. It ends as soon as enough reports true.
func (l *lookUps) run(ctx context.Context, enough func() bool) {
	ctx, cancel := context.WithCancel(ctx)
	answers := make(chan func())
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()
	for _, one := range l.inOrder {
		asking.Go(func() {
			tell := l.ask(ctx, one)
			select {
			case answers <- tell:
			case <-ctx.Done():
			}
		})
	}
	for range l.inOrder {
		select {
		case tell := <-answers:
			if tell(); enough() {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// ask makes one look-up, and verifies each candidate with the entries that it found.
// It returns what tells of that.
func (l *lookUps) ask(ctx context.Context, one *lookUp) func() {
	entries, err := leash.Call(ctx, func(ctx context.Context) ([]*protorekor.TransparencyLogEntry, error) {
		// It is the callee's to write to, and after this call too.
		b := proto.CloneOf(one.waiting[0].entity.Bundle.Bundle)
		if err := l.v.lookup.Lookup(ctx, b, one.key); err != nil {
			return nil, err
		}
		entries := b.GetVerificationMaterial().GetTlogEntries()
		if len(entries) > limits.LogEntries {
			return nil, limits.Exceeded("number of log entries", limits.LogEntries)
		}
		return entries, nil
	})
	if err != nil {
		err = fault.New(ErrInconclusive, opVerify, "", stageLookUp, err)
	}
	findings, errs := make([]finding, len(one.waiting)), make([]error, len(one.waiting))
	for i, w := range one.waiting {
		if errs[i] = err; err == nil {
			errs[i] = leash.Recovered(func() (err error) {
				findings[i], err = l.withEntries(ctx, w.entity, entries)
				return err
			})
		}
	}
	return func() {
		for i, w := range one.waiting {
			w.tell(findings[i], errs[i])
		}
	}
}

// withEntries verifies e with the log entries that were found for it.
func (l *lookUps) withEntries(ctx context.Context, e *entity, entries []*protorekor.TransparencyLogEntry) (finding, error) {
	b := proto.CloneOf(e.Bundle.Bundle)
	b.VerificationMaterial.TlogEntries = entries
	with, err := newEntity(b, l.v.limits.Chain, e.artifact)
	if err != nil {
		return finding{}, err
	}
	with.evidence = func() (*entity, error) { return with, nil }
	last := *l.v
	last.lookup = nil
	return last.verifyEntity(ctx, with, l.material)
}
