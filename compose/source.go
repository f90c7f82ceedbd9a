// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package compose

import (
	"bytes"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/files"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/internal/strictyaml"
)

// sources finds fields in the files of a project, for messages and for what an
// override has to write alike: what a field says is what compose-go makes of all
// files. It reads what was written and does not interpolate, so that it may not
// find a field, or find one that another file removes.
type sources struct {
	dir   string
	files []string
	// parsed are the documents of each file that was read, none of one that
	// cannot be.
	parsed map[string][]*yaml.Node
	// visits is how many more nodes are looked at. Files can be made so that
	// there is no end of the ways to a node.
	visits int
}

func newSources(project *types.Project) *sources {
	return &sources{dir: project.WorkingDir, files: project.ComposeFiles, parsed: map[string][]*yaml.Node{}, visits: limits.ComposeNodes}
}

// find returns the file, relative to the project directory if it is in there, and
// the line of a field, or else of what should have it. Of several files, the last
// one that has the field counts, as it does for compose-go.
func (s *sources) find(service, field string) (file string, line int) {
	var path []string
	shortest := 1
	if service != "" {
		path, shortest = []string{"services", service}, 2
	}
	if field != "" {
		path = append(path, strings.Split(field, ".")...)
	}
	for ; len(path) >= shortest; path = path[:len(path)-1] {
		for i := len(s.files) - 1; i >= 0; i-- {
			if at := s.lookup(source{s.files[i], s.dir}, path, limits.ComposeDepth); at.key != nil {
				return s.relative(at.file), at.key.Line
			}
		}
	}
	return "", 0
}

func (s *sources) relative(file string) string {
	if inside, err := filepath.Rel(s.dir, file); err == nil && filepath.IsLocal(inside) {
		file = filepath.ToSlash(inside)
	}
	return fault.OneLine(file)
}

// inherits reports whether a pre_start hook has the image of its service because it
// names none. It is false where the files do not show that. The last hook has to be
// found as well: of several files, each with its own hooks, no number is known.
func (s *sources) inherits(service string, hook, last int) bool {
	at := func(i int, field ...string) []string {
		return append([]string{"services", service, "pre_start", strconv.Itoa(i)}, field...)
	}
	found := false
	for _, file := range s.files {
		in := source{file, s.dir}
		if s.lookup(in, at(hook, "image"), limits.ComposeDepth).key != nil {
			return false
		}
		found = found || s.lookup(in, at(last), limits.ComposeDepth).key != nil
	}
	return found && s.visits >= 0
}

// target is how a file writes the target of a mount, which compose-go cleans after
// it has compared those of several files.
func (s *sources) target(service string, mounts int, cleaned string) string {
	for i := range mounts {
		at := []string{"services", service, "volumes", strconv.Itoa(i), "target"}
		for _, file := range s.files {
			written := s.lookup(source{file, s.dir}, at, limits.ComposeDepth).value
			if written != nil && path.Clean(written.Value) == cleaned {
				return written.Value
			}
		}
	}
	return cleaned
}

// source is a file, and the directory from which it names others.
type source struct{ file, dir string }

func (f source) names(file string) source {
	if !filepath.IsAbs(file) {
		file = filepath.Join(f.dir, filepath.FromSlash(file))
	}
	return source{file, filepath.Dir(file)}
}

// lookupVisits is what looking into a file costs, in nodes.
const lookupVisits = 100

// place is where a field was found, if it was.
type place struct {
	file       string
	key, value *yaml.Node
}

// lookup looks in a file, then where the service of path comes from, then in what
// the file includes.
func (s *sources) lookup(in source, path []string, depth int) place {
	s.visits -= lookupVisits
	if depth == 0 || s.visits < 0 {
		return place{}
	}
	documents := s.read(in.file)
	for i := len(documents) - 1; i >= 0; i-- {
		root := documents[i]
		last := len(path) - 1
		if parent := s.at(root, path[:last]...); parent != nil {
			if key, value := s.entry(parent, path[last], limits.ComposeDepth); key != nil {
				return place{in.file, key, value}
			}
		}
		if len(path) > 2 && path[0] == "services" {
			if at := s.extended(in, root, path, depth-1); at.key != nil {
				return at
			}
		}
		for _, included := range s.includes(root) {
			if at := s.lookup(in.names(included), path, depth-1); at.key != nil {
				return at
			}
		}
	}
	return place{}
}

// extended looks in the service that the service of path extends.
func (s *sources) extended(in source, root *yaml.Node, path []string, depth int) place {
	extends := s.at(root, "services", path[1], "extends")
	if extends == nil {
		return place{}
	}
	from := extends.Value
	if service := s.at(extends, "service"); service != nil {
		from = service.Value
	}
	if other := s.at(extends, "file"); other != nil {
		in = in.names(other.Value)
	}
	return s.lookup(in, append([]string{"services", from}, path[2:]...), depth)
}

// includes are the files of the element include, in either of its forms.
func (s *sources) includes(root *yaml.Node) (files []string) {
	list := s.at(root, "include")
	if list == nil {
		return nil
	}
	for _, path := range list.Content {
		if long := s.at(path, "path"); long != nil {
			path = long
		}
		if path.Kind == yaml.ScalarNode {
			files = append(files, path.Value)
			continue
		}
		for _, p := range path.Content {
			if p.Kind == yaml.ScalarNode {
				files = append(files, p.Value)
			}
		}
	}
	return files
}

// read returns the documents of a file, and none of one that is too large, no
// regular file, or cannot be read. It reads a file once.
func (s *sources) read(file string) []*yaml.Node {
	if documents, ok := s.parsed[file]; ok || len(s.parsed) == limits.ComposeFiles {
		return documents
	}
	s.parsed[file] = nil
	content, err := files.Read(file, limits.ComposeFile, "Compose file")
	if err != nil || strictyaml.Check(content) != nil {
		return nil
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	for {
		var document yaml.Node
		// What cannot be parsed has no more documents; compose-go says why.
		if err := decoder.Decode(&document); err != nil {
			return s.parsed[file]
		}
		if len(document.Content) > 0 {
			s.parsed[file] = append(s.parsed[file], document.Content[0])
		}
	}
}

// at is the node at a path of keys, or nil.
func (s *sources) at(n *yaml.Node, path ...string) *yaml.Node {
	for _, key := range path {
		if n == nil {
			return nil
		}
		_, n = s.entry(n, key, limits.ComposeDepth)
	}
	return n
}

// entry finds a key in a mapping, also in those that are merged into it, or the
// element of that number in a sequence.
func (s *sources) entry(n *yaml.Node, name string, depth int) (key, value *yaml.Node) {
	s.visits -= 1 + len(n.Content)
	if depth == 0 || s.visits < 0 {
		return nil, nil
	}
	switch n.Kind {
	case yaml.AliasNode:
		return s.entry(n.Alias, name, depth-1)
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(n.Content) {
			return n.Content[i], n.Content[i]
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == name {
				return n.Content[i], n.Content[i+1]
			}
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value != "<<" {
				continue
			}
			for _, merged := range mergedInto(n.Content[i+1]) {
				if key, value := s.entry(merged, name, depth-1); key != nil {
					return key, value
				}
			}
		}
	}
	return nil, nil
}

// mergedInto are the mappings of the key <<, which is one or a sequence of them.
func mergedInto(n *yaml.Node) []*yaml.Node {
	if n.Kind == yaml.SequenceNode {
		return n.Content
	}
	return []*yaml.Node{n}
}
