package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"oidc-agent/proto/cjson"
	"oidc-agent/proto/cli"
	"oidc-agent/proto/cli/prompt"
	"oidc-agent/proto/ipc"
	"oidc-agent/proto/ipc/box"
	"oidc-agent/proto/secret"
)

// askTimeout is a little longer than the agent waits for a provider, so that the agent's own error arrives.
const askTimeout = 45 * time.Second

// ask sends a request to the agent, or with --remote to the one that OIDC_REMOTE_SOCK names. If the answer
// reports a failure, ask returns both the answer and an error.
func ask(r *request, question *cjson.Object) (answer *cjson.Object, err error) {
	address := os.Getenv(box.EnvRemote)
	switch {
	case !r.remote:
		answer, err = ipc.Call(ipc.SocketPath(), question, askTimeout)
	case address == "":
		err = errors.New(box.EnvRemote + " is not set: it must name the remote agent as HOST or HOST:PORT")
	default:
		answer, err = box.Call(address, question, askTimeout)
	}
	if err != nil {
		return nil, err
	}
	return answer, ipc.Check(answer)
}

// order has the agent do something and reports success as the C tool does: the word on stdout, the agent's info
// on stderr.
func order(r *request, question *cjson.Object) error {
	answer, err := ask(r, question)
	if err != nil {
		return err
	}
	_, err = fmt.Println("success")
	if info := answer.Text(ipc.KeyInfo); info != "" {
		fmt.Fprintln(os.Stderr, cli.Printable(info))
	}
	return err
}

// relay passes one request from stdin to the agent, and the answer to stdout. oidc-token uses it to reach a
// remote agent without linking the network packages.
func relay(r *request) error {
	message, err := ipc.ReadObject(os.Stdin, nil, ipc.MaxMessage)
	if err != nil {
		return err
	}
	question, err := cjson.Parse(message)
	if err != nil {
		return err
	}
	answer, err := ask(r, question)
	if answer == nil {
		return err
	}
	_, err = os.Stdout.Write(answer.Compact())
	return err
}

// remove removes the account from the agent. Its error tells an account that is not loaded from one that does
// not exist.
func remove(r *request) error {
	err := order(r, ipc.Request(ipc.RequestRemove).SetText(ipc.KeyAccount, r.account))
	if errors.Is(err, ipc.ErrNotLoaded) {
		if _, missing := read(r.account); missing != nil {
			return missing
		}
	}
	return err
}

func removeAll(r *request) error {
	return order(r, ipc.Request(ipc.RequestRemoveAll))
}

const lockQuestion = "Enter lock password: "

// lock asks twice for a password and locks the agent with it.
func lock(r *request) error {
	password, err := prompt.NewPassword(lockQuestion, "Confirm lock password: ", false)
	if errors.Is(err, prompt.ErrMismatch) {
		err = fmt.Errorf("the %w: nothing was locked", err)
	}
	return sendPassword(r, ipc.RequestLock, password, err)
}

func unlock(r *request) error {
	password, err := prompt.Password(lockQuestion)
	return sendPassword(r, ipc.RequestUnlock, password, err)
}

func sendPassword(r *request, kind string, password secret.Secret, err error) error {
	if errors.Is(err, prompt.ErrNoTerminal) {
		err = cli.WithHint(err, "The lock password can only be typed on a terminal: run the same command on one.")
	}
	if err != nil {
		return err
	}
	defer password.Wipe()
	return order(r, ipc.Request(kind).SetSecret(ipc.KeyPassword, password))
}
