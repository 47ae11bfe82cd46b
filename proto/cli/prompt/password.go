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
func Decrypt(source Source, text string, wrong error, try func(password secret.Secret) error) error {
	for n := 1; ; n++ {
		password, err := source.Read(context.Background(), text)
		typed := err == nil
		if typed {
			err = try(password)
			password.Wipe()
			if !errors.Is(err, wrong) {
				return err
			}
		}
		switch {
		case source.Given():
			if typed {
				err = fmt.Errorf("%s: %w", source, err)
			}
			f, nobody := openTerminal()
			if nobody != nil {
				return err
			}
			f.WriteString(cli.Printable(err.Error()) + "\n")
			f.Close()
			source, n = Source{}, 0
		case errors.Is(err, ErrNoTerminal):
			return cli.WithHint(fmt.Errorf("a password is needed, and %w", err),
				"Give the password with --pw-file, --pw-cmd or --pw-env.")
		case !typed:
			return err
		case n == maxTries:
			return fmt.Errorf("reached maximum number of tries: %w", err)
		}
	}
}

// NewPassword asks for a new password, twice. The error is ErrMismatch if they differ; an empty answer to the first
// question is returned without asking again where emptyOnce is set, for questions that offer to keep what there is.
func NewPassword(text, again string, emptyOnce bool) (secret.Secret, error) {
	first, err := Password(text)
	if err != nil || first.IsEmpty() && emptyOnce {
		return first, err
	}
	second, err := Password(again)
	defer second.Wipe()
	if err == nil && !first.Equal(second) {
		err = ErrMismatch
	}
	if err != nil {
		first.Wipe()
	}
	return first, err
}
