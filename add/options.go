package main

import (
	"errors"
	"path/filepath"
	"slices"

	"oidc-agent/proto/account"
	"oidc-agent/proto/cli"
	"oidc-agent/proto/cli/prompt"
)

// request is what the command line asks for.
type request struct {
	action  int // index into actions
	account string

	lifetime           int64 // seconds, 0 is forever; -1: the agent's default
	confirm            bool
	alwaysAllowIDToken bool
	skipCheck          bool
	force              bool
	remote             bool
	bearerFile         string // absolute path; "": none
	json               bool

	password prompt.Source
	storeFor int64 // seconds that a C agent keeps the password; 0 is forever
}

// Groups of the help text.
const (
	general = iota
	verbosity
)

func options(r *request) *cli.Program {
	var ignored bool
	choose := func(name string) func(string) error {
		rank := slices.IndexFunc(actions[:], func(a action) bool { return a.name == name })
		return func(string) error { r.action = min(r.action, rank); return nil }
	}
	return &cli.Program{
		Name:    "oidc-add",
		Version: version,
		ArgsDoc: "ACCOUNT_SHORTNAME | -a | -l | -x | -X | -R",
		Doc:     "Loads accounts into oidc-agent, removes them, and locks it",
		Footer:  "Create a new account:  oidc-gen NAME",
		Groups:  []string{general: "General:", verbosity: "Verbosity:"},
		MaxArgs: 1,
		Options: append(r.password.Options(0), []cli.Option{
			{Long: "remove", Short: 'r', Set: choose("remove"), Help: "Remove the account from the agent instead of loading it"},
			{Long: "remove-all", Short: 'R', Set: choose("remove-all"), Help: "Remove all accounts from the agent"},
			{Long: "all", Set: choose("all"), Help: "Load all accounts with one password, and name those that have another"},
			{Long: "list", Short: 'l', Set: choose("list"), Help: "List the accounts that exist"},
			{Long: "loaded", Short: 'a', Set: choose("loaded"), Help: "List the accounts that are loaded"},
			{Long: "json", Set: cli.Flag(&r.json), Help: "Print the names of -l or -a as a JSON array"},
			{Long: "print", Short: 'p', Set: choose("print"), Help: "Print the decrypted account, including its secrets"},
			{Long: "lifetime", Short: 't', Arg: "TIME", Set: cli.Seconds(&r.lifetime),
				Help: "Remove the account from the agent after TIME seconds"},
			{Long: "lock", Short: 'x', Set: choose("lock"), Help: "Lock the agent with a password"},
			{Long: "unlock", Short: 'X', Set: choose("unlock"), Help: "Unlock the agent"},
			{Long: "bearer-file", Arg: "FILE", Optional: true, Default: cli.DefaultBearerFile(), Set: r.setBearerFile,
				Help: "Let the agent keep a fresh access token in FILE while the account is loaded; by default where grid " +
					"software looks for it: bt_uUID in $XDG_RUNTIME_DIR or /tmp"},
			{Long: "confirm", Short: 'c', Set: cli.Flag(&r.confirm),
				Help: "Ask the user before giving out an access token of this account"},
			{Long: "always-allow-idtoken", Set: cli.Flag(&r.alwaysAllowIDToken),
				Help: "Give out id-tokens of this account without asking the user"},
			{Long: "skip-check", Set: cli.Flag(&r.skipCheck), Help: "Load the account without getting an access token first"},
			{Long: "force", Short: 'f', Set: cli.Flag(&r.force), Help: "Load the account even if it is loaded already"},
			{Long: "remote", Set: cli.Flag(&r.remote), Help: "Use the agent that OIDC_REMOTE_SOCK names"},
			{Long: "pw-store", Arg: "TIME", Optional: true, Default: "0", Set: cli.Seconds(&r.storeFor),
				Help: "Let the agent keep the password for TIME seconds, by default forever. Not needed with this agent, which " +
					"keeps the file's key"},
			{Long: "relay", Hidden: true, Set: choose("relay")},
			{Long: "pw-gpg", Aliases: []string{"pw-pgp", "gpg", "pgp"}, Arg: "KEY_ID", Hidden: true, Set: cli.Flag(&ignored)},
			{Long: "pw-keyring", Hidden: true, Set: cli.Flag(&ignored)},
			{Long: "seccomp", Hidden: true, Set: cli.Flag(&ignored)},

			{Long: "debug", Short: 'g', Group: verbosity, Set: cli.Flag(&ignored),
				Help: "Accepted for compatibility; this program logs nothing"},
			{Long: "verbose", Short: 'v', Group: verbosity, Set: cli.Flag(&ignored),
				Help: "Accepted for compatibility; there is no more to print"},
		}...),
	}
}

// setBearerFile stores an absolute path, because the agent has another working directory.
func (r *request) setBearerFile(value string) (err error) {
	if value == "" {
		return errors.New("a file name is expected")
	}
	r.bearerFile, err = filepath.Abs(value)
	return err
}

// parse reads the command line.
func parse(args []string) (*request, error) {
	r := &request{action: len(actions) - 1, lifetime: -1}
	config, err := account.LoadConfig()
	if err != nil {
		return nil, err
	}
	r.skipCheck = config.Add.SkipCheck
	if config.Add.PwPrompt == "gui" {
		_ = r.password.SetPrompt("gui") // cannot fail
	}
	program := options(r)
	operands, err := program.Parse(args)
	if err != nil {
		return nil, err
	}
	cli.Forget()
	switch {
	case r.bearerFile == "":
	case actions[r.action].name != "load":
		return nil, program.Refuse("--bearer-file is for loading one account")
	case r.remote:
		return nil, program.Refuse("--bearer-file cannot be used with --remote: the file would be on the agent's machine")
	case r.confirm:
		return nil, program.Refuse("--bearer-file cannot be used with --confirm: any program could read the token unasked")
	}
	if actions[r.action].needsAccount {
		if len(operands) == 0 {
			return nil, program.WrongOperands()
		}
		r.account = operands[0]
	}
	return r, nil
}
