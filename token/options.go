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
	timeout  int64 // seconds; 0: as long as the agent waits

	remote     bool // the answer is from the agent that OIDC_REMOTE_SOCK names
	noAutoload bool
	password   []string // options for oidc-add

	decode  bool
	outfile output // its variable is the file's name

	token, issuer, expiry output
	env, all              bool
	bearer, header        bool
}

// output is a part of the answer: whether the user wants it, and the shell variable to store it in.
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
	const exported = ". With a variable name, or if several of -o -i -e are given, print a shell command that exports " +
		"it; the default name is "
	return &cli.Program{
		Name:    "oidc-token",
		Version: version,
		ArgsDoc: "ACCOUNT_SHORTNAME | ISSUER_URL",
		Doc:     "Prints an access token that oidc-agent holds or fetches",
		Footer:  "Load an account:  oidc-add NAME  or create one:  oidc-gen NAME",
		Groups:  []string{general: "General:", advanced: "Advanced:", loading: "If the account must be loaded:"},
		MinArgs: 1,
		MaxArgs: 1,
		Options: slices.Concat([]cli.Option{
			{Long: "time", Short: 't', Arg: "SECONDS", Set: cli.Seconds(&r.minValid),
				Help: "Request a token that stays valid for at least SECONDS"},
			{Long: "issuer", Short: 'i', Arg: "OIDC_ISS", Optional: true, Set: r.issuer.set,
				Help: "Print the token's issuer" + exported + "OIDC_ISS"},
			{Long: "expires-at", Short: 'e', Arg: "OIDC_EXP", Optional: true, Set: r.expiry.set,
				Help: "Print when the token expires, in seconds since 1970" + exported + "OIDC_EXP"},
			{Long: "token", Short: 'o', Arg: "OIDC_AT", Optional: true, Set: r.token.set,
				Help: "Print the token, which is the default" + exported + "OIDC_AT"},
			{Long: "env", Short: 'c', Set: cli.Flag(&r.env),
				Help: "Print shell commands that export the token, its issuer and its expiry; same as -o -i -e"},
			{Long: "all", Short: 'a', Set: cli.Flag(&r.all), Help: "Print the token, its issuer and its expiry, one per line"},
			{Long: "force-new", Short: 'f', Set: cli.Flag(&r.force), Help: "Fetch a new token in any case"},
			{Long: "bearer", Set: cli.Flag(&r.bearer), Help: "Print 'Bearer ' before the token"},
			{Long: "auth-header", Aliases: []string{"auth"}, Set: cli.Flag(&r.header),
				Help: "Print the token as a complete HTTP header, for curl -H"},
			{Long: "outfile", Arg: "FILE", Optional: true, Set: r.outfile.set,
				Help: "Write the token to FILE instead of printing it; by default where grid software looks for it: " +
					"$BEARER_TOKEN_FILE, otherwise bt_uUID in $XDG_RUNTIME_DIR or /tmp"},
			{Long: "decode", Set: cli.Flag(&r.decode),
				Help: "Print the token's header and claims as JSON, and whether its signature is valid; if it is not, " +
					"fail. With - as the account, read the token from standard input"},
			{Long: "timeout", Arg: "SECONDS", Set: cli.Seconds(&r.timeout),
				Help: "Wait at most SECONDS for the agent and the provider"},

			{Long: "name", Arg: "NAME", Group: advanced, Set: cli.Text(&r.hint),
				Help: "Give the name of the program that wants the token, which is shown if the user is asked for consent"},
			{Long: "id-token", Group: advanced, Set: cli.Flag(&r.idToken),
				Help: "Print an id-token instead. For development only: it is not a credential for services"},
			{Long: "no-autoload", Group: loading, Set: cli.Flag(&r.noAutoload), Help: "Fail instead of loading it"},
			{Long: "mytoken", Short: 'm', Aliases: []string{"MT"}, Arg: "PROFILE", Optional: true, Group: advanced,
				Set: func(string) error { return errMytoken }, Help: "Print a mytoken instead (not supported yet)"},
			{Long: "seccomp", Hidden: true, Set: cli.Flag(&ignored)},
		}, r.scopeOptions(), cli.PasswordOptions(loading, r.passwordFrom)),
	}
}

// scopeOptions are the options that restrict what the token is good for.
func (r *request) scopeOptions() []cli.Option {
	return []cli.Option{
		{Long: "scope", Short: 's', Arg: "SCOPE", Group: advanced, Set: cli.Join(&r.scope),
			Help: "Request a token with these scopes only, separated by spaces; may be given several times"},
		{Long: "aud", Arg: "AUDIENCE", Group: advanced, Set: cli.Text(&r.audience),
			Help: "Request a token for this audience; separate several with spaces"},
	}
}

var errMytoken = &cli.ExitError{Code: cli.CodeError,
	Err: errors.New("mytoken is not supported yet: request an access token, without -m")}

// passwordFrom passes an option on to oidc-add.
func (r *request) passwordFrom(name string) func(string) error {
	return func(value string) error { r.password = append(r.password, "--"+name+"="+value); return nil }
}

const unset = -1

func parse(args []string) (r *request, err error) {
	r = &request{hint: "oidc-token", minValid: unset}
	if len(args) == 1 && !strings.HasPrefix(args[0], "-") {
		r.name = args[0] // the most frequent call: the table of options would take 3 % of it
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
		return program.Refuse("--decode cannot be used with an option that prints or writes the token")
	case r.outfile.wanted && printed:
		return program.Refuse("--outfile cannot be used with an option that says what to print")
	}
	return nil
}
