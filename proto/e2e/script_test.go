package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"oidc-agent/proto/e2e/user"
)

// A script consists of lines and then of files for the home directory, each below
// a line "-- NAME --". A line is a comment (#), one of the words of words_test.go
// with its arguments, or a program with its arguments. With "!" in front it must
// fail. Arguments are quoted as in a shell, and $NAME is a variable of the
// script. There are no conditions: a script tells one story in full.

// patience is how long a program may take on a busy machine.
const patience = 20 * time.Second

// A script is one run of a script, with its own home and environment.
type script struct {
	dir, bin string // the run's folder; the programs' folder
	patience time.Duration
	env      map[string]string
	next     user.Program                                 // prepared by ttyin, stdin, …
	actions  []func(context.Context, *user.Session) error // of the user while it runs
	last     user.Result
	where    user.Where // the last program's terminal
	idp      *idp
	agents   []int // process ids
	agentLog *os.File
	watcher  *watcher
	cleanup  []func() error
}

// run runs a script in dir with the programs in bin. The error says which line
// failed and what the last program printed.
func run(dir, bin, text string, patience time.Duration) (err error) {
	lines, files := parseScript(text)
	s, err := newScript(dir, bin, files)
	if err != nil {
		return err
	}
	s.patience = patience
	defer func() { err = errors.Join(err, s.close()) }()
	for i, line := range lines {
		if err := s.line(strings.TrimSpace(line)); err != nil {
			return fmt.Errorf("line %d: %s\n%w\n%s", i+1, line, err, s.shown())
		}
	}
	return nil
}

// parseScript splits a script into lines and files.
func parseScript(text string) (lines []string, files map[string]string) {
	files = map[string]string{}
	name := ""
	for line := range strings.Lines(text) {
		bare := strings.TrimSpace(line)
		if n, ok := strings.CutPrefix(bare, "-- "); ok && strings.HasSuffix(n, " --") {
			name = strings.TrimSuffix(n, " --")
			files[name] = ""
		} else if name != "" {
			files[name] += line
		} else {
			lines = append(lines, bare)
		}
	}
	return lines, files
}

func newScript(dir, bin string, files map[string]string) (*script, error) {
	s := &script{dir: dir, bin: bin}
	s.env = map[string]string{
		"HOME":   filepath.Join(dir, "home"),
		"TMPDIR": filepath.Join(dir, "tmp"),
		"PATH":   bin + ":/usr/bin:/bin",
		"LANG":   "C.UTF-8",
		"TERM":   "xterm",
	}
	if d := os.Getenv("GOCOVERDIR"); d != "" {
		s.env["GOCOVERDIR"] = d
	}
	for _, d := range []string{s.env["HOME"], s.env["TMPDIR"]} {
		if err := s.own(d, os.Mkdir(d, 0o700)); err != nil {
			return nil, err
		}
	}
	for name, text := range files {
		path := s.path(name)
		for d := filepath.Dir(path); d != s.env["HOME"]; d = filepath.Dir(d) {
			if err := s.own(d, os.MkdirAll(d, 0o700)); err != nil {
				return nil, err
			}
		}
		if err := s.own(path, os.WriteFile(path, []byte(text), 0o600)); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// own makes a new file belong to the user who runs the programs.
func (s *script) own(path string, err error) error {
	if err != nil || os.Getuid() != 0 {
		return err
	}
	return os.Chown(path, user.Ordinary, user.Ordinary)
}

// path returns the absolute path of a file, which programs name relative to the home.
func (s *script) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(s.env["HOME"], name)
}

func (s *script) line(line string) error {
	if line == "" || strings.HasPrefix(line, "#") {
		return nil
	}
	line, negated := cutNot(line)
	name, rest, _ := strings.Cut(line, " ")
	if check, ok := patterns[name]; ok {
		return s.match(check, negated, strings.TrimSpace(rest))
	}
	args, err := split(line, s.get)
	if err != nil {
		return err
	}
	if word, ok := words[args[0]]; ok {
		err := word(s, args[1:])
		if !negated {
			return err
		}
		if errors.Is(err, errFalse) {
			return nil
		}
		return errors.Join(err, errors.New("should have been false"))
	}
	return s.program(args, negated)
}

func cutNot(line string) (rest string, negated bool) {
	if rest, ok := strings.CutPrefix(line, "! "); ok {
		return strings.TrimSpace(rest), true
	}
	return line, false
}

// program runs a program as the lines before have prepared it.
func (s *script) program(args []string, mustFail bool) error {
	p := s.next
	actions := s.actions
	s.next, s.actions, s.where = user.Program{}, nil, p.Terminal
	p.Args, p.Dir, p.Env = args, s.env["HOME"], s.environ()
	p.User = func(ctx context.Context, session *user.Session) error {
		for _, act := range actions {
			if err := act(ctx, session); err != nil {
				return err
			}
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.patience)
	defer cancel()
	var err error
	if s.last, err = p.Run(ctx); err != nil {
		return err
	}
	if mustFail != (s.last.Code != 0) {
		return errors.New("another exit code was expected")
	}
	return nil
}

// shown returns what the last program printed, for the error message.
func (s *script) shown() string {
	text := fmt.Sprintf("exit %d", s.last.Code)
	for _, part := range [][2]string{{"stdout", s.last.Stdout}, {"stderr", s.last.Stderr}, {"terminal", s.last.Terminal}} {
		if part[1] != "" {
			text += "\n--- " + part[0] + "\n" + strings.TrimSuffix(part[1], "\n")
		}
	}
	return text
}

func (s *script) get(name string) string { return s.env[name] }

func (s *script) environ() []string {
	env := make([]string, 0, len(s.env))
	for k, v := range s.env {
		env = append(env, k+"="+v)
	}
	return env
}

// close ends everything that the script has started.
func (s *script) close() error {
	var errs []error
	for i := len(s.cleanup) - 1; i >= 0; i-- {
		errs = append(errs, s.cleanup[i]())
	}
	s.killAgents()
	killAll(of(s.env["HOME"]))
	return errors.Join(errs...)
}

var variable = regexp.MustCompile(`\\?\$(\w+|\{\w+\})`)

// expand replaces variables, except after a backslash, by their quoted values.
func expand(text string, get, quote func(string) string) string {
	return variable.ReplaceAllStringFunc(text, func(v string) string {
		if v[0] == '\\' {
			return v
		}
		return quote(get(strings.Trim(v, "${}")))
	})
}

func asItIs(v string) string { return v }

// split splits a line into words, with the quotes of a shell: variables are
// expanded within "…" and outside quotes, but not within '…'.
func split(line string, get func(string) string) (words []string, err error) {
	var word strings.Builder
	started := false
	for line != "" {
		c := line[0]
		if c == ' ' || c == '\t' {
			if started {
				words = append(words, word.String())
			}
			word.Reset()
			started, line = false, line[1:]
			continue
		}
		started = true
		var piece string
		if c == '\'' || c == '"' {
			end := strings.IndexByte(line[1:], c)
			if end < 0 {
				return nil, fmt.Errorf("unfinished %c", c)
			}
			piece, line = line[1:1+end], line[end+2:]
		} else {
			end := strings.IndexAny(line, " \t'\"")
			if end < 0 {
				end = len(line)
			}
			piece, line = line[:end], line[end:]
		}
		if c != '\'' {
			piece = expand(piece, get, asItIs)
		}
		word.WriteString(piece)
	}
	if started {
		words = append(words, word.String())
	}
	return words, nil
}

func TestScripts(t *testing.T) {
	scripts, _ := filepath.Glob("testdata/*.txt")
	if len(scripts) == 0 {
		t.Fatal("no scripts in testdata")
	}
	bin := binaries(t)
	for _, file := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := run(scriptDir(t), bin, string(text), patience); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		})
	}
}

// scriptDir makes a folder that every user can enter, with a path short enough for
// a socket.
func scriptDir(t *testing.T) string {
	dir, err := os.MkdirTemp("", "e2e-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
