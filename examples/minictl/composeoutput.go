// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"

	"github.com/cosignkit/cosignkit/compose"
)

// summary is what became of the images of a project.
type summary struct {
	Project  string           `json:"project"`
	Services []serviceOutcome `json:"services"`

	push, failed bool
}

type serviceOutcome struct {
	Service string `json:"service"`
	// Use is empty for the service's own image.
	Use    string `json:"use,omitempty"`
	Image  string `json:"image"`
	Digest string `json:"digest,omitempty"`
	// Verified reports whether the image was, and VerifiedBy by whom.
	Verified   bool     `json:"verified"`
	VerifiedBy []string `json:"verifiedBy,omitempty"`
	// Signatures is how many were attached.
	Signatures int    `json:"signatures,omitempty"`
	Error      string `json:"error,omitempty"`
}

func newSummary(project string, push bool, result *compose.Result) summary {
	s := summary{Project: project, Services: []serviceOutcome{}, push: push}
	for _, o := range result.Outcomes {
		row := serviceOutcome{
			Service: o.Service, Use: o.Use, Image: o.Image, Digest: o.Target.Digest.String(),
			Signatures: len(o.Signatures),
		}
		if o.Err != nil {
			row.Error, s.failed = o.Err.Error(), true
		}
		if o.Verification != nil && o.Verification.Unverified == nil && o.Err == nil {
			row.Verified = true
			for _, line := range newPulled("", o.Target, o.Verification).text()[1:] {
				row.VerifiedBy = append(row.VerifiedBy, strings.TrimPrefix(line, "verified by "))
			}
		}
		s.Services = append(s.Services, row)
	}
	return s
}

func (s summary) text() (lines []string) {
	var service, image int
	for _, row := range s.Services {
		service, image = max(service, len(row.name())), max(image, len(row.Image))
	}
	for _, row := range s.Services {
		digest := row.Digest
		if digest == "" {
			digest = "-"
		}
		lines = append(lines, fmt.Sprintf("%-*s  %-*s  %-71s  %s", service, row.name(), image, row.Image, digest, row.state(s.push, s.failed)))
	}
	return lines
}

func (r serviceOutcome) name() string {
	if r.Use == "" {
		return r.Service
	}
	return r.Service + " " + r.Use
}

func (r serviceOutcome) state(push, failed bool) string {
	switch {
	case r.Error != "" || failed && !r.Verified && r.Digest == "":
		return "not done"
	case push && r.Signatures == 1:
		return "signed"
	case push && r.Signatures > 1:
		return fmt.Sprintf("signed, %d signatures", r.Signatures)
	case push:
		return "not signed"
	case r.Verified:
		return "verified by " + strings.Join(r.VerifiedBy, ", ")
	default:
		return "not verified"
	}
}

// composeProgress tells how far each service is: on a terminal in a line for each,
// which is redrawn; elsewhere in a line for each step, or in one of JSON.
type composeProgress struct {
	json     bool
	out      io.Writer
	terminal *os.File // nil if there is none
	logs     *logs
	names    []string
	states   map[string]compose.State
}

func (a *app) composeProgress() *composeProgress {
	p := &composeProgress{json: a.json, out: a.stderr, logs: &a.logs, states: map[string]compose.State{}}
	if !a.json {
		p.terminal = a.terminal()
	}
	return p
}

// tell is never called by two goroutines at a time.
func (p *composeProgress) tell(e compose.Event) {
	name := serviceOutcome{Service: e.Service, Use: e.Use}.name()
	switch {
	case p.json:
		_ = writeJSON(p.out, struct {
			Service string        `json:"service"`
			Use     string        `json:"use,omitempty"`
			Image   string        `json:"image"`
			State   compose.State `json:"state"`
		}{e.Service, e.Use, e.Image, e.State})
	case p.terminal == nil:
		_, _ = io.WriteString(p.out, printable(name+": "+string(e.State))+"\n")
	case e.State == compose.Starting || e.State == compose.Started:
		p.stop() // what starts may write to the terminal, and must not be overwritten
	default:
		if p.states[name] = e.State; !slices.Contains(p.names, name) {
			p.logs.hold()
			p.names = append(p.names, name)
			_, _ = io.WriteString(p.out, "\n")
		}
		p.draw()
	}
}

// draw redraws as many lines as fit, the last ones.
func (p *composeProgress) draw() {
	width, lines := p.size()
	shown := p.names[len(p.names)-lines:]
	var b strings.Builder
	fmt.Fprintf(&b, "\x1b[%dA", len(shown))
	for _, name := range shown {
		line := []rune(printable(name + "  " + string(p.states[name])))
		b.WriteString(clearLine + string(line[:min(len(line), width-1)]) + "\n")
	}
	_, _ = io.WriteString(p.out, b.String())
}

// size is how wide the terminal is, and how many lines are drawn on it: below them
// is the cursor.
func (p *composeProgress) size() (width, lines int) {
	width, height, err := term.GetSize(int(p.terminal.Fd()))
	if err != nil || width < 1 || height < 1 {
		width, height = 80, 24
	}
	return width, min(len(p.names), max(height-1, 1))
}

// stop takes the lines away: what is printed then says the same and more.
func (p *composeProgress) stop() {
	if p.terminal == nil || len(p.names) == 0 {
		return
	}
	_, lines := p.size()
	_, _ = fmt.Fprintf(p.out, "\x1b[%dA\x1b[J", lines)
	p.names = nil
	p.logs.release()
}
