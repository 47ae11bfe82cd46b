package cli

import (
	"os"
	"slices"
	"strings"
	"unsafe"
)

// Conceal overwrites the values of secret options in the process list, which all users of the machine can read,
// and returns a copy of the arguments for Parse. A program calls it before anything else.
func (p *Program) Conceal(args []string) []string {
	own := slices.Clone(args)
	for i, arg := range own {
		own[i] = strings.Clone(arg)
	}
	finder := *p
	finder.Options = slices.Clone(p.Options)
	for i := range finder.Options {
		o := &finder.Options[i]
		o.Set = func(value string) error {
			if o.Secret {
				hide(value)
			}
			return nil
		}
	}
	_, _ = finder.Parse(args) // the program's own call finds the same errors
	return own
}

// hide overwrites a value with asterisks if it is part of os.Args. The runtime makes os.Args from the argv of the
// process without copying it.
func hide(value string) {
	bounds := func(s string) (first, end uintptr) {
		first = uintptr(unsafe.Pointer(unsafe.StringData(s)))
		return first, first + uintptr(len(s))
	}
	start, end := bounds(value)
	for _, arg := range os.Args {
		if first, last := bounds(arg); first <= start && end <= last {
			copy(unsafe.Slice(unsafe.StringData(value), len(value)), strings.Repeat("*", len(value)))
		}
	}
}

// secretVariables are those that our options read by default.
var secretVariables = []string{
	envPassword, "OIDC_REFRESH_TOKEN", "OIDC_CLIENT_SECRET", "OIDC_ACCESS_TOKEN", "OIDC_OP_PASSWORD",
}

// Environ returns the environment without the variables that hold secrets for our programs.
func Environ() []string {
	return slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return slices.Contains(secretVariables, name)
	})
}

// Forget removes the variables that hold secrets for our programs from the environment, so that programs that are
// started later do not get them. It is called after Parse, when the options have read them.
func Forget() {
	for _, name := range secretVariables {
		os.Unsetenv(name)
	}
}
