// Copyright The cosignkit Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/sys/unix"

	"github.com/cosignkit/cosignkit/compose"
)

// terminal is a pseudo-terminal, and what its screen shows.
type terminal struct {
	t   *testing.T
	tty *os.File
	// written is what the program wrote, after drain.
	written []byte
	drained chan []byte
}

func newTerminal(t *testing.T, width, height uint16) *terminal {
	t.Helper()
	ptmx, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd := int(ptmx.Fd())
	number, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Col: width, Row: height})
	}
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile("/dev/pts/"+strconv.FormatUint(uint64(number), 10), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{t: t, tty: tty, drained: make(chan []byte, 1)}
	go func() {
		all, err := io.ReadAll(ptmx) // ends with EIO when the other side is closed
		_ = ptmx.Close()
		if err != nil && !errors.Is(err, unix.EIO) {
			all = []byte(err.Error())
		}
		term.drained <- all
	}()
	return term
}

// drain closes the terminal, and returns its screen, with what has left it at the
// top, without blank lines at the end.
func (t *terminal) drain() (lines []string) {
	t.t.Helper()
	if err := t.tty.Close(); err != nil {
		t.t.Error(err)
	}
	t.written = <-t.drained
	return t.screen(80, 24)
}

// screen does what terminals do with what the program may write, and fails the test
// for what it may not.
func (t *terminal) screen(width, height int) (lines []string) {
	t.t.Helper()
	rows, row, col := [][]rune{nil}, 0, 0
	down := func() {
		if row++; row == len(rows) {
			rows = append(rows, nil)
		}
	}
	text := []rune(string(t.written))
	for i := 0; i < len(text); i++ {
		switch r := text[i]; {
		case r == '\r':
			col = 0
		case r == '\n':
			down()
		case r == '\x1b' && strings.HasPrefix(string(text[i:]), "\x1b[K"):
			rows[row] = rows[row][:col]
			i += 2
		case r == '\x1b' && strings.HasPrefix(string(text[i:]), "\x1b[J"):
			rows, rows[row] = rows[:row+1], rows[row][:col]
			i += 2
		case r == '\x1b':
			var up int
			if n, err := fmt.Sscanf(string(text[i:]), "\x1b[%dA", &up); n != 1 || err != nil || up < 1 {
				t.t.Fatalf("an escape sequence of somebody else's: %q", text[i:min(i+20, len(text))])
			}
			row = max(row-up, len(rows)-height, 0)
			i += len(fmt.Sprint(up)) + 2
		case !unicode.IsPrint(r):
			t.t.Fatalf("a control character: %q", r)
		default:
			if col == width {
				down()
				col = 0
			}
			for len(rows[row]) <= col {
				rows[row] = append(rows[row], ' ')
			}
			rows[row][col] = r
			col++
		}
	}
	for _, r := range rows {
		lines = append(lines, strings.TrimRight(string(r), " "))
	}
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

// hostile is text that does things to a terminal: sequences in seven and in eight
// bits, another title, a carriage return, text that runs backwards.
const hostile = "a\x1b[2J\u009b2Jb\x1b]0;owned\x07\rc\nd\x7f\u202ee"

func TestProgressOnATerminal(t *testing.T) {
	long := strings.Repeat("n", 200)
	for name, c := range map[string]struct {
		width, height uint16
		services      []string
		want          []string
	}{
		"a line for each service":  {80, 24, []string{"web", "db"}, []string{"web  pulled", "db  pulling"}},
		"long names are cut":       {80, 24, []string{long, "db"}, []string{long[:79], "db  pulling"}},
		"a narrow terminal":        {10, 24, []string{"web", "database"}, []string{"web  pull", "database"}},
		"a terminal of one column": {1, 24, []string{"web", "db"}, nil},
		"more services than lines": {80, 3, []string{"a", "b", "c", "d"}, []string{"c  pulling", "d  pulling"}},
		"a terminal of one line":   {80, 1, []string{"a", "b"}, []string{"b  pulling"}},
		"hostile names":            {80, 24, []string{hostile, "db"}, []string{"a [2J 2Jb ]0;owned  c d  e  pulled", "db  pulling"}},
	} {
		t.Run(name, func(t *testing.T) {
			show := func(stop bool) []string {
				term := newTerminal(t, c.width, c.height)
				p := (&app{stderr: term.tty}).composeProgress()
				for _, service := range c.services {
					p.tell(compose.Event{Service: service, State: compose.Verifying})
					p.tell(compose.Event{Service: service, State: compose.Verified})
				}
				for _, service := range c.services {
					p.tell(compose.Event{Service: service, State: compose.Pulling})
				}
				p.tell(compose.Event{Service: c.services[0], State: compose.Pulled})
				if stop {
					p.stop()
					p.stop()
				}
				term.drain()
				return term.screen(int(c.width), int(c.height))
			}
			got := show(false)
			// What has scrolled away is older, and stays.
			if shown := got[max(0, len(got)-len(c.want)):]; strings.Join(shown, "\n") != strings.Join(c.want, "\n") {
				t.Errorf("the screen shows\n%s\nwant\n%s", strings.Join(shown, "\n"), strings.Join(c.want, "\n"))
			}
			if fits := len(c.services) < int(c.height); fits && len(got) != len(c.want) {
				t.Errorf("the screen shows %d lines, want %d:\n%s", len(got), len(c.want), strings.Join(got, "\n"))
			}
			if got := show(true); len(c.services) < int(c.height) && len(got) > 0 {
				t.Errorf("after it, the screen shows\n%s", strings.Join(got, "\n"))
			}
		})
	}
}

// TestProgressLeavesTheTerminalToWhatStarts: the output of a container that compose
// run runs is not overwritten.
func TestProgressLeavesTheTerminalToWhatStarts(t *testing.T) {
	term := newTerminal(t, 80, 24)
	p := (&app{stderr: term.tty}).composeProgress()
	for _, service := range []string{"db", "web"} {
		p.tell(compose.Event{Service: service, State: compose.Pulled})
	}
	p.tell(compose.Event{Service: "db", State: compose.Starting})
	p.tell(compose.Event{Service: "db", State: compose.Started})
	p.tell(compose.Event{Service: "web", State: compose.Starting})
	if _, err := io.WriteString(term.tty, "one\ntwo\n"); err != nil {
		t.Fatal(err)
	}
	p.tell(compose.Event{Service: "web", State: compose.Failed})
	p.stop()
	if got := term.drain(); strings.Join(got, "|") != "one|two" {
		t.Errorf("the screen shows %q", got)
	}
}

// TestProgressElsewhere: plain lines, or JSON, which says what there was.
func TestProgressElsewhere(t *testing.T) {
	events := []compose.Event{
		{Service: "web", Image: "registry.example/web", State: compose.Verifying},
		{Service: "web", Image: "registry.example/web", State: compose.Verified},
		{Service: hostile, Use: "volumes.0", Image: hostile, State: compose.Failed, Err: errors.New(hostile)},
	}
	var plain, lines bytes.Buffer
	for _, e := range events {
		(&app{stderr: &plain}).composeProgress().tell(e)
		(&app{stderr: &lines, json: true}).composeProgress().tell(e)
	}
	if want := "web: verifying\nweb: verified\na [2J 2Jb ]0;owned  c d  e volumes.0: failed\n"; plain.String() != want {
		t.Errorf("got\n%q\nwant\n%q", &plain, want)
	}
	for i, line := range strings.Split(strings.TrimSpace(lines.String()), "\n") {
		if strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("control characters in %q", line)
		}
		var got struct{ Service, Use, Image, State string }
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatal(err)
		}
		if e := events[i]; got.Service != e.Service || got.Use != e.Use || got.Image != e.Image || got.State != string(e.State) {
			t.Errorf("got %+v, want %+v", got, e)
		}
	}
}

// TestNothingHostileReachesTheTerminal of a whole command: neither of what a
// registry answers nor of what a project says.
func TestNothingHostileReachesTheTerminal(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		_ = json.NewEncoder(w).Encode(map[string]any{"errors": []any{map[string]any{"code": "DENIED", "message": hostile, "detail": hostile}}})
	}))
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	quoted, err := json.Marshal(hostile)
	if err != nil {
		t.Fatal(err)
	}
	verifying := "x-nerdctl-verify: cosign, x-nerdctl-cosign-public-key: cosign.pub"
	for name, c := range map[string]struct {
		content string
		code    int
		want    string
	}{
		"a registry that denies":        {"services: {web: {image: HOST/web, " + verifying + "}, db: {image: HOST/db}}", 3, "service web: resolve"},
		"a registry, for the pull":      {"services: {web: {image: HOST/web}}", 3, "service web: pull"},
		"an image":                      {"services: {web: {image: HOSTILE, " + verifying + "}}", 2, "image: found"},
		"an image that nobody verifies": {"services: {web: {image: HOSTILE}, db: {image: HOST/db, " + verifying + "}}", 3, "service db"},
		"a field's value":               {"services: {web: {image: HOST/web, x-nerdctl-verify: HOSTILE}}", 2, "x-nerdctl-verify: found"},
		"a field's name":                {"services: {web: {image: HOST/web, x-nerdctl-HOSTILE: 1}}", 2, "unknown field"},
		"a key":                         {"services: {web: {image: HOST/web, x-nerdctl-verify: cosign, x-nerdctl-cosign-public-key: HOSTILE}}", 2, "x-nerdctl-cosign-public-key: found a key"},
		"the name of a service":         {"services: {HOSTILE: {image: HOST/web}}", 2, "load project"},
		"what compose-go refuses":       {"services: {web: {image: HOST/web, volumes: [{type: HOSTILE, target: /x}]}}", 2, "load project"},
		"what compose-go warns of":      {"networks: {n: {external: {name: HOSTILE}}}\nservices: {web: {image: HOST/web}}", 3, "service web: pull"},
		"the name of the project":       {"name: HOSTILE\nservices: {web: {image: HOST/web}}", 3, "pull project"},
	} {
		for _, flags := range [][]string{nil, {"--json"}} {
			t.Run(fmt.Sprint(name, flags), func(t *testing.T) {
				p := newInProcess(t)
				content := strings.NewReplacer("x-nerdctl-HOSTILE", `"x-nerdctl-`+string(quoted[1:]), "HOSTILE", string(quoted), "HOST", host).Replace(c.content)
				file := filepath.Join(p.dir, "compose.yaml")
				if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
				term := newTerminal(t, 80, 24)
				args := append(append([]string{"--root", p.path("store")}, flags...), "compose", "-f", file, "pull")
				if code := run(t.Context(), args, strings.NewReader(""), term.tty, term.tty); code != c.code {
					t.Errorf("exit code %d, want %d", code, c.code)
				}
				if shown := strings.Join(term.drain(), ""); !strings.Contains(shown, c.want) {
					t.Errorf("the screen shows %q, want %q", shown, c.want)
				}
			})
		}
	}
}
