// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package pkcs11

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

const (
	scheme = "pkcs11:"
	// maxURI is more than a path, a PIN and a few labels of 32 bytes need, even
	// if each byte is percent-encoded.
	maxURI = 16 << 10
)

// uri is a pkcs11: URI, RFC 7512. What is empty is not in it.
type uri struct {
	token, serial, manufacturer, model string
	slot                               *uint
	id, object                         string
	module                             string
	pin                                *string
}

// describe is what of a URI may be shown: not the query, which may have the PIN, nor
// what older forms of the URI had for that in the path.
func describe(s string) string {
	if !strings.HasPrefix(s, scheme) || len(s) > maxURI {
		return "" // whatever it is
	}
	path, _, _ := strings.Cut(s, "?")
	if strings.Contains(strings.ToLower(path), "pin") || strings.ContainsFunc(path, unicode.IsControl) {
		return scheme + "…"
	}
	return path
}

// parseURI accepts the attributes that are acted upon and no others: section 2.3 has
// a consumer refuse what it does not know, since another object may be meant.
func parseURI(s string) (uri, error) {
	var u uri
	rest, ok := strings.CutPrefix(s, scheme)
	if !ok || len(s) > maxURI {
		return u, errors.New("want a pkcs11: URI")
	}
	path, query, _ := strings.Cut(rest, "?")
	if err := attributes(path, ";", u.pathAttribute); err != nil {
		return u, err
	}
	if err := attributes(query, "&", u.queryAttribute); err != nil {
		return u, err
	}
	if u.token == "" && u.serial == "" && u.slot == nil {
		return u, errors.New("the URI names no token: want token, serial or slot-id")
	}
	if u.id == "" && u.object == "" {
		return u, errors.New("the URI names no key: want id or object")
	}
	return u, nil
}

// attributes calls set with each attribute of s. Errors name attributes alone, as a
// value may be the PIN.
func attributes(s, separator string, set func(name, value string) error) error {
	seen := map[string]bool{}
	for attribute := range strings.SplitSeq(s, separator) {
		if attribute == "" {
			continue
		}
		name, encoded, ok := strings.Cut(attribute, "=")
		if !ok {
			return errors.New("the URI has an attribute without a value")
		}
		// Not as in a form: a plus stands for itself.
		value, err := url.PathUnescape(encoded)
		if err != nil || value == "" {
			return fmt.Errorf("the value of the attribute %.32q is empty or malformed", name)
		}
		if seen[name] {
			return fmt.Errorf("the URI has the attribute %.32q twice", name)
		}
		seen[name] = true
		if err := set(name, value); err != nil {
			return err
		}
	}
	return nil
}

func (u *uri) pathAttribute(name, value string) error {
	switch name {
	case "token":
		u.token = value
	case "serial":
		u.serial = value
	case "manufacturer":
		u.manufacturer = value
	case "model":
		u.model = value
	case "id":
		u.id = value
	case "object":
		u.object = value
	case "type":
		if value != "private" {
			return errors.New("the URI is not of a private key")
		}
	case "slot-id":
		slot, err := strconv.ParseUint(value, 10, 32)
		if err != nil {
			return errors.New("slot-id is not a number")
		}
		n := uint(slot)
		u.slot = &n
	default:
		return fmt.Errorf("the attribute %.32q is not supported", name)
	}
	return nil
}

func (u *uri) queryAttribute(name, value string) error {
	switch name {
	case "module-path":
		if strings.ContainsRune(value, 0) {
			return errors.New("module-path is malformed")
		}
		u.module = value
	case "pin-value":
		u.pin = &value
	default:
		// Of these, pin-source may name a program to run.
		return fmt.Errorf("the attribute %.32q is not supported", name)
	}
	return nil
}
