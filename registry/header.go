// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"net/http"

	"github.com/cosignkit/cosignkit/internal/limits"
)

// checkHeader bounds the header of an answer, before anything parses it. The
// parsers of challenges read the rest of one again for each escaped character.
func checkHeader(header http.Header) error {
	all := 0
	for name, values := range header {
		for _, value := range values {
			all += len(name) + len(value)
		}
	}
	if all > limits.Header {
		return limits.Exceeded("header of an answer in bytes", limits.Header)
	}
	challenge := 0
	for _, value := range header.Values("WWW-Authenticate") {
		challenge += len(value)
	}
	if challenge > limits.Challenge {
		return limits.Exceeded("challenge of a registry in bytes", limits.Challenge)
	}
	return nil
}

// headerTransport is a transport whose answers passed checkHeader.
type headerTransport struct{ http.RoundTripper }

func (t headerTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.RoundTripper.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if err := checkHeader(resp.Header); err != nil {
		_ = resp.Body.Close()
		return nil, err
	}
	return resp, nil
}
