package prompt

import (
	"errors"
	"io"
	"os"
	"strings"
)

// ErrQuit is the answer that ends the program, without an error.
var ErrQuit = errors.New("the user wants to quit")

// Confirm asks a question of yes or no; Enter alone means byDefault. What is neither yes nor no nor quit, in full or cut,
// means no. Where there is no terminal the answer is a line of standard input, as the C tools read it
// (yes | oidc-gen -d NAME), and its end is no answer. Nobody is asked where preset is yes, no or default.
func Confirm(question string, byDefault bool, preset string) (bool, error) {
	switch preset {
	case "yes", "no":
		return preset == "yes", nil
	case "default":
		return byDefault, nil
	}
	question += " [No/yes/quit]: "
	if byDefault {
		question = strings.Replace(question, "No/yes", "Yes/no", 1)
	}
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

// inputLine reads a line of standard input, or what there is before its end, byte by byte: what follows is for the next
// question.
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
