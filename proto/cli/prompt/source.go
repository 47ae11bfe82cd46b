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

	"oidc-agent/proto/cjson"
	"oidc-agent/proto/cli"
	"oidc-agent/proto/secret"
)

// The kinds of sources: the options that name them, without their dashes. The zero value is the terminal.
const (
	command = "pw-cmd"  // first line of the output of sh -c VALUE
	env     = "pw-env"  // value of the variable VALUE
	file    = "pw-file" // first line of the file VALUE
	window  = "gui"     // of --pw-prompt
)

// maxPassword is the longest password in bytes, end of line included.
const maxPassword = 64 << 10

// Source says where a password comes from. The zero Source asks on the terminal.
type Source struct {
	kind, value string
	held        secret.Secret // of env
}

// Given reports whether the user named a source other than the terminal.
func (s Source) Given() bool { return s.kind != "" }

// prompts reports whether the user is asked.
func (s Source) prompts() bool { return s.kind == "" || s.kind == window }

// set returns what an option stores with: the source becomes this kind, unless it is another one already.
func (s *Source) set(kind string) func(value string) error {
	return func(value string) error {
		switch {
		case !s.prompts() && s.kind != kind:
			return errors.New("only one of --pw-cmd, --pw-env, --pw-file can be given")
		case s.kind == kind && s.value == value:
			return nil
		}
		*s = Source{kind: kind, value: value}
		if text := os.Getenv(value); kind == env && text != "" {
			s.held = secret.FromString(text)
			os.Unsetenv(value) // no program that we run needs it
		}
		return nil
	}
}

// SetPrompt is what --pw-prompt stores with: cli is the terminal, gui a window; the last one counts. A source that was
// named counts more.
func (s *Source) SetPrompt(how string) error {
	if how != "cli" && how != window {
		return errors.New("cli or gui is expected")
	}
	if s.prompts() {
		s.kind = strings.TrimPrefix(how, "cli")
	}
	return nil
}

// Options are the command line's ways to a password, for a group of the help text.
func (s *Source) Options(group int) []cli.Option {
	return append(cli.PasswordOptions(group, s.set), cli.Option{
		Long: "pw-prompt", Arg: "cli|gui", Group: group, Set: s.SetPrompt, Help: "Ask for passwords on the terminal (cli) or in a window (gui)"})
}

// String names the source for messages. A command is not shown: there may be a password in it.
func (s Source) String() string {
	switch s.kind {
	case command:
		return "password command"
	case env:
		return "environment variable " + strconv.Quote(s.value)
	case file:
		return "password file " + strconv.Quote(s.value)
	case window:
		return "password window"
	}
	return "terminal"
}

// Read gets the password, asking with the text if the source is the terminal. Errors name the source.
func (s Source) Read(ctx context.Context, text string) (password secret.Secret, err error) {
	switch s.kind {
	case command:
		password, err = fromCommand(ctx, s.value)
	case env:
		password, err = s.fromEnv()
	case file:
		password, err = fromFile(s.value)
	case window:
		password, err = Window(ctx, "oidc-agent", strings.TrimSuffix(text, ": "))
	default:
		return Password(text)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", s, err)
	}
	return password, err
}

func (s Source) fromEnv() (secret.Secret, error) {
	if !s.held.IsEmpty() {
		return s.held.Clone(), nil
	}
	value, ok := os.LookupEnv(s.value)
	if !ok {
		return secret.Secret{}, errors.New("not set")
	}
	return secret.FromString(value), nil
}

func fromFile(name string) (secret.Secret, error) {
	f, err := os.Open(name)
	if err == nil {
		defer f.Close()
		var data []byte
		if data, err = io.ReadAll(io.LimitReader(f, maxPassword)); err == nil {
			return firstLine(data)
		}
	}
	return secret.Secret{}, errors.Unwrap(err) // the name is in the source's
}

// fromCommand runs a command as the user would, with our standard input and error: it may ask for something.
func fromCommand(ctx context.Context, command string) (secret.Secret, error) {
	c := exec.CommandContext(ctx, "sh", "-c", command)
	c.Stdin, c.Stderr = os.Stdin, os.Stderr
	out, err := output(c)
	if err != nil {
		return secret.Secret{}, err
	}
	return firstLine(out)
}

// output runs a program and returns the first [maxPassword] bytes of what it prints.
func output(c *exec.Cmd) ([]byte, error) {
	out := make(head, 0, maxPassword) // never grown: no copies stay behind
	c.Stdout = &out
	c.WaitDelay = time.Second // something that it left running may hold its output open
	if err := c.Run(); err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		clear(out)
		return nil, err
	}
	return out, nil
}

// head keeps the first bytes of what is written to it, and takes the rest.
type head []byte

func (h *head) Write(p []byte) (int, error) {
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

// The C programs tell the agent with pw_entry where an account's password is to be had when the file must be
// written again. Bits of its type:
const (
	entryMemory  = 1 // the password itself stands in it
	entryCommand = 4
	entryPrompt  = 8 // always set
	entryFile    = 16
)

// Entry returns the pw_entry of an account for this source. A variable of our environment is out of the
// agent's reach, so its value goes along.
func (s Source) Entry(account string) *cjson.Object {
	bits := int64(entryPrompt)
	entry := cjson.New().SetText("account", account)
	switch s.kind {
	case command:
		bits |= entryCommand
		entry.SetText("command", s.value)
	case file:
		bits |= entryFile
		entry.SetText("pw_file", s.value)
	case env:
		if password, err := s.fromEnv(); err == nil {
			bits |= entryMemory
			entry.SetSecret("password", password)
			password.Wipe()
		}
	}
	return entry.SetInt("type", bits)
}

// ReadEntry gets the password to which a pw_entry leads: the empty secret where that is a prompt only.
func ReadEntry(ctx context.Context, entry *cjson.Object) (secret.Secret, error) {
	bits, _ := entry.Int("type")
	switch {
	case bits&entryMemory != 0 && entry.Has("password"):
		return entry.Secret("password"), nil
	case bits&entryCommand != 0:
		return Source{kind: command, value: entry.Text("command")}.Read(ctx, "")
	case bits&entryFile != 0:
		return Source{kind: file, value: entry.Text("pw_file")}.Read(ctx, "")
	}
	return secret.Secret{}, nil
}
