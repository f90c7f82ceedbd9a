// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package compose

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.yaml.in/yaml/v4"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/registry"
	"github.com/cosignkit/cosignkit/verify"
)

const opPin = "pin project"

// Result is what became of the images of a plan.
type Result struct {
	// Outcomes are ordered by service. Those of a service begin with its own image.
	Outcomes []Outcome

	project *types.Project
}

// Outcome is what became of an image of a service.
type Outcome struct {
	Service string
	// Use is empty for the service's own image, and otherwise says where the
	// service uses it: pre_start.0, or volumes.2.
	Use   string
	Image string

	// Target is what the image stood for. It is empty where nobody asked: of an
	// image that is neither verified nor moved.
	Target ocispec.Descriptor
	// Verification says by whom the image was verified. Nil means that it was not.
	Verification *verify.Result
	// Signatures were attached, for the service, by Push.
	Signatures []registry.Attached

	// Err is why the image cannot be used, of one that failed or was not finished
	// because another one failed.
	Err error
}

// Pinned is Image with the digest that it stood for, or Image where none is known.
func (o Outcome) Pinned() string {
	return verify.Image{Name: o.Image, Target: o.Target}.String()
}

func (o Outcome) pinned() bool { return o.Target.Digest != "" && o.Err == nil }

// Service returns the outcome of the own image of a service.
func (r *Result) Service(name string) (Outcome, bool) {
	for _, i := range r.own(name) {
		return r.Outcomes[i], true
	}
	return Outcome{}, false
}

// own is the number of the outcome of a service's own image, if it has one.
func (r *Result) own(service string) []int {
	for i, o := range r.Outcomes {
		if o.Service == service && o.Use == "" {
			return []int{i}
		}
	}
	return nil
}

// Project returns the project with every image replaced by the digest that it
// stood for, where one is known. A service that is pinned is not built, and pulled
// only if it is missing: whatever runs it starts what was verified.
func (r *Result) Project() (*types.Project, error) {
	byService := map[string][]Outcome{}
	for _, o := range r.Outcomes {
		if o.pinned() {
			byService[o.Service] = append(byService[o.Service], o)
		}
	}
	return r.project.WithServicesTransform(func(name string, s types.ServiceConfig) (types.ServiceConfig, error) {
		own := s.Image
		for _, o := range byService[name] {
			if o.Use == "" {
				s.Image, s.Build, s.PullPolicy = o.Pinned(), nil, pinnedPolicy(s.PullPolicy)
				// Hooks have the service's image, and when to pull, unless they say another.
				for i := range s.PreStart {
					hook := &s.PreStart[i]
					if hook.Image == own {
						hook.Image = o.Pinned()
					}
					if hook.PullPolicy != "" {
						hook.PullPolicy = pinnedPolicy(hook.PullPolicy)
					}
				}
			}
		}
		for _, o := range byService[name] {
			if place := imageAt(&s, o.Use); place != nil {
				*place = o.Pinned()
			}
		}
		return s, nil
	})
}

// pinnedPolicy is when to pull an image by its digest, which needs no refreshing.
func pinnedPolicy(before string) string {
	if before == types.PullPolicyNever {
		return before
	}
	return types.PullPolicyMissing
}

// imageAt is where a service names the image of a use.
func imageAt(s *types.ServiceConfig, use string) *string {
	volumes := s.Volumes
	path := strings.Split(use, ".")
	if path[0] == "pre_start" {
		i, err := strconv.Atoi(path[1])
		if err != nil || i >= len(s.PreStart) {
			return nil
		}
		if len(path) == 2 {
			return &s.PreStart[i].Image
		}
		volumes, path = s.PreStart[i].Volumes, path[2:]
	}
	if len(path) < 2 {
		return nil
	}
	i, err := strconv.Atoi(path[1])
	if err != nil || i >= len(volumes) {
		return nil
	}
	return &volumes[i].Source
}

// Override returns a Compose file, in YAML, that pins the services as [Result.Project]
// does: given as the last of several files, it makes any tool start what was
// verified. Services that are not pinned are not in it.
//
// It has images and nothing else that the project says, so that it can be kept and
// shared: whoever has it learns of no variable. It can therefore not pin a pre_start
// hook that has another image than its service. If what was verified has one, and
// the project does not name its digest, that is a problem; see [Problems].
func (r *Result) Override() ([]byte, error) {
	project, err := r.Project()
	if err != nil {
		return nil, err
	}
	found := &problems{files: newSources(r.project)}
	services := mapping{}
	for _, o := range r.Outcomes {
		if o.Use != "" || !o.pinned() {
			continue
		}
		before, s := r.project.Services[o.Service], project.Services[o.Service]
		if o.Verification != nil {
			found.addHooks(o.Service, before, s)
		}
		service := mapping{}
		service.set("image", s.Image)
		if before.Build != nil {
			service.add("build", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!reset", Value: "null"})
		}
		if before.PullPolicy != "" {
			service.set("pull_policy", s.PullPolicy)
		}
		mounts := slices.DeleteFunc(slices.Clone(s.Volumes), func(v types.ServiceVolumeConfig) bool { return v.Type != types.VolumeTypeImage })
		for i := range mounts {
			mounts[i].Target = found.files.target(o.Service, len(s.Volumes), mounts[i].Target)
		}
		if len(mounts) > 0 {
			if err := service.encode("volumes", mounts); err != nil {
				return nil, err
			}
		}
		services.add(o.Service, service.node())
	}
	if err := found.err(opPin, r.project.Name); err != nil {
		return nil, err
	}
	root := mapping{}
	root.add("services", services.node())
	escape(root.node())
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := encoder.Encode(root.node()); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// addHooks adds the images of hooks that an override leaves as they are. Files
// cannot change a hook of another file, only replace it with all that is in it.
func (p *problems) addHooks(name string, before, pinned types.ServiceConfig) {
	for i, hook := range before.PreStart {
		where, after := fmt.Sprintf("pre_start.%d", i), pinned.PreStart[i]
		inherited := hook.Image == before.Image && p.files.inherits(name, i, len(before.PreStart)-1)
		if hook.Image != after.Image && !inherited {
			p.addHook(name, where, hook.Image, after.Image)
		}
		for j, v := range hook.Volumes {
			if v.Source != after.Volumes[j].Source {
				p.addHook(name, fmt.Sprintf("%s.volumes.%d", where, j), v.Source, after.Volumes[j].Source)
			}
		}
	}
}

func (p *problems) addHook(service, where, found, want string) {
	if named, err := reference.ParseNormalizedNamed(found); err == nil {
		if _, pinned := named.(reference.Digested); pinned {
			return
		}
	}
	p.add(Problem{Service: service, Field: where, Err: expected(found, "here "+want+", which an override cannot say")})
}

// mapping is a mapping of YAML with its keys in order.
type mapping struct{ content []*yaml.Node }

func (m *mapping) add(key string, value *yaml.Node) {
	m.content = append(m.content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, value)
}

func (m *mapping) set(key, value string) {
	m.add(key, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value})
}

func (m *mapping) encode(key string, value any) error {
	n := &yaml.Node{}
	if err := n.Encode(value); err != nil {
		return err
	}
	m.add(key, n)
	return nil
}

// escape keeps compose-go from interpolating again what it interpolated before.
func escape(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode {
		n.Value = strings.ReplaceAll(n.Value, "$", "$$")
	}
	for i, inside := range n.Content {
		if n.Kind != yaml.MappingNode || i%2 == 1 { // keys are left as they are
			escape(inside)
		}
	}
}

func (m *mapping) node() *yaml.Node { return &yaml.Node{Kind: yaml.MappingNode, Content: m.content} }

// Pin records in an image store what the images stood for, under their names and
// under their names with the digest, see registry.Pin: for a tool that pulled by
// digest.
func (r *Result) Pin(ctx context.Context, store images.Store) error {
	for _, o := range r.Outcomes {
		if !o.pinned() {
			continue
		}
		for _, name := range []string{o.Image, o.Pinned()} {
			if err := registry.Pin(ctx, store, name, o.Target); err != nil {
				return fault.New(verify.ErrInconclusive, opPin, "", "service "+o.Service, err)
			}
		}
	}
	return nil
}
