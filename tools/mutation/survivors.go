// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// parseSurvivors reads the list of checks that no test misses, each with what
// covers it. A check is a line, what covers it are the indented lines below, and a
// line that begins with # says nothing.
func parseSurvivors(r io.Reader) (map[string]string, error) {
	covered := map[string]string{}
	key := ""
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		text := strings.TrimSpace(line)
		switch {
		case text == "" || strings.HasPrefix(text, "#"):
		case line != strings.TrimLeft(line, " \t"):
			if key == "" {
				return nil, fmt.Errorf("line %d: a reason without a check", n)
			}
			covered[key] = strings.TrimSpace(covered[key] + " " + text)
		default:
			if key != "" && covered[key] == "" {
				return nil, fmt.Errorf("line %d: the check above has no reason", n)
			}
			if _, again := covered[text]; again {
				return nil, fmt.Errorf("line %d: the check is listed twice", n)
			}
			key = text
			covered[key] = ""
		}
	}
	if key != "" && covered[key] == "" {
		return nil, fmt.Errorf("the last check has no reason")
	}
	return covered, lines.Err()
}
