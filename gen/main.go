//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0

// oidc-gen creates accounts: it asks the user for what no option says, has the agent register a client and log
// the user in, and encrypts the finished account into a file. It also prints, renames, updates and deletes such
// files. It never connects to a provider itself.
//
// Start reading at newAccount in new.go, which creates an account from start to end.
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

// askTimeout is a little longer than the agent waits for a provider, so that the agent's own error arrives.
const askTimeout = 45 * time.Second

// ask sends a request to the agent. If the answer reports a failure, ask returns both the answer and an error.
func ask(question *cjson.Object) (*cjson.Object, error) {
	answer, err := ipc.Call(ipc.SocketPath(), question, askTimeout)
	if err != nil {
		return nil, err
	}
	return answer, ipc.Check(answer)
}

// findAgent makes sure that an agent is running, and finds out whether it is a C agent, which does not know the
// request `saved`, must be told where to get an account's password, and can rewrite its own format only.
func (r *request) findAgent() error {
	_, err := ask(ipc.Request(ipc.RequestSaved))
	if _, ok := errors.AsType[*ipc.Failure](err); !ok || errors.Is(err, ipc.ErrLocked) {
		return err
	}
	r.cAgent = errors.Is(err, ipc.ErrUnknownRequest)
	return nil
}

// about returns a request about an account. C agents of 4.x expect the scope under another name.
func (r *request) about(kind string, config *account.Account) *cjson.Object {
	object := config.Object()
	if r.cAgent {
		object.SetText("scope", config.AuthScope)
	}
	return ipc.Request(kind).SetObject(ipc.KeyConfig, object)
}
