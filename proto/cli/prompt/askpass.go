package prompt

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"oidc-agent/proto/secret"
)

// Where there is no terminal a program may ask in a window: OIDC_ASKPASS, or the C tools' oidc-prompt, or
// SSH_ASKPASS by the rules of ssh-agent. Where there is none the answer is an error at once: never a question
// that nobody sees.

// WindowTimeout is how long a window stays.
const WindowTimeout = 5 * time.Minute

// Reasons why a window gives no answer.
var (
	ErrNoWindow  = errors.New("there is no askpass program to ask with (OIDC_ASKPASS, SSH_ASKPASS)")
	ErrCancelled = errors.New("the user has cancelled")
)

// Window asks for a password in a window.
func Window(ctx context.Context, title, text string) (secret.Secret, error) {
	c, err := askpass(title, text, false)
	if err != nil {
		return secret.Secret{}, err
	}
	return runAskpass(ctx, c)
}

// Consent asks a question of yes or no in a window. The error is for what went wrong; a no is none.
func Consent(ctx context.Context, title, text string) (bool, error) {
	c, err := askpass(title, text, true)
	if err != nil {
		return false, err
	}
	answer, err := runAskpass(ctx, c)
	if errors.Is(err, ErrCancelled) {
		return false, nil
	}
	defer answer.Wipe()
	// oidc-prompt prints its answer, an askpass program tells it by its exit code alone.
	said := strings.TrimSpace(string(answer.Reveal()))
	return err == nil && (said == "" || said == "yes"), err
}

// askpass is the program for a question, with its arguments in that program's order.
func askpass(title, text string, confirm bool) (*exec.Cmd, error) {
	if program := os.Getenv("OIDC_ASKPASS"); program != "" {
		return sshAskpass(program, text, confirm), nil
	}
	if program, err := exec.LookPath("oidc-prompt"); err == nil {
		kind, label := "password", "Encryption password"
		if confirm {
			kind, label = "confirm-default-yes", ""
		}
		return exec.Command(program, kind, title, text, label, strconv.Itoa(int(WindowTimeout.Seconds())), ""), nil
	}
	program, require := os.Getenv("SSH_ASKPASS"), os.Getenv("SSH_ASKPASS_REQUIRE")
	display := os.Getenv("DISPLAY") != "" || os.Getenv("WAYLAND_DISPLAY") != ""
	if program == "" || require == "never" || !display && require != "force" {
		return nil, ErrNoWindow
	}
	return sshAskpass(program, text, confirm), nil
}

// sshAskpass calls a program by the conventions of ssh-askpass: the text is its argument, and a question of
// yes or no is announced in the environment.
func sshAskpass(program, text string, confirm bool) *exec.Cmd {
	c := exec.Command(program, text)
	if confirm {
		c.Env = append(os.Environ(), "SSH_ASKPASS_PROMPT=confirm")
	}
	return c
}

// runAskpass returns the first line that the program prints. Its end with an error is the user's no.
func runAskpass(ctx context.Context, c *exec.Cmd) (secret.Secret, error) {
	ctx, cancel := context.WithTimeout(ctx, WindowTimeout)
	defer cancel()
	var out head
	c.Stdout = &out
	if err := c.Start(); err != nil {
		return secret.Secret{}, err
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	var err error
	select {
	case err = <-ended:
	case <-ctx.Done():
		c.Process.Kill()
		<-ended
		return secret.Secret{}, ctx.Err()
	}
	if failed := new(exec.ExitError); errors.As(err, &failed) {
		clear(out)
		return secret.Secret{}, ErrCancelled
	}
	line, rest, _ := bytes.Cut(out, []byte("\n"))
	clear(rest)
	return secret.New(line), err
}
