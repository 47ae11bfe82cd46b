package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/cli"
	"oidc-agent/proto/ipc"
)

// oidc-agent-service and oidc-keychain are other names of this program: one agent for all shells of a user on a
// machine. Where it listens stands in a file of the user, for shells may differ in TMPDIR and XDG_RUNTIME_DIR; that
// it lives, and its pid, is learnt from the socket alone.

const serviceUsage = "use | start | restart | restart-s | stop | kill | status"

func serviceOptions(asJSON *bool) *cli.Program {
	return &cli.Program{
		Name:    "oidc-agent-service",
		Version: version,
		ArgsDoc: serviceUsage,
		Doc:     "One agent for all shells of a user",
		Footer: "use: find the running agent or start one; start: start one, fail if one runs; stop, kill: end it; " +
			"restart: end it and start one with the same options; restart-s: the same, silently; " +
			"status: print what it says of itself. Use it with  eval $(oidc-agent-service use)",
		Groups:  []string{"General:"},
		MaxArgs: 1,
		Options: []cli.Option{
			{Long: "json", Set: cli.Flag(asJSON), Help: "With status: print it as JSON"},
		},
	}
}

func runService(args []string) error {
	var asJSON bool
	p := serviceOptions(&asJSON)
	operands, err := p.Parse(args)
	if err != nil {
		return err
	}
	if len(operands) == 0 {
		return &cli.ExitError{Code: cli.CodeError, Err: p.WrongOperands()}
	}
	s, err := openService()
	if err != nil {
		return err
	}
	defer s.close()
	switch command := operands[0]; command {
	case "use":
		return s.use(s.options, os.Stdout)
	case "start-from-x":
		if !s.fromX {
			return nil
		}
		return s.use(s.options, os.Stdout)
	case "start":
		return s.start()
	case "restart":
		return s.restart(os.Stdout)
	case "restart-s":
		return s.restart(io.Discard)
	case "stop", "kill":
		_, err := s.stop(os.Stdout)
		return err
	case "status":
		return s.status(asJSON)
	default:
		return &cli.ExitError{Code: cli.CodeError, Err: p.Refuse(fmt.Sprintf("no such command: %q; there are %s", command, serviceUsage))}
	}
}

// service is a user's hold on the agent of all his shells. While it is open no other shell starts or ends it.
type service struct {
	place       *os.File // locked; the path of the socket stands in it
	options     []string // for an agent that is started
	sameOptions bool     // restart keeps those of the agent that is ended
	fromX       bool
}

// serviceTimeout is how long another shell may take to start the agent, or to end it.
const serviceTimeout = 30 * time.Second

func openService() (*service, error) {
	place, err := openPlace()
	if err != nil {
		return nil, err
	}
	if err := flock(place, serviceTimeout); err != nil {
		place.Close()
		return nil, fmt.Errorf("%q: another shell that starts or ends the agent does not come to an end", place.Name())
	}
	s := &service{place: place, sameOptions: true, fromX: true}
	folders := []string{"/etc/oidc-agent"}
	if dir, err := account.FindDir(); err == nil {
		folders = append(folders, dir.Path())
	}
	for _, folder := range folders {
		if err := s.configure(filepath.Join(folder, "oidc-agent-service.options")); err != nil {
			s.close()
			return nil, err
		}
	}
	return s, nil
}

func (s *service) close() { s.place.Close() }

// openPlace opens the file of this machine, for several may share a home: in the configuration folder or, where
// nothing can be written there, in the folder of the socket.
func openPlace() (*os.File, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	name := ".service-" + strings.ReplaceAll(host, "/", "_")
	dir, err := account.OpenDir()
	if err == nil {
		if f, err := openOwn(filepath.Join(dir.Path(), name)); err == nil {
			return f, nil
		}
	}
	folder := filepath.Dir(ipc.DefaultSocketPath())
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	return openOwn(filepath.Join(folder, name))
}

// openOwn opens a file that nobody else has put there.
func openOwn(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		owner, ok := info.Sys().(*syscall.Stat_t)
		if !info.Mode().IsRegular() || !ok || int(owner.Uid) != os.Getuid() {
			err = fmt.Errorf("%q belongs to another user: remove it, or choose another directory by OIDC_CONFIG_DIR or TMPDIR", path)
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// configure reads assignments of the C tool's options file. That is a shell script there; here it is not run.
func (s *service) configure(path string) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		name, value, ok := strings.Cut(strings.TrimSpace(lines.Text()), "=")
		if !ok || strings.HasPrefix(name, "#") {
			continue
		}
		if quoted := len(value) > 1 && strings.ContainsAny(value[:1], `"'`); quoted {
			value, _, _ = strings.Cut(value[1:], value[:1])
		} else {
			value, _, _ = strings.Cut(value, " #")
		}
		if strings.ContainsAny(value, "$`\\") {
			return fmt.Errorf("%q: %s: this file is not run by a shell: write the value itself", path, name)
		}
		switch strings.TrimPrefix(name, "export ") {
		case "OIDC_AGENT_OPTS":
			s.options = strings.Fields(value)
		case "OIDC_AGENT_RESTART_WITH_SAME_OPTS":
			s.sameOptions = strings.TrimSpace(value) == "True"
		case "START_AGENT_WITH_XSESSION":
			s.fromX = strings.TrimSpace(value) == "True"
		}
	}
	return nil
}

// running is an agent that was found.
type running struct {
	path    string // of the socket
	pid     int
	pidFile string // "" if it has none
	err     error  // why it does not answer
}

// find looks where the agent of the other shells was last, and where a service manager or another tool has put one.
func (s *service) find() *running {
	noted, _ := io.ReadAll(io.NewSectionReader(s.place, 0, 4096))
	for _, path := range [...]string{string(noted), managedPath(), ipc.DefaultSocketPath()} {
		if !filepath.IsAbs(path) {
			continue
		}
		if r := look(path); r != nil {
			return r
		}
	}
	return nil
}

// managedPath is the socket of the systemd unit.
func managedPath() string {
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, "oidc-agent", "oidc-agent.sock")
}

// look asks who listens on a socket. An agent of another user, or one beyond the walls of a container, is none of ours.
func look(path string) *running {
	if uid, _ := listenerOf(path); uid != os.Getuid() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), statusTimeout)
	defer cancel()
	r := &running{path: path}
	_, r.err = ipc.Call(ctx, path, cjson.New().SetText("request", ipc.RequestCheck))
	var uid int
	if uid, r.pid = listenerOf(path); uid != os.Getuid() || r.pid <= 1 { // by now the agent itself, no service manager
		return nil
	}
	pidFile := filepath.Join(filepath.Dir(path), "oidc-agent.pid")
	if isPID(pidFile, r.pid) {
		r.pidFile = pidFile
	}
	return r
}

// listenerOf returns the user and the pid of who listens; -1 if nobody does.
func listenerOf(path string) (uid, pid int) {
	fd, err := newSocket()
	if err != nil {
		return -1, 0
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return -1, 0
	}
	owner, err := peerUser(fd)
	if err != nil {
		return -1, 0
	}
	return int(owner), peerProcess(fd)
}

func isPID(path string, pid int) bool {
	text, err := os.ReadFile(path)
	return err == nil && strings.TrimSpace(string(text)) == strconv.Itoa(pid)
}

// use finds the agent or starts one, and prints how to reach it.
func (s *service) use(options []string, stdout io.Writer) error {
	r, _, err := s.agent(options)
	if err == nil {
		r.announce(stdout)
	}
	return err
}

// agent is the one that runs or, if none does, a new one.
func (s *service) agent(options []string) (r *running, started bool, err error) {
	if r = s.find(); r == nil {
		r, err = launch(options)
		started = err == nil
	} else if r.err != nil {
		err = cli.WithHint(r.err, "Start it anew:  eval $(oidc-agent-service restart)")
	}
	if err != nil {
		return nil, false, err
	}
	return r, started, s.note(r.path)
}

// note writes down where the agent is. A crash between leaves nothing, and that is looked for at the known places.
func (s *service) note(path string) error {
	if err := s.place.Truncate(0); err != nil {
		return err
	}
	_, err := s.place.WriteAt([]byte(path), 0)
	return err
}

func (r *running) announce(stdout io.Writer) {
	fmt.Fprintf(stdout, "OIDC_SOCK=%s; export OIDC_SOCK;\nOIDCD_PID=%d; export OIDCD_PID;\n", shellQuote(r.path), r.pid)
	if r.pidFile != "" {
		fmt.Fprintf(stdout, "OIDCD_PID_FILE=%s; export OIDCD_PID_FILE;\n", shellQuote(r.pidFile))
	}
	fmt.Fprintf(stdout, "echo %d\n", r.pid)
}

// launch starts an agent at the place where all clients look, if nobody else sits there.
func launch(options []string) (*running, error) {
	s, command, err := parse(options)
	if err != nil {
		return nil, err
	}
	if len(command) > 0 {
		return nil, fmt.Errorf("OIDC_AGENT_OPTS: %q is no option", command[0])
	}
	wanted := s.socketPath
	if wanted == "" && s.group == "" { // the folder there is for the user alone
		wanted = ipc.DefaultSocketPath()
	}
	umask := syscall.Umask(0o077)
	sock, err := listen(wanted, s.group)
	if err != nil && s.socketPath == "" {
		sock, err = listen("", s.group)
	}
	syscall.Umask(umask)
	if err != nil {
		return nil, err
	}
	r := &running{path: sock.path, pidFile: filepath.Join(filepath.Dir(sock.path), "oidc-agent.pid")}
	r.pid, err = spawn(s, append(options[:len(options):len(options)], "--pid-file="+r.pidFile), sock, false)
	if err != nil {
		sock.remove()
		return nil, err
	}
	return r, nil
}

func (s *service) start() error {
	r, started, err := s.agent(s.options)
	switch {
	case err != nil:
		return err
	case !started:
		return cli.WithHint(fmt.Errorf("an agent runs already, pid %d", r.pid),
			"Use it:  eval $(oidc-agent-service use)  end it:  eval $(oidc-agent-service stop)\n"+
				"or start it anew:  eval $(oidc-agent-service restart)")
	}
	r.announce(os.Stdout)
	return nil
}

// stop ends the agent, if there is one, and prints the commands that make the shell forget it.
func (s *service) stop(stdout io.Writer) (found bool, err error) {
	r := s.find()
	if r == nil {
		return false, nil
	}
	if r.err != nil && r.pidFile == "" { // it may be a service manager's socket whose agent does not come
		return false, r.err
	}
	if err := end(r.pid, finishTimeout+time.Second); err != nil {
		return false, err
	}
	os.Remove(filepath.Dir(r.path)) // stays where something else is in it
	fmt.Fprintf(stdout, "unset OIDC_SOCK;\nunset OIDCD_PID;\necho Agent pid %d killed;\nunset OIDCD_PID_FILE;\n", r.pid)
	return true, nil
}

// restart may find an agent that its service manager has started again meanwhile.
func (s *service) restart(stdout io.Writer) error {
	options := s.options
	if r := s.find(); r != nil && s.sameOptions {
		if answer, err := askStatus(r.path, ipc.RequestStatusJSON); err == nil { // a locked agent does not tell
			options = strings.Fields(answer.Object("info").Text("command_line_options"))
		}
	}
	if _, err := s.stop(stdout); err != nil {
		return err
	}
	return s.use(options, stdout)
}

func (s *service) status(asJSON bool) error {
	r := s.find()
	if r == nil {
		return cli.WithHint(errors.New("no agent runs"), "Start one:  eval $(oidc-agent-service use)")
	}
	s.close()
	return printStatus(r.path, asJSON)
}
