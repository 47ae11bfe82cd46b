package cli

import (
	"errors"
	"slices"
	"strconv"
	"strings"
)

// Flag returns a Set that notes that the option was given.
func Flag(p *bool) func(string) error {
	return func(string) error { *p = true; return nil }
}

// Text returns a Set that keeps the last value.
func Text(p *string) func(string) error {
	return func(value string) error { *p = value; return nil }
}

// Join returns a Set that puts all values behind one another with a blank between, as lists of scopes are written.
func Join(p *string) func(string) error {
	return func(value string) error { *p = strings.Trim(*p+" "+value, " "); return nil }
}

// Append returns a Set that collects all values in order.
func Append(p *[]string) func(string) error {
	return func(value string) error { *p = append(*p, value); return nil }
}

// OneOf returns a Set that keeps the last value and accepts only the choices.
func OneOf(p *string, choices ...string) func(string) error {
	return func(value string) error {
		if !slices.Contains(choices, value) {
			return errors.New("one of " + strings.Join(choices, ", ") + " is expected")
		}
		*p = value
		return nil
	}
}

// Seconds returns a Set that takes a number of seconds, digits only.
func Seconds(p *int64) func(string) error {
	return func(value string) error {
		n, err := strconv.ParseUint(value, 10, 63)
		if err != nil {
			return errors.New("a number of seconds is expected")
		}
		*p = int64(n)
		return nil
	}
}

// EnvPassword is the variable of --pw-env without a name.
const EnvPassword = "OIDC_ENCRYPTION_PW"

// PasswordOptions are the command line's ways to a password but for the prompt, for a group of the help text. What
// they store with is made of the option's name.
func PasswordOptions(group int, set func(name string) func(value string) error) []Option {
	return []Option{
		{Long: "pw-cmd", Arg: "CMD", Group: group, Set: set("pw-cmd"),
			Help: "Password: the first line that the shell command CMD prints"},
		{Long: "pw-env", Arg: EnvPassword, Optional: true, Default: EnvPassword, Group: group, Set: set("pw-env"),
			Help: "Password: the value of an environment variable, by default " + EnvPassword},
		{Long: "pw-file", Arg: "FILE", Group: group, Set: set("pw-file"), Help: "Password: the first line of FILE"},
	}
}
