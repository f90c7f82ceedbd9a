// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package compose verifies the images that a Compose project starts, and signs
// those that it pushes, as the x-nerdctl- fields of its services say.
//
// A tool loads a project with compose-go, as it does already, and [NewPlan] reads
// the fields of all services, strictly: whatever is wrong with any of them is one
// error that lists every problem. Then
//
//   - [Plan.Verify] verifies what the services use. [Result.Project] is the project
//     with every image pinned, for a tool that pulls and starts by itself.
//   - [Plan.Pull] verifies, and then has the images pulled.
//   - [Plan.Start] pulls, and then has the services started, for up, run and create.
//   - [Plan.Push] has the images pushed, signed.
//
// Images are moved and services are started by functions of the tool; [PullWith]
// and [PushWith] are those of a containerd client.
//
// # What is guaranteed
//
// A reference is resolved once for the whole project, each policy is verified once
// for each image, and what is pulled and started is that digest. Nothing is pulled
// before everything is verified, and nothing is started before everything is
// pulled: of the services that were asked for and those that they depend on, all
// are good or none is started. The images of pre_start hooks and of image mounts
// count as the service's own.
//
// A private key is opened once, and all who sign with an identity share one
// certificate. Every signer is ready before anything is uploaded, and no tag is
// written before its signatures are attached.
//
// Services without the fields are pushed, pulled and started as they are, and
// their [Outcome] says so. Config.RequireVerified refuses them.
//
// What stops, lists or builds a project needs no plan, and so does not fail for
// what is wrong with these fields.
package compose
