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

// The kinds of sources, named like their options. The zero value is the terminal.
const (
	command = "pw-cmd"  // first line of the output of sh -c VALUE
	env     = "pw-env"  // value of the variable VALUE
	file    = "pw-file" // first line of the file VALUE
	window  = "gui"     // --pw-prompt=gui
)

// maxPassword limits a password and its newline, in bytes.
const maxPassword = 64 << 10

// Source says where a password comes from. The zero Source asks on the terminal.
type Source struct {
	kind, value string
	held        secret.Secret // value of the variable
}

// Given reports whether the source is not the terminal.
func (s Source) Given() bool { return s.kind != "" }

// prompts reports whether the user is asked for the password.
func (s Source) prompts() bool { return s.kind == "" || s.kind == window }

// set returns the function that stores an option's value. Two options that name different sources are an error.
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
			os.Unsetenv(value) // hidden from the programs that we run
		}
		return nil
	}
}

// SetPrompt stores the value of --pw-prompt: cli for the terminal, gui for a window. The last one counts, but a
// source that another option names takes precedence.
func (s *Source) SetPrompt(how string) error {
	if how != "cli" && how != window {
		return errors.New("cli or gui is expected")
	}
	if s.prompts() {
		s.kind = strings.TrimPrefix(how, "cli")
	}
	return nil
}

// Options returns the options that set the source, in a group of the help text.
func (s *Source) Options(group int) []cli.Option {
	return append(cli.PasswordOptions(group, s.set), cli.Option{
		Long: "pw-prompt", Arg: "cli|gui", Group: group, Set: s.SetPrompt,
		Help: "Ask for passwords on the terminal (cli) or in a window (gui)"})
}

// String describes the source in messages. It does not show a command, which may contain a password.
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

// Read gets the password, and shows the text if it asks for it. Errors name the source.
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
	if err != nil {
		return secret.Secret{}, errors.Unwrap(err) // Read adds the name
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxPassword))
	return firstLine(data, errors.Unwrap(err))
}

// fromCommand runs a command with our standard input and error, because it may ask the user.
func fromCommand(ctx context.Context, command string) (secret.Secret, error) {
	c := exec.CommandContext(ctx, "sh", "-c", command)
	c.Stdin, c.Stderr = os.Stdin, os.Stderr
	return firstLine(output(c))
}

// output runs a program and returns the first [maxPassword] bytes that it prints, even if it fails.
func output(c *exec.Cmd) ([]byte, error) {
	out := make(head, 0, maxPassword) // it never grows, which would leave copies of a password
	c.Stdout = &out
	c.WaitDelay = time.Second // background processes may keep the output open
	err := c.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil
	}
	return out, err
}

// head keeps the first bytes that are written to it and discards the rest.
type head []byte

func (h *head) Write(p []byte) (int, error) {
	*h = append(*h, p[:min(len(p), maxPassword-len(*h))]...)
	return len(p), nil
}

// firstLine returns the first line of data, unless reading data failed with err. As in the C tools, a carriage
// return before the newline belongs to the password. The secret takes ownership of data.
func firstLine(data []byte, err error) (secret.Secret, error) {
	line, rest, complete := bytes.Cut(data, []byte("\n"))
	clear(rest)
	switch {
	case err == nil && len(data) == 0:
		err = errors.New("empty")
	case err == nil && !complete && len(data) >= maxPassword:
		err = fmt.Errorf("first line is longer than %d bytes", maxPassword-1)
	}
	if err != nil {
		clear(data)
		return secret.Secret{}, err
	}
	return secret.New(line), nil
}

// With pw_entry the C programs tell the agent where to get an account's password when it must rewrite the account
// file. The bits of its type:
const (
	entryMemory  = 1 // the entry holds the password
	entryCommand = 4
	entryPrompt  = 8 // always set
	entryFile    = 16
)

// Entry returns the pw_entry of an account for this source. The agent cannot read our environment, so the entry
// holds the value of a variable.
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

// ReadEntry gets the password that a pw_entry describes. It is empty if the only way to get it is a prompt.
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
