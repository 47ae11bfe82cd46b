package prompt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"oidc-agent/proto/cjson"
	"oidc-agent/proto/cli"
	"oidc-agent/proto/secret"
)

func TestSourceRead(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"line": "secret123\n", "two": "secret123\nmore\n", "bare": "secret123", "crlf": "secret123\r\n",
		"blank": "\n", "empty": "", "longest": strings.Repeat("x", maxPassword-1) + "\nmore",
		"long": strings.Repeat("x", maxPassword) + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	t.Setenv("MY_PW", "secret123\nmore")
	t.Setenv("MY_EMPTY", "")
	os.Unsetenv("MY_UNSET")
	long := strings.Repeat("x", maxPassword-1)
	for _, c := range []struct {
		source    Source
		want, err string
	}{
		{Source{kind: file, value: "line"}, "secret123", ""},
		{Source{kind: file, value: "two"}, "secret123", ""},
		{Source{kind: file, value: "bare"}, "secret123", ""},
		{Source{kind: file, value: "crlf"}, "secret123\r", ""},
		{Source{kind: file, value: "blank"}, "", ""},
		{Source{kind: file, value: "longest"}, long, ""},
		{Source{kind: file, value: "empty"}, "", `password file "empty": empty`},
		{Source{kind: file, value: "long"}, "", `password file "long": first line is longer than 65535 bytes`},
		{Source{kind: file, value: "nothere"}, "", `password file "nothere": no such file or directory`},
		{Source{kind: file, value: "."}, "", `password file ".": is a directory`},
		{Source{kind: env, value: "MY_PW"}, "secret123\nmore", ""},
		{Source{kind: env, value: "MY_EMPTY"}, "", ""},
		{Source{kind: env, value: "MY_UNSET"}, "", `environment variable "MY_UNSET": not set`},
		{Source{kind: command, value: "cat two"}, "secret123", ""},
		{Source{kind: command, value: "printf secret123"}, "secret123", ""},
		{Source{kind: command, value: "cat longest longest longest"}, long, ""},
		{Source{kind: command, value: "cat line; exit 3"}, "", "password command: exit status 3"},
		{Source{kind: command, value: "true"}, "", "password command: empty"},
		{Source{kind: command, value: "cat long"}, "", "password command: first line is longer than 65535 bytes"},
	} {
		got, err := c.source.Read(context.Background(), "")
		text := ""
		if err != nil {
			text = err.Error()
		}
		if string(got.Reveal()) != c.want || text != c.err {
			t.Errorf("%v: got %.20q and %q, want %.20q and %q", c.source, got.Reveal(), text, c.want, c.err)
		}
	}
}

func TestSourceCommandEnds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := (Source{kind: command, value: "exec sleep 600"}).Read(ctx, ""); err == nil || ctx.Err() == nil {
		t.Errorf("a command that does not end: %v", err)
	}
	// Background processes of a command are not waited for.
	got, err := Source{kind: command, value: "sleep 600 & echo $!"}.Read(t.Context(), "")
	if err != nil || got.IsEmpty() {
		t.Errorf("a command with a child: %q, %v", got.Reveal(), err)
	}
	pid, err := strconv.Atoi(string(got.Reveal()))
	if err != nil || syscall.Kill(pid, syscall.SIGKILL) != nil {
		t.Errorf("process %q is not there any more", got.Reveal())
	}
}

// The last --pw-prompt counts, but a source that another option names takes precedence, before and after it.
func TestSourceOptions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args string
		want Source
		err  string
	}{
		{"", Source{}, ""},
		{"--pw-prompt=gui", Source{kind: window}, ""},
		{"--pw-prompt=cli", Source{}, ""},
		{"--pw-prompt=gui --pw-prompt=cli", Source{}, ""},
		{"--pw-file=a --pw-file b", Source{kind: file, value: "b"}, ""},
		{"--pw-prompt=gui --pw-file=a", Source{kind: file, value: "a"}, ""},
		{"--pw-file=a --pw-prompt=gui", Source{kind: file, value: "a"}, ""},
		{"--pw-file=a --pw-prompt=cli", Source{kind: file, value: "a"}, ""},
		{"--pw-cmd=a", Source{kind: command, value: "a"}, ""},
		{"--pw-env=NOT_SET", Source{kind: env, value: "NOT_SET"}, ""},
		{"--pw-file=a --pw-env", Source{kind: file, value: "a"}, "x: option '--pw-env' cannot take \"OIDC_ENCRYPTION_PW\": only one of --pw-cmd, --pw-env, --pw-file can be given"},
		{"--pw-prompt=none", Source{}, "x: option '--pw-prompt' cannot take \"none\": cli or gui is expected"},
	} {
		var s Source
		_, err := (&cli.Program{Name: "x", Options: s.Options(0)}).Parse(strings.Fields(c.args))
		text := ""
		if err != nil {
			text = err.Error()
		}
		if s != c.want || s.Given() != (s != Source{}) || text != c.err {
			t.Errorf("%q: got %v, %q, want %v, %q", c.args, s, text, c.want, c.err)
		}
	}
}

// A variable is read once and then removed, so that the programs that we run do not have it.
func TestSourceEnv(t *testing.T) {
	t.Setenv("MY_PW", "secret123")
	var s Source
	for range 2 {
		if err := s.set(env)("MY_PW"); err != nil || os.Getenv("MY_PW") != "" {
			t.Errorf("%v, %q is left", err, os.Getenv("MY_PW"))
		}
	}
	for range 2 {
		password, err := s.Read(t.Context(), "")
		if err != nil || string(password.Reveal()) != "secret123" {
			t.Errorf("%q, %v", password.Reveal(), err)
		}
		password.Wipe()
	}
}

// A message does not show a command, which may contain a password.
func TestSourceString(t *testing.T) {
	t.Parallel()
	for s, want := range map[Source]string{
		{}: "terminal", {kind: command, value: "echo hunter2"}: "password command",
		{kind: env, value: "PW"}: `environment variable "PW"`, {kind: file, value: "a b"}: `password file "a b"`,
	} {
		if got := s.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// The password that try gets is wiped afterwards, but not a clone of it.
func TestDecryptWipes(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "pw")
	if err := os.WriteFile(name, []byte("secret123\n"), 0600); err != nil {
		t.Fatal(err)
	}
	var given, clone secret.Secret
	err := Decrypt(Source{kind: file, value: name}, "", errors.New("wrong"), func(p secret.Secret) error {
		given, clone = p, p.Clone()
		return nil
	})
	if err != nil || !given.IsEmpty() || string(clone.Reveal()) != "secret123" {
		t.Errorf("left %q and the copy %q, %v", given.Reveal(), clone.Reveal(), err)
	}
	data := []byte("secret123\nsecret456")
	if _, err := firstLine(data, nil); err != nil || strings.Trim(string(data[9:]), "\x00\n") != "" {
		t.Errorf("left %q, %v", data, err)
	}
}

func TestConfirmPreset(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		preset          string
		byDefault, want bool
	}{
		{"yes", false, true}, {"no", true, false}, {"default", true, true}, {"default", false, false},
	} {
		got, err := Confirm("Really?", c.byDefault, c.preset)
		if err != nil || got != c.want {
			t.Errorf("%+v: got %v and %v", c, got, err)
		}
	}
}

// An entry leads the agent to the same password, unless the source is a prompt.
func TestEntry(t *testing.T) {
	name := filepath.Join(t.TempDir(), "pw")
	if err := os.WriteFile(name, []byte("secret123\n"), 0600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("MY_PW", "secret123")
	for _, c := range []struct {
		source      Source
		entry, want string
	}{
		{Source{}, `{"account":"demo","type":8}`, ""},
		{Source{kind: window}, `{"account":"demo","type":8}`, ""},
		{Source{kind: command, value: "echo secret123"}, `{"account":"demo","command":"echo secret123","type":12}`, "secret123"},
		{Source{kind: file, value: name}, `{"account":"demo","pw_file":"` + name + `","type":24}`, "secret123"},
		{Source{kind: env, value: "MY_PW"}, `{"account":"demo","password":"secret123","type":9}`, "secret123"},
		{Source{kind: env, value: "MY_UNSET"}, `{"account":"demo","type":8}`, ""},
	} {
		entry := c.source.Entry("demo")
		password, err := ReadEntry(t.Context(), entry)
		if string(entry.Compact()) != c.entry || err != nil || string(password.Reveal()) != c.want {
			t.Errorf("%v: %s leads to %q, %v; want %s and %q", c.source, entry.Compact(), password.Reveal(), err, c.entry, c.want)
		}
	}
	// The C program kept the password for a limited time, which is over.
	entry := cjson.New().SetInt("type", entryMemory|entryCommand).SetText("command", "echo secret123")
	if password, err := ReadEntry(t.Context(), entry); err != nil || string(password.Reveal()) != "secret123" {
		t.Errorf("without the password: %q, %v", password.Reveal(), err)
	}
}

// An askpass program gets the question and answers it by its exit code. oidc-prompt has other arguments and prints
// yes or no.
func TestWindow(t *testing.T) {
	dir := t.TempDir()
	program := func(name, script string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Setenv("PATH", os.Getenv("PATH"))
	t.Setenv("SSH_ASKPASS", program("ssh", `echo "$SSH_ASKPASS_PROMPT:$*"; [ "$1" != no ]`))
	t.Setenv("SSH_ASKPASS_REQUIRE", "force")
	t.Setenv("OIDC_ASKPASS", "")
	password := func(text string) string {
		p, err := Window(t.Context(), "Title", text)
		return fmt.Sprintf("%s %v", p.Reveal(), err)
	}
	consent := func(text string) string { return fmt.Sprint(Consent(t.Context(), "Title", text)) }
	want := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	want(password("Password"), ":Password <nil>")
	want(password("no"), " cancelled by the user")
	want(consent("May they?"), "false <nil>") // it prints something that is no yes

	t.Setenv("OIDC_ASKPASS", program("own", `[ "$SSH_ASKPASS_PROMPT:$1" = confirm:yes ]`))
	want(consent("yes"), "true <nil>")
	want(consent("no"), "false <nil>")
	t.Setenv("OIDC_ASKPASS", program("slow", `exec sleep 600`))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := Window(ctx, "Title", "Password")
	want(fmt.Sprint(err), "context deadline exceeded")

	t.Setenv("OIDC_ASKPASS", "")
	program("oidc-prompt", `if [ "$1" = password ]; then echo "$*"; else echo "$3"; fi`)
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	want(password("Text"), "password Title Text Encryption password 300  <nil>")
	want(consent("yes"), "true <nil>")
	want(consent("no"), "false <nil>")
	if err := os.Remove(filepath.Join(dir, "oidc-prompt")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSH_ASKPASS", "")
	want(consent("yes"), "false there is no askpass program: set OIDC_ASKPASS or SSH_ASKPASS")
}
