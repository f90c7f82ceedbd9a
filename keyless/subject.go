// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless

import "cmp"

// subjects are the subject alternative names under which Fulcio may know who the
// token is for, see https://github.com/sigstore/fulcio/blob/main/docs/oidc.md.
// Which of them it is depends on Fulcio's configuration of the issuer.
func (c claims) subjects() []string {
	var all []string
	add := func(prefix string, parts ...string) {
		for _, part := range parts {
			if part == "" {
				return
			}
			prefix += part
		}
		all = append(all, prefix)
	}
	add("", c.Email)
	add("", c.Subject)
	add("https://github.com/", c.JobWorkflowRef)
	add("https://", c.text("ci_config_ref_uri")) // GitLab
	if k, ok := c.raw["kubernetes.io"].(map[string]any); ok {
		namespace, _ := k["namespace"].(string)
		account, _ := k["serviceaccount"].(map[string]any)
		name, _ := account["name"].(string)
		add("https://kubernetes.io/namespaces/", namespace, "/serviceaccounts/", name)
	}
	return all
}

// subject is who the token is for, for messages.
func (c claims) subject() string { return cmp.Or(c.Email, c.Subject) }
