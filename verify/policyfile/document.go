// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package policyfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/strictyaml"
)

// document is a file that is being read. Whatever is wrong goes into problems, and
// reading goes on, so that all of it is found at once.
type document struct {
	name     string
	problems Problems
	// damaged are the values in which check found something: to read them would
	// find what follows from it.
	damaged map[*yaml.Node]bool
}

func (d *document) problem(line int, field, format string, args ...any) {
	text := fault.OneLine(fmt.Sprintf(format, args...))
	d.problems = append(d.problems, Problem{File: d.name, Line: line, Field: fault.OneLine(field), Text: text})
}

// parse returns the value that b holds, or nil. What YAML has beside values, and
// could have two readers of a file understand different things, is refused.
func (d *document) parse(b []byte) *yaml.Node {
	if err := strictyaml.Check(b); err != nil {
		d.problem(1, "", "%v", err)
		return nil
	}
	if json.Valid(b) {
		b = plainJSON(b)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(b))
	var doc, next yaml.Node
	err := decodeNode(decoder, &doc)
	switch {
	case errors.Is(err, io.EOF) || err == nil && len(doc.Content) == 0:
		d.problem(1, "", "the file is empty")
		return nil
	case err != nil:
		d.syntax(err)
		return nil
	}
	root := doc.Content[0]
	switch err := decodeNode(decoder, &next); {
	case err == nil:
		d.problem(max(next.Line, 1), "", "a second document begins, want one")
	case !errors.Is(err, io.EOF):
		d.syntax(err)
	}
	d.damaged = map[*yaml.Node]bool{}
	d.check(root, "")
	return root
}

// parseJSON is parse for a file that must be JSON, which YAML is a superset of.
func (d *document) parseJSON(b []byte) *yaml.Node {
	var value any
	if err := json.Unmarshal(b, &value); err != nil {
		line := 1
		if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
			line += bytes.Count(b[:min(int(syntax.Offset), len(b))], []byte("\n"))
		}
		d.problem(line, "", "not JSON: %v", err)
		return nil
	}
	return d.parse(b)
}

// plainJSON writes out what JSON may escape and the parser for YAML does not know:
// a slash, and what takes two escapes of UTF-16. Nothing else of b, which is valid,
// changes, nor do its lines.
func plainJSON(b []byte) []byte {
	plain := make([]byte, 0, len(b))
	for len(b) > 0 {
		at := bytes.IndexByte(b, '\\') // in a text, and another byte comes after it
		if at < 0 {
			break
		}
		plain = append(plain, b[:at]...)
		b = b[at:]
		if b[1] == '/' {
			plain, b = append(plain, '/'), b[2:]
			continue
		}
		if r := utf16.DecodeRune(escaped(b), escaped(b[min(6, len(b)):])); r != utf8.RuneError {
			plain, b = utf8.AppendRune(plain, r), b[12:]
			continue
		}
		plain, b = append(plain, b[:2]...), b[2:]
	}
	return append(plain, b...)
}

// escaped is the unit of UTF-16 that b begins with, as in \u0061, or else 0.
func escaped(b []byte) rune {
	if !bytes.HasPrefix(b, []byte(`\u`)) || len(b) < 6 {
		return 0
	}
	unit, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	if err != nil {
		return 0
	}
	return rune(unit)
}

// decodeNode shields from the parser: a file that makes it panic is no policy.
func decodeNode(decoder *yaml.Decoder, to *yaml.Node) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("not well formed: %.128v", r)
		}
	}()
	return decoder.Decode(to)
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line ([0-9]+): )?(.*)$`)

func (d *document) syntax(err error) {
	line, text := 1, strings.ReplaceAll(err.Error(), "\n", " ")
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		text = m[2]
		if n, err := strconv.Atoi(m[1]); err == nil {
			line = n
		}
	}
	d.problem(line, "", "%s", text)
}

// check refuses, in a value and all below it, anchors, aliases, merge keys, tags,
// keys that are no text or are there twice, and values that are left out.
func (d *document) check(n *yaml.Node, field string) {
	before := len(d.problems)
	defer func() {
		if len(d.problems) > before {
			d.damaged[n] = true
		}
	}()
	switch {
	case n.Kind == yaml.AliasNode:
		d.problem(n.Line, field, "an alias, want the value itself: what a rule says must be seen there")
		return
	case n.Anchor != "":
		d.problem(n.Line, field, "an anchor; there are no aliases to use it")
	case n.Style&yaml.TaggedStyle != 0:
		d.problem(n.Line, field, "a tag, want a plain value")
	}
	switch n.Kind {
	case yaml.ScalarNode:
		if isEmpty(n) {
			d.problem(n.Line, field, "%s", emptyValue)
		}
	case yaml.SequenceNode:
		for _, item := range n.Content {
			d.check(item, field)
		}
	case yaml.MappingNode:
		d.checkMapping(n, field)
	}
}

func (d *document) checkMapping(n *yaml.Node, field string) {
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if !isName(key) {
			d.problem(key.Line, field, "%s is no name of a field; quote it if it is one", describe(key))
			continue
		}
		if line, seen := first[key.Value]; seen {
			d.problem(key.Line, key.Value, "is there twice, first on line %d", line)
		} else {
			first[key.Value] = key.Line
		}
		d.check(value, key.Value)
	}
}

// isName reports whether a key of a mapping is plain text.
func isName(key *yaml.Node) bool {
	return key.Kind == yaml.ScalarNode && key.ShortTag() == tagText && key.Style&yaml.TaggedStyle == 0 && key.Anchor == ""
}

const emptyValue = "is empty; leave it out, or give it a value"

// Tags of values, as the parser resolves them.
const (
	tagText    = "!!str"
	tagNull    = "!!null"
	tagNumber  = "!!int"
	tagBoolean = "!!bool"
)

func isEmpty(n *yaml.Node) bool {
	return n.ShortTag() == tagNull || n.ShortTag() == tagText && strings.TrimSpace(n.Value) == ""
}

// reported is for values that check has said all about.
func reported(n *yaml.Node) bool {
	return n.Kind == yaml.AliasNode || n.Kind == yaml.ScalarNode && isEmpty(n)
}

// describe says what a value is, for messages.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.SequenceNode:
		return "a list"
	case yaml.MappingNode:
		return "a mapping"
	case yaml.AliasNode:
		return "an alias"
	}
	switch n.ShortTag() {
	case tagText:
		return fmt.Sprintf("the text %.64q", n.Value)
	case tagNull:
		return "nothing"
	case tagBoolean:
		return fmt.Sprintf("the boolean %.16s", n.Value)
	case tagNumber, "!!float":
		return fmt.Sprintf("the number %.64s", n.Value)
	case "!!timestamp":
		return fmt.Sprintf("the date %.64s", n.Value)
	default:
		return fmt.Sprintf("%.64q", n.Value)
	}
}

// fields are those of a mapping.
type fields struct {
	line  int
	names []string // in their order
	lines map[string]int
	value map[string]*yaml.Node
}

func (f fields) has(name string) bool { return f.value[name] != nil }

// mapping returns the fields of n, or false. With known names it wants no others.
func (d *document) mapping(n *yaml.Node, field string, known ...string) (fields, bool) {
	f := fields{line: n.Line, lines: map[string]int{}, value: map[string]*yaml.Node{}}
	if reported(n) {
		return f, false
	}
	if n.Kind != yaml.MappingNode {
		d.problem(n.Line, field, "%s, want a mapping", describe(n))
		return f, false
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if f.has(key.Value) || !isName(key) {
			continue // reported
		}
		if len(known) > 0 && !slices.Contains(known, key.Value) {
			d.unknown(key, known)
			continue
		}
		f.names = append(f.names, key.Value)
		f.lines[key.Value], f.value[key.Value] = key.Line, value
	}
	return f, true
}

func (d *document) unknown(key *yaml.Node, known []string) {
	if near := nearest(key.Value, known); near != "" {
		d.problem(key.Line, key.Value, "unknown field; did you mean %s?", near)
		return
	}
	d.problem(key.Line, key.Value, "unknown field; those known here are %s", strings.Join(known, ", "))
}

// list returns the items of n, of which there must be some.
func (d *document) list(n *yaml.Node, field string) []*yaml.Node {
	switch {
	case reported(n):
	case n.Kind != yaml.SequenceNode:
		d.problem(n.Line, field, "%s, want a list", describe(n))
	case len(n.Content) == 0:
		d.problem(n.Line, field, emptyValue)
	default:
		return n.Content
	}
	return nil
}

// text returns a text that is not empty.
func (d *document) text(n *yaml.Node, field string) (string, bool) {
	if reported(n) {
		return "", false
	}
	if n.Kind != yaml.ScalarNode || n.ShortTag() != tagText {
		hint := ""
		if n.Kind == yaml.ScalarNode {
			hint = "; quote it"
		}
		d.problem(n.Line, field, "%s, want text%s", describe(n), hint)
		return "", false
	}
	return n.Value, true
}

// number returns a number of at least 1.
func (d *document) number(n *yaml.Node, field string) int {
	if reported(n) {
		return 0
	}
	value, err := strconv.Atoi(n.Value)
	if n.Kind != yaml.ScalarNode || n.ShortTag() != tagNumber || err != nil || value < 1 {
		d.problem(n.Line, field, "%s, want a number from 1", describe(n))
		return 0
	}
	return value
}

// yes returns true for true, which is all that a field may say that weakens or
// decides: one that says false, or on, would be there to be misread.
func (d *document) yes(n *yaml.Node, field string) bool {
	if reported(n) {
		return false
	}
	if n.Kind != yaml.ScalarNode || n.ShortTag() != tagBoolean || n.Value != "true" {
		d.problem(n.Line, field, "%s, want true, or leave the field out", describe(n))
		return false
	}
	return true
}

// oneOf returns a text that is one of those given.
func (d *document) oneOf(n *yaml.Node, field string, words ...string) string {
	if reported(n) {
		return ""
	}
	if n.Kind != yaml.ScalarNode || n.ShortTag() != tagText || !slices.Contains(words, n.Value) {
		d.problem(n.Line, field, "%s, want %s", describe(n), strings.Join(words, " or "))
		return ""
	}
	return n.Value
}
