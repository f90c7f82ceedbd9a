// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package policyfile

import "strings"

// nearest returns the one of known that word is most likely a slip of, or nothing.
func nearest(word string, known []string) string {
	const most = 3 // letters that are wrong, and no more than a third of them
	best, distance := "", most+1
	if len(word) > 64 {
		return ""
	}
	for _, k := range known {
		if n := edits(strings.ToLower(word), strings.ToLower(k)); n < distance && 3*n <= len(k)+1 {
			best, distance = k, n
		}
	}
	return best
}

// edits counts the letters to insert, delete or replace to make b of a.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
