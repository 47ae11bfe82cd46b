package main

import (
	"strings"
	"testing"
)

// What --status shows of the command line is what starts such an agent again.
func TestShownOptions(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	s, command, err := parse(strings.Fields("-ct60 --json --with-group --pid-file=/p -a /s --quiet --no-autol -- ls -l"))
	if err != nil || len(command) != 2 {
		t.Fatal(command, err)
	}
	if got := strings.Join(s.shown, " "); got != "--confirm --lifetime=60 --with-group=oidc-agent --socket-path=/s --no-autoload" {
		t.Error(got)
	}
}
