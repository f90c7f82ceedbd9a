// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

// Package embedded opens a containerd client that needs no daemon and no root.
//
// [Open] puts containerd's own services together in this process, over one
// directory: the local content store, the metadata database with its images,
// leases and namespaces, and the native snapshotter. What it returns is the
// very type that a connection to a daemon is, so that push, pull and import are
// the same code for both.
//
// One process at a time can have a directory open. There are no tasks and no
// containers, and unpacking is left out because mounting a snapshot takes root.
// A namespace, as with a daemon, must be in the context of each call. Nothing is
// collected but by [Client.Collect], so content stays until then.
package embedded
