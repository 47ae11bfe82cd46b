package cli

import (
	"errors"
	"slices"
	"strconv"
	"strings"
)

// Flag returns an [Option.Set] that stores true.
func Flag(p *bool) func(string) error {
	return func(string) error { *p = true; return nil }
}

// Text returns an [Option.Set] that keeps the last value.
func Text(p *string) func(string) error {
	return func(value string) error { *p = value; return nil }
}

// Join returns an [Option.Set] that joins all values with blanks, as in a list of scopes.
func Join(p *string) func(string) error {
	return func(value string) error { *p = strings.Trim(*p+" "+value, " "); return nil }
}

// Append returns an [Option.Set] that collects all values in order.
func Append(p *[]string) func(string) error {
	return func(value string) error { *p = append(*p, value); return nil }
}

// OneOf returns an [Option.Set] that keeps the last value and accepts the choices only.
func OneOf(p *string, choices ...string) func(string) error {
	return func(value string) error {
		if !slices.Contains(choices, value) {
			return errors.New("one of " + strings.Join(choices, ", ") + " is expected")
		}
		*p = value
		return nil
	}
}

// Seconds returns an [Option.Set] that keeps the last number of seconds, which consists of digits only.
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

// envPassword is the variable that --pw-env reads by default.
const envPassword = "OIDC_ENCRYPTION_PW"

// PasswordOptions returns the options that name a source of the password, in a group of the help text. Each stores
// its value with what set returns for its name.
func PasswordOptions(group int, set func(name string) func(value string) error) []Option {
	return []Option{
		{Long: "pw-cmd", Arg: "CMD", Group: group, Set: set("pw-cmd"),
			Help: "Password: the first line that the shell command CMD prints"},
		{Long: "pw-env", Arg: envPassword, Optional: true, Default: envPassword, Group: group, Set: set("pw-env"),
			Help: "Password: the value of an environment variable, by default " + envPassword},
		{Long: "pw-file", Arg: "FILE", Group: group, Set: set("pw-file"), Help: "Password: the first line of FILE"},
	}
}
