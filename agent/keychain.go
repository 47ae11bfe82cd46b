package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"

	"oidc-agent/proto/cli"
	"oidc-agent/proto/ipc"
)

// keychainOptions are the options of oidc-keychain: its own, and those of the agent, which its help does not repeat.
func keychainOptions(s *settings) *cli.Program {
	p := options(s)
	for i := range p.Options {
		o := &p.Options[i]
		if o.Hidden = o.Long != "kill"; !o.Hidden {
			o.Help = "End the agent if it runs"
		}
	}
	p.Options = append(p.Options, cli.Option{Long: "accounts", Whole: true, Set: ignore,
		Help: "Load the accounts that follow if they are not loaded"})
	p.Name, p.ArgsDoc = "oidc-keychain", "[AGENT-OPTION...] [--accounts ACCOUNT...]"
	p.Doc = "One agent for all logins of a user, with accounts loaded"
	p.Footer = "Agent options apply when it starts one. Use it with  eval $(oidc-keychain)"
	return p
}

func runKeychain(args []string) error {
	var names []string
	if i := slices.Index(args, "--accounts"); i >= 0 {
		args, names = args[:i], args[i+1:]
	}
	var wanted settings
	p := keychainOptions(&wanted)
	operands, err := p.Parse(args)
	if err != nil {
		return err
	}
	if len(operands) > 0 {
		reason := fmt.Sprintf("%q is not an option: name accounts after --accounts", operands[0])
		return &cli.ExitError{Code: 2, Err: p.Refuse(reason)}
	}
	s, err := openService()
	if err != nil {
		return err
	}
	defer s.file.Close()
	r := s.find()
	if wanted.kill {
		if r == nil {
			return cli.WithHint(errNoneRuns, "Start one:  eval $(oidc-keychain)")
		}
		return r.stop(os.Stdout)
	}
	if r, err = s.use(r, append(s.options(), args...), os.Stdout); err != nil {
		return err
	}
	s.file.Close() // other shells need not wait while the user types a password
	return loadAccounts(r.path, names)
}

// loadAccounts runs oidc-add for each account, which loads those that are not loaded. Its output is not for the shell
// to evaluate, so all of it goes to stderr.
func loadAccounts(path string, names []string) error {
	for _, name := range names {
		program, err := cli.Sister("oidc-add")
		if err != nil {
			return err
		}
		add := exec.Command(program, "--", name)
		add.Env = append(os.Environ(), ipc.EnvSocket+"="+path)
		add.Stdin, add.Stdout, add.Stderr = os.Stdin, os.Stderr, os.Stderr
		if err := add.Run(); err != nil {
			return &cli.ExitError{Code: cli.CodeError} // oidc-add has said why
		}
	}
	return nil
}
