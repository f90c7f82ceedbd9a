// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/config/credentials"
)

// maxCredentials bounds the file with the credentials.
const maxCredentials = 1 << 20

// registryCredentials are what a file of docker login has, by host.
type registryCredentials map[string]credential

type credential struct{ username, secret string }

// dockerHub are the hosts under which docker login, podman login and people by hand
// write that of Docker Hub.
var dockerHub = []string{"index.docker.io", "docker.io", "registry-1.docker.io"}

// loadCredentials reads a file without asking credential helpers: they are
// programs, which a daemon has no reason to run.
func loadCredentials(path string) (registryCredentials, error) {
	b, err := readFile(path, maxCredentials)
	if err != nil {
		return nil, err
	}
	file, err := config.LoadFromReader(bytes.NewReader(b))
	if err != nil {
		return nil, errors.New("is not what docker login writes") // the cause may quote a password
	}
	if file.CredentialsStore != "" || len(file.CredentialHelpers) > 0 {
		return nil, errors.New("it names credential helpers, which are not run; want the credentials themselves")
	}
	all := registryCredentials{}
	for name, auth := range file.AuthConfigs {
		host := credentials.ConvertToHostname(name)
		if _, ok := all[host]; ok {
			return nil, fmt.Errorf("has several credentials for %s, want one for each host", host)
		}
		c := credential{auth.Username, auth.Password}
		if auth.IdentityToken != "" {
			// A secret without a name is a refresh token.
			c = credential{"", auth.IdentityToken}
		}
		all[host] = c
	}
	return all, nil
}

func (c registryCredentials) of(host string) (username, secret string, err error) {
	names := []string{host}
	if slices.Contains(dockerHub, host) {
		names = dockerHub
	}
	for _, name := range names {
		if found, ok := c[name]; ok {
			return found.username, found.secret, nil
		}
	}
	return "", "", nil
}
