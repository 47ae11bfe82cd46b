// Package cli holds what the commands have in common: a table of options with its parser and help texts, errors
// with hints, exit codes, and token files. Every program imports it. oidc-token does so on its hot path, so cli
// imports nothing heavy. Start with [Program]: a program describes itself in one, calls Parse, and passes the
// error of its run to [Report]. Questions to the user are in the package prompt.
package cli

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Option is a row of a program's table of options, which the parser and the help texts read.
type Option struct {
	Long     string   // long name without dashes; every option has one
	Short    byte     // letter, 0 for none
	Aliases  []string // other long names
	Arg      string   // name of the argument in the help text; empty if the option takes none
	Optional bool     // the argument may be omitted, and must be attached if it is not: -iNAME, --issuer=NAME
	Default  string   // what Set gets if an optional argument is omitted
	Group    int      // index into Program.Groups
	Help     string   // what the option does
	Hidden   bool     // not in the help texts
	Secret   bool     // Conceal hides the argument
	Whole    bool     // the name cannot be abbreviated: its beginning abbreviates an option of the C programs

	// Set stores the value, "" for an option without an argument. It may be called several times. Its error says
	// what is expected ("a number of seconds is expected"), and Parse adds the option and the value. An *ExitError
	// is passed on as it is.
	Set func(value string) error
}

// Program describes a command line: options first, then operands.
type Program struct {
	Name    string   // as the user types it
	Version string   // printed after the name
	ArgsDoc string   // the operands in a usage line, such as "ACCOUNT_SHORTNAME | ISSUER_URL"
	Doc     string   // what the program is for; --help shows it after "NAME -- "
	Footer  string   // last paragraph of --help
	Groups  []string // headings of --help
	Options []Option
	MinArgs int // smallest number of operands
	MaxArgs int // largest number of operands, -1 for any
}

// Parse reads the arguments, without the program's name, by the conventions of GNU getopt_long: options may follow
// operands unless POSIXLY_CORRECT is set, "--" ends the options, long names may be abbreviated, and short ones may
// be combined. Parse calls Set for each option in order and returns the operands. The error is an *[ExitError],
// with CodeUsage, or with code 0 for --help, --usage and --version.
func (p *Program) Parse(args []string) (operands []string, err error) {
	_, posix := os.LookupEnv("POSIXLY_CORRECT")
	s := scanner{p, p.table(), args}
	for len(s.rest) > 0 && err == nil {
		arg := s.next()
		switch {
		case arg == "--":
			operands, s.rest = append(operands, s.rest...), nil
		case strings.HasPrefix(arg, "--"):
			err = s.long(arg[2:])
		case len(arg) > 1 && arg[0] == '-':
			err = s.bundle(arg[1:])
		case posix:
			operands, s.rest = append(append(operands, arg), s.rest...), nil
		default:
			operands = append(operands, arg)
		}
	}
	if err == nil && (len(operands) < p.MinArgs || p.MaxArgs >= 0 && len(operands) > p.MaxArgs) {
		err = p.WrongOperands()
	}
	if err != nil {
		return nil, err
	}
	return operands, nil
}

// table returns the program's options and those that every program has.
func (p *Program) table() []Option {
	show := func(text func() string) func(string) error {
		return func(string) error { return &ExitError{Err: errors.New(text())} }
	}
	version := func() string { return p.Name + " " + p.Version + "\n" }
	group := len(p.Groups)
	return append(slices.Clip(p.Options),
		Option{Long: "help", Short: '?', Group: group, Help: "Give this help list", Set: show(p.help)},
		Option{Long: "h", Short: 'h', Group: group, Hidden: true, Set: show(p.help)},
		Option{Long: "usage", Group: group, Help: "Give a short usage message", Set: show(p.usage)},
		Option{Long: "version", Short: 'V', Group: group, Help: "Print program version", Set: show(version)})
}

// scanner walks over the arguments.
type scanner struct {
	*Program
	table []Option
	rest  []string
}

func (s *scanner) next() string {
	arg := s.rest[0]
	s.rest = s.rest[1:]
	return arg
}

// long handles what follows two dashes: NAME or NAME=VALUE.
func (s *scanner) long(text string) error {
	given, value, attached := strings.Cut(text, "=")
	name, o, err := s.find(given)
	if err != nil {
		return err
	}
	shown := "'--" + name + "'"
	if attached && o.Arg == "" {
		return s.Refuse("option " + shown + " doesn't allow an argument")
	}
	return s.set(o, shown, value, attached, "option "+shown+" requires an argument")
}

// find looks up a long name or an abbreviation. Two names of the same option are not ambiguous. The error does not
// show what follows the "=", which may be a password.
func (s *scanner) find(given string) (name string, option *Option, err error) {
	var others []string
	for i := range s.table {
		o := &s.table[i]
		for _, candidate := range o.longNames() {
			switch {
			case candidate == given:
				return candidate, o, nil
			case !strings.HasPrefix(candidate, given) || o.Whole:
			case option == nil:
				name, option = candidate, o
			case option != o:
				others = append(others, candidate)
			}
		}
	}
	switch {
	case option == nil:
		err = s.Refuse("unrecognized option '--" + given + "'")
	case others != nil:
		err = s.Refuse("option '--" + given + "' is ambiguous; possibilities: '--" +
			name + "' '--" + strings.Join(others, "' '--") + "'")
	}
	return name, option, err
}

// longNames returns the first long name and its aliases.
func (o *Option) longNames() []string { return append([]string{o.Long}, o.Aliases...) }

// bundle handles what follows one dash: letters without an argument, then at most one with an argument.
func (s *scanner) bundle(letters string) error {
	for letters != "" {
		i := slices.IndexFunc(s.table, func(o Option) bool { return o.Short == letters[0] })
		if i < 0 {
			_, size := utf8.DecodeRuneInString(letters)
			return s.Refuse("invalid option -- '" + letters[:size] + "'")
		}
		o, letter, value := &s.table[i], letters[:1], ""
		if letters = letters[1:]; o.Arg != "" {
			value, letters = letters, ""
		}
		missing := "option requires an argument -- '" + letter + "'"
		if err := s.set(o, "'-"+letter+"'", value, value != "", missing); err != nil {
			return err
		}
	}
	return nil
}

// set stores the value of an option: the attached one, or the next argument if the option needs one. Errors call
// the option shown, and say missing if there is no value.
func (s *scanner) set(o *Option, shown, value string, attached bool, missing string) error {
	switch {
	case attached || o.Arg == "":
	case o.Optional:
		value = o.Default
	case len(s.rest) == 0:
		return s.Refuse(missing)
	default:
		value = s.next()
	}
	err := o.Set(value)
	if _, ended := err.(*ExitError); err == nil || ended {
		return err
	}
	if o.Arg != "" {
		shown += " cannot take " + strconv.Quote(value)
	}
	return s.Refuse("option " + shown + ": " + err.Error())
}
