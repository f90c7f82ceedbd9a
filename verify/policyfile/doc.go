// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package policyfile reads which images may run, and who must have signed them,
// from a file.
//
// [Load] reads a file of rules, each for a scope: a registry, or a repository
// and all below it. What it returns is a [verify.Verifier] that applies, to each
// image, the rule of the most specific scope. An image that no rule is for is
// rejected. [LoadContainers] reads the policy.json of Podman, Skopeo and CRI-O,
// containers-policy.json(5), into the same. [Watch] follows a file that changes.
//
// Pass it wherever package registry takes a verifier:
//
//	policy, err := policyfile.Load("/etc/tool/policy.yaml", policyfile.Config{})
//	…
//	image, result, err := hooks.Pull(ctx, client, cd, "docker.io/library/alpine:latest", policy, nil)
//
// docs/policy.md documents the format. Nothing in a file is passed over: a field
// that is not known, a value of another type, a scope that no image can be in, a
// key that cannot be read make the whole file misconfigured, with all its problems
// and their lines.
//
// A rule may let images through that nobody verified, if it says insecureAcceptAnything
// or mode: warn. Ask [verify.Result.Verified] where that matters.
package policyfile
