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
		{Source{Kind: File, Value: "line"}, "secret123", ""},
		{Source{Kind: File, Value: "two"}, "secret123", ""},
		{Source{Kind: File, Value: "bare"}, "secret123", ""},
		{Source{Kind: File, Value: "crlf"}, "secret123\r", ""},
		{Source{Kind: File, Value: "blank"}, "", ""},
		{Source{Kind: File, Value: "longest"}, long, ""},
		{Source{Kind: File, Value: "empty"}, "", `password file "empty": empty`},
		{Source{Kind: File, Value: "long"}, "", `password file "long": first line is longer than 65535 bytes`},
		{Source{Kind: File, Value: "nothere"}, "", `password file "nothere": no such file or directory`},
		{Source{Kind: File, Value: "."}, "", `password file ".": is a directory`},
		{Source{Kind: Env, Value: "MY_PW"}, "secret123\nmore", ""},
		{Source{Kind: Env, Value: "MY_EMPTY"}, "", ""},
		{Source{Kind: Env, Value: "MY_UNSET"}, "", `environment variable "MY_UNSET": not set`},
		{Source{Kind: Command, Value: "cat two"}, "secret123", ""},
		{Source{Kind: Command, Value: "printf secret123"}, "secret123", ""},
		{Source{Kind: Command, Value: "cat longest longest longest"}, long, ""},
		{Source{Kind: Command, Value: "cat line; exit 3"}, "", "password command: exit status 3"},
		{Source{Kind: Command, Value: "true"}, "", "password command: empty"},
		{Source{Kind: Command, Value: "cat long"}, "", "password command: first line is longer than 65535 bytes"},
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
	if _, err := (Source{Kind: Command, Value: "exec sleep 600"}).Read(ctx, ""); err == nil || ctx.Err() == nil {
		t.Errorf("a command that does not end: %v", err)
	}
	// What a command leaves running in the background is not waited for.
	got, err := Source{Kind: Command, Value: "sleep 600 & echo $!"}.Read(t.Context(), "")
	if err != nil || got.IsEmpty() {
		t.Errorf("a command with a child: %q, %v", got.Reveal(), err)
	}
	pid, err := strconv.Atoi(string(got.Reveal()))
	if err != nil || syscall.Kill(pid, syscall.SIGKILL) != nil {
		t.Errorf("process %q is not there any more", got.Reveal())
	}
}

func TestSourceSet(t *testing.T) {
	t.Parallel()
	var s Source
	if s.Given() {
		t.Error("the zero source counts as given")
	}
	if err := errors.Join(s.set(File)("a"), s.set(File)("b")); err != nil || s != (Source{Kind: File, Value: "b"}) || !s.Given() {
		t.Errorf("got %v and %v", s, err)
	}
	if err := s.set(Env)(cli.EnvPassword); !errors.Is(err, errTwoSources) || s.Kind != File {
		t.Errorf("two sources: got %v and %v", s, err)
	}
}

// A message does not show a command, which may hold a password.
func TestSourceString(t *testing.T) {
	t.Parallel()
	for s, want := range map[Source]string{
		{}: "terminal", {Kind: Command, Value: "echo hunter2"}: "password command",
		{Kind: Env, Value: "PW"}: `environment variable "PW"`, {Kind: File, Value: "a b"}: `password file "a b"`,
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
	err := Decrypt(t.Context(), Source{Kind: File, Value: name}, "", errors.New("wrong"), func(p secret.Secret) error {
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
