package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"

	"oidc-agent/proto/cli"
	"oidc-agent/proto/ipc"
)

// keychainOptions is the agent's table with what oidc-keychain has of its own. The agent's are in its own help.
func keychainOptions(s *settings) *cli.Program {
	p := options(s)
	for i := range p.Options {
		if p.Options[i].Hidden = p.Options[i].Long != "kill"; !p.Options[i].Hidden {
			p.Options[i].Help = "End the agent if it runs"
		}
	}
	p.Options = append(p.Options, cli.Option{Long: "accounts", Whole: true, Set: func(string) error { return nil },
		Help: "Load the accounts that follow if they are not loaded"})
	p.Name, p.ArgsDoc = "oidc-keychain", "[AGENT-OPTION...] [--accounts ACCOUNT...]"
	p.Doc = "One agent for all logins of a user, with accounts loaded"
	p.Footer = "Options of oidc-agent hold for an agent that is started. Use it with  eval $(oidc-keychain)"
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
		return &cli.ExitError{Code: 2, Err: p.Refuse(fmt.Sprintf("%q is no option; accounts are named behind --accounts", operands[0]))}
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
	s.file.Close() // who is asked for a password takes his time
	return loadAccounts(r.path, names)
}

// loadAccounts has oidc-add load what is not loaded, each for itself. What that says is not for the shell.
func loadAccounts(path string, names []string) error {
	if len(names) == 0 {
		return nil
	}
	program, err := cli.Sister("oidc-add")
	if err != nil {
		return err
	}
	for _, name := range names {
		add := exec.Command(program, "--", name)
		add.Env = append(os.Environ(), ipc.EnvSocket+"="+path)
		add.Stdin, add.Stdout, add.Stderr = os.Stdin, os.Stderr, os.Stderr
		if err := add.Run(); err != nil {
			return &cli.ExitError{Code: cli.CodeError} // it has told why
		}
	}
	return nil
}
