// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package types stands in for nerdctl's pkg/api/types.
package types

import (
	"io"

	"github.com/cosignkit/cosignkit"
)

// GlobalCommandOptions are flags of every command.
type GlobalCommandOptions struct {
	InsecureRegistry bool
	HostsDir         []string
	Experimental     bool
}

// ImagePushOptions are those of push.
type ImagePushOptions struct {
	Stdout                         io.Writer
	GOptions                       GlobalCommandOptions
	SignOptions                    ImageSignOptions
	AllTags                        []string // nerdctl has a bool, and lists the tags itself
	AllPlatforms                   bool
	Platforms                      []string
	AllowNondistributableArtifacts bool
	Signing                        *cosignkit.Signing // set by push
}

// ImageSignOptions are those of the providers.
type ImageSignOptions struct {
	Provider        string
	CosignKey       string
	NotationKeyName string
}

// ImagePullOptions are those of pull.
type ImagePullOptions struct {
	GOptions      GlobalCommandOptions
	VerifyOptions ImageVerifyOptions
	Mode          string
	IPFSAddress   string
}

// ImageVerifyOptions are those of the providers.
type ImageVerifyOptions = cosignkit.VerifyOptions

// ContainerCreateOptions are those of run and create.
type ContainerCreateOptions struct {
	ImagePullOpt ImagePullOptions
	Rootfs       bool
	ImageMounts  []string
}
