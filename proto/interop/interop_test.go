// Package interop tests our programs against peers that we did not write. It is a
// separate module, so that its dependencies do not become those of the programs.
//
// A missing peer is a failure, never a skip.
package interop

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"oidc-agent/proto/e2e/user"
)

// patience is how long a program may take on a busy machine.
const patience = 60 * time.Second

// installed builds the programs, once for all tests.
var installed = sync.OnceValues(func() (string, error) {
	dir, err := user.Install("../..")
	toRemove = dir
	return dir, err
})

var toRemove string

func TestMain(m *testing.M) {
	code := m.Run()
	if toRemove != "" {
		os.RemoveAll(toRemove)
	}
	os.Exit(code)
}

// A home is a user with a home directory and an environment.
type home struct {
	t   *testing.T
	dir string
	env map[string]string
}

func newHome(t *testing.T) *home {
	t.Helper()
	bin, err := installed()
	if err != nil {
		t.Fatal(err)
	}
	// Not t.TempDir: its names are too long for a socket, and other users cannot enter its parent.
	dir, err := os.MkdirTemp("", "interop-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Mkdir(filepath.Join(dir, ".config"), 0o700); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		for _, d := range []string{dir, filepath.Join(dir, ".config")} {
			if err := os.Chown(d, user.Ordinary, user.Ordinary); err != nil {
				t.Fatal(err)
			}
		}
	}
	h := &home{t, dir, map[string]string{
		"HOME": dir, "TMPDIR": dir, "LANG": "C.UTF-8",
		"PATH":               bin + ":/usr/bin:/bin",
		"OIDC_ENCRYPTION_PW": "correct horse",
	}}
	t.Cleanup(h.stopAgent)
	return h
}

// try runs a program to its end.
func (h *home) try(p user.Program) (user.Result, error) {
	p.Dir = h.dir
	for name, value := range h.env {
		p.Env = append(p.Env, name+"="+value)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return p.Run(ctx)
}

// run runs a program that must succeed and returns its stdout, trimmed.
func (h *home) run(args ...string) string {
	h.t.Helper()
	return h.must(user.Program{Args: args})
}

func (h *home) must(p user.Program) string {
	h.t.Helper()
	r, err := h.try(p)
	if err != nil || r.Code != 0 {
		h.t.Fatalf("%q: %v, exit %d\n--- stdout\n%s--- stderr\n%s", p.Args, err, r.Code, r.Stdout, r.Stderr)
	}
	return strings.TrimSpace(r.Stdout)
}

var assignment = regexp.MustCompile(`(?m)^(\w+)=(.*?); export \w+;$`)

// startAgent does what eval $(oidc-agent) does in a shell.
func (h *home) startAgent() {
	h.t.Helper()
	for _, m := range assignment.FindAllStringSubmatch(h.run("oidc-agent"), -1) {
		h.env[m[1]] = m[2]
	}
}

// stopAgent ends the agent and waits until its socket is removed, which is the last thing it does.
func (h *home) stopAgent() {
	if h.env["OIDCD_PID"] == "" {
		return
	}
	r, err := h.try(user.Program{Args: []string{"kill", h.env["OIDCD_PID"]}})
	if err != nil || r.Code != 0 {
		h.t.Errorf("kill: %v %s", err, r.Stderr)
	}
	delete(h.env, "OIDCD_PID")
	for range 1000 {
		if _, err := os.Stat(h.env["OIDC_SOCK"]); os.IsNotExist(err) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	h.t.Errorf("the agent leaves its socket behind: %s", h.env["OIDC_SOCK"])
}

// account returns the account configuration as oidc-add -p prints it.
func (h *home) account(name string) map[string]any {
	h.t.Helper()
	var config map[string]any
	if err := json.Unmarshal([]byte(h.run("oidc-add", "-p", "--pw-env", name)), &config); err != nil {
		h.t.Fatal(err)
	}
	return config
}
