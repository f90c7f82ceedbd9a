// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package pkcs11

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// useModule makes configured the module of u, if it is set.
func (u *uri) useModule(configured string) error {
	if configured != "" && u.module != "" && configured != u.module {
		return errors.New("the URI names another module than the one that is configured")
	}
	if configured != "" {
		u.module = configured
	}
	switch {
	case u.module == "":
		return errors.New("no module: the path of the token's library must be configured, or in the URI as module-path")
	case !filepath.IsAbs(u.module):
		// The loader would look for it in places that others may write to.
		return fmt.Errorf("the module %q is not an absolute path", u.module)
	}
	info, err := os.Stat(u.module)
	if err != nil {
		return fmt.Errorf("module: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("the module %q is not a regular file", u.module)
	}
	return nil
}
