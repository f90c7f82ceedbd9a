// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package depcheck

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestLicenceHeader(t *testing.T) {
	header := []byte("// Copyright The cosignkit Authors.\n// SPDX-License-Identifier: Apache-2.0\n\n")
	for _, file := range treeFiles(t, ".go") {
		content, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(content, header) {
			t.Errorf("%s does not begin with the licence header and an empty line:\n%s", file, header)
		}
	}
}
