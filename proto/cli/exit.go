package cli

import (
	"errors"
	"io"
	"strconv"
	"strings"
	"unicode"
)

// Exit codes of the commands, the same as those of the C tools.
const (
	CodeError = 1
	CodeUsage = 64 // EX_USAGE of sysexits(3)
)

// ExitError ends a program with an exit code. With code 0, Err is a text for standard output, such as that of
// --help. CodeUsage means that the command line is wrong. If Err is nil, nothing is printed, for instance because
// a command that we ran has already printed its error.
type ExitError struct {
	Code int
	Err  error
}

// Error returns the text of Err.
func (e *ExitError) Error() string {
	if e.Err == nil {
		return "exit code " + strconv.Itoa(e.Code)
	}
	return e.Err.Error()
}

// Unwrap returns Err.
func (e *ExitError) Unwrap() error { return e.Err }

func (p *Program) misuse(text string) error {
	hint := "Try `" + p.Name + " --help' or `" + p.Name + " --usage' for more information."
	return &ExitError{CodeUsage, WithHint(errors.New(text), hint)}
}

// Refuse returns the *[ExitError] for a command line that is wrong for the given reason.
func (p *Program) Refuse(reason string) error { return p.misuse(p.Name + ": " + reason) }

// WrongOperands returns the *[ExitError] for too few or too many operands. Programs whose number of operands
// depends on the options call it after Parse.
func (p *Program) WrongOperands() error {
	return p.misuse(strings.TrimSuffix(p.usageOf("[OPTION...]"), "\n"))
}

// WithHint adds a hint to err: lines that tell the user what to do next.
func WithHint(err error, hint string) error { return &hinted{err, hint} }

type hinted struct {
	error
	hint string
}

func (h *hinted) Hint() string  { return h.hint }
func (h *hinted) Unwrap() error { return h.error }

// Report prints how a run ended and returns the exit code, which is that of the outermost *[ExitError], or else
// CodeError. It prints nothing for nil. The text of code 0 goes to stdout. Everything else goes to stderr: "Error:
// TEXT", or the text alone if the command line is wrong, and then the hints of all wrapped errors, outermost
// first. A hint is what the method Hint of an error returns.
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

// Printable replaces control characters except newline and tab by escapes such as \x1b. Texts of providers and of
// other agents are printed on the terminal, which they must not control.
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
