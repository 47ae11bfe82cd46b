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
	own := make([]string, len(args))
	for i, arg := range args {
		own[i] = strings.Clone(arg)
	}
	finder := *p
	finder.Options = slices.Clone(p.Options)
	for i := range finder.Options {
		secret := finder.Options[i].Secret
		finder.Options[i].Set = func(value string) error {
			if secret {
				hide(value)
			}
			return nil
		}
	}
	_, _ = finder.Parse(args) // what is wrong there comes up again
	return own
}

// hide overwrites a value of the command line with asterisks. One that is not part of os.Args is left alone.
func hide(value string) {
	start := uintptr(unsafe.Pointer(unsafe.StringData(value)))
	for _, arg := range os.Args {
		first := uintptr(unsafe.Pointer(unsafe.StringData(arg)))
		if start < first || start+uintptr(len(value)) > first+uintptr(len(arg)) {
			continue
		}
		// The runtime makes os.Args out of the process's own argv, without a copy.
		shown := unsafe.Slice(unsafe.StringData(value), len(value))
		for i := range shown {
			shown[i] = '*'
		}
		return
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
