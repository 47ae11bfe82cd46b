package main

import (
	"errors"
	"strings"
	"testing"

	"oidc-agent/proto/cli"
)

// FuzzParse: every command line is accepted, answered with a help text, or refused with a usage error.
func FuzzParse(f *testing.F) {
	for _, line := range []string{"demo", "-c", "-p --pw-file=x demo", "-t 60 -c --pw-env demo", "--pw-cmd x --pw-file y demo", "--pw-store=1 -lax", "--lifetime=-1 x"} {
		f.Add(line)
	}
	f.Setenv("OIDC_CONFIG_DIR", f.TempDir())
	f.Fuzz(func(t *testing.T, line string) {
		r, err := parse(strings.Fields(line))
		if exit := new(cli.ExitError); err != nil && !errors.As(err, &exit) {
			t.Errorf("%q: %v", line, err)
		}
		if err == nil && (r.lifetime < -1 || r.storeFor < 0 || actions[r.action].needsAccount && r.account == "") {
			t.Errorf("%q: %+v", line, r)
		}
	})
}
