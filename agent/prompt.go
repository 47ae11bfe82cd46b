package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"oidc-agent/proto/secret"
)

// The agent has no terminal. Where it must ask, it runs a program that asks in a window: OIDC_ASKPASS, or
// the C tools' oidc-prompt, or SSH_ASKPASS by the rules of ssh-agent. Where there is none, the answer is an
// error at once: never a question that nobody sees.

// promptTimeout is how long a window stays.
const promptTimeout = 5 * time.Minute

var errNobodyAsked = errors.New("there is nobody to ask")

// question is what a window shows.
type question struct {
	confirm bool // yes or no; else a password is asked for
	title   string
	text    string
}

// asker is the program for a question, with its arguments in that program's order.
func asker(q question) (*exec.Cmd, error) {
	if program := os.Getenv("OIDC_ASKPASS"); program != "" {
		return askpass(program, q), nil
	}
	if program, err := exec.LookPath("oidc-prompt"); err == nil {
		kind, label := "password", "Encryption password"
		if q.confirm {
			kind, label = "confirm-default-yes", ""
		}
		return exec.Command(program, kind, q.title, q.text, label, fmt.Sprint(int(promptTimeout.Seconds())), ""), nil
	}
	program, require := os.Getenv("SSH_ASKPASS"), os.Getenv("SSH_ASKPASS_REQUIRE")
	display := os.Getenv("DISPLAY") != "" || os.Getenv("WAYLAND_DISPLAY") != ""
	if program == "" || require == "never" || !display && require != "force" {
		return nil, errNobodyAsked
	}
	return askpass(program, q), nil
}

// askpass calls a program by the conventions of ssh-askpass: the text is its argument, and a question of yes
// or no is announced in the environment.
func askpass(program string, q question) *exec.Cmd {
	c := exec.Command(program, q.text)
	if q.confirm {
		c.Env = append(os.Environ(), "SSH_ASKPASS_PROMPT=confirm")
	}
	return c
}

// put runs the program and returns the first line that it prints. ok is false when the user has cancelled.
func put(ctx context.Context, q question) (answer secret.Secret, ok bool, err error) {
	c, err := asker(q)
	if err != nil {
		return secret.Secret{}, false, err
	}
	var out bytes.Buffer
	c.Stdout = &out
	if err := c.Start(); err != nil {
		return secret.Secret{}, false, err
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	select {
	case err = <-ended:
	case <-ctx.Done():
		c.Process.Kill()
		<-ended
		return secret.Secret{}, false, ctx.Err()
	}
	if failed := new(exec.ExitError); errors.As(err, &failed) {
		return secret.Secret{}, false, nil
	}
	line, _, _ := bytes.Cut(out.Bytes(), []byte("\n"))
	answer = secret.New(bytes.Clone(line))
	clear(out.Bytes())
	return answer, err == nil, err
}

// consent asks the user whether a program may have a token of an account.
func (a *agent) consent(ctx context.Context, what, account, application string) bool {
	if application == "" {
		application = "An application"
	}
	answer, ok, err := put(ctx, question{
		confirm: true,
		title:   "oidc-agent: confirm",
		text:    fmt.Sprintf("%s requests an %s for '%s'. Do you want to allow this?", application, what, account),
	})
	if err != nil {
		a.log.notice("account %q: cannot ask for consent: %v", account, err)
		return false
	}
	defer answer.Wipe()
	// oidc-prompt prints its answer, an askpass program tells it by its exit code alone.
	text := strings.TrimSpace(string(answer.Reveal()))
	return ok && (text == "" || text == "yes")
}
