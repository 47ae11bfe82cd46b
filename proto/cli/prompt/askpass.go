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

// A window is opened by the program OIDC_ASKPASS, or else by the C tools' oidc-prompt, or else by SSH_ASKPASS
// under the rules of ssh(1). If there is none, the question fails at once: nobody would see it.

// WindowTimeout is how long a window stays open.
const WindowTimeout = 5 * time.Minute

var errCancelled = errors.New("cancelled by the user")

// Window asks for a password in a window, within [WindowTimeout].
func Window(ctx context.Context, title, text string) (secret.Secret, error) {
	return firstLine(inWindow(ctx, title, text, false))
}

// Consent asks a yes-or-no question in a window, within [WindowTimeout].
func Consent(ctx context.Context, title, text string) (bool, error) {
	out, err := inWindow(ctx, title, text, true)
	if errors.Is(err, errCancelled) {
		return false, nil
	}
	// oidc-prompt prints the answer. An askpass program returns it as its exit code.
	said, _, _ := strings.Cut(string(out), "\n")
	said = strings.TrimSpace(said)
	return err == nil && (said == "" || said == "yes"), err
}

// inWindow opens the window and returns what its program prints. If the program exits with an error, the user has
// said no: the error is errCancelled.
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
			return nil, errors.New("there is no askpass program: set OIDC_ASKPASS or SSH_ASKPASS")
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
