package prompt

import (
	"context"
	"errors"
	"fmt"

	"oidc-agent/proto/cli"
	"oidc-agent/proto/secret"
)

// maxTries is how often the user may type a wrong password.
const maxTries = 3

// ErrMismatch means that the user typed two different new passwords.
var ErrMismatch = errors.New("passwords do not match")

// Decrypt gets passwords until try accepts one. It tries a given source once. If there is no source, or it yields
// no password or a wrong one, Decrypt asks on the terminal with the text, up to three times. An error of try that
// wraps wrong means that the password is wrong; any other error of try is returned as it is. The password is wiped
// when try returns, so try must clone what it keeps.
func Decrypt(source Source, text string, wrong error, try func(password secret.Secret) error) error {
	attempt := func(source Source) (tried bool, err error) {
		password, err := source.Read(context.Background(), text)
		if err != nil {
			return false, err
		}
		defer password.Wipe()
		return true, try(password)
	}
	if source.Given() {
		tried, err := attempt(source)
		if tried && !errors.Is(err, wrong) {
			return err
		}
		if tried {
			err = fmt.Errorf("%s: %w", source, err)
		}
		f, noTerminal := openTerminal()
		if noTerminal != nil {
			return err
		}
		f.WriteString(cli.Printable(err.Error()) + "\n")
		f.Close()
	}
	for n := 1; ; n++ {
		_, err := attempt(Source{})
		switch {
		case errors.Is(err, ErrNoTerminal):
			return cli.WithHint(fmt.Errorf("a password is needed, and %w", err),
				"Give the password with --pw-file, --pw-cmd or --pw-env.")
		case !errors.Is(err, wrong):
			return err
		case n == maxTries:
			return fmt.Errorf("reached maximum number of tries: %w", err)
		}
	}
}

// NewPassword asks twice for a new password. The error is [ErrMismatch] if the answers differ. With emptyOnce, an
// empty first answer is returned at once: such questions offer to keep the old password.
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
