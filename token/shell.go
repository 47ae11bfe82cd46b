package main

import (
	"cmp"
	"errors"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"oidc-agent/proto/cli"
	"oidc-agent/proto/ipc"
)

// shell is oidc-tokensh: a command, and a file with a token that stays fresh while the command runs.
type shell struct {
	request
	minsecs int64 // seconds that the token in the file stays valid at least
	file    string
	existed bool // the file was there before, so it is not removed
	inside  bool // an agent was started for this process
	verbose bool
	command []string
	writing sync.Mutex // held while the file is written, and for good once the command has ended
}

func shellOptions(s *shell) *cli.Program {
	return &cli.Program{
		Name:    "oidc-tokensh",
		Version: version,
		ArgsDoc: "[ACCOUNT_SHORTNAME | ISSUER_URL] [-- COMMAND [ARGUMENT...]]",
		Doc:     "Runs a command, by default $SHELL, and keeps a fresh token in the file $BEARER_TOKEN_FILE for it",
		Footer: "The file is the one that --outfile names, otherwise $BEARER_TOKEN_FILE, otherwise a new one of its own. " +
			"Without an agent, one is started that ends with the command",
		Groups:  []string{general: "General:", advanced: "Advanced:"},
		MaxArgs: 1,
		Options: append(s.scopeOptions(), []cli.Option{
			{Long: "oidc", Arg: "NAME|URL", Set: cli.Text(&s.name),
				Help: "Use this account, or that of this issuer; not needed if there is only one"},
			{Long: "minsecs", Aliases: []string{"time"}, Short: 't', Arg: "SECONDS", Set: cli.Seconds(&s.minsecs),
				Help: "Keep the token in the file valid for at least SECONDS; by default 60"},
			{Long: "outfile", Short: 'o', Arg: "FILE", Set: cli.Text(&s.file), Help: "Keep the token in FILE"},
			{Long: "verbose", Short: 'v', Set: cli.Flag(&s.verbose), Help: "Print what is done"},
			{Long: "renewer", Hidden: true, Set: cli.Flag(&s.inside)},
		}...),
	}
}

func runShell(args []string) error {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // a reader of our warnings that goes away must not end us
	s, err := parseShell(args[1:])
	if err != nil {
		return err
	}
	expires, err := s.renew()
	if _, unreached := errors.AsType[*ipc.ConnectError](err); unreached && !s.inside {
		// Start again below an agent that ends with us.
		if agent, missing := cli.Sister("oidc-agent"); missing == nil {
			again := append([]string{"oidc-agent", "--quiet", "--", args[0], "--renewer"}, args[1:]...)
			_ = syscall.Exec(agent, again, os.Environ()) // returns only if it fails
		}
	}
	if err != nil {
		return err
	}
	return s.run(expires)
}

func parseShell(args []string) (*shell, error) {
	s := &shell{request: request{hint: "oidc-tokensh"}, minsecs: 60}
	if i := slices.Index(args, "--"); i >= 0 {
		args, s.command = args[:i], args[i+1:]
	}
	if len(s.command) == 0 {
		s.command = []string{cmp.Or(os.Getenv("SHELL"), "/bin/sh")}
	}
	operands, err := shellOptions(s).Parse(args)
	if err != nil {
		return nil, err
	}
	if s.name == "" && len(operands) > 0 {
		s.name = operands[0]
	} else if s.name == "" {
		s.name, err = onlyAccount()
	}
	if err != nil {
		return nil, err
	}
	// By default a file that no other oidc-tokensh uses. The path is absolute: the command may change its directory.
	own := cli.DefaultBearerFile() + ".sh-" + strconv.Itoa(os.Getpid())
	s.file, err = filepath.Abs(cmp.Or(s.file, os.Getenv(cli.EnvBearerTokenFile), own))
	if err != nil {
		return nil, err
	}
	_, missing := os.Lstat(s.file)
	s.existed = missing == nil
	s.minValid = s.minsecs + 1 // when a renewal is due, the agent must not answer with the same token
	return s, nil
}

// onlyAccount returns the account to use if none is named. oidc-add knows where the accounts are.
func onlyAccount() (string, error) {
	add, list, err := talkToAdd("--list")
	if err != nil {
		return "", err
	}
	defer list.Close()
	text, _ := io.ReadAll(list)
	state, err := add.Wait()
	if err == nil {
		err = ended(state)
	}
	names := strings.Fields(string(text))
	switch {
	case err != nil:
		return "", err
	case len(names) == 1:
		return names[0], nil
	}
	// Code and text are the C tool's.
	err = cli.WithHint(errors.New("Please specify the oidc-agent shortname that you wish to use"),
		"List the accounts:  oidc-add -l  and name one:  oidc-tokensh --oidc NAME")
	return "", &cli.ExitError{Code: 3, Err: err}
}

// run runs the command, keeps the token fresh until it ends, and ends in the same way.
func (s *shell) run(expires time.Time) error {
	signals := make(chan os.Signal, 4)
	for _, sig := range [...]os.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP,
		syscall.SIGUSR1, syscall.SIGUSR2} {
		if !signal.Ignored(sig) { // as by nohup: the command ignores it, too
			signal.Notify(signals, sig)
		}
	}
	var state *os.ProcessState
	command, err := s.start()
	if err == nil {
		go forward(signals, command)
		go s.keepFresh(expires)
		state, err = command.Wait()
	}
	s.writing.Lock() // never unlocked: the file is not written any more
	if !s.existed {
		os.Remove(s.file)
	}
	if err != nil {
		return err
	}
	return ended(state)
}

// start starts the command in our own process group: the keys of the terminal reach it, and if it is a shell,
// it can do its own job control. The exit codes of a command that cannot be started are those of a shell.
func (s *shell) start() (command *os.Process, err error) {
	os.Setenv(cli.EnvBearerTokenFile, s.file)
	os.Unsetenv(cli.EnvBearerToken) // programs would use it instead
	path, err := cli.LookPath(s.command[0])
	if err == nil {
		command, err = os.StartProcess(path, s.command, &os.ProcAttr{Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}})
	}
	if errors.Is(err, os.ErrPermission) {
		err = &cli.ExitError{Code: 126, Err: err}
	} else if err != nil {
		err = &cli.ExitError{Code: 127, Err: err}
	}
	return command, err
}

// forward passes signals on to the command. SIGINT and SIGQUIT of the terminal have reached it already.
func forward(signals <-chan os.Signal, command *os.Process) {
	for sig := range signals {
		if sig != syscall.SIGINT && sig != syscall.SIGQUIT || !inForeground() {
			command.Signal(sig)
		}
	}
}

// renew writes a token to the file and returns when it expires.
func (s *shell) renew() (expires time.Time, err error) {
	t, err := fetch(&s.request)
	if err == nil {
		s.writing.Lock()
		err = cli.WriteBearerFile(s.file, t.value)
		s.writing.Unlock()
	}
	if expires = time.Unix(t.expires, 0); t.expires == 0 {
		expires = time.Now().Add(5 * time.Minute) // unknown
	}
	if err == nil && s.verbose {
		say("the token in " + s.file + " is valid until " + expires.Format(time.TimeOnly))
	}
	return expires, err
}

func say(text string) { os.Stderr.WriteString(cli.Printable("oidc-tokensh: " + text + "\n")) }

// keepFresh renews the token whenever that is due. If it fails, it tries again every ten seconds.
func (s *shell) keepFresh(expires time.Time) {
	s.noAutoload = true // from now on the terminal belongs to the command
	failing := false
	for due := s.due(expires); ; {
		sleepUntil(due)
		renewed, err := s.renew()
		if err == nil {
			expires, due, failing = renewed, s.due(renewed), false
			continue
		}
		if !failing || s.verbose {
			say("warning: the token in " + s.file + " expires at " + expires.Format(time.TimeOnly) +
				" and cannot be renewed: " + err.Error())
		}
		due, failing = time.Now().Add(10*time.Second), true
	}
}

// sleepUntil returns when one of the two clocks has reached the time: the monotonic clock and timers stand still
// while the machine sleeps, and the wall clock may be set.
func sleepUntil(t time.Time) {
	for now := time.Now(); now.Before(t) && now.Round(0).Before(t.Round(0)); now = time.Now() {
		time.Sleep(min(t.Sub(now), time.Minute/2))
	}
}

// due returns when to renew a token: minsecs before it expires, or halfway if it does not live longer than that.
func (s *shell) due(expires time.Time) time.Time {
	now := time.Now()
	left := expires.Sub(now.Round(0))
	wait := left - time.Duration(s.minsecs)*time.Second
	if wait <= 0 {
		wait = max(left/2, time.Second)
	}
	return now.Add(wait)
}
