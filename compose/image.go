// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package compose

import (
	"fmt"
	"strconv"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/distribution/reference"

	"github.com/cosignkit/cosignkit"
	"github.com/cosignkit/cosignkit/internal/fault"
)

// use is an image that a service uses.
type use struct {
	Service string
	// Use is empty for the service's own image, and otherwise says where it is:
	// pre_start.0, or volumes.2.
	Use   string
	Image string
	// platform is what the service asks for, or empty.
	platform string
	// registry reports whether Image is a reference that is in full.
	registry   bool
	fields     cosignkit.Fields
	dependency bool
	// local reports whether the image is not to be pulled.
	local bool
}

// usesOf lists the service's own image first. One without an image has none: it
// is of a provider, or not for us to complain about.
func usesOf(project string, s types.ServiceConfig) []use {
	var uses []use
	add := func(where, image, platform string) {
		uses = append(uses, use{Service: s.Name, Use: where, Image: image, platform: platform, local: s.PullPolicy == types.PullPolicyNever})
	}
	switch {
	case s.Image != "":
		add("", s.Image, s.Platform)
	case s.Build != nil:
		// By the convention of Docker Compose, which nerdctl follows.
		add("", project+"-"+s.Name, s.Platform)
	default:
		return nil
	}
	for i, hook := range s.PreStart {
		if hook.Image != "" && (hook.Image != s.Image || hook.Platform != s.Platform) {
			add(fmt.Sprintf("pre_start.%d", i), hook.Image, hook.Platform)
		}
		for j, volume := range hook.Volumes {
			if volume.Type == types.VolumeTypeImage {
				add(fmt.Sprintf("pre_start.%d.volumes.%d", i, j), volume.Source, hook.Platform)
			}
		}
	}
	for i, volume := range s.Volumes {
		if volume.Type == types.VolumeTypeImage {
			add(fmt.Sprintf("volumes.%d", i), volume.Source, s.Platform)
		}
	}
	return uses
}

// where is the field of the service that names the image.
func (u *use) where() string {
	if u.Use == "" {
		return "image"
	}
	return u.Use
}

// complete completes the reference, or leaves one that is of no registry.
func (u *use) complete() error {
	named, err := reference.ParseNormalizedNamed(u.Image)
	if err != nil {
		return expected(strconv.Quote(fault.OneLine(u.Image)), "the reference of an image in a registry: "+err.Error())
	}
	u.Image, u.registry = reference.TagNameOnly(named).String(), true
	return nil
}
