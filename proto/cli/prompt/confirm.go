package prompt

import (
	"errors"
	"io"
	"os"
	"strings"
)

// ErrQuit means that the user answered quit. The program ends without an error message.
var ErrQuit = errors.New("the user wants to quit")

// Confirm asks a yes-or-no question. An empty answer means byDefault; the answers yes and quit may be abbreviated;
// any other answer means no. If preset is yes, no or default, that is the answer and nobody is asked. Without a
// terminal the answer is a line of standard input, as with the C tools (yes | oidc-gen -d NAME); an empty input
// means byDefault.
func Confirm(question string, byDefault bool, preset string) (bool, error) {
	switch preset {
	case "yes", "no":
		return preset == "yes", nil
	case "default":
		return byDefault, nil
	}
	choices := "No/yes/quit"
	if byDefault {
		choices = "Yes/no/quit"
	}
	question += " [" + choices + "]: "
	line, err := Line(question)
	if errors.Is(err, ErrNoTerminal) {
		os.Stderr.WriteString(question)
		line, err = inputLine()
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

// inputLine reads a line of standard input. It reads byte by byte, because what follows answers the next question.
func inputLine() (string, error) {
	var line []byte
	for next := make([]byte, 1); ; {
		n, err := os.Stdin.Read(next)
		switch {
		case n == 1 && next[0] != '\n':
			line = append(line, next[0])
		case n == 1 || err == io.EOF:
			return string(line), nil
		case err != nil:
			return "", err
		}
	}
}
