package prompt

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

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
	// What a command leaves running in the background is not waited for.
	got, err := Source{kind: command, value: "sleep 600 & echo $!"}.Read(t.Context(), "")
	if err != nil || got.IsEmpty() {
		t.Errorf("a command with a child: %q, %v", got.Reveal(), err)
	}
	pid, err := strconv.Atoi(string(got.Reveal()))
	if err != nil || syscall.Kill(pid, syscall.SIGKILL) != nil {
		t.Errorf("process %q is not there any more", got.Reveal())
	}
}

// The last --pw-prompt counts, and a source that was named counts more, wherever it stands.
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
		{"--pw-file=a --pw-env", Source{kind: file, value: "a"}, "x: option '--pw-env' cannot take \"OIDC_ENCRYPTION_PW\": " + errTwoSources.Error()},
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

// A variable is read once and then gone, so that no program that we run has it.
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

// A message does not show a command, which may hold a password.
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

// What try gets is wiped afterwards, unless it took a copy.
func TestDecryptWipes(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "pw")
	if err := os.WriteFile(name, []byte("secret123\n"), 0600); err != nil {
		t.Fatal(err)
	}
	var given, clone secret.Secret
	err := Decrypt(t.Context(), Source{kind: file, value: name}, "", errors.New("wrong"), func(p secret.Secret) error {
		given, clone = p, p.Clone()
		return nil
	})
	if err != nil || !given.IsEmpty() || string(clone.Reveal()) != "secret123" {
		t.Errorf("left %q and the copy %q, %v", given.Reveal(), clone.Reveal(), err)
	}
}

func TestConfirmPreset(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ preset, byDefault, want int }{
		{int(AlwaysYes), 0, 1}, {int(AlwaysNo), 1, 0}, {int(AlwaysDefault), 1, 1}, {int(AlwaysDefault), 0, 0},
	} {
		var a Answer
		a.Set(AlwaysNo)("")
		a.Set(Answer(c.preset))("")
		got, err := Confirm(t.Context(), "Really?", c.byDefault == 1, a)
		if err != nil || got != (c.want == 1) {
			t.Errorf("%+v: got %v and %v", c, got, err)
		}
	}
}
