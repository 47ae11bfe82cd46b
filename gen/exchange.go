package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/ipc"
)

// codeExchange finishes a code flow with the URL to which the browser was sent, at the agent that started it.
func codeExchange(ctx context.Context, r *request) error {
	came, err := url.Parse(r.argument)
	if err != nil {
		return fmt.Errorf("--codeExchange: %w", err)
	}
	query := came.Query()
	state, refusal := query.Get("state"), query.Get("error")
	if state == "" && refusal == "" {
		return errors.New("Uri does not contain a state")
	}
	useAgentOf(state)
	answer, err := ask(ctx, ipc.Request(ipc.RequestCodeExchange).SetText(ipc.KeyRedirectURI, r.argument).SetInt(ipc.KeyFromGen, ipc.Flag(true)))
	switch {
	case err != nil && refusal != "": // RFC 6749 section 4.1.2.1: the provider has refused, whoever asked
		if description := query.Get("error_description"); description != "" {
			refusal += ": " + description
		}
		return errors.New(refusal)
	case err != nil:
		return err
	}
	return saveFetched(ctx, r, answer)
}

// fetchState fetches the account that a flow has made.
func fetchState(ctx context.Context, r *request) error {
	useAgentOf(r.argument)
	answer, err := ask(ctx, ipc.Request(ipc.RequestStateLookup).SetText(ipc.KeyState, r.argument))
	if err != nil {
		return err
	}
	if answer.Text(ipc.KeyStatus) != ipc.StatusSuccess {
		return errors.New(answer.Text(ipc.KeyInfo))
	}
	return saveFetched(ctx, r, answer)
}

// useAgentOf makes the agent that started a flow the one that is asked from now on. Its socket stands in the
// state that it made: S:O and 24 characters, the length of the path, the path in base64url. A state of another
// form is for the agent of the environment to judge.
func useAgentOf(state string) {
	fields := strings.Split(state, ":")
	if len(fields) != 4 {
		return
	}
	path, err := base64.RawURLEncoding.DecodeString(fields[3])
	if err == nil && strings.HasPrefix(string(path), "/") {
		os.Setenv(ipc.EnvSocket, string(path))
	}
}

// saveFetched saves an account that came without the questions of newAccount.
func saveFetched(ctx context.Context, r *request, answer *cjson.Object) error {
	finished, err := finish(answer)
	if err != nil || finished == nil {
		return err
	}
	fmt.Println(loadedText)
	if err := r.findAgent(ctx); err != nil {
		return err
	}
	r.name = finished.Name
	dir, err := account.OpenDir()
	if err != nil {
		return err
	}
	f := new(file)
	if f.path, err = dir.File(r.name); err != nil {
		return err
	}
	return f.save(ctx, r, finished, nil)
}
