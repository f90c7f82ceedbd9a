// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/cosignkit/cosignkit/internal/testimage"
	"github.com/cosignkit/cosignkit/signing/keyfile"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"minictl": main})
}

// TestScript runs the scripts in testdata/script. They call minictl as a child
// process, and beside testscript's own commands:
//
//	registry [-no-referrers|-tls] VAR
//	                                start a registry on loopback, $VAR is its host;
//	                                with -tls, the directory trust has its hosts.toml with
//	                                the certificate, and the directory distrust without
//	failing STATUS VAR              start a registry that answers everything with STATUS
//	archive [-docker] FILE NAME CONTENT [PLATFORM…]
//	                                make an image archive
//	exits CODE minictl ARG…         run minictl and want this exit code
//	holds VAR FILE REGEXP           set $VAR to what the first group matches in FILE
//	replace OLD NEW FILE            replace each OLD in FILE
//
// Each script finds two key pairs, cosign and other, with the passphrase secret,
// and in $TRUSTED_ROOT the trusted root of Sigstore's public instance.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setup,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"registry": startRegistry,
			"failing":  startFailing,
			"archive":  writeArchive,
			"exits":    exits,
			"holds":    holds,
			"replace":  replace,
		},
	})
}

// testKeys are two key pairs that are made once, with the passphrase secret.
var testKeys = sync.OnceValues(func() ([]*keyfile.Pair, error) {
	var pairs []*keyfile.Pair
	for range 2 {
		pair, err := keyfile.Generate(keyfile.DefaultAlgorithm, []byte("secret"))
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, pair)
	}
	return pairs, nil
})

// setup writes the key pairs cosign and other, and keeps the user's own
// configuration out of the tests.
func setup(env *testscript.Env) error {
	pairs, err := testKeys()
	if err != nil {
		return err
	}
	for i, prefix := range []string{"cosign", "other"} {
		if err := pairs[i].WriteFiles(env.WorkDir+"/"+prefix, false); err != nil {
			return err
		}
	}
	for _, name := range []string{"HOME", "USERPROFILE", "XDG_DATA_HOME", "LocalAppData", "DOCKER_CONFIG"} {
		env.Setenv(name, env.WorkDir+"/home/"+strings.ToLower(name))
	}
	root, err := filepath.Abs("../../testdata/public-good/trusted_root.json")
	if err != nil {
		return err
	}
	env.Setenv("TRUSTED_ROOT", root)
	golden, err := filepath.Abs("../../testdata/golden")
	if err != nil {
		return err
	}
	env.Setenv("GOLDEN", golden)
	return os.Mkdir(env.WorkDir+"/home", 0o700)
}

func serve(ts *testscript.TestScript, name string, handler http.Handler) {
	server := httptest.NewServer(handler)
	ts.Defer(server.Close)
	ts.Setenv(name, strings.TrimPrefix(server.URL, "http://"))
}

func serveTLS(ts *testscript.TestScript, name string, handler http.Handler) {
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	ts.Defer(server.Close)
	address := strings.TrimPrefix(server.URL, "https://")
	ts.Setenv(name, address)

	hosts := fmt.Sprintf("server = %q\n[host.%q]\n", server.URL, server.URL)
	for dir, hosts := range map[string]string{"distrust": hosts, "trust": hosts + "ca = \"ca.pem\"\n"} {
		dir = ts.MkAbs(dir + "/" + strings.Replace(address, ":", "_", 1) + "_")
		ts.Check(os.MkdirAll(dir, 0o700))
		ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
		ts.Check(os.WriteFile(dir+"/ca.pem", ca, 0o600))
		ts.Check(os.WriteFile(dir+"/hosts.toml", []byte(hosts), 0o600))
	}
}

func startRegistry(ts *testscript.TestScript, neg bool, args []string) {
	kind := ""
	if len(args) > 0 && strings.HasPrefix(args[0], "-") {
		kind, args = args[0], args[1:]
	}
	if neg || len(args) != 1 {
		ts.Fatalf("usage: registry [-no-referrers|-tls] VAR")
	}
	quiet := registry.Logger(log.New(io.Discard, "", 0))
	handler := registry.New(quiet, registry.WithReferrersSupport(kind != "-no-referrers"))
	if kind == "-tls" {
		serveTLS(ts, args[0], handler)
	} else {
		serve(ts, args[0], handler)
	}
}

func startFailing(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: failing STATUS VAR")
	}
	status, err := strconv.Atoi(args[0])
	ts.Check(err)
	serve(ts, args[1], http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
}

func writeArchive(ts *testscript.TestScript, neg bool, args []string) {
	docker := len(args) > 0 && args[0] == "-docker"
	if docker {
		args = args[1:]
	}
	if neg || len(args) < 3 {
		ts.Fatalf("usage: archive [-docker] FILE NAME CONTENT [PLATFORM…]")
	}
	image := testimage.Image{Name: args[1], Content: args[2], Platforms: args[3:]}
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	if docker {
		ts.Check(testimage.WriteDockerArchive(f, image))
	} else {
		ts.Check(testimage.WriteArchive(f, image))
	}
	ts.Check(f.Close())
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE minictl ARG…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit := (*exec.ExitError)(nil)
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func holds(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: holds VAR FILE REGEXP")
	}
	re, err := regexp.Compile(args[2])
	ts.Check(err)
	match := re.FindStringSubmatch(ts.ReadFile(args[1]))
	if len(match) < 2 {
		ts.Fatalf("%s does not match %s", args[1], args[2])
	}
	ts.Setenv(args[0], match[1])
}

func replace(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: replace OLD NEW FILE")
	}
	content := ts.ReadFile(args[2])
	if !strings.Contains(content, args[0]) {
		ts.Fatalf("%s does not contain %s", args[2], args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(strings.ReplaceAll(content, args[0], args[1])), 0o600))
}
