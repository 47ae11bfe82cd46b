// Package completion tests the completion of our programs in the shells that it is for.
package completion

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"oidc-agent/fakeidp/iam"
	"oidc-agent/proto/e2e/user"
)

const patience = 60 * time.Second

// scripts is the folder of the completion scripts.
var scripts, _ = filepath.Abs("../../cli/completion")

// home is a user with a file, an account that is only stored, and one that is only loaded.
type home struct {
	dir string
	env []string
}

var bin string

func TestMain(m *testing.M) {
	var err error
	if bin, err = user.Install("../../.."); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(bin)
	os.Exit(code)
}

func newHome(t *testing.T) *home {
	t.Helper()
	dir, err := os.MkdirTemp("", "completion-") // other users cannot enter t.TempDir's parent
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	h := &home{dir, []string{"HOME=" + dir, "TMPDIR=" + dir, "LANG=C.UTF-8", "TERM=xterm", "PATH=" + bin + ":/usr/bin:/bin", "OIDC_ENCRYPTION_PW=x"}}
	config := filepath.Join(dir, ".config", "oidc-agent")
	for _, file := range []string{config + "/acc-stored", config + "/odd $(touch pwned)", dir + "/secret.txt"} {
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if os.Getuid() == 0 {
		if out, err := exec.Command("chown", "-R", fmt.Sprint(user.Ordinary), dir).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	idp, err := iam.Start(iam.Config{Settings: iam.Settings{AutoApprove: true, DeviceInterval: time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { idp.Close() })
	for _, m := range regexp.MustCompile(`(?m)^(\w+=.*?); export`).FindAllStringSubmatch(h.run(t, "oidc-agent"), -1) {
		h.env = append(h.env, m[1])
	}
	t.Cleanup(func() { h.run(t, "oidc-agent", "-k") })
	h.run(t, "oidc-gen", "-w", "device", "--prompt=none", "--no-save", "--issuer="+idp.Issuer(), "--scope=openid", "acc-loaded")
	return h
}

// run runs a program that must succeed.
func (h *home) run(t *testing.T, args ...string) string {
	t.Helper()
	return h.play(t, user.Program{Args: args})
}

func (h *home) play(t *testing.T, p user.Program) string {
	t.Helper()
	p.Dir, p.Env = h.dir, h.env
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := p.Run(ctx)
	if err != nil || r.Code != 0 {
		t.Fatalf("%q: %v, exit %d\n%s%s%s", p.Args, err, r.Code, r.Stdout, r.Stderr, r.Terminal)
	}
	return r.Stdout
}

// completed returns the completions of the last word.
var completed = []struct{ line, want string }{
	{"oidc-add --skip", "--skip-check"},
	{"oidc-add acc", "acc-stored"},
	{"oidc-add -r acc", "acc-loaded"},
	{"oidc-add --remove acc", "acc-loaded"},
	{"oidc-token acc-l", "acc-loaded"},
	{"oidc-token acc-s", "acc-stored"},
	{"oidc-tokensh --oidc=acc-l", "--oidc=acc-loaded"},
	{"oidc-tokensh acc-loaded -- mkfif", "mkfifo"},
	{"oidc-tokensh acc-loaded -- cat sec", "secret.txt"},
	{"oidc-agent-service restart-", "restart-s"},
	{"oidc-keychain --accounts acc-s", "acc-stored"},
	{"oidc-gen --reauthenticate acc", "acc-stored"},
	{"oidc-gen -p acc", "acc-stored"},
	{"oidc-gen -p sec", "secret.txt"},
	{"oidc-gen -w dev", "device"},
	{"oidc-gen --flow dev", "device"},
	{"oidc-gen --flow=dev", "--flow=device"},
	{"oidc-gen --prompt=no", "--prompt=none"},
	{"oidc-gen --format=scr", "--format=scrypt"},
	{"oidc-add --pw-prompt gu", "gui"},
	{"oidc-add --pw-file sec", "secret.txt"},
	{"oidc-gen --cp=sec", "--cp=secret.txt"},
	{"oidc-gen -f sec", "secret.txt"},
	{"oidc-token --outfile=sec", "--outfile=secret.txt"},
	{"oidc-agent --pid-file=sec", "--pid-file=secret.txt"},
	{"oidc-agent mkfif", "mkfifo"},
	{"fakeidp --profile=wl", "--profile=wlcg"},
	{"oidc-add odd", "odd $(touch pwned)"},
}

func TestFish(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	complete := func(line string) (words []string) {
		out := h.run(t, "fish", "--no-config", "-c", "source "+scripts+"/oidc.fish; complete -C $argv[1]", line)
		for l := range strings.Lines(out) {
			word, _, _ := strings.Cut(strings.TrimSuffix(l, "\n"), "\t")
			words = append(words, word)
		}
		return words
	}
	for _, c := range completed {
		// It also offers words that only contain what was typed.
		if got := complete(c.line); !slices.Contains(got, c.want) || strings.HasPrefix(c.line, "oidc-add -r") && len(got) != 1 {
			t.Errorf("%s: %q, want %q", c.line, got, c.want)
		}
	}
	for _, program := range programs {
		checkOptions(t, program, complete(program+" -"))
	}
	h.checkUnharmed(t)
}

const bash = "bash --norc --noprofile -i"

func TestBash(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.typeAll(t, bash, "source "+scripts+"/oidc.bash")
	for _, program := range programs {
		out := h.run(t, "bash", "-c", `. "$0/oidc.bash"; COMP_WORDS=("$1" -); COMP_CWORD=1; _oidc "$1"; printf '%s\n' "${COMPREPLY[@]}"`, scripts, program)
		checkOptions(t, program, strings.Fields(strings.ReplaceAll(out, `\`, "")))
	}
	h.checkUnharmed(t)
}

// TestBashCompletion: the package bash-completion finds the file by the name of the program.
func TestBashCompletion(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	folder := filepath.Join(h.dir, "bash-completion", "completions")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, program := range programs {
		if err := os.Symlink(scripts+"/oidc.bash", filepath.Join(folder, program)); err != nil {
			t.Fatal(err)
		}
	}
	h.env = append(h.env, "BASH_COMPLETION_USER_DIR="+filepath.Join(h.dir, "bash-completion"))
	h.typeAll(t, bash, ". /usr/share/bash-completion/bash_completion")
}

func TestZsh(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	load := "fpath=(" + scripts + " $fpath); autoload -Uz compinit; compinit -D -u; LISTMAX=9999"
	h.typeAll(t, "zsh -f -i", load)
	for _, program := range programs {
		line := program + " -\t"
		if program == "fakeidp" {
			line = "fakeidp --\t" // it has no short options, so the first tab would only add a dash
		}
		screen := h.list(t, "zsh -f -i", load, line)
		checkOptions(t, program, regexp.MustCompile(`--?[\w?][\w-]*`).FindAllString(screen, -1))
	}
	h.checkUnharmed(t)
}

// typeAll types each line and the tab key in an interactive shell, with printf in front to show the completed words.
func (h *home) typeAll(t *testing.T, shell, load string) {
	t.Helper()
	h.interactive(t, shell, load, func(ctx context.Context, s *user.Session) error {
		for i, c := range completed {
			if err := s.TypeHidden(ctx, fmt.Sprintf("%s\t\x01printf '<%%s>' %d \x05; echo '<'end'>'\r", c.line, i)); err != nil {
				return err
			}
			m, err := s.Find(ctx, regexp.MustCompile(fmt.Sprintf(`<%d>(.*)<end>`, i)))
			if err != nil {
				return err
			}
			if !strings.HasSuffix(m[1], "<"+c.want+">") {
				t.Errorf("%s: %s, want %q", c.line, m[1], c.want)
			}
		}
		return nil
	})
}

// list returns the screen after a line that ends with a tab.
func (h *home) list(t *testing.T, shell, load, line string) (screen string) {
	t.Helper()
	h.interactive(t, shell, load, func(ctx context.Context, s *user.Session) error {
		if err := s.TypeHidden(ctx, line); err != nil {
			return err
		}
		m, err := s.Find(ctx, regexp.MustCompile(`(?s)<ready>(.*--version.*)\x1b`))
		if err == nil {
			screen = m[1]
		}
		return err
	})
	return screen
}

// interactive starts a shell on a terminal, loads the completion, runs the user's steps, and ends the shell.
func (h *home) interactive(t *testing.T, shell, load string, do func(context.Context, *user.Session) error) {
	t.Helper()
	h.play(t, user.Program{Args: strings.Fields(shell), Terminal: user.Everywhere, User: func(ctx context.Context, s *user.Session) error {
		if err := s.TypeHidden(ctx, load+"; printf '<%s>\\n' ready\r"); err != nil {
			return err
		}
		if err := s.Expect(ctx, regexp.MustCompile(`<ready>`)); err != nil {
			return err
		}
		if err := do(ctx, s); err != nil {
			return err
		}
		return s.TypeHidden(ctx, "\x15exit\r") // Ctrl-U deletes the line
	}})
}

var programs = []string{"oidc-agent", "oidc-agent-service", "oidc-keychain", "oidc-gen", "oidc-add", "oidc-token", "oidc-tokensh", "fakeidp"}

// checkOptions checks that exactly the options of the help text are offered.
func checkOptions(t *testing.T, program string, offered []string) {
	t.Helper()
	help, err := exec.Command(filepath.Join(bin, program), "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, m := range regexp.MustCompile(`(?m)^ {2,6}((?:-\S+, +)*-\S+)`).FindAllStringSubmatch(string(help), -1) {
		for _, item := range strings.Fields(m[1]) {
			want = append(want, regexp.MustCompile(`^--?[\w?][\w-]*`).FindString(item))
		}
	}
	for _, name := range want {
		if !slices.Contains(offered, name) {
			t.Errorf("%s %s is not offered", program, name)
		}
	}
	for _, name := range offered {
		if strings.HasPrefix(name, "--") && !slices.Contains(want, name) {
			t.Errorf("%s: %s is offered", program, name)
		}
	}
}

// checkUnharmed checks that an account's name was not run as a command.
func (h *home) checkUnharmed(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(h.dir, "pwned")); err == nil {
		t.Error("a name was run")
	}
}
