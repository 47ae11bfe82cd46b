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

// shell is oidc-tokensh: a command, and a token that stays fresh in a file while it runs.
type shell struct {
	request
	minsecs int64 // seconds that the token in the file is always good for
	file    string
	existed bool // the file was there before: it is not ours to remove
	inside  bool // this process was started by the agent that it needed
	verbose bool
	command []string
	writing sync.Mutex // held while the file is written, and when the command has ended
}

func shellOptions(s *shell) *cli.Program {
	return &cli.Program{
		Name:    "oidc-tokensh",
		Version: version,
		ArgsDoc: "[ACCOUNT_SHORTNAME | ISSUER_URL] [-- COMMAND [ARGUMENT...]]",
		Doc:     "Runs a command, by default $SHELL, and keeps a token in the file $BEARER_TOKEN_FILE while it runs",
		Footer:  "The file is that of --outfile, else $BEARER_TOKEN_FILE, else one of its own beside the usual place. Without an agent one is started, and ends with the command",
		Groups:  []string{general: "General:", advanced: "Advanced:"},
		MaxArgs: 1,
		Options: append(s.scopeOptions(), []cli.Option{
			{Long: "oidc", Arg: "NAME|URL", Set: cli.Text(&s.name), Help: "The account, or its issuer; not needed where there is only one"},
			{Long: "minsecs", Aliases: []string{"time"}, Short: 't', Arg: "SECONDS", Set: cli.Seconds(&s.minsecs),
				Help: "The token in the file stays valid for at least SECONDS; by default 60"},
			{Long: "outfile", Short: 'o', Arg: "FILE", Set: cli.Text(&s.file), Help: "Keep the token in FILE"},
			{Long: "verbose", Short: 'v', Set: cli.Flag(&s.verbose), Help: "Tell what is done"},
			{Long: "renewer", Hidden: true, Set: cli.Flag(&s.inside)},
		}...),
	}
}

func runShell(args []string) error {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // who does not read our warnings shall not end us
	s, err := parseShell(args[1:])
	if err != nil {
		return err
	}
	expires, err := s.renew()
	if _, unreached := errors.AsType[*ipc.ConnectError](err); unreached && !s.inside {
		// Once more, beside an agent of its own that ends with it.
		if agent, missing := cli.Sister("oidc-agent"); missing == nil {
			again := append([]string{"oidc-agent", "--quiet", "--", args[0], "--renewer"}, args[1:]...)
			_ = syscall.Exec(agent, again, os.Environ()) // comes back only if it fails
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
	// A file of its own: two of us, for two accounts, do not take it from each other.
	own := cli.DefaultBearerFile() + ".sh-" + strconv.Itoa(os.Getpid())
	s.file, err = filepath.Abs(cmp.Or(s.file, os.Getenv(cli.EnvBearerTokenFile), own)) // the command may change its directory
	if err != nil {
		return nil, err
	}
	s.minValid = s.minsecs + 1
	_, missing := os.Lstat(s.file)
	s.existed = missing == nil
	return s, nil
}

// onlyAccount is the account to use where none is named. oidc-add knows where accounts are.
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
	// The C tool's code and words.
	return "", &cli.ExitError{Code: 3, Err: cli.WithHint(errors.New("Please specify the oidc-agent shortname that you wish to use"),
		"See which accounts there are:  oidc-add -l  and name one:  oidc-tokensh --oidc NAME")}
}

func say(text string) { os.Stderr.WriteString(cli.Printable("oidc-tokensh: " + text + "\n")) }

// run starts the command, keeps the token fresh until it ends, and ends in the same way.
func (s *shell) run(expires time.Time) error {
	signals := make(chan os.Signal, 4)
	for _, one := range [...]os.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2} {
		if !signal.Ignored(one) { // nohup: the command shall ignore it as well
			signal.Notify(signals, one)
		}
	}
	var state *os.ProcessState
	command, err := s.start()
	if err == nil {
		go forward(signals, command)
		go s.keepFresh(expires)
		state, err = command.Wait()
	}
	s.writing.Lock() // for ever
	if !s.existed {  // else it is the user's, or another oidc-tokensh's
		os.Remove(s.file)
	}
	if err != nil {
		return err
	}
	return ended(state)
}

// start runs the command as a shell would, in our own process group: the terminal's keys reach it, and a shell that it
// may be does its own job control.
func (s *shell) start() (command *os.Process, err error) {
	os.Setenv(cli.EnvBearerTokenFile, s.file)
	os.Unsetenv(cli.EnvBearerToken) // programs would take that instead
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

// forward passes signals on. The terminal has sent some of them to the command as well, if it was the terminal.
func forward(signals <-chan os.Signal, command *os.Process) {
	for one := range signals {
		if one != syscall.SIGINT && one != syscall.SIGQUIT || !inForeground() {
			command.Signal(one)
		}
	}
}

// renew puts a token into the file and tells how long it lives.
func (s *shell) renew() (expires time.Time, err error) {
	t, err := fetch(&s.request)
	if err == nil {
		s.writing.Lock()
		err = cli.WriteBearerFile(s.file, t.value)
		s.writing.Unlock()
	}
	if expires = time.Unix(t.expires, 0); t.expires == 0 {
		expires = time.Now().Add(5 * time.Minute) // its issuer does not say
	}
	if err == nil && s.verbose {
		say("the token in " + s.file + " is valid until " + expires.Format(time.TimeOnly))
	}
	return expires, err
}

// keepFresh renews the token. It looks at both clocks, at least every half minute: timers and the monotonic clock stand
// still while a machine sleeps, and the other one may be set. A renewal that fails is told once, and tried again.
func (s *shell) keepFresh(expires time.Time) {
	s.noAutoload = true // from now on the terminal is the command's
	failing := false
	for next := s.renewal(expires); ; {
		time.Sleep(min(max(time.Until(next), time.Second), time.Minute/2))
		if now := time.Now(); now.Before(next) && now.Round(0).Before(next.Round(0)) {
			continue
		}
		renewed, err := s.renew()
		if err == nil {
			expires, next, failing = renewed, s.renewal(renewed), false
			continue
		}
		if !failing || s.verbose {
			say("warning: the token in " + s.file + " ends at " + expires.Format(time.TimeOnly) + " and cannot be renewed: " + err.Error())
		}
		next, failing = time.Now().Add(10*time.Second), true
	}
}

// renewal is when to renew a token: while it is good for what the user wants, or halfway if it lives shorter than that.
func (s *shell) renewal(expires time.Time) time.Time {
	now := time.Now()
	left := expires.Sub(now.Round(0))
	wait := left - time.Duration(s.minsecs)*time.Second
	if wait <= 0 {
		wait = max(left/2, time.Second)
	}
	return now.Add(wait)
}
