package prompt

import (
	"context"
	"errors"
	"fmt"

	"oidc-agent/proto/cli"
	"oidc-agent/proto/secret"
)

// maxTries is how often a wrong password may be typed.
const maxTries = 3

// ErrMismatch is a new password that was typed differently the second time.
var ErrMismatch = errors.New("passwords do not match")

// Decrypt gets passwords until try accepts one. A given source is tried once; then, and where none is given, the user
// is asked on the terminal with the text, three times at most. An error of try that wraps wrong means the next one, any
// other error ends it. The password is wiped when try has returned: try clones what it keeps. The last error is
// returned, with its source.
func Decrypt(ctx context.Context, source Source, text string, wrong error, try func(password secret.Secret) error) error {
	if source.Given() {
		again, err := attempt(ctx, source, text, wrong, try)
		if !again || !say(cli.Printable(err.Error())+"\n") {
			return err
		}
	}
	for n := 1; ; n++ {
		again, err := attempt(ctx, Source{}, text, wrong, try)
		if errors.Is(err, ErrNoTerminal) {
			return cli.WithHint(fmt.Errorf("a password is needed, and %w", err),
				"Give the password with --pw-file, --pw-cmd or --pw-env.")
		}
		if !again {
			return err
		}
		if n == maxTries {
			return fmt.Errorf("reached maximum number of tries: %w", err)
		}
	}
}

// attempt tries one password. Again says that another one may do: this was wrong, or its source, not being the
// terminal, gave none.
func attempt(ctx context.Context, source Source, text string, wrong error, try func(secret.Secret) error) (again bool, err error) {
	password, err := source.Read(ctx, text)
	if err != nil {
		return source.Given() && ctx.Err() == nil, err
	}
	defer password.Wipe()
	err = try(password)
	if !errors.Is(err, wrong) {
		return false, err
	}
	if source.Given() {
		err = fmt.Errorf("%s: %w", source, err)
	}
	return true, err
}

// NewPassword asks for a new password, twice. The error is ErrMismatch if they differ; an empty answer to the first
// question is returned without asking again where emptyOnce is set, for questions that offer to keep what there is.
func NewPassword(ctx context.Context, text, again string, emptyOnce bool) (secret.Secret, error) {
	first, err := Password(ctx, text)
	if err != nil || first.IsEmpty() && emptyOnce {
		return first, err
	}
	second, err := Password(ctx, again)
	defer second.Wipe()
	if err == nil && !first.Equal(second) {
		err = ErrMismatch
	}
	if err != nil {
		first.Wipe()
		return secret.Secret{}, err
	}
	return first, nil
}
