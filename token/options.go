package main

import (
	"errors"
	"slices"
	"strings"

	"oidc-agent/proto/cli"
)

// request is what the command line asks for.
type request struct {
	name     string // short name of an account, or an issuer URL
	minValid int64  // seconds
	force    bool
	scope    string
	audience string
	hint     string // name of the calling application
	idToken  bool
	timeout  int64 // seconds; 0: as long as the agent does

	remote     bool // the agent that OIDC_REMOTE_SOCK names has answered
	noAutoload bool
	password   []string // the option that leads oidc-add to the password

	decode  bool
	outfile output // the variable is the file's name

	token, issuer, expiry output
	env, all              bool
	bearer, header        bool
}

// output is a part of the answer that the user wants to see, and the shell variable that it goes into.
type output struct {
	wanted   bool
	variable string // "" for the default name
}

func (o *output) set(variable string) error {
	o.wanted, o.variable = true, variable
	return nil
}

// Groups of the help text.
const (
	general = iota
	advanced
	loading
)

func options(r *request) *cli.Program {
	var ignored bool
	return &cli.Program{
		Name:    "oidc-token",
		Version: version,
		ArgsDoc: "ACCOUNT_SHORTNAME | ISSUER_URL",
		Doc:     "Prints an access token that oidc-agent holds or fetches",
		Footer:  "Load an account with  oidc-add NAME , make one with  oidc-gen NAME",
		Groups:  []string{general: "General:", advanced: "Advanced:", loading: "If the account must be loaded:"},
		MinArgs: 1,
		MaxArgs: 1,
		Options: slices.Concat([]cli.Option{
			{Long: "time", Short: 't', Arg: "SECONDS", Set: cli.Seconds(&r.minValid),
				Help: "The token must stay valid for at least SECONDS"},
			{Long: "issuer", Short: 'i', Arg: "OIDC_ISS", Optional: true, Set: r.issuer.set,
				Help: "Print the issuer of the token. With a variable name, or together with -e or -o, print a shell command that exports it; the default name is OIDC_ISS"},
			{Long: "expires-at", Short: 'e', Arg: "OIDC_EXP", Optional: true, Set: r.expiry.set,
				Help: "Print when the token expires, in seconds since 1970. With a variable name, or together with -i or -o, print a shell command that exports it; the default name is OIDC_EXP"},
			{Long: "token", Short: 'o', Arg: "OIDC_AT", Optional: true, Set: r.token.set,
				Help: "Print the token, as without this option. With a variable name, or together with -i or -e, print a shell command that exports it; the default name is OIDC_AT"},
			{Long: "env", Short: 'c', Set: cli.Flag(&r.env),
				Help: "Print shell commands that export token, issuer and expiry, as -o -i -e does"},
			{Long: "all", Short: 'a', Set: cli.Flag(&r.all), Help: "Print token, issuer and expiry, a line each"},
			{Long: "force-new", Short: 'f', Set: cli.Flag(&r.force), Help: "Fetch a new token in any case"},
			{Long: "bearer", Set: cli.Flag(&r.bearer), Help: "Put 'Bearer ' in front of the token"},
			{Long: "auth-header", Aliases: []string{"auth"}, Set: cli.Flag(&r.header),
				Help: "Print the token as a whole HTTP header, for curl -H"},
			{Long: "outfile", Arg: "FILE", Optional: true, Set: r.outfile.set,
				Help: "Write the token to FILE instead of printing it, by default to where grid software looks for it: $BEARER_TOKEN_FILE, else bt_uUID in $XDG_RUNTIME_DIR or /tmp"},
			{Long: "decode", Set: cli.Flag(&r.decode),
				Help: "Print the token's header and claims as JSON, and say whether its signature is valid; a bad one is an error. With - as the account: of the token on standard input"},
			{Long: "timeout", Arg: "SECONDS", Set: cli.Seconds(&r.timeout),
				Help: "Wait for the agent and its provider no longer than SECONDS"},

			{Long: "name", Arg: "NAME", Group: advanced, Set: cli.Text(&r.hint),
				Help: "The name of the program or script that wants the token, shown where the user is asked for consent"},
			{Long: "id-token", Group: advanced, Set: cli.Flag(&r.idToken),
				Help: "Print an id-token instead: for development only, it is no credential for a service"},
			{Long: "no-autoload", Group: loading, Set: cli.Flag(&r.noAutoload), Help: "Do not load it: that is an error then"},
			{Long: "mytoken", Short: 'm', Aliases: []string{"MT"}, Arg: "PROFILE", Optional: true, Group: advanced,
				Set: func(string) error { return errMytoken }, Help: "Print a mytoken instead (not supported yet)"},
			{Long: "seccomp", Hidden: true, Set: cli.Flag(&ignored)},
		}, r.scopeOptions(), cli.PasswordOptions(loading, r.passwordFrom)),
	}
}

// scopeOptions are those that narrow the token.
func (r *request) scopeOptions() []cli.Option {
	return []cli.Option{
		{Long: "scope", Short: 's', Arg: "SCOPE", Group: advanced, Set: cli.Join(&r.scope),
			Help: "Ask for a token with these scopes only, separated by blanks; may be given several times"},
		{Long: "aud", Arg: "AUDIENCE", Group: advanced, Set: cli.Text(&r.audience),
			Help: "Ask for a token for this audience; several are separated by blanks"},
	}
}

var errMytoken = &cli.ExitError{Code: cli.CodeError, Err: errors.New("mytoken is not supported yet: ask for an access token, without -m")}

// passwordFrom hands an option on to oidc-add, which knows what it means.
func (r *request) passwordFrom(name string) func(string) error {
	return func(value string) error { r.password = append(r.password, "--"+name+"="+value); return nil }
}

const unset = -1

func parse(args []string) (r *request, err error) {
	r = &request{hint: "oidc-token", minValid: unset}
	if len(args) == 1 && !strings.HasPrefix(args[0], "-") {
		r.name = args[0] // what scripts do thousands of times an hour: the table of options costs 3 % of the whole call
	} else if err = r.readOptions(args); err != nil {
		return nil, err
	}
	if r.minValid == unset {
		r.minValid, err = defaultMinValid()
	}
	return r, err
}

func (r *request) readOptions(args []string) error {
	program := options(r)
	operands, err := program.Parse(args)
	if err != nil {
		return err
	}
	r.name = operands[0]
	printed := r.env || r.all || r.bearer || r.header || r.token.wanted || r.issuer.wanted || r.expiry.wanted
	switch {
	case r.decode && (r.outfile.wanted || printed):
		return program.Refuse("--decode prints the token's claims, and goes with no other way to print it")
	case r.outfile.wanted && printed:
		return program.Refuse("--outfile writes the token and nothing else, so it goes with no option that says what to print")
	}
	return nil
}
