package main

import (
	"path/filepath"
	"slices"

	"oidc-agent/proto/account"
	"oidc-agent/proto/cli"
)

// settings are those of the `config` files, and what the command line says over and above them.
type settings struct {
	account.AgentConfig
	pidFile string
	shown   []string // the options as given, for --status

	console, logStderr, json, quiet, kill, status bool
}

// Groups of the help text.
const (
	general = iota
	verbosity
)

func options(s *settings) *cli.Program {
	return &cli.Program{
		Name:    "oidc-agent",
		Version: version,
		ArgsDoc: "[COMMAND [ARGUMENT...]]",
		Doc:     "An agent that holds OpenID Connect accounts and gives out access tokens",
		Footer:  "The agent prints shell commands: start it with  eval $(oidc-agent)",
		Groups:  []string{general: "General:", verbosity: "Verbosity:"},
		MaxArgs: -1,
		Options: []cli.Option{
			{Long: "always-allow-idtoken", Set: cli.Flag(&s.AlwaysAllowIDToken),
				Help: "Give out id-tokens without asking the user"},
			{Long: "socket-path", Short: 'a', Aliases: []string{"bind-address", "bind_address"}, Arg: "PATH",
				Set: cli.Text(&s.BindAddress),
				Help: "Listen on the socket PATH instead of '$TMPDIR/oidc-XXXXXX/oidc-agent.<ppid>'. " +
					"XXXXXX at the end of a directory's name stands for random characters"},
			{Long: "confirm", Short: 'c', Set: cli.Flag(&s.Confirm),
				Help: "Ask the user before an access token is given out, for every account"},
			{Long: "json", Set: cli.Flag(&s.json),
				Help: "Print socket and pid as JSON instead of shell commands; with --status, the status as JSON"},
			{Long: "kill", Short: 'k', Set: cli.Flag(&s.kill), Help: "End the agent that OIDCD_PID names"},
			{Long: "no-autoload", Set: off(&s.Autoload),
				Help: "Do not load accounts on demand: only oidc-add loads them"},
			{Long: "no-autoreauthenticate", Aliases: []string{"no-auto-reauthenticate"}, Set: off(&s.AutoReauthenticate),
				Help: "Accepted for compatibility: the agent never starts a login by itself; " +
					"the error names the command that does"},
			{Long: "no-scheme", Set: off(&s.CustomURIScheme),
				Help: "Code flow: do not use redirect URIs with a custom scheme"},
			{Long: "no-webserver", Set: off(&s.Webserver), Help: "Code flow: do not start a local web server"},
			{Long: "pid-file", Arg: "PATH", Set: cli.Text(&s.pidFile),
				Help: "Write the agent's pid to PATH, and remove the file when the agent ends"},
			{Long: "quiet", Set: cli.Flag(&s.quiet), Help: "Print only the shell commands that set the variables"},
			{Long: "restart-on-update", Set: ignore,
				Help: "Accepted for compatibility: a new program file does not restart the agent, " +
					"which would lose its accounts"},
			{Long: "lifetime", Short: 't', Arg: "TIME", Set: cli.Seconds(&s.Lifetime),
				Help: "Forget accounts TIME seconds after they were loaded; oidc-add -t sets another time for one account. " +
					"By default they stay"},
			{Long: "with-group", Arg: "GROUP_NAME", Optional: true, Default: "oidc-agent", Set: cli.Text(&s.Group),
				Help: "Let the members of a group use the agent, by default the group 'oidc-agent'"},
			{Long: "pw-store", Arg: "TIME", Optional: true, Hidden: true, Set: ignore},
			{Long: "seccomp", Hidden: true, Set: ignore},

			{Long: "console", Short: 'd', Group: verbosity, Set: cli.Flag(&s.console),
				Help: "Stay in the foreground, log to stderr"},
			{Long: "debug", Short: 'g', Group: verbosity, Set: cli.Flag(&s.DebugLogging),
				Help: "Log more; secrets are never logged"},
			{Long: "log-stderr", Group: verbosity, Set: cli.Flag(&s.logStderr),
				Help: "Log to stderr as well as to syslog"},
			{Long: "status", Group: verbosity, Set: cli.Flag(&s.status), Help: "Print the status of the running agent"},
		},
	}
}

// off returns a Set that turns a setting off.
func off(setting *bool) func(string) error {
	return func(string) error { *setting = false; return nil }
}

// ignore is the Set of an option that does nothing.
func ignore(string) error { return nil }

// parse reads the `config` files and the command line. The operands are a command to run beside the agent.
func parse(args []string) (s settings, command []string, err error) {
	config, err := account.LoadConfig()
	if err != nil {
		return s, nil, err
	}
	s.AgentConfig = config.Agent
	p := options(&s)
	for i := range p.Options {
		o := &p.Options[i]
		set := o.Set
		o.Set = func(value string) error {
			switch {
			case slices.Contains([]string{"json", "quiet", "pid-file"}, o.Long): // concern only the start
			case o.Arg == "":
				s.shown = append(s.shown, "--"+o.Long)
			default:
				s.shown = append(s.shown, "--"+o.Long+"="+value)
			}
			return set(value)
		}
	}
	command, err = p.Parse(args)
	if err == nil && s.pidFile != "" {
		s.pidFile, err = filepath.Abs(s.pidFile) // the daemon changes its working directory
	}
	return s, command, err
}
