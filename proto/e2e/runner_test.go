package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// TestRunner runs scripts that must pass, and scripts that must fail with an error
// that contains a text.
func TestRunner(t *testing.T) {
	tests := []struct{ name, script, failure string }{
		{"programs", "sh -c 'echo out; echo err >&2'\nstdout ^out$\nstderr ^err$\n! stdout err\n! stderr out", ""},
		{"comments and blank lines", "# nothing\n\n", ""},
		{"must fail, does", "! false", ""},
		{"must fail, does not", "! true", "another exit code"},
		{"must not fail, does", "false", "another exit code"},
		{"exit code", "! sh -c 'exit 64'\nexit 64\n! exit 1", ""},
		{"exit code differs", "! sh -c 'exit 64'\nexit 1", "line 2"},
		{"no such program", "no-such-program", "executable file not found"},
		{"pattern not there", "echo a\nstdout b", "--- stdout\na"},
		{"pattern there", "echo a\n! stdout a", "line 2"},
		{"empty pattern", "stdout", "empty pattern"},
		{"variables", "env A='b  c' D=e\nsh -c 'echo \"$A\"$D'\nstdout ^${A}e$\nstdout ^b  ce$", ""},
		{"variables are literal in patterns", "env A=a.c\necho abc\n! stdout $A", ""},
		{"unset", "env A=b\nenv A\nsh -c 'echo x${A}x'\nstdout ^xx$", ""},
		{"nothing is inherited", "sh -c 'echo x$GOPATH$GOFLAGS$USER-$HOME'\nstdout ^x-$HOME$", ""},
		{"set", "echo 'token: abc'\nset T\necho $T.\nstdout ^token: abc\\.$\nset U 'to(ken)'\necho $U\nstdout ^ken$", ""},
		{"files", "cmp a b\n! cmp a c/d\nexists a\nexists c/d\n! exists e\nmode a 600\n! mode a 644\n-- a --\n1\n-- b --\n1\n-- c/d --\n2\n", ""},
		{"no such file", "exists a", "line 1"},
		{"an error is not false", "! cmp a b", "no such file"},
		{"stdin", "stdin a\ncat\ncmp stdout a\n-- a --\n1\n2\n", ""},
		{"stdin is empty otherwise", "cat\n! stdout .", ""},
		{"claims", "echo e30.eyJzY29wZSI6ImEgYiJ9.x\nclaims\nstdout \"scope\":\"a b\"", ""},
		{"unfinished quote", "echo 'a", "unfinished"},
		{"unfinished output", "sh -c 'sleep 60 & true'", "holds its output open"},
		{"no log", "! log a", "there was no agent"},
		{"no watch", "! processes a", "nobody watches"},
		{"processes", "watch\nsh -c 'sleep 1; true secret-word'\nprocesses secret-word\n! processes other-word", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			check(t, test.script, test.failure)
		})
	}
}

// TestRunnerTerminal does so with a terminal, and programs that use it as ours do.
func TestRunnerTerminal(t *testing.T) {
	const ask = `sh -c 'exec <>/dev/tty >&0; stty -echo; printf "Password: "; read -r p; stty echo; echo; echo "got $p"' `
	const answers = "\n-- a --\n? Password: $\n* hunter2\n"
	tests := []struct{ name, script, failure string }{
		{"none", "! sh -c 'exec </dev/tty'\nstderr /dev/tty", ""},
		{"beside the output", "ttyin a\nsh -c 'echo out; read x </dev/tty; echo $x >/dev/tty; test -t 1 || exit 0'\nstdout ^out$\nttyout ^line$\n! stdout line\n-- a --\n> line\n", ""},
		{"everywhere", "tty\nsh -c 'test -t 0 && test -t 1 && test -t 2 && stty size'\nttyout ^24 100$", ""},
		{"no stdout of its own", "tty\necho a\n! stdout b", "stdout was the terminal"},
		{"no terminal", "echo a\n! ttyout a", "there was no terminal"},
		{"with another stdin", "ttyin\nstdin a\nsh -c 'cat; stty size </dev/tty >/dev/tty'\nstdout ^in$\nttyout 24 100\n-- a --\nin\n", ""},
		{"hidden", "ttyin a\n" + ask + "\nttyout ^Password: $\nttyout ^got hunter2$" + answers, ""},
		{"not hidden", "tty a\nsh -c 'printf \"Password: \"; read p'" + answers, "waiting for echo"},
		{"never asked", "tty a\nsh -c 'stty -echo; echo; stty echo'" + answers, "has ended"},
		{"left without echo", "tty\nstty -echo", "left changed"},
		{"interrupt", "tty a\n! sh -c 'echo ready; read x'\nexit 130\n-- a --\n? ready\n> ^C\n", ""},
		{"another program meanwhile", "tty a\nsh -c 'echo ready; read x; cat made'\nttyout ^there$\n-- a --\n? ready\nrun sh -c 'echo there >made'\n> go\n", ""},
		{"another program fails meanwhile", "tty a\nsh -c 'echo ready; read x'\n-- a --\n? ready\nrun false\n> go\n", "meanwhile: exit 1"},
		{"end of file", "tty a\nsh -c 'cat; echo end'\nttyout end\n-- a --\n> ^D\n", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			check(t, test.script, test.failure)
		})
	}
}

func check(t *testing.T, script, failure string) {
	t.Helper()
	limit := patience
	if failure != "" {
		limit = time.Second // some fail because they never end
	}
	err := run(scriptDir(t), t.TempDir(), script, limit)
	switch {
	case failure == "" && err != nil:
		t.Error(err)
	case failure != "" && err == nil:
		t.Errorf("the script passed, want a failure with %q", failure)
	case failure != "" && !strings.Contains(err.Error(), failure):
		t.Errorf("the failure should say %q:\n%v", failure, err)
	}
}

func TestSplit(t *testing.T) {
	get := func(name string) string { return "<" + name + ">" }
	for line, want := range map[string][]string{
		`a  b	c`:               {"a", "b", "c"},
		`a 'b c'd "e f"`:       {"a", "b cd", "e f"},
		`"" ''`:                {"", ""},
		`$A-${B}c '$A' "$A b"`: {"<A>-<B>c", "$A", "<A> b"},
		`--scope="a b" x=$`:    {"--scope=a b", "x=$"},
	} {
		got, err := split(line, get)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("split(%q) = %q, %v, want %q", line, got, err, want)
		}
	}
}
