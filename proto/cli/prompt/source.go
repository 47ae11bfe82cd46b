package prompt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"oidc-agent/proto/cli"
	"oidc-agent/proto/secret"
)

// Kind is a way to get a password.
type Kind int

// The kinds. Terminal is the one that nobody has to ask for.
const (
	Terminal Kind = iota
	Command       // --pw-cmd: first line of the output of sh -c VALUE
	Env           // --pw-env: value of the variable VALUE
	File          // --pw-file: first line of the file VALUE
	Askpass       // --pw-prompt=gui: a window
)

// maxPassword is the longest password in bytes, end of line included.
const maxPassword = 64 << 10

// Source says where a password comes from. The zero Source asks on the terminal.
type Source struct {
	Kind  Kind
	Value string
	held  secret.Secret // of Env
}

var errTwoSources = errors.New("only one of --pw-cmd, --pw-env, --pw-file can be given")

// set returns what an option stores with: the source becomes this kind, unless it is another one already.
func (s *Source) set(kind Kind) func(value string) error {
	return func(value string) error {
		if s.Kind != Terminal && s.Kind != Askpass && s.Kind != kind {
			return errTwoSources
		}
		if s.Kind == kind && s.Value == value {
			return nil
		}
		*s = Source{Kind: kind, Value: value}
		if text := os.Getenv(value); kind == Env && text != "" {
			s.held = secret.FromString(text)
			os.Unsetenv(value) // no program that we run needs it
		}
		return nil
	}
}

// SetPrompt is what --pw-prompt stores with: cli is the terminal, gui a window. A source that was named counts more.
func (s *Source) SetPrompt(how string) error {
	kinds := map[string]Kind{"cli": Terminal, "gui": Askpass}
	kind, ok := kinds[how]
	switch {
	case !ok:
		return errors.New("cli or gui is expected")
	case s.Kind == Terminal || s.Kind == Askpass:
		s.Kind = kind
	}
	return nil
}

// Options are the command line's ways to a password, for a group of the help text.
func (s *Source) Options(group int) []cli.Option {
	kinds := map[string]Kind{"pw-cmd": Command, "pw-env": Env, "pw-file": File}
	set := func(name string) func(string) error { return s.set(kinds[name]) }
	return append(cli.PasswordOptions(group, set), cli.Option{
		Long: "pw-prompt", Arg: "cli|gui", Group: group, Set: s.SetPrompt, Help: "Ask for passwords on the terminal (cli) or in a window (gui)"})
}

// Given reports whether the user named a source other than the terminal.
func (s Source) Given() bool { return s.Kind != Terminal }

// String names the source for messages. A command is not shown: there may be a password in it.
func (s Source) String() string {
	switch s.Kind {
	case Command:
		return "password command"
	case Env:
		return "environment variable " + strconv.Quote(s.Value)
	case File:
		return "password file " + strconv.Quote(s.Value)
	case Askpass:
		return "password window"
	}
	return "terminal"
}

// Read gets the password, asking with the text if the source is the terminal. Errors name the source.
func (s Source) Read(ctx context.Context, text string) (secret.Secret, error) {
	var password secret.Secret
	var err error
	switch s.Kind {
	case Terminal:
		return Password(ctx, text)
	case Command:
		password, err = fromCommand(ctx, s.Value)
	case Env:
		password, err = s.fromEnv()
	case File:
		password, err = fromFile(s.Value)
	case Askpass:
		password, err = Window(ctx, "oidc-agent", strings.TrimSuffix(text, ": "))
	}
	if err != nil {
		return secret.Secret{}, fmt.Errorf("%s: %w", s, err)
	}
	return password, nil
}

func (s Source) fromEnv() (secret.Secret, error) {
	if !s.held.IsEmpty() {
		return s.held.Clone(), nil
	}
	value, ok := os.LookupEnv(s.Value)
	if !ok {
		return secret.Secret{}, errors.New("not set")
	}
	return secret.FromString(value), nil
}

func fromFile(name string) (secret.Secret, error) {
	f, err := os.Open(name)
	if err != nil {
		return secret.Secret{}, errors.Unwrap(err) // the name is in the source's
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxPassword))
	if err != nil {
		return secret.Secret{}, errors.Unwrap(err)
	}
	return firstLine(data)
}

// fromCommand runs a command as the user would, with our standard input and error: it may ask for something.
func fromCommand(ctx context.Context, command string) (secret.Secret, error) {
	c := exec.CommandContext(ctx, "sh", "-c", command)
	var out head
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, &out, os.Stderr
	c.WaitDelay = time.Second // something that it left running may hold its output open
	if err := c.Run(); err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		clear(out)
		return secret.Secret{}, err
	}
	return firstLine(out)
}

// head keeps the first bytes of what is written to it, and takes the rest.
type head []byte

func (h *head) Write(p []byte) (int, error) {
	if *h == nil {
		*h = make([]byte, 0, maxPassword) // never grown: no copies stay behind
	}
	*h = append(*h, p[:min(len(p), maxPassword-len(*h))]...)
	return len(p), nil
}

// firstLine cuts at the first newline; a carriage return before it belongs to the password, as for the C tools. It
// takes ownership of data.
func firstLine(data []byte) (secret.Secret, error) {
	line, rest, complete := bytes.Cut(data, []byte("\n"))
	clear(rest)
	switch {
	case len(data) == 0:
		return secret.Secret{}, errors.New("empty")
	case !complete && len(data) >= maxPassword:
		clear(data)
		return secret.Secret{}, fmt.Errorf("first line is longer than %d bytes", maxPassword-1)
	}
	return secret.New(line), nil
}
