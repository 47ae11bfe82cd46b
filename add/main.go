//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0

// oidc-add loads accounts into the agent, removes them, lists them, and locks the agent. It opens an account's
// file with the user's password and gives the agent the account and the file's key, so that the agent can write
// a new refresh token back without asking for the password.
//
// Start reading at the table actions in this file.
package main

import (
	"os"

	"oidc-agent/proto/cli"
)

// version is set when the program is linked.
var version = "unknown"

func main() { os.Exit(cli.Report(os.Stdout, os.Stderr, run(os.Args[1:]))) }

func run(args []string) error {
	r, err := parse(args)
	if err != nil {
		return err
	}
	return actions[r.action].do(r)
}

type action struct {
	name         string
	needsAccount bool
	do           func(*request) error
}

// actions lists what the program can do. If the command line asks for several, the first in this order is done;
// if it asks for none, the last.
var actions = [...]action{
	{"list", false, list},
	{"loaded", false, loaded},
	{"print", true, print},
	{"lock", false, lock},
	{"unlock", false, unlock},
	{"remove-all", false, removeAll},
	{"remove", true, remove},
	{"relay", false, relay},
	{"all", false, loadAll},
	{"load", true, load},
}
