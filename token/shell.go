package main

import (
	"errors"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"oidc-agent/proto/cli"
	"oidc-agent/proto/ipc"
)

// shell is oidc-tokensh: a command, and a token that stays fresh in a file while it runs.
type shell struct {
	request
	account string // of --oidc
	minsecs int64  // seconds that the token in the file is always good for
	file    string
	inside  bool // this process was started by the agent that it needed
	verbose bool
	command []string

	existed bool // the file was there before: it is not ours to remove
	expires time.Time
	next    time.Time // renewal
	failing bool      // the last renewal failed, and the user knows
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
		Options: []cli.Option{
			{Long: "oidc", Arg: "NAME|URL", Set: cli.Text(&s.account), Help: "The account, or its issuer; not needed where there is only one"},
			{Long: "minsecs", Aliases: []string{"time"}, Short: 't', Arg: "SECONDS", Set: cli.Seconds(&s.minsecs),
				Help: "The token in the file stays valid for at least SECONDS; by default 60"},
			{Long: "outfile", Short: 'o', Arg: "FILE", Set: cli.Text(&s.file), Help: "Keep the token in FILE"},
			{Long: "verbose", Short: 'v', Set: cli.Flag(&s.verbose), Help: "Tell what is done"},
			{Long: "scope", Short: 's', Arg: "SCOPE", Group: advanced, Set: cli.Join(&s.scope),
				Help: "Ask for a token with these scopes only, separated by blanks; may be given several times"},
			{Long: "aud", Arg: "AUDIENCE", Group: advanced, Set: cli.Text(&s.audience),
				Help: "Ask for a token for this audience; several are separated by blanks"},
			{Long: "renewer", Hidden: true, Set: cli.Flag(&s.inside)},
		},
	}
}

func runShell(args []string) error {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // who does not read our warnings shall not end us
	s, err := parseShell(args[1:])
	if err != nil {
		return err
	}
	err = s.renew(fetch(&s.request))
	if unreached := new(ipc.ConnectError); errors.As(err, &unreached) && !s.inside {
		// Once more, beside an agent of its own that ends with it.
		again := append([]string{"oidc-agent", "--quiet", "--", args[0], "--renewer"}, args[1:]...)
		_ = syscall.Exec(sister("oidc-agent"), again, os.Environ()) // comes back only if it fails
	}
	if err != nil {
		return err
	}
	return s.run()
}

func parseShell(args []string) (*shell, error) {
	s := &shell{request: request{hint: "oidc-tokensh"}, minsecs: 60}
	if i := slices.Index(args, "--"); i >= 0 {
		args, s.command = args[:i], args[i+1:]
	}
	operands, err := shellOptions(s).Parse(args)
	if err != nil {
		return nil, err
	}
	if s.name = s.account; s.name == "" && len(operands) > 0 {
		s.name = operands[0]
	}
	if s.name == "" {
		if s.name, err = onlyAccount(); err != nil {
			return nil, err
		}
	}
	if len(s.command) == 0 {
		s.command = []string{"/bin/sh"}
		if user := os.Getenv("SHELL"); user != "" {
			s.command[0] = user
		}
	}
	if s.file == "" {
		s.file = os.Getenv(cli.EnvBearerTokenFile)
	}
	if s.file == "" {
		// A file of its own: two of us, for two accounts, do not take it from each other.
		s.file = cli.DefaultBearerFile() + ".sh-" + strconv.Itoa(os.Getpid())
	}
	if s.file, err = filepath.Abs(s.file); err != nil { // the command may change its directory
		return nil, err
	}
	s.minValid = s.minsecs
	_, err = os.Lstat(s.file)
	s.existed = err == nil
	return s, nil
}

// onlyAccount is the account to use where none is named. oidc-add knows where accounts are.
func onlyAccount() (string, error) {
	names, out, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer names.Close()
	list, err := startAdd([]*os.File{nil, out, os.Stderr}, "--list")
	out.Close()
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(names)
	if state, waitErr := list.Wait(); waitErr == nil && !state.Success() {
		return "", ended(state)
	}
	if all := strings.Fields(string(text)); err == nil && len(all) == 1 {
		return all[0], nil
	}
	// The C tool's code and words.
	return "", &cli.ExitError{Code: 3, Err: cli.WithHint(errors.New("Please specify the oidc-agent shortname that you wish to use"),
		"See which accounts there are:  oidc-add -l  and name one:  oidc-tokensh --oidc NAME")}
}

// renew puts a new token into the file and sets the time of the next one.
func (s *shell) renew(t ipc.AccessToken, err error) error {
	if err == nil {
		err = cli.WriteBearerFile(s.file, t.Token)
	}
	if err != nil {
		return err
	}
	now := time.Now()
	if s.expires = time.Unix(t.ExpiresAt, 0); t.ExpiresAt == 0 {
		s.expires = now.Add(5 * time.Minute) // its issuer does not say
	}
	left := s.expires.Sub(now.Round(0))
	wait := left - time.Duration(s.minsecs)*time.Second
	if wait <= 0 { // it lives shorter than the user wants it to
		wait = max(left/2, time.Second)
	}
	s.next = now.Add(wait)
	s.failing = false
	if s.verbose {
		say("the token in " + s.file + " is valid until " + s.expires.Format(time.TimeOnly))
	}
	return nil
}

// due looks at both clocks: the monotonic one stands still while a machine sleeps, and the other one may be set.
func (s *shell) due() bool {
	now := time.Now()
	return !now.Before(s.next) || !now.Round(0).Before(s.next.Round(0))
}

const retryPause = 10 * time.Second

// later takes a renewal that failed: it is told once, and tried again.
func (s *shell) later(err error) {
	s.next = time.Now().Add(retryPause)
	if !s.failing || s.verbose {
		say("warning: the token in " + s.file + " ends at " + s.expires.Format(time.TimeOnly) + " and cannot be renewed: " + err.Error())
	}
	s.failing = true
}

func say(text string) { os.Stderr.WriteString(cli.Printable("oidc-tokensh: " + text + "\n")) }

// run starts the command, keeps the token fresh until it ends, and ends in the same way.
func (s *shell) run() error {
	signals := make(chan os.Signal, 4)
	for _, one := range [...]os.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2} {
		if !signal.Ignored(one) { // nohup: the command shall ignore it as well
			signal.Notify(signals, one)
		}
	}
	command, err := s.start()
	if err != nil {
		s.remove()
		return err
	}
	end := make(chan *os.ProcessState, 1)
	go func() {
		state, _ := command.Wait() // a child of ours is always there to wait for
		end <- state
	}()
	state := s.watch(command, signals, end)
	s.remove()
	return ended(state)
}

// start runs the command as a shell would, in our own process group: the terminal's keys reach it, and a shell that it
// may be does its own job control.
func (s *shell) start() (*os.Process, error) {
	os.Setenv(cli.EnvBearerTokenFile, s.file)
	os.Unsetenv(cli.EnvBearerToken) // programs would take that instead
	path, err := cli.LookPath(s.command[0])
	var command *os.Process
	if err == nil {
		command, err = os.StartProcess(path, s.command, &os.ProcAttr{Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}})
	}
	switch {
	case err == nil:
		return command, nil
	case errors.Is(err, os.ErrPermission):
		return nil, &cli.ExitError{Code: 126, Err: err}
	}
	return nil, &cli.ExitError{Code: 127, Err: err}
}

// watch renews the token and passes signals on until the command ends. It looks at the clock every half minute:
// timers stand still while a machine sleeps.
func (s *shell) watch(command *os.Process, signals <-chan os.Signal, end <-chan *os.ProcessState) *os.ProcessState {
	type renewal struct {
		ipc.AccessToken
		err error
	}
	s.noAutoload = true // from now on the terminal is the command's
	s.minValid = s.minsecs + 1
	renewed, busy := make(chan renewal, 1), false
	for {
		wait := time.NewTimer(min(max(time.Until(s.next), time.Second), time.Minute/2))
		select {
		case state := <-end:
			return state
		case one := <-signals:
			// The terminal has sent these to the command as well, if it was the terminal.
			if one != syscall.SIGINT && one != syscall.SIGQUIT || !inForeground() {
				command.Signal(one)
			}
		case r := <-renewed:
			busy = false
			if err := s.renew(r.AccessToken, r.err); err != nil {
				s.later(err)
			}
		case <-wait.C:
			if !busy && s.due() {
				busy = true
				go func() {
					t, err := fetch(&s.request)
					renewed <- renewal{t, err}
				}()
			}
		}
		wait.Stop()
	}
}

// remove takes the file away, unless it was there before: then it is the user's, or another oidc-tokensh's.
func (s *shell) remove() {
	if !s.existed {
		os.Remove(s.file)
	}
}
