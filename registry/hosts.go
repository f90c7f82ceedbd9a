// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"crypto/tls"
	"maps"
	"net/http"
	"slices"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/containerd/v2/core/remotes/docker/config"
	"github.com/containerd/errdefs"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/cosignkit/cosignkit/internal/fault"
	"github.com/cosignkit/cosignkit/verify"
)

// DockerCredentials returns credentials for [Config] from the configuration
// that docker login writes, credential helpers included: $DOCKER_CONFIG or
// ~/.docker/config.json, else $REGISTRY_AUTH_FILE or Podman's auth.json. The
// files are read, and helpers run, when a registry is first reached.
func DockerCredentials() func(host string) (username, secret string, err error) {
	return func(host string) (string, string, error) {
		if host == "registry-1.docker.io" || host == "docker.io" {
			host = name.DefaultRegistry
		}
		registry, err := name.NewRegistry(host)
		if err != nil {
			return "", "", err
		}
		auth, err := authn.DefaultKeychain.Resolve(registry)
		if err != nil {
			return "", "", err
		}
		authConfig, err := auth.Authorization()
		if err != nil {
			return "", "", err
		}
		if authConfig.IdentityToken != "" {
			// containerd's authorizer takes a secret without a name for a
			// refresh token.
			return "", authConfig.IdentityToken, nil
		}
		return authConfig.Username, authConfig.Password, nil
	}
}

// registryHosts returns the hosts that serve a registry, in the order in which
// they are tried. They are kept for the life of the client: with them live the
// connections, the tokens, and the knowledge of who speaks plain HTTP.
func (c *Client) registryHosts(host string) ([]docker.RegistryHost, error) {
	c.mu.Lock()
	hosts, ok := c.hosts[host]
	c.mu.Unlock()
	if ok {
		return slices.Clone(hosts), nil
	}
	hosts, err := c.makeHosts(host)
	if err != nil {
		return nil, fault.New(verify.ErrMisconfigured, "configure registry", host, "", redacted{err})
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if first, ok := c.hosts[host]; ok {
		return slices.Clone(first), nil // another goroutine was faster
	}
	c.hosts[host] = hosts
	return slices.Clone(hosts), nil
}

func (c *Client) makeHosts(host string) ([]docker.RegistryHost, error) {
	if c.config.Hosts == nil {
		return c.configuredHosts(host)
	}
	hosts, err := c.config.Hosts(host)
	guarded := make([]docker.RegistryHost, 0, len(hosts))
	for i, h := range hosts {
		guarded = append(guarded, guard(h, hosts[i+1:], newServer(h, nil), nil))
	}
	return guarded, err
}

func (c *Client) configuredHosts(host string) ([]docker.RegistryHost, error) {
	hosts, err := c.loadHosts(host, nil)
	if err != nil || !slices.Contains(c.config.InsecureRegistries, host) {
		return hosts, err
	}
	// The same list with checks off, of which only the registry itself is
	// taken: that it is insecure says nothing about its mirrors.
	insecure, err := c.loadHosts(host, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // what InsecureRegistries asks for
	if err != nil {
		return nil, err
	}
	for i := range hosts {
		if i < len(insecure) && hosts[i].Host == host && insecure[i].Host == host {
			hosts[i] = insecure[i]
		}
	}
	return hosts, nil
}

// loadHosts reads containerd's host configuration. With insecure, hosts are
// spoken to over TLS as that says, and over plain HTTP where they do not speak
// TLS.
func (c *Client) loadHosts(host string, insecure *tls.Config) ([]docker.RegistryHost, error) {
	options := config.HostOptions{
		HostDir:      c.hostDir,
		DefaultTLS:   insecure,
		UpdateClient: c.keepConnections,
	}
	if insecure != nil {
		options.DefaultScheme = "http"
	}
	ctx, complaint := c.attentive()
	hosts, err := config.ConfigureHosts(ctx, options)(host)
	if err == nil {
		err = complaint.err
	}
	if err != nil {
		return nil, err
	}
	for i, h := range hosts {
		server := newServer(h, c.config.InsecureRegistries)
		if insecure != nil {
			server.isPlain.Store(true)
		}
		client := tokenClient(h.Client, server)
		header := c.header()
		if header == nil {
			header = http.Header{}
		}
		maps.Copy(header, h.Header)
		hosts[i] = guard(h, hosts[i+1:], server, func() docker.Authorizer {
			return docker.NewDockerAuthorizer(docker.WithAuthClient(client), docker.WithAuthHeader(header),
				docker.WithAuthCreds(server.credentials(c.config.Credentials)))
		})
	}
	return hosts, nil
}

// keepConnections keeps as many connections to a host as are used at a time.
// The standard library keeps two, and would close the others after each
// request.
func (c *Client) keepConnections(client *http.Client) error {
	if transport, ok := client.Transport.(*http.Transport); ok {
		transport.MaxIdleConnsPerHost = parallelFetches
		c.mu.Lock()
		defer c.mu.Unlock()
		c.transports = append(c.transports, transport)
	}
	return nil
}

// hostDir finds the directory of a registry.
func (c *Client) hostDir(host string) (string, error) {
	for _, dir := range c.config.HostsDirs {
		found, err := config.HostDirFromRoot(dir)(host)
		if errdefs.IsNotFound(err) || err == nil && found == "" {
			continue
		}
		if err != nil {
			return "", err
		}
		return found, nil
	}
	return "", errdefs.ErrNotFound
}

func (c *Client) header() http.Header {
	if c.config.UserAgent == "" {
		return nil
	}
	return http.Header{"User-Agent": {c.config.UserAgent}}
}
