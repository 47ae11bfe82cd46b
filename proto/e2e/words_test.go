package e2e

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"oidc-agent/proto/e2e/user"
)

// errFalse is the error of a check that is false; "!" inverts it.
var errFalse = errors.New("it is not so")

// patterns are words that take a regular expression, up to the end of the line,
// and return the text to match; ^ and $ match at line ends. It is an error if there
// cannot be such a text, because "!" would always succeed.
var patterns = map[string]func(*script) (string, error){
	"stdout": func(s *script) (string, error) {
		return s.last.Stdout, demand(s.where != user.Everywhere, "stdout was the terminal")
	},
	"stderr": func(s *script) (string, error) {
		return s.last.Stderr, demand(s.where != user.Everywhere, "stderr was the terminal")
	},
	"ttyout": func(s *script) (string, error) {
		return s.last.Terminal, demand(s.where != user.Nowhere, "there was no terminal")
	},
	"log": func(s *script) (string, error) { // of the agents
		return s.log(), demand(s.agentLog != nil, "there was no agent")
	},
	"processes": func(s *script) (string, error) { // command lines seen since watch
		if s.watcher == nil {
			return "", errors.New("nobody watches")
		}
		return s.watcher.everything(), nil
	},
}

func demand(ok bool, problem string) error {
	if ok {
		return nil
	}
	return errors.New(problem)
}

// words are the other words, with their arguments.
var words = map[string]func(s *script, args []string) error{
	"agent":   startAgent,  // agent [OPTION…]: starts an agent and sets its variables
	"approve": approve,     // approve [no]: the user approves, or denies, the next program's device code
	"claims":  claims,      // replaces the JWT on stdout by its claims
	"cmp":     compare,     // cmp stdout|stderr|FILE FILE
	"end":     endAgent,    // end TERM|INT|KILL: ends the agent and waits for that
	"env":     environment, // env NAME=VALUE | NAME…: sets, unsets
	"exists":  exists,      // exists FILE
	"exit":    exitIs,      // exit CODE: the last program's exit code
	"fake":    startFake,   // starts the providers of fake_test.go at $FAKE
	"idp":     theIDP,      // idp [OPTION…] | stop | start: runs fakeidp at $ISSUER
	"mode":    modeIs,      // mode FILE 600
	"remote":  remote,      // forwards the TCP port $OIDC_REMOTE_SOCK to the agent's socket
	"run":     beside,      // run PROGRAM: runs it while the next program runs, after approve or visit; it must succeed
	"set":     set,         // set NAME [PATTERN]: sets a variable to stdout, or to the pattern's group
	"stdin":   stdin,       // stdin FILE: of the next program
	"tty":     tty,         // tty [FILE]: the next program runs on a terminal; FILE: what its user does
	"ttyin":   ttyIn,       // ttyin [FILE]: the next program has a terminal, and pipes for stdout and stderr
	"visit":   visit,       // visit [NAME]: the user opens the next program's URL; NAME: a variable for the final address
	"watch":   watch,       // records all command lines from now on
}

func (s *script) match(find func(*script) (string, error), negated bool, pattern string) error {
	text, err := find(s)
	if err != nil {
		return err
	}
	re, err := s.pattern(pattern)
	if err != nil {
		return err
	}
	if re.MatchString(text) == negated {
		return errFalse
	}
	return nil
}

// pattern compiles a pattern, with the values of variables taken literally.
func (s *script) pattern(text string) (*regexp.Regexp, error) {
	if text == "" {
		return nil, errors.New("an empty pattern matches everything")
	}
	return regexp.Compile("(?m)" + expand(text, s.get, regexp.QuoteMeta))
}

func environment(s *script, args []string) error {
	for _, a := range args {
		if name, value, ok := strings.Cut(a, "="); ok {
			s.env[name] = value
		} else {
			delete(s.env, a)
		}
	}
	return nil
}

func set(s *script, args []string) error {
	value := strings.TrimSpace(s.last.Stdout)
	if len(args) > 1 {
		re, err := s.pattern(args[1])
		if err != nil {
			return err
		}
		m := re.FindStringSubmatch(value)
		if len(m) != 2 {
			return errFalse
		}
		value = m[1]
	}
	if value == "" {
		return errors.New("nothing to set")
	}
	s.env[args[0]] = value
	return nil
}

func exists(s *script, args []string) error {
	if len(args) != 1 {
		return errors.New("exists asks for one file")
	}
	if _, err := os.Lstat(s.path(args[0])); err != nil {
		return errFalse
	}
	return nil
}

func modeIs(s *script, args []string) error {
	info, err := os.Lstat(s.path(args[0]))
	if err != nil {
		return err
	}
	if got := fmt.Sprintf("%o", info.Mode().Perm()); got != args[1] {
		return fmt.Errorf("%w: mode %s", errFalse, got)
	}
	return nil
}

func exitIs(s *script, args []string) error {
	if strconv.Itoa(s.last.Code) != args[0] {
		return errFalse
	}
	return nil
}

func compare(s *script, args []string) error {
	var texts [2]string
	for i, name := range args {
		switch name {
		case "stdout":
			texts[i] = s.last.Stdout
		case "stderr":
			texts[i] = s.last.Stderr
		default:
			b, err := os.ReadFile(s.path(name))
			if err != nil {
				return err
			}
			texts[i] = string(b)
		}
	}
	if texts[0] != texts[1] {
		return fmt.Errorf("%w: %q, %q", errFalse, texts[0], texts[1])
	}
	return nil
}

func claims(s *script, _ []string) error {
	parts := strings.Split(strings.TrimSpace(s.last.Stdout), ".")
	if len(parts) != 3 {
		return errors.New("stdout is no JWT")
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	s.last.Stdout = string(b)
	return err
}

func stdin(s *script, args []string) error {
	b, err := os.ReadFile(s.path(args[0]))
	text := string(b)
	s.next.Stdin = &text
	return err
}

func tty(s *script, args []string) error {
	s.next.Terminal = user.Everywhere
	return s.readAnswers(args)
}

func ttyIn(s *script, args []string) error {
	s.next.Terminal = user.Beside
	return s.readAnswers(args)
}

// readAnswers reads what the user does at a terminal, one step a line:
//
//	? PATTERN    waits for the pattern on the screen
//	> TEXT       types TEXT and Enter; the terminal must echo
//	* TEXT       types TEXT and Enter; the terminal must not echo
//	> ^C         types only Ctrl-C
//	approve, run, visit  as the words
func (s *script) readAnswers(args []string) error {
	if len(args) == 0 {
		return nil
	}
	b, err := os.ReadFile(s.path(args[0]))
	for line := range strings.Lines(string(b)) {
		kind, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch kind {
		case "":
		case "?":
			re, err := s.pattern(rest)
			if err != nil {
				return err
			}
			s.will(func(ctx context.Context, u *user.Session) error { return u.Expect(ctx, re) })
		case ">":
			s.will(func(ctx context.Context, u *user.Session) error { return u.Type(ctx, s.keys(rest)) })
		case "*":
			s.will(func(ctx context.Context, u *user.Session) error { return u.TypeHidden(ctx, s.keys(rest)) })
		case "approve":
			err = errors.Join(err, approve(s, strings.Fields(rest)))
		case "run":
			args, splitErr := split(rest, s.get)
			err = errors.Join(err, splitErr, beside(s, args))
		case "visit":
			err = errors.Join(err, visit(s, strings.Fields(rest)))
		default:
			err = errors.Join(err, fmt.Errorf("answers: %q", line))
		}
	}
	return err
}

// beside runs a program while the next one runs, in an environment with the variables that visit sets.
func beside(s *script, args []string) error {
	s.will(func(ctx context.Context, _ *user.Session) error {
		r, err := user.Program{Args: args, Dir: s.env["HOME"], Env: s.environ()}.Run(ctx)
		if err == nil && r.Code != 0 {
			err = fmt.Errorf("%q meanwhile: exit %d: %s", args, r.Code, r.Stderr)
		}
		return err
	})
	return nil
}

func (s *script) will(act func(context.Context, *user.Session) error) {
	s.actions = append(s.actions, act)
}

// keys returns what to type for a text, where ^C and ^D are single keys.
func (s *script) keys(text string) string {
	if len(text) == 2 && text[0] == '^' {
		return string(text[1] & 0x1f)
	}
	return expand(text, s.get, asItIs) + "\n"
}

var deviceCode = regexp.MustCompile(`visit:\s+(\S+)\s+And enter the code: (\S+)`)

// approve lets the user approve, or deny, on another device with a browser.
func approve(s *script, args []string) error {
	yes := len(args) == 0
	s.will(func(ctx context.Context, u *user.Session) error {
		m, err := u.Find(ctx, deviceCode)
		if err != nil {
			return err
		}
		return user.NewBrowser("alice", "alice").Approve(ctx, m[1], m[2], yes)
	})
	return nil
}

var loginURL = regexp.MustCompile(`URL in a Browser of your choice:\s+(\S+)\s`)

// visit lets the user open the URL of the code flow.
func visit(s *script, args []string) error {
	s.will(func(ctx context.Context, u *user.Session) error {
		m, err := u.Find(ctx, loginURL)
		if err != nil {
			return err
		}
		b := user.NewBrowser("alice", "alice")
		if len(args) == 0 {
			return b.Visit(ctx, m[1])
		}
		s.env[args[0]], err = b.VisitNobody(ctx, m[1])
		return err
	})
	return nil
}

func (s *script) log() string {
	b, _ := os.ReadFile(filepath.Join(s.dir, "agent.log"))
	return string(b)
}
