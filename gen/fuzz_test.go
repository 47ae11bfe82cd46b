package main

import (
	"errors"
	"strings"
	"testing"

	"oidc-agent/proto/cli"
)

// FuzzParse: every command line is accepted, answered with a help text, or refused with a usage error.
func FuzzParse(f *testing.F) {
	for _, line := range []string{"demo", "-m --client-id=x --iss https://iam.example/ demo", "-w code -w device --scope-max", "--rt-env=X --only-at", "--port 4242 --pw-gpg=AB", "--flow=x", "-p /x -g"} {
		f.Add(line)
	}
	f.Setenv("OIDC_CONFIG_DIR", f.TempDir())
	const password = "pa55word"
	f.Fuzz(func(t *testing.T, line string) {
		r, err := parse(append([]string{"--client-secret=" + password}, strings.Fields(line)...))
		if exit := new(cli.ExitError); err != nil && !errors.As(err, &exit) {
			t.Errorf("%q: %v", line, err)
		}
		if err != nil && strings.Contains(err.Error(), password) {
			t.Errorf("%q: %v", line, err)
		}
		if err == nil && string(r.given.ClientSecret.Reveal()) != password && !strings.Contains(line, "client-s") {
			t.Errorf("%q: the secret is %q", line, r.given.ClientSecret.Reveal())
		}
	})
}
