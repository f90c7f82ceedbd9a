// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless_test

import (
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	warm()
	goleak.VerifyTestMain(m)
}

// warm has go-jose make its encoders, each with a WaitGroup that all tests
// share. Were one first made in a synctest bubble, a test outside that waits for it
// would crash: Go 1.26 takes it for granted that such a group is waited for in a
// bubble.
func warm() {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: make([]byte, 32)}, nil)
	if err != nil {
		panic(err)
	}
	if _, err := jwt.Signed(signer).Claims(map[string]any{"text": "", "number": 1, "bool": true, "list": []string{""}, "any": []any{1.5}}).Serialize(); err != nil {
		panic(err)
	}
	if _, err := (jose.JSONWebKey{Key: make([]byte, 32)}).MarshalJSON(); err != nil {
		panic(err)
	}
}
