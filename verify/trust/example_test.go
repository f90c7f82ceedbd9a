// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package trust_test

import (
	"fmt"

	"github.com/cosignkit/cosignkit/verify"
	"github.com/cosignkit/cosignkit/verify/trust"
)

// Trust what a TUF repository distributes: that of Sigstore's public instance, from
// which nothing is fetched before the first signature is verified.
func ExampleNewTUF() {
	roots, err := trust.NewTUF(trust.TUFConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = verify.New(verify.Policy{
		Identities:   []verify.Identity{{Subject: "name@example.com", Issuer: "https://accounts.example.com"}},
		TrustedRoots: roots,
	})
	fmt.Println(err)
	// Output: <nil>
}

// Trust a root in a file, and ask nobody.
func ExampleLoad() {
	root, err := trust.Load("../../testdata/public-good/trusted_root.json")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(root.Material().RekorLogs()), "logs")
	// Output: 2 logs
}
