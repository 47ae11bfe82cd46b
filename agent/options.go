package main

import (
	"path/filepath"
	"slices"

	"oidc-agent/proto/account"
	"oidc-agent/proto/cli"
)

// settings are what the command line says.
type settings struct {
	socketPath         string
	lifetime           int64 // seconds; 0 is for ever
	confirm            bool
	alwaysAllowIDToken bool
	noAutoload         bool
	noReauthenticate   bool
	noWebserver        bool
	noScheme           bool
	group              string
	certPath           string // bundle of CAs for accounts that name none
	pidFile            string
	console            bool
	debug              bool
	logStderr          bool
	json               bool
	quiet              bool
	kill               bool
	status             bool

	shown []string // the options as given, for --status
}

// Groups of the help text.
const (
	general = iota
	verbosity
)

func options(s *settings) *cli.Program {
	var ignored bool
	return &cli.Program{
		Name:    "oidc-agent",
		Version: version,
		ArgsDoc: "[COMMAND [ARGUMENT...]]",
		Doc:     "An agent that holds OpenID Connect accounts and gives out access tokens",
		Footer:  "The agent prints shell commands: start it with  eval $(oidc-agent)",
		Groups:  []string{general: "General:", verbosity: "Verbosity:"},
		MaxArgs: -1,
		Options: []cli.Option{
			{Long: "always-allow-idtoken", Set: cli.Flag(&s.alwaysAllowIDToken),
				Help: "Give out id-tokens without asking the user"},
			{Long: "socket-path", Short: 'a', Aliases: []string{"bind-address", "bind_address"}, Arg: "PATH", Set: cli.Text(&s.socketPath),
				Help: "Listen on the socket PATH instead of '$TMPDIR/oidc-XXXXXX/oidc-agent.<ppid>'. XXXXXX as the end of a directory's name stands for random characters"},
			{Long: "confirm", Short: 'c', Set: cli.Flag(&s.confirm),
				Help: "Ask the user before an access token is given out, for every account"},
			{Long: "json", Set: cli.Flag(&s.json),
				Help: "Print socket and pid as JSON instead of shell commands; with --status, the status as JSON"},
			{Long: "kill", Short: 'k', Set: cli.Flag(&s.kill),
				Help: "End the agent that OIDCD_PID names"},
			{Long: "no-autoload", Set: cli.Flag(&s.noAutoload),
				Help: "Do not load an account when a token of it is asked for: only oidc-add loads it"},
			{Long: "no-autoreauthenticate", Aliases: []string{"no-auto-reauthenticate"}, Set: cli.Flag(&s.noReauthenticate),
				Help: "Accepted for compatibility: the agent never starts a login by itself; the error names the command that does"},
			{Long: "no-scheme", Set: cli.Flag(&s.noScheme),
				Help: "Code flow: do not use redirect URIs with a custom scheme"},
			{Long: "no-webserver", Set: cli.Flag(&s.noWebserver),
				Help: "Code flow: do not start a local web server"},
			{Long: "pid-file", Arg: "PATH", Set: cli.Text(&s.pidFile),
				Help: "Write the agent's pid to PATH, and remove that at the end"},
			{Long: "quiet", Set: cli.Flag(&s.quiet),
				Help: "Print no message but the shell commands that set the variables"},
			{Long: "restart-on-update", Set: cli.Flag(&ignored),
				Help: "Accepted for compatibility: the agent goes on with the program that it was started with, for its accounts would be lost"},
			{Long: "lifetime", Short: 't', Arg: "TIME", Set: cli.Seconds(&s.lifetime),
				Help: "Forget accounts TIME seconds after they were loaded; oidc-add -t says otherwise for one account. Without it they stay"},
			{Long: "with-group", Arg: "GROUP_NAME", Optional: true, Default: "oidc-agent", Set: cli.Text(&s.group),
				Help: "Let the members of a group use the agent, by default the group 'oidc-agent'"},
			{Long: "pw-store", Arg: "TIME", Optional: true, Hidden: true, Set: func(string) error { return nil }},
			{Long: "seccomp", Hidden: true, Set: cli.Flag(&ignored)},

			{Long: "console", Short: 'd', Group: verbosity, Set: cli.Flag(&s.console),
				Help: "Stay in the foreground, log to stderr"},
			{Long: "debug", Short: 'g', Group: verbosity, Set: cli.Flag(&s.debug),
				Help: "Log more; secrets are never logged"},
			{Long: "log-stderr", Group: verbosity, Set: cli.Flag(&s.logStderr),
				Help: "Log to stderr as well as to syslog"},
			{Long: "status", Group: verbosity, Set: cli.Flag(&s.status),
				Help: "Print what the running agent says of itself"},
		},
	}
}

// parse reads the command line. Operands are a command to run beside the agent.
func parse(args []string) (s settings, command []string, err error) {
	if s, err = configured(); err != nil {
		return settings{}, nil, err
	}
	p := options(&s)
	for i := range p.Options {
		p.Options[i].Set = shown(&s.shown, p.Options[i])
	}
	command, err = p.Parse(args)
	if err == nil && s.pidFile != "" {
		s.pidFile, err = filepath.Abs(s.pidFile) // a daemon leaves the directory
	}
	if err != nil {
		return settings{}, nil, err
	}
	return s, command, nil
}

// shown makes an option note down itself, by its long name, where it is about the agent and not about its start.
func shown(list *[]string, o cli.Option) func(string) error {
	return func(value string) error {
		switch {
		case slices.Contains([]string{"json", "quiet", "pid-file"}, o.Long):
		case o.Arg == "":
			*list = append(*list, "--"+o.Long)
		default:
			*list = append(*list, "--"+o.Long+"="+value)
		}
		return o.Set(value)
	}
}

// configured are the settings of the `config` files, on which the options are laid.
func configured() (settings, error) {
	config, err := account.LoadConfig()
	if err != nil {
		return settings{}, err
	}
	c := config.Agent
	return settings{
		socketPath: c.BindAddress, lifetime: c.Lifetime, confirm: c.Confirm, group: c.Group, debug: c.DebugLogging,
		alwaysAllowIDToken: c.AlwaysAllowIDToken, certPath: c.CertPath,
		noAutoload: !c.Autoload, noReauthenticate: !c.AutoReauthenticate, noWebserver: !c.Webserver, noScheme: !c.CustomURIScheme,
	}, nil
}
