package main

import (
	"strings"
	"testing"

	"oidc-agent/proto/account"
)

// What --status shows of the command line starts the same agent again.
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

// Without a `config` file all that an option can turn off is on, and each such option turns off its own setting.
func TestOptionsOff(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	t.Setenv("OIDC_CONFIG_DIR", t.TempDir())
	s, _, err := parse(nil)
	if s.AgentConfig != shipped.AgentConfig || err != nil {
		t.Errorf("without options: %+v, %v", s.AgentConfig, err)
	}
	for option, clear := range map[string]func(*account.AgentConfig){
		"--no-autoload":           func(c *account.AgentConfig) { c.Autoload = false },
		"--no-autoreauthenticate": func(c *account.AgentConfig) { c.AutoReauthenticate = false },
		"--no-scheme":             func(c *account.AgentConfig) { c.CustomURIScheme = false },
		"--no-webserver":          func(c *account.AgentConfig) { c.Webserver = false },
	} {
		want := shipped.AgentConfig
		clear(&want)
		if s, _, err := parse([]string{option}); s.AgentConfig != want || err != nil {
			t.Errorf("%s: %+v, %v", option, s.AgentConfig, err)
		}
	}
}
