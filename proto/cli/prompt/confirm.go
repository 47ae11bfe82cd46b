package prompt

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
)

// Answer is how questions of yes or no are answered without asking (--confirm-yes, --confirm-no, --confirm-default).
type Answer int

// The answers. The zero value asks.
const (
	Ask Answer = iota
	AlwaysYes
	AlwaysNo
	AlwaysDefault
)

// Set returns what the option of an answer stores with; the last one given counts.
func (a *Answer) Set(answer Answer) func(string) error {
	return func(string) error { *a = answer; return nil }
}

// ErrQuit is the answer that ends the program, without an error.
var ErrQuit = errors.New("the user wants to quit")

// Confirm asks a question of yes or no; Enter alone means byDefault. What is neither yes nor no nor quit, in full or cut,
// means no.
func Confirm(ctx context.Context, question string, byDefault bool, preset Answer) (bool, error) {
	switch preset {
	case AlwaysYes, AlwaysNo:
		return preset == AlwaysYes, nil
	case AlwaysDefault:
		return byDefault, nil
	}
	choices := " [No/yes/quit]: "
	if byDefault {
		choices = " [Yes/no/quit]: "
	}
	line, err := Line(ctx, question+choices)
	if errors.Is(err, ErrNoTerminal) {
		line, err = fromInput(question + choices)
	}
	if err != nil {
		return false, err
	}
	line = strings.ToLower(strings.TrimSpace(line))
	switch {
	case line == "":
		return byDefault, nil
	case strings.HasPrefix("quit", line):
		return false, ErrQuit
	}
	return strings.HasPrefix("yes", line), nil
}

// fromInput asks where there is no terminal: the answer is a line of standard input, as the C tools read it
// (yes | oidc-gen -d NAME); its end is no answer.
func fromInput(text string) (string, error) {
	io.WriteString(os.Stderr, text)
	line, err := readLine(os.Stdin)
	io.WriteString(os.Stderr, "\n")
	if errors.Is(err, errNoInput) {
		err = nil
	}
	return string(line), err
}
