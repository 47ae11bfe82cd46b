package cli

import (
	"errors"
	"io"
	"strconv"
	"strings"
	"unicode"
)

// Exit codes of the commands, as the C tools have them.
const (
	CodeError = 1
	CodeUsage = 64 // EX_USAGE of sysexits(3)
)

// ExitError ends a program with a code of its own. Code 0 has a text for standard output, as of --help; CodeUsage is a
// command line that cannot be meant. Err may be nil: then there is nothing left to say, as when a command that we ran
// has failed and has told why itself.
type ExitError struct {
	Code int
	Err  error
}

// Error returns the text of the error inside.
func (e *ExitError) Error() string {
	if e.Err == nil {
		return "exit code " + strconv.Itoa(e.Code)
	}
	return e.Err.Error()
}

// Unwrap returns the error inside.
func (e *ExitError) Unwrap() error { return e.Err }

func (p *Program) misuse(text string) error {
	hint := "Try `" + p.Name + " --help' or `" + p.Name + " --usage' for more information."
	return &ExitError{CodeUsage, WithHint(errors.New(text), hint)}
}

// Refuse returns the *ExitError for a command line that is wrong in the way that reason says.
func (p *Program) Refuse(reason string) error { return p.misuse(p.Name + ": " + reason) }

// WrongOperands returns the *ExitError for too few or too many operands. A program whose number of operands
// depends on its options calls it after Parse.
func (p *Program) WrongOperands() error {
	return p.misuse(strings.TrimSuffix(p.usageOf("[OPTION...]"), "\n"))
}

// WithHint returns err with lines that tell the user what to do next.
func WithHint(err error, hint string) error { return &hinted{err, hint} }

type hinted struct {
	error
	hint string
}

func (h *hinted) Hint() string  { return h.hint }
func (h *hinted) Unwrap() error { return h.error }

// Report tells the user how a run ended and returns the exit code, the outermost one of the chain: nothing for nil,
// everything else on stderr, "Error: TEXT" with the hints of the whole chain below, outermost first. A hint is what an
// error's method Hint says, lines that tell what to do next. The text of a usage error begins with the program's name,
// and that of code 0 goes to stdout.
func Report(stdout, stderr io.Writer, err error) int {
	if err == nil {
		return 0
	}
	code, text := CodeError, "Error: "
	if exit, ok := errors.AsType[*ExitError](err); ok {
		code = exit.Code
		switch {
		case exit.Err == nil:
			return code
		case code == 0:
			_, err = io.WriteString(stdout, err.Error())
			return Report(stdout, stderr, err)
		}
	}
	hints := ""
	for e := err; e != nil; e = errors.Unwrap(e) {
		if exit, ok := e.(*ExitError); ok && exit.Code == CodeUsage {
			text = ""
		}
		if h, ok := e.(interface{ Hint() string }); ok && h.Hint() != "" {
			hints += strings.TrimSuffix(h.Hint(), "\n") + "\n"
		}
	}
	io.WriteString(stderr, Printable(text+err.Error()+"\n"+hints))
	return code
}

// Printable replaces what could steer a terminal, control characters but newline and tab, by an escape such as
// \x1b: texts of providers and of other agents end up on the terminal.
func Printable(text string) string {
	var out strings.Builder
	for _, r := range text {
		if r == '\n' || r == '\t' || !unicode.IsControl(r) {
			out.WriteRune(r)
		} else {
			out.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
	}
	return out.String()
}
