// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package pkcs11

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/miekg/pkcs11"

	"github.com/cosignkit/cosignkit/signing"
)

// library is a PKCS #11 library that is loaded. It is one for the whole process,
// by the design of PKCS #11: a second C_Initialize is an error, and C_Finalize ends
// the sessions of everybody.
type library struct {
	*pkcs11.Ctx
	path  string
	users int
	// initialized is false where other code of the process did that before.
	initialized bool
}

var (
	librariesMu sync.Mutex
	libraries   = map[string]*library{}
)

func load(path string) (*library, error) {
	librariesMu.Lock()
	defer librariesMu.Unlock()
	if l := libraries[path]; l != nil {
		l.users++
		return l, nil
	}
	l := &library{Ctx: pkcs11.New(path), path: path, users: 1, initialized: true}
	if l.Ctx == nil {
		return nil, misconfigured{fmt.Errorf("%q is no PKCS #11 library that loads here", path)}
	}
	switch err := l.Initialize(); {
	case errors.Is(err, pkcs11.Error(pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED)):
		l.initialized = false
	case err != nil:
		l.Destroy()
		return nil, fmt.Errorf("initialize %q: %w", path, err)
	}
	libraries[path] = l
	return l, nil
}

func (l *library) release() {
	librariesMu.Lock()
	defer librariesMu.Unlock()
	if l.users--; l.users > 0 {
		return
	}
	delete(libraries, l.path)
	if l.initialized {
		_ = l.Finalize()
	}
	l.Destroy()
}

// misconfigured marks the errors that need a human.
type misconfigured struct{ error }

func (m misconfigured) Unwrap() error { return m.error }

// unusable are what a token says where trying again does not help.
var unusable = []error{
	pkcs11.Error(pkcs11.CKR_KEY_FUNCTION_NOT_PERMITTED),
	pkcs11.Error(pkcs11.CKR_KEY_TYPE_INCONSISTENT),
	pkcs11.Error(pkcs11.CKR_MECHANISM_INVALID),
	pkcs11.Error(pkcs11.CKR_USER_NOT_LOGGED_IN),
}

func kindOf(err error) error {
	var marked misconfigured
	is := func(target error) bool { return errors.Is(err, target) }
	if errors.As(err, &marked) || errors.Is(err, errClosed) || slices.ContainsFunc(unusable, is) {
		return signing.ErrMisconfigured
	}
	return signing.ErrInconclusive
}

// session is an open token, logged in where it wants that.
type session struct {
	library *library
	slot    uint
	// handle is kept open for the login, which ends with the last session.
	handle pkcs11.SessionHandle
	key    privateKey
	// pin is kept for keys that want it with each signature, and empty for others.
	pin string
	// refused is why pin is not tried again: a token locks itself after a few.
	refused error
}

func openToken(ctx context.Context, u uri, name string, ask signing.PassphraseFunc) (_ token, _ crypto.PublicKey, err error) {
	l, err := load(u.module)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			l.release()
		}
	}()
	slot, info, err := l.findToken(u)
	if err != nil {
		return nil, nil, err
	}
	handle, err := l.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION)
	if err != nil {
		return nil, nil, fmt.Errorf("open session: %w", err)
	}
	defer func() {
		if err != nil {
			_ = l.CloseSession(handle)
		}
	}()
	s := &session{library: l, slot: slot, handle: handle}
	if info.Flags&pkcs11.CKF_LOGIN_REQUIRED != 0 {
		if err := s.login(ctx, u, name, ask); err != nil {
			return nil, nil, err
		}
	}
	public, err := s.findKey(u)
	if err != nil {
		return nil, nil, err
	}
	return s, public, nil
}

// findToken returns the one token that u fits. Labels are not unique, and a PIN that
// is given to another token is given away, and counts there as a wrong one.
func (l *library) findToken(u uri) (slot uint, _ pkcs11.TokenInfo, err error) {
	var found pkcs11.TokenInfo
	slots, err := l.GetSlotList(true)
	if err != nil {
		return 0, found, fmt.Errorf("list slots: %w", err)
	}
	count := 0
	for _, s := range slots {
		info, err := l.GetTokenInfo(s)
		if err != nil || info.Flags&pkcs11.CKF_TOKEN_INITIALIZED == 0 || !u.fits(s, info) {
			continue // A token that cannot be asked is not one that was asked for.
		}
		slot, found = s, info
		count++
	}
	switch count {
	case 0:
		return 0, found, misconfigured{errors.New("no token fits the URI")}
	case 1:
		return slot, found, nil
	default:
		return 0, found, misconfigured{fmt.Errorf("%d tokens fit the URI; name one by serial", count)}
	}
}

func (u uri) fits(slot uint, info pkcs11.TokenInfo) bool {
	fits := func(wanted, is string) bool { return wanted == "" || wanted == is }
	return fits(u.token, info.Label) && fits(u.serial, info.SerialNumber) &&
		fits(u.manufacturer, info.ManufacturerID) && fits(u.model, info.Model) && (u.slot == nil || *u.slot == slot)
}

// login gives the PIN to the token, once.
func (s *session) login(ctx context.Context, u uri, name string, ask signing.PassphraseFunc) error {
	switch {
	case u.pin != nil:
		s.pin = *u.pin
	case ask == nil:
		return misconfigured{fmt.Errorf("the token wants a PIN: %w", signing.ErrNoPassphrase)}
	default:
		pin, err := ask(ctx, name)
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return misconfigured{fmt.Errorf("PIN: %w", err)}
		}
		s.pin = string(pin)
	}
	if s.pin == "" {
		// Which to some tokens means that they have a pad to enter it at.
		return misconfigured{fmt.Errorf("the PIN is empty: %w", signing.ErrNoPassphrase)}
	}
	err := s.library.Login(s.handle, pkcs11.CKU_USER, s.pin)
	if errors.Is(err, pkcs11.Error(pkcs11.CKR_USER_ALREADY_LOGGED_IN)) {
		return nil // By another key of this process, whose login all share.
	}
	return pinError(err)
}

// pinError says in this library's words what the token says of the PIN.
func pinError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pkcs11.Error(pkcs11.CKR_PIN_INCORRECT)), errors.Is(err, pkcs11.Error(pkcs11.CKR_PIN_LEN_RANGE)),
		errors.Is(err, pkcs11.Error(pkcs11.CKR_PIN_INVALID)):
		return misconfigured{fmt.Errorf("log in: %w: %w", signing.ErrWrongPassphrase, err)}
	case errors.Is(err, pkcs11.Error(pkcs11.CKR_PIN_LOCKED)), errors.Is(err, pkcs11.Error(pkcs11.CKR_USER_PIN_NOT_INITIALIZED)):
		return misconfigured{fmt.Errorf("log in: %w", err)}
	default:
		return fmt.Errorf("log in: %w", err)
	}
}

func (s *session) close() {
	// With the last session of the process the token logs out.
	_ = s.library.CloseSession(s.handle)
	s.library.release()
}
