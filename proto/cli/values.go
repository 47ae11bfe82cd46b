package cli

import (
	"errors"
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

// Append returns a Set that collects all values in order.
func Append(p *[]string) func(string) error {
	return func(value string) error { *p = append(*p, value); return nil }
}

// Join returns a Set that puts all values behind one another with a blank between, as lists of scopes are written.
func Join(p *string) func(string) error {
	return func(value string) error {
		if *p != "" && value != "" {
			*p += " "
		}
		*p += value
		return nil
	}
}

// OneOf returns a Set that keeps the last value and accepts only the choices.
func OneOf(p *string, choices ...string) func(string) error {
	return func(value string) error {
		for _, c := range choices {
			if value == c {
				*p = value
				return nil
			}
		}
		return errors.New("one of " + strings.Join(choices, ", ") + " is expected")
	}
}

// Seconds returns a Set that takes a number of seconds, digits only.
func Seconds(p *int64) func(string) error {
	return func(value string) error {
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil || value[0] < '0' || value[0] > '9' {
			return errors.New("a number of seconds is expected")
		}
		*p = n
		return nil
	}
}
