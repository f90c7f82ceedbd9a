// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package compose

import (
	"errors"
	"maps"
	"slices"
	"strconv"

	"github.com/compose-spec/compose-go/v2/types"
	containerd "github.com/containerd/containerd/v2/client"

	"github.com/cosignkit/cosignkit"
	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/internal/limits"
	"github.com/cosignkit/cosignkit/verify"
)

// Config says how a plan is made and carried out.
type Config struct {
	// Adapter verifies and signs, and has the client that reaches registries.
	// Required.
	Adapter *cosignkit.Adapter

	// Parallel is how many images are resolved, verified and moved at once. Zero
	// means 8.
	Parallel int

	// Push makes a plan to push, whose private keys must be there while its public
	// keys need not; false makes one of the other kind.
	Push bool

	// Store has the images of services whose pull_policy is never: what they stand
	// for in there is verified, see registry.Client.VerifyLocal, and not pulled. Nil
	// means that what counts is what registries say, whatever the policy.
	Store *containerd.Client

	// RequireVerified makes every service of the plan that is not verified an error,
	// unless the plan is to push.
	RequireVerified bool

	// Notation leaves services whose provider is notation to the tool, which has
	// it, as if they had none. False refuses them.
	Notation bool

	// Trace is told what happens, for progress. It is not called by two goroutines
	// at a time, and holds up what it is told of. Nil means that nobody listens.
	Trace func(Event)
}

// Event is a step in the work on an image of a service.
type Event struct {
	// Service, Use and Image are those of an [Outcome].
	Service, Use, Image string
	State               State
	// Err is why, for Failed and Stopped.
	Err error
}

// State is how far the work on an image is.
type State string

// The states, in the order in which an image goes through them.
const (
	Verifying State = "verifying"
	Verified  State = "verified"
	Pulling   State = "pulling"
	Pulled    State = "pulled"
	Pushing   State = "pushing"
	Pushed    State = "pushed"
	Starting  State = "starting"
	Started   State = "started"
	Failed    State = "failed"
	// Stopped is not finished, because another image failed.
	Stopped State = "stopped"
)

// Service is a service of a plan.
type Service struct {
	Name string
	// Image is the reference of its image, in full, such as
	// docker.io/library/alpine:latest. The image of a service that is built and
	// names none is project-service, as for Docker Compose.
	Image string
	// Fields are the service's x-nerdctl- fields.
	Fields cosignkit.Fields
	// Dependency reports that nobody asked for the service but another one that
	// depends on it. It is not pushed.
	Dependency bool
}

// Plan is what is to be done for a project. It is immutable, and its methods may
// be called more than once.
type Plan struct {
	project *types.Project
	config  Config
	// services are in the order of their names, and start is that in which they
	// start.
	services []Service
	start    []string
	// uses are the images, in the order of services.
	uses []use
}

const opRead = "read project"

// NewPlan reads the fields of the services that are named and of those that they
// depend on, or of all services of project that its profiles enable. A service
// that is named is enabled, as compose-go does it. NewPlan makes no request and
// opens no key. The error is misconfigured, and [Problems] lists what is wrong.
//
// Problems of every enabled service count, also of those that are not named. For
// file and line of a field, the files that project.ComposeFiles lists are read,
// with those that they include or extend; without it no line is known.
func NewPlan(project *types.Project, config Config, services ...string) (*Plan, error) {
	switch {
	case project == nil:
		return nil, fault.New(verify.ErrMisconfigured, opRead, "", "", errors.New("no project"))
	case config.Adapter == nil:
		return nil, fault.New(verify.ErrMisconfigured, opRead, project.Name, "", errors.New("no adapter"))
	case config.Parallel < 0:
		return nil, fault.New(verify.ErrMisconfigured, opRead, project.Name, "", errors.New("field Parallel is negative"))
	case len(project.Services)+len(project.DisabledServices) > limits.Services:
		return nil, fault.New(verify.ErrMisconfigured, opRead, project.Name, "", limits.Exceeded("number of services", limits.Services))
	}
	if config.Parallel == 0 {
		config.Parallel = limits.ParallelImages
	}
	project, err := project.WithServicesEnabled(services...)
	if err != nil {
		return nil, fault.New(verify.ErrMisconfigured, opRead, "", "", fault.Printable(err))
	}
	p := &Plan{project: project, config: config}
	found := &problems{files: newSources(project)}
	fields := readFields(project, config, found)
	dependency := p.selected(services, found)
	for _, name := range slices.Sorted(maps.Keys(dependency)) {
		p.add(name, fields[name], dependency[name], found)
		if len(p.uses) > limits.Uses {
			return nil, fault.New(verify.ErrMisconfigured, opRead, project.Name, "", limits.Exceeded("number of images", limits.Uses))
		}
	}
	p.order(found)
	if err := found.err(opRead, project.Name); err != nil {
		return nil, err
	}
	return p, nil
}

// Services are those that were asked for and those that they depend on, by name.
func (p *Plan) Services() []Service { return slices.Clone(p.services) }

// selected returns the services that are named, or all, with their dependencies,
// and of each whether it is only a dependency.
func (p *Plan) selected(names []string, found *problems) map[string]bool {
	dependency := map[string]bool{}
	if len(names) == 0 {
		names = p.project.ServiceNames()
	}
	var todo []string
	for _, name := range names {
		if _, ok := p.project.Services[name]; !ok {
			found.add(Problem{Service: name, Err: errors.New("the project has no such service")})
			continue
		}
		if _, seen := dependency[name]; !seen {
			dependency[name] = false
			todo = append(todo, name)
		}
	}
	for len(todo) > 0 {
		name := todo[0]
		todo = todo[1:]
		dependencies := p.project.Services[name].DependsOn
		for _, on := range slices.Sorted(maps.Keys(dependencies)) {
			if _, seen := dependency[on]; seen {
				continue
			}
			if _, ok := p.project.Services[on]; !ok {
				if dependencies[on].Required {
					found.add(Problem{Service: name, Field: "depends_on", Err: expected(strconv.Quote(fault.OneLine(on)), "a service that is enabled")})
				}
				continue
			}
			dependency[on] = true
			todo = append(todo, on)
		}
	}
	return dependency
}

// add adds a service with its images to the plan.
func (p *Plan) add(name string, fields cosignkit.Fields, dependency bool, found *problems) {
	config := p.project.Services[name]
	config.Name = name // which a project that was not loaded need not have
	uses := usesOf(p.project.Name, config)
	service := Service{Name: name, Fields: fields, Dependency: dependency}
	if p.config.RequireVerified && !p.config.Push {
		found.addUnverified(config, fields)
	}
	if len(uses) == 0 && (signs(fields) || verifies(fields)) {
		found.add(Problem{Service: name, Field: "image", Err: expected("none", "an image to sign or verify")})
	}
	found.addFields(name, missing(fields, p.config.Push, dependency))
	for _, u := range uses {
		u.fields = fields
		u.dependency = dependency
		u.local = u.local && p.config.Store != nil
		if err := u.complete(); err != nil && (verifies(fields) || signs(fields)) {
			found.add(Problem{Service: name, Field: u.where(), Err: err})
		}
		if u.Use == "" {
			service.Image = u.Image
		}
		p.uses = append(p.uses, u)
	}
	p.services = append(p.services, service)
}

// addUnverified adds what is not verified of a service that must be.
func (p *problems) addUnverified(s types.ServiceConfig, fields cosignkit.Fields) {
	const why = ", since every service must be verified"
	switch {
	case s.Provider != nil:
		p.add(Problem{Service: s.Name, Field: "provider", Err: expected("one, which has no image", "none"+why)})
	case !verifies(fields):
		p.add(Problem{Service: s.Name, Field: fieldVerify, Err: expected("nothing", "cosign"+why)})
	}
	// A hook has those of its service, and can have more.
	if len(s.Models) > 0 || slices.ContainsFunc(s.PreStart, func(h types.PreStartHook) bool { return len(h.Models) > 0 }) {
		p.add(Problem{Service: s.Name, Field: "models", Err: expected("some, which are not verified", "none"+why)})
	}
}

// order finds the order in which services start: each after those that it depends
// on, and else by name.
func (p *Plan) order(found *problems) {
	started := map[string]bool{}
	waiting := slices.Clone(p.services)
	for len(waiting) > 0 {
		before := len(waiting)
		waiting = slices.DeleteFunc(waiting, func(s Service) bool {
			for on := range p.project.Services[s.Name].DependsOn {
				if _, ok := p.project.Services[on]; ok && !started[on] {
					return false
				}
			}
			started[s.Name] = true
			p.start = append(p.start, s.Name)
			return true
		})
		if len(waiting) == before {
			found.add(Problem{Service: waiting[0].Name, Field: "depends_on", Err: expected("a circle", "an order in which services can start")})
			return
		}
	}
}
