package prompt

import (
	"cmp"
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"oidc-agent/proto/cli"
	"oidc-agent/proto/secret"
)

// Where there is no terminal a program may ask in a window: OIDC_ASKPASS, or the C tools' oidc-prompt, or
// SSH_ASKPASS by the rules of ssh-agent. Where there is none the answer is an error at once: never a question
// that nobody sees.

// WindowTimeout is how long a window stays.
const WindowTimeout = 5 * time.Minute

var errCancelled = errors.New("the user has cancelled")

// Window asks for a password in a window.
func Window(ctx context.Context, title, text string) (secret.Secret, error) {
	out, err := inWindow(ctx, title, text, false)
	if err != nil {
		return secret.Secret{}, err
	}
	return firstLine(out)
}

// Consent asks a question of yes or no in a window. The error is for what went wrong; a no is none.
func Consent(ctx context.Context, title, text string) (bool, error) {
	out, err := inWindow(ctx, title, text, true)
	if errors.Is(err, errCancelled) {
		return false, nil
	}
	// oidc-prompt prints its answer, an askpass program tells it by its exit code alone.
	said, _, _ := strings.Cut(string(out), "\n")
	said = strings.TrimSpace(said)
	return err == nil && (said == "" || said == "yes"), err
}

// inWindow returns what the program prints. Its end with an error is the user's no.
func inWindow(ctx context.Context, title, text string, confirm bool) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, WindowTimeout)
	defer cancel()
	own := os.Getenv("OIDC_ASKPASS")
	theirs, missing := exec.LookPath("oidc-prompt")
	var c *exec.Cmd
	if own == "" && missing == nil {
		kind, label := "password", "Encryption password"
		if confirm {
			kind, label = "confirm-default-yes", ""
		}
		c = exec.CommandContext(ctx, theirs, kind, title, text, label, strconv.Itoa(int(WindowTimeout.Seconds())), "")
	} else {
		if own = cmp.Or(own, cli.SSHAskpass()); own == "" {
			return nil, errors.New("there is no askpass program to ask with (OIDC_ASKPASS, SSH_ASKPASS)")
		}
		c = exec.CommandContext(ctx, own, text)
		if confirm {
			c.Env = append(os.Environ(), "SSH_ASKPASS_PROMPT=confirm")
		}
	}
	out, err := output(c)
	if _, failed := errors.AsType[*exec.ExitError](err); failed {
		err = cmp.Or(ctx.Err(), errCancelled)
	}
	return out, err
}
