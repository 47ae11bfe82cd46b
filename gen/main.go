// oidc-gen makes accounts: it asks for what it needs, has the agent register a client and log the user in,
// and encrypts the finished account into a file. It also prints, renames, updates and deletes those files.
// It never speaks to a provider itself.
//
// Start reading in new.go, which tells the story of a new account from top to bottom.
package main

import (
	"context"
	"os"
	"time"

	"oidc-agent/proto/cjson"
	"oidc-agent/proto/cli"
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
	return r.action.do(context.Background(), r)
}

// action is one thing that oidc-gen does.
type action int

const (
	actionNew action = iota
	actionList
	actionPrint
	actionReauthenticate
	actionRename
	actionUpdate
	actionDelete
)

func (a action) do(ctx context.Context, r *request) error {
	return [...]func(context.Context, *request) error{
		actionNew:            newAccount,
		actionList:           list,
		actionPrint:          printFile,
		actionReauthenticate: reauthenticate,
		actionRename:         rename,
		actionUpdate:         update,
		actionDelete:         deleteAccount,
	}[a](ctx, r)
}

// askTimeout is a little longer than the agent itself waits for a provider.
const askTimeout = 45 * time.Second

// ask sends a request to the agent. An answer that tells a failure is an error, and the answer is returned
// with it.
func ask(ctx context.Context, question *cjson.Object) (*cjson.Object, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	answer, err := ipc.Call(ctx, ipc.SocketPath(), question)
	if err != nil {
		return nil, err
	}
	return answer, ipc.Check(answer)
}
