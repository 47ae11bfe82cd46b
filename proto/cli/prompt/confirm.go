package prompt

import (
	"bufio"
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

// input is one for all questions: what it has read ahead answers the next.
var input = bufio.NewReader(os.Stdin)

// Confirm asks a question of yes or no; Enter alone means byDefault. What is neither yes nor no nor quit, in full or cut,
// means no. Where there is no terminal the answer is a line of standard input, as the C tools read it
// (yes | oidc-gen -d NAME), and its end is no answer.
func Confirm(question string, byDefault bool, preset Answer) (bool, error) {
	switch preset {
	case AlwaysYes, AlwaysNo:
		return preset == AlwaysYes, nil
	case AlwaysDefault:
		return byDefault, nil
	}
	question += " [No/yes/quit]: "
	if byDefault {
		question = strings.Replace(question, "No/yes", "Yes/no", 1)
	}
	line, err := Line(question)
	if errors.Is(err, ErrNoTerminal) {
		os.Stderr.WriteString(question)
		if line, err = input.ReadString('\n'); err == io.EOF {
			err = nil
		}
		os.Stderr.WriteString("\n")
	}
	line = strings.ToLower(strings.TrimSpace(line))
	switch {
	case err != nil || line == "":
		return err == nil && byDefault, err
	case strings.HasPrefix("quit", line):
		return false, ErrQuit
	}
	return strings.HasPrefix("yes", line), nil
}
