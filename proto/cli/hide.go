package cli

import (
	"os"
	"slices"
	"strings"
	"unsafe"
)

// Conceal overwrites the values of secret options where the system shows them to everybody, in the process list, and
// returns a copy of the arguments for Parse. It comes before all else that a program does.
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
	_, _ = finder.Parse(args) // what is wrong there comes up again
	return own
}

// hide overwrites a value of the command line with asterisks: the runtime makes os.Args out of the process's own argv,
// without a copy. A value that is not part of os.Args is left alone.
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

// secretVariables are those that our options read where no other is named.
var secretVariables = []string{EnvPassword, "OIDC_REFRESH_TOKEN", "OIDC_CLIENT_SECRET", "OIDC_ACCESS_TOKEN", "OIDC_OP_PASSWORD"}

// Environ is the environment without the variables that hold secrets for our programs.
func Environ() []string {
	return slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return slices.Contains(secretVariables, name)
	})
}

// Forget takes these variables out of the environment: no program that is started from now on gets them. Options have
// read theirs by then.
func Forget() {
	for _, name := range secretVariables {
		os.Unsetenv(name)
	}
}
