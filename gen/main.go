//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0

// oidc-gen makes accounts: it asks for what it needs, has the agent register a client and log the user in,
// and encrypts the finished account into a file. It also prints, renames, updates and deletes those files.
// It never speaks to a provider itself.
//
// Start reading in new.go, which tells the story of a new account from top to bottom.
package main

import (
	"errors"
	"os"
	"time"

	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/cli"
	"oidc-agent/proto/cli/prompt"
	"oidc-agent/proto/ipc"
)

// version is set when the program is linked.
var version = "unknown"

func main() { os.Exit(cli.Report(os.Stdout, os.Stderr, run(os.Args[1:]))) }

func run(args []string) error {
	r, err := parse(args)
	if err != nil {
		return err
	}
	if err = r.do(r); errors.Is(err, prompt.ErrQuit) {
		return nil
	}
	return err
}

// askTimeout is a little longer than the agent itself waits for a provider.
const askTimeout = 45 * time.Second

// ask sends a request to the agent. An answer that tells a failure is an error, and the answer is returned
// with it.
func ask(question *cjson.Object) (*cjson.Object, error) {
	answer, err := ipc.Call(ipc.SocketPath(), question, askTimeout)
	if err != nil {
		return nil, err
	}
	return answer, ipc.Check(answer)
}

// findAgent makes sure that there is an agent, and learns whether it is a C agent: that does not know the
// request `saved`, wants to be told where an account's password is to be had, and writes C's format.
func (r *request) findAgent() error {
	_, err := ask(ipc.Request(ipc.RequestSaved))
	refused, ok := errors.AsType[*ipc.Failure](err)
	if !ok || errors.Is(err, ipc.ErrLocked) {
		return err
	}
	r.cAgent = refused.Text == "Bad Request: Unknown request type."
	return nil
}

// about returns a request about an account. 4.x knows the scope by another name.
func (r *request) about(kind string, config *account.Account) *cjson.Object {
	object := config.Object()
	if r.cAgent {
		object.SetText("scope", config.AuthScope)
	}
	return ipc.Request(kind).SetObject(ipc.KeyConfig, object)
}
