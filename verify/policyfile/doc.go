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
// Pass it wherever package registry takes a verifier.
package policyfile
