// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package keyless

import (
	"io"
	"net/http"
)

// identityPlace is where the built-in success page has the identity, escaped.
const identityPlace = "{{identity}}"

const (
	successPage  = pageHead + `<h1>You are logged in</h1><p>as <strong>` + identityPlace + `</strong></p><p>You can close this window and go back to the program.</p>` + pageTail
	failurePage  = pageHead + `<h1>The login failed</h1><p>The program that you started says why. You can close this window.</p>` + pageTail
	answeredPage = pageHead + `<h1>This login is over</h1><p>Another window shows how it ended.</p>` + pageTail
	notFoundPage = pageHead + `<h1>There is nothing here</h1>` + pageTail
)

const pageHead = `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Login</title>
<style>
:root { color-scheme: light dark; font-family: system-ui, sans-serif; }
body { margin: 20vh auto 0; max-width: 36rem; padding: 0 1.5rem; text-align: center; line-height: 1.5; }
strong { overflow-wrap: anywhere; }
</style>
</head>
<body>
`

const pageTail = `
</body>
</html>
`

// writePage writes a page that loads nothing, runs nothing, is kept nowhere, and
// does not tell others its URL, which has the code.
func writePage(w http.ResponseWriter, status int, page string) {
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy",
		"default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	header.Set("Cache-Control", "no-store")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Connection", "close")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, page) // A browser that went away is no error.
}
