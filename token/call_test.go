package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"oidc-agent/proto/cjson"
	"oidc-agent/proto/cli"
	"oidc-agent/proto/ipc"
)

// A world has an agent that gives the answers in their order, and an oidc-add that records its arguments and its
// input, prints a text, and may fail.
type world struct {
	dir       string
	questions chan string
}

func newWorld(t *testing.T, answers []string, printed string, fails bool) *world {
	t.Helper()
	w := &world{t.TempDir(), make(chan string, 9)}
	socket := filepath.Join(w.dir, "agent")
	t.Setenv("OIDC_SOCK", socket)
	t.Setenv("PATH", w.dir+":"+os.Getenv("PATH"))
	script := fmt.Sprintf("#!/bin/sh\ncd '%s'\n{ echo \"$*\"; [ $1 != --remote ] || { dd bs=9999 count=1 2>/dev/null; echo; }; } >>noted\nprintf %%s '%s'\n", w.dir, printed)
	if fails {
		script += "exit 5\n"
	}
	if err := os.WriteFile(filepath.Join(w.dir, "oidc-add"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	if answers == nil {
		return w
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for _, answer := range answers {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			question := make([]byte, 1000)
			n, _ := conn.Read(question)
			w.questions <- string(question[:n])
			conn.Write([]byte(answer))
			conn.Close()
		}
	}()
	return w
}

// noted returns what oidc-add was called with, one call per line.
func (w *world) noted() string {
	text, _ := os.ReadFile(filepath.Join(w.dir, "noted"))
	return string(text)
}

const (
	success   = `{"status":"success","access_token":"AT","issuer":"https://op.example/"}`
	unloaded  = `{"status":"failure","error":"account not loaded"}`
	noAccount = `{"status":"failure","error":"No account configured with that short name"}`
)

// Not parallel: the agent and oidc-add are found through the environment.
func TestFetch(t *testing.T) {
	const asked = `{"request":"access_token","min_valid_period":0,"account":"demo","application_hint":"oidc-token","no_autoload":1}`
	const relayed = "--remote --relay\n"
	for name, c := range map[string]struct {
		args      string
		answers   []string
		remote    bool
		printed   string // by oidc-add
		fails     bool
		token     string
		err       string // begins the error
		questions []string
		noted     string
	}{
		"loaded": {answers: []string{success}, token: "AT", questions: []string{asked}},
		"options": {args: "-f --timeout 99 -s a --aud b --name n", answers: []string{success}, token: "AT", questions: []string{
			`{"request":"access_token","min_valid_period":-1,"account":"demo","scope":"a","application_hint":"n","audience":"b","no_autoload":1,"timeout":99}`}},
		"id-token": {args: "--id-token", answers: []string{`{"status":"success","id_token":"IT"}`}, token: "IT", questions: []string{
			`{"request":"id_token","account":"demo","application_hint":"oidc-token","no_autoload":1}`}},
		"no token":         {answers: []string{`{"status":"success"}`}, err: "the agent's answer cannot be read: it holds no access_token"},
		"no agent":         {err: "could not connect to oidc-agent"},
		"no agent here":    {remote: true, printed: success, token: "AT", noted: relayed + asked + "\n"},
		"no account here":  {answers: []string{noAccount}, remote: true, printed: success, token: "AT", noted: relayed + asked + "\n"},
		"no account":       {answers: []string{noAccount}, err: "No account configured"},
		"another failure":  {answers: []string{`{"status":"failure","error":"odd"}`}, remote: true, printed: success, err: "odd"},
		"no remote agent":  {remote: true, fails: true, err: "the agent that OIDC_REMOTE_SOCK names gave no answer", noted: relayed + asked + "\n"},
		"not loaded there": {args: "--pw-file=pw", remote: true, printed: unloaded, err: "account not loaded", noted: relayed + asked + "\n"},
		"loaded by us":     {args: "--pw-file=pw", answers: []string{unloaded, success}, token: "AT", noted: "--pw-file=pw -- demo\n", questions: []string{asked, asked}},
		"cannot be loaded": {args: "--pw-file=pw", answers: []string{unloaded}, fails: true, err: "exit code 5", noted: "--pw-file=pw -- demo\n"},
		"not to be loaded": {args: "--pw-file=pw --no-autoload", answers: []string{unloaded}, err: "account not loaded"},
		"agent's own rule": {args: "--pw-file=pw", answers: []string{`{"status":"failure","error":"account not loaded","no_autoload":1}`}, err: "account not loaded"},
		"of an issuer":     {args: "--pw-file=pw https://op.example/", answers: []string{`{"status":"failure","error":"account not loaded","account":"mine"}`, success}, token: "AT", noted: "--pw-file=pw -- mine\n"},
		"an issuer's account": {args: "--pw-file=pw https://op.example/", answers: []string{unloaded, success}, token: "AT", questions: []string{
			strings.Replace(asked, `"account":"demo"`, `"issuer":"https://op.example/"`, 1),
			strings.Replace(strings.Replace(asked, `"account":"demo"`, `"issuer":"https://op.example/"`, 1), `,"no_autoload":1`, "", 1)}},
		"issuer on this PC": {args: "http://127.0.0.1:1/", answers: []string{success}, token: "AT", questions: []string{strings.Replace(asked, `"account":"demo"`, `"issuer":"http://127.0.0.1:1/"`, 1)}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.answers, c.printed, c.fails)
			t.Setenv("OIDC_REMOTE_SOCK", map[bool]string{true: "127.0.0.1:1"}[c.remote])
			t.Setenv("OIDC_CONFIG_DIR", w.dir)
			args := strings.Fields(c.args)
			if !strings.Contains(c.args, "://") {
				args = append(args, "demo")
			}
			r, err := parse(args)
			if err != nil {
				t.Fatal(err)
			}
			got, err := fetch(r)
			if string(got.value.Reveal()) != c.token || (err == nil) != (c.err == "") || err != nil && !strings.HasPrefix(err.Error(), c.err) {
				t.Errorf("token %q and %v, want %q and %q", got.value.Reveal(), err, c.token, c.err)
			}
			for _, want := range c.questions {
				if got := <-w.questions; got != want {
					t.Errorf("asked %s, want %s", got, want)
				}
			}
			if w.noted() != c.noted {
				t.Errorf("oidc-add was called with %q, want %q", w.noted(), c.noted)
			}
		})
	}
}

// TestRemoteHangs: an oidc-add that hangs before it reads, or after it answers, is killed in time.
func TestRemoteHangs(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	for _, script := range []string{"", "printf {}\n"} {
		if err := os.WriteFile(filepath.Join(dir, "oidc-add"), []byte("#!/bin/sh\n"+script+"exec sleep 600\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		question := cjson.New().SetText("data", strings.Repeat("x", ipc.MaxMessage)) // more than a socket holds
		if _, err := callRemote(question, 100*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%q: %v", script, err)
		}
	}
}

// TestNotLoaded: the hint names the account if it is known.
func TestNotLoaded(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"": "Load the account:  oidc-add NAME", "demo": "Load the account:  oidc-add demo", "a b": "Load the account:  oidc-add 'a b'"} {
		hinted, ok := notLoaded(ipc.ErrNotLoaded, name).(interface{ Hint() string })
		if !ok || hinted.Hint() != want {
			t.Errorf("%q: %v, want the hint %q", name, hinted, want)
		}
	}
}

// TestFetchWarns: a warning of the agent is printed on standard error.
func TestFetchWarns(t *testing.T) {
	newWorld(t, []string{`{"status":"success","access_token":"AT","warning":"not saved"}`}, "", false)
	told, err := os.Create(filepath.Join(t.TempDir(), "told"))
	if err != nil {
		t.Fatal(err)
	}
	defer told.Close()
	stderr := os.Stderr
	os.Stderr = told
	_, err = fetch(&request{name: "demo"})
	os.Stderr = stderr
	text, readErr := os.ReadFile(told.Name())
	if err != nil || readErr != nil || string(text) != "oidc-token: warning: not saved\n" {
		t.Errorf("%v, %v, told %q", err, readErr, text)
	}
}

// TestStart: a call without arguments, even without the program's name, is a usage error.
func TestStart(t *testing.T) {
	for _, args := range [][]string{nil, {"oidc-token"}, {"/usr/bin/oidc-tokensh", "a", "b"}} {
		err := start(args)
		if err == nil || !strings.HasPrefix(err.Error(), "Usage: ") || strings.Contains(err.Error(), "tokensh") != slices.Contains(args, "a") {
			t.Errorf("%q: %v", args, err)
		}
	}
}

// TestEnded: the test binary ends as its shell has ended, by the same signal or with the same code.
func TestEnded(t *testing.T) {
	if script := os.Getenv("TOKEN_TEST_SCRIPT"); script != "" {
		child := exec.Command("sh", "-c", script)
		child.Run()
		os.Exit(cli.Report(os.Stdout, os.Stderr, ended(child.ProcessState)))
	}
	t.Parallel()
	for script, want := range map[string]string{
		"exit 0":        "exit status 0",
		"exit 7":        "exit status 7",
		"kill -INT $$":  "signal: interrupt",
		"kill -TERM $$": "signal: terminated",
		"kill -SEGV $$": "exit status 139",
		"kill -KILL $$": "exit status 137",
	} {
		us := exec.Command(os.Args[0], "-test.run=^TestEnded$")
		us.Env = append(os.Environ(), "TOKEN_TEST_SCRIPT="+script, "GORACE=atexit_sleep_ms=0")
		told, _ := us.CombinedOutput()
		if got := us.ProcessState.String(); got != want || len(told) > 0 {
			t.Errorf("%s: %s, %q, want %s", script, got, told, want)
		}
	}
}
