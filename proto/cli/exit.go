package cli

import (
	"errors"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Exit codes of the commands, as the C tools have them.
const (
	CodeError = 1
	CodeUsage = 64 // EX_USAGE of sysexits(3)
)

// Output is what Parse returns instead of an error for --help, --usage and --version: text for standard output.
type Output struct{ Text string }

// Error says only that there is something to print.
func (o *Output) Error() string { return "text to print" }

// UsageError is a command line that cannot be meant; the exit code is 64, and a hint tells where the options are listed.
type UsageError struct{ hinted }

func (p *Program) misuse(text string) error {
	return &UsageError{hinted{errors.New(text), "Try `" + p.Name + " --help' or `" + p.Name + " --usage' for more information."}}
}

// Refuse returns the *UsageError for a command line that is wrong in the way that reason says.
func (p *Program) Refuse(reason string) error { return p.misuse(p.Name + ": " + reason) }

// WrongOperands returns the *UsageError for too few or too many operands. A program whose number of operands
// depends on its options calls it after Parse.
func (p *Program) WrongOperands() error { return p.misuse(strings.TrimSuffix(p.usageLine(), "\n")) }

// WithHint returns err with lines that tell the user what to do next.
func WithHint(err error, hint string) error { return &hinted{err, hint} }

type hinted struct {
	error
	hint string
}

func (h *hinted) Hint() string  { return h.hint }
func (h *hinted) Unwrap() error { return h.error }

// ExitError is an error with an exit code of its own. Err may be nil: then there is nothing left to say, as when a
// command that we ran has failed and has told why itself.
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

// Report tells the user how a run ended and returns the exit code: nothing for nil, the text of an *Output on
// stdout, everything else on stderr, "Error: TEXT" with the hints of the whole chain below, outermost first. A hint
// is what an error's method Hint says, lines that tell what to do next.
func Report(stdout, stderr io.Writer, err error) int {
	if err == nil {
		return 0
	}
	if output, ok := errors.AsType[*Output](err); ok {
		_, err = io.WriteString(stdout, output.Text)
		return Report(stdout, stderr, err)
	}
	code, text := CodeError, "Error: "+err.Error()
	if _, ok := errors.AsType[*UsageError](err); ok {
		code, text = CodeUsage, err.Error()
	}
	if own, ok := errors.AsType[*ExitError](err); ok {
		code = own.Code
		if own.Err == nil {
			return code
		}
	}
	text += "\n"
	for ; err != nil; err = errors.Unwrap(err) {
		if h, ok := err.(interface{ Hint() string }); ok && h.Hint() != "" {
			text += strings.TrimSuffix(h.Hint(), "\n") + "\n"
		}
	}
	io.WriteString(stderr, Printable(text))
	return code
}

// Printable replaces what could steer a terminal, control characters but newline and tab, by an escape such as
// \x1b: texts of providers and of other agents end up on the terminal.
func Printable(text string) string {
	var out []byte
	for _, r := range text {
		if r == '\n' || r == '\t' || !unicode.IsControl(r) {
			out = utf8.AppendRune(out, r)
		} else {
			q := strconv.QuoteRuneToASCII(r)
			out = append(out, q[1:len(q)-1]...)
		}
	}
	return string(out)
}
