// Package cli holds what the commands have in common: a table of options with its parser and its help
// texts, errors with hints, and exit codes. Every program enters here; oidc-token does so on its hot path,
// so this package imports nothing heavy. Start with Program: a program describes itself in one of these,
// calls Parse, and hands whatever error comes out of its run to Report. Prompts are next door in prompt.
package cli

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Option is one row of a program's options table. Parser, --help, --usage and completion read it.
type Option struct {
	Long     string   // long name without dashes; every option has one
	Short    byte     // letter, 0 for none
	Aliases  []string // further long names, shown beside the first
	Arg      string   // what the help calls the argument; empty: the option takes none
	Optional bool     // the argument may be left out, and must be attached where it is given: -iNAME, --issuer=NAME
	Default  string   // what Set gets when an optional argument is left out
	Group    int      // index into Program.Groups
	Help     string
	Hidden   bool // parsed, but in no help text
	Secret   bool // the argument is for nobody's eyes: see Conceal
	Whole    bool // the name may not be cut: it begins as one that the C programs have

	// Set stores the value, "" for an option without argument. It may be called several times. An error says
	// what is expected ("a number of seconds is expected"): Parse adds the option and the value, unless it is an
	// *ExitError, which says all.
	Set func(value string) error
}

// Program describes a command line: options first, then operands.
type Program struct {
	Name    string // as the user types it
	Version string // printed after the name
	ArgsDoc string // the operands in a usage line, such as "ACCOUNT_SHORTNAME | ISSUER_URL"
	Doc     string // what the program is for; "NAME -- " is put in front
	Footer  string // last paragraph of --help
	Groups  []string
	Options []Option
	MinArgs int // fewest operands
	MaxArgs int // most operands, -1 for any number
}

// Parse reads the arguments (without the program's name) by the habits of GNU getopt_long: options and operands
// mix unless POSIXLY_CORRECT is set, "--" ends the options, long names may be cut as far as they stay unique,
// short ones may be bundled. It calls Set for each option in order and returns the operands. The error is an
// *ExitError: of CodeUsage, or of code 0 for --help, --usage and --version.
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

// table is the program's table and the options that every program has.
func (p *Program) table() []Option {
	show := func(text func() string) func(string) error {
		return func(string) error { return &ExitError{Err: errors.New(text())} }
	}
	version := func() string { return p.Name + " " + p.Version + "\n" }
	group := len(p.Groups)
	return append(slices.Clip(p.Options),
		Option{Long: "help", Short: '?', Group: group, Help: "Give this help list", Set: show(p.Help)},
		Option{Long: "h", Short: 'h', Group: group, Hidden: true, Set: show(p.Help)},
		Option{Long: "usage", Group: group, Help: "Give a short usage message", Set: show(p.Usage)},
		Option{Long: "version", Short: 'V', Group: group, Help: "Print program version", Set: show(version)})
}

// scanner walks over the arguments of one call.
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

// long handles NAME or NAME=VALUE, which stood behind two dashes.
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

// find looks up a long name or the beginning of one. Names of the same option are never ambiguous. What stood
// behind "=" is in no error: it may be a password behind a misspelt option.
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

// bundle handles what stood behind one dash: letters without argument, then at most one with.
func (s *scanner) bundle(letters string) error {
	for letters != "" {
		i := slices.IndexFunc(s.table, func(o Option) bool { return o.Short == letters[0] })
		if i < 0 {
			_, size := utf8.DecodeRuneInString(letters)
			return s.Refuse("invalid option -- '" + letters[:size] + "'")
		}
		o, letter, value := &s.table[i], "'"+letters[:1]+"'", ""
		if letters = letters[1:]; o.Arg != "" {
			value, letters = letters, ""
		}
		if err := s.set(o, "'-"+letter[1:], value, value != "", "option requires an argument -- "+letter); err != nil {
			return err
		}
	}
	return nil
}

// set stores the value of an option: the attached one, or the next argument where it needs one; missing is the
// reason to refuse the line where there is none. shown is the option as the user may recognize it.
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
