// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package ambient_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/cosignkit/cosignkit/keyless"
	"github.com/cosignkit/cosignkit/keyless/ambient"
)

func ExampleProviders() {
	source := keyless.Ambient(keyless.AmbientConfig{More: []keyless.TokenSource{ambient.Providers()}})
	if _, err := source.Token(context.Background(), keyless.DefaultAudience); errors.Is(err, keyless.ErrNoToken) {
		fmt.Println("a person has to log in")
	}
}
