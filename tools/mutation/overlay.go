// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

const (
	offVariable    = "MUTANT_OFF"
	recordVariable = "MUTANT_RECORD"
)

// runtimeSource is what each package gets. It switches off the checks of the numbers in
// one variable, which commas separate, and writes the numbers of those that were
// reached into the file in another.
const runtimeSource = `package %s

import (
	"os"
	"strconv"
	"strings"
	"sync"
)

var (
	mutantsOff   = map[string]bool{}
	mutantRecord = os.Getenv(%q)
	mutantsSeen  sync.Map
)

func init() {
	for _, n := range strings.Split(os.Getenv(%q), ",") {
		mutantsOff[n] = true
	}
}

func mutantOn(n int) bool {
	if mutantRecord != "" {
		mutantReached(n)
	}
	return !mutantsOff[strconv.Itoa(n)]
}

func mutantReached(n int) {
	if _, again := mutantsSeen.LoadOrStore(n, true); again {
		return
	}
	file, err := os.OpenFile(mutantRecord, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	defer func() { _ = file.Close() }()
	if _, err := file.WriteString(strconv.Itoa(n) + "\n"); err != nil {
		panic(err)
	}
}
`

// overlay writes what the go command is to read for the files of packages, into dir,
// and returns the name of the file that says so.
func overlay(dir string, packages []*finder) (string, error) {
	replace := map[string]string{}
	put := func(name string, text []byte) error {
		replace[name] = filepath.Join(dir, fmt.Sprintf("%d.go", len(replace)))
		return os.WriteFile(replace[name], text, 0o600)
	}
	for _, p := range packages {
		if len(p.mutants) == 0 {
			continue
		}
		for _, file := range p.files {
			if len(p.edits[file.name]) == 0 {
				continue
			}
			if err := put(file.name, p.instrumented(file)); err != nil {
				return "", err
			}
		}
		var text bytes.Buffer
		fmt.Fprintf(&text, runtimeSource, p.name, recordVariable, offVariable)
		if err := put(filepath.Join(p.dir, "mutant_on.go"), text.Bytes()); err != nil {
			return "", err
		}
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "overlay.json")
	return name, os.WriteFile(name, b, 0o600)
}
