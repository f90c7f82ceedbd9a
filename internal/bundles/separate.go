// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package bundles

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
)

// CheckArtifact returns an error for content that must not be signed as it is: its
// signature would be one of a statement or of an image at the same time, since a
// signature does not say what it is of. A signature of a statement is over the
// pre-authentication encoding of DSSE, and a legacy one of an image over a simple
// signing payload; no other content is read as either.
func CheckArtifact(content []byte) error {
	if bytes.HasPrefix(content, []byte("DSSEv1 ")) {
		return errors.New(`content that begins with "DSSEv1 " is not signed as a file: its signature would be one of a statement; ` +
			"sign the statement itself")
	}
	if readsAsPayload(content) {
		return errors.New("content that is a simple signing payload is not signed as a file: its signature would be one of an image; " +
			"sign the image itself")
	}
	return nil
}

// payloadDigest is where a simple signing payload has the digest of the image.
var payloadDigest = []string{"critical", "image", "docker-manifest-digest"}

// readsAsPayload reports whether encoding/json finds the digest of an image in b. cosign
// looks at nothing else. The first of several values counts, names are equal as
// encoding/json has it, and each of several members of one name counts.
func readsAsPayload(b []byte) bool {
	d := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(b, []byte("\ufeff"))))
	d.UseNumber() // a number that is too large must not end the search
	if first, err := d.Token(); err != nil || first != json.Delim('{') {
		return false
	}
	for depth := 0; depth >= 0; {
		token, err := d.Token()
		if err != nil {
			return false
		}
		if token == json.Delim('}') {
			depth--
			continue
		}
		name, _ := token.(string)
		onPath := strings.EqualFold(name, payloadDigest[depth])
		if onPath && depth == len(payloadDigest)-1 {
			return true
		}
		if token, err = d.Token(); err != nil {
			return false
		}
		if onPath && token == json.Delim('{') {
			depth++
		} else if err := skipRest(d, token); err != nil {
			return false
		}
	}
	return false
}

// skipRest reads the rest of the value that begins with token.
func skipRest(d *json.Decoder, token json.Token) error {
	for open := 0; ; {
		switch token {
		case json.Delim('{'), json.Delim('['):
			open++
		case json.Delim('}'), json.Delim(']'):
			open--
		}
		if open == 0 {
			return nil
		}
		var err error
		if token, err = d.Token(); err != nil {
			return err
		}
	}
}
