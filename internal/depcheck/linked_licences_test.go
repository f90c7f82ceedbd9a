// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package depcheck

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// weakCopyleft are the modules whose licence is not permissive: docs/nerdctl.md
// names them, since the checks of those who vendor the library ask.
var weakCopyleft = []string{
	"github.com/hashicorp/go-cleanhttp", "github.com/hashicorp/go-retryablehttp",
	// By the client of containerd 2.2, the oldest that the library works with. That of
	// containerd 2.4 does not link it.
	"github.com/cyphar/filepath-securejoin",
}

var licenceFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying)([-._].*)?$`)

// TestLicencesOfWhatIsLinked: everything that the library links is under a
// permissive licence, but for a few modules.
func TestLicencesOfWhatIsLinked(t *testing.T) {
	t.Parallel()
	checked := map[string]bool{}
	for _, p := range dependencies(t, platform, libraryPackages(t)...) {
		if p.Standard || p.isOurs() || checked[p.Module.Path] {
			continue
		}
		checked[p.Module.Path] = true
		licence := licenceOf(t, p.Module.Dir)
		if want := slices.Contains(weakCopyleft, p.Module.Path); licence == "" || (licence == "MPL-2.0") != want {
			t.Errorf("%s is under licence %q", p.Module.Path, licence)
		}
	}
	for _, module := range weakCopyleft {
		if !checked[module] {
			t.Errorf("%s is not linked: take it from the list, and out of docs/nerdctl.md", module)
		}
	}
}

// licenceOf returns the licence of a module by the words of its text, or nothing
// for one that is not known.
func licenceOf(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, entry := range entries {
		if !licenceFile.MatchString(entry.Name()) || entry.IsDir() {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Join(strings.Fields(string(b)), " ")
		for _, l := range []struct{ words, name string }{
			{"Mozilla Public License", "MPL-2.0"},
			{"GNU ", "GNU"},
			{"Apache License", "Apache-2.0"},
			{"Permission is hereby granted, free of charge", "MIT"},
			{"Redistribution and use in source and binary forms", "BSD"},
			{"Permission to use, copy, modify, and/or distribute this software", "ISC"},
		} {
			if strings.Contains(text, l.words) {
				found = append(found, l.name)
				break
			}
		}
	}
	switch {
	case slices.Contains(found, "MPL-2.0"):
		return "MPL-2.0"
	case len(found) == 0 || slices.Contains(found, "GNU"):
		return ""
	}
	return found[0]
}
