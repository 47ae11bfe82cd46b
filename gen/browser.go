package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"time"

	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/cli"
	"oidc-agent/proto/ipc"
)

// hasDisplay reports whether a browser could show itself here.
func hasDisplay() bool { return os.Getenv("DISPLAY") != "" || os.Getenv("WAYLAND_DISPLAY") != "" }

const (
	lookupInterval = time.Second
	browserTime    = 10 * time.Minute
)

// errFinishedElsewhere ends the program as the C oidc-gen ends: all is done.
var errFinishedElsewhere = errors.New("another oidc-gen has finished this login")

// awaitBrowser sends the user to the provider (RFC 6749 section 4.1) and asks the agent until he has come
// back there.
func awaitBrowser(ctx context.Context, r *request, uri, state string) (*cjson.Object, error) {
	fmt.Fprintf(os.Stderr, "To continue and approve the registered client visit the following URL in a Browser of your choice:\n%s\n", cli.Printable(uri))
	if !r.noURLCall {
		openBrowser(uri)
	}
	fmt.Fprintln(os.Stderr, "Polling oidc-agent to get the generated account configuration ...")
	expires := time.Now().Add(browserTime)
	waiting := startWaiting(expires)
	defer waiting.end()
	for time.Now().Before(expires) {
		answer, err := ask(ctx, ipc.Request(ipc.RequestStateLookup).SetText(ipc.KeyState, state))
		switch {
		case err != nil:
			return nil, err
		case answer.Text(ipc.KeyStatus) == ipc.StatusFoundButReceived:
			if r.onlyAT {
				return nil, errors.New("another oidc-gen has finished this login and has the token")
			}
			fmt.Fprintln(os.Stderr, "Another oidc-gen has finished this login, and saves the account.")
			return nil, errFinishedElsewhere
		case answer.Text(ipc.KeyStatus) == ipc.StatusSuccess:
			if !r.onlyAT {
				fmt.Println(loadedText)
			}
			return answer, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(lookupInterval):
		}
	}
	return nil, cli.WithHint(errors.New("nobody has come back from the browser"),
		"If the browser runs on another machine, copy the URL to which it was sent and type  oidc-gen --codeExchange 'URL'  or use  -w device")
}

// openBrowser starts the desktop's browser. What it prints goes to stderr, and that it fails is no failure:
// the URL stands on the terminal.
func openBrowser(uri string) {
	if !hasDisplay() {
		return
	}
	c := exec.Command("xdg-open", uri)
	c.Stdout, c.Stderr = os.Stderr, os.Stderr
	if err := c.Start(); err == nil {
		go c.Wait()
	}
}

// codeExchange finishes a code flow with the URL to which the browser was sent, at the agent that started it.
func codeExchange(ctx context.Context, r *request) error {
	came, err := url.Parse(r.codeURI)
	if err != nil {
		return fmt.Errorf("--codeExchange: %w", err)
	}
	state, refusal := came.Query().Get("state"), came.Query().Get("error")
	if state == "" && refusal == "" {
		return errors.New("Uri does not contain a state")
	}
	question := ipc.Request(ipc.RequestCodeExchange).SetText(ipc.KeyRedirectURI, r.codeURI).SetInt(ipc.KeyFromGen, ipc.Flag(true))
	useAgentOf(state)
	answer, err := ask(ctx, question)
	if err != nil && refusal != "" {
		// RFC 6749 section 4.1.2.1: the provider has refused, whoever asked.
		if description := came.Query().Get("error_description"); description != "" {
			refusal += ": " + description
		}
		return errors.New(refusal)
	}
	if err != nil {
		return err
	}
	return saveFetched(ctx, r, answer)
}

// fetchState fetches the account that a flow has made.
func fetchState(ctx context.Context, r *request) error {
	useAgentOf(r.state)
	answer, err := ask(ctx, ipc.Request(ipc.RequestStateLookup).SetText(ipc.KeyState, r.state))
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
	if token := answer.Secret(ipc.KeyAccessToken); !token.IsEmpty() {
		_, err := fmt.Printf("%s\n", token.Reveal())
		return err
	}
	config := answer.Object(ipc.KeyConfig)
	if config == nil {
		return errors.New("the agent's answer holds no account")
	}
	finished, err := account.FromObject(config)
	if err != nil {
		return err
	}
	fmt.Println(loadedText)
	if err := r.findAgent(ctx); err != nil {
		return err
	}
	r.name = finished.Name
	t := new(target)
	if t.dir, err = account.OpenDir(); err != nil {
		return err
	}
	if t.path, err = t.dir.File(r.name); err != nil {
		return err
	}
	return t.save(ctx, r, finished)
}
