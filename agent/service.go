package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"oidc-agent/proto/account"
	"oidc-agent/proto/cli"
	"oidc-agent/proto/ipc"
)

// oidc-agent-service and oidc-keychain are other names of this program: one agent for all shells of a user on a
// machine. Where it listens stands in a file of the user, for shells may differ in TMPDIR and XDG_RUNTIME_DIR; that
// it lives, and its pid, is learnt from the socket alone.

const serviceUsage = "use | start | restart | restart-s | stop | kill | status"

func runService(args []string) error {
	var asJSON bool
	p := &cli.Program{
		Name:    "oidc-agent-service",
		Version: version,
		ArgsDoc: serviceUsage,
		Doc:     "One agent for all shells of a user",
		Footer: "use: find the running agent or start one; start: start one, fail if one runs; stop, kill: end it; " +
			"restart: end it and start one with the same options; restart-s: the same, silently; " +
			"status: print what it says of itself. Use it with  eval $(oidc-agent-service use)",
		Groups:  []string{"General:"},
		MaxArgs: 1,
		Options: []cli.Option{{Long: "json", Set: cli.Flag(&asJSON), Help: "With status: print it as JSON"}},
	}
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
	defer s.place.Close()
	r, stdout := s.find(), io.Writer(os.Stdout)
	switch command := operands[0]; command {
	case "start-from-x":
		if !s.says("START_AGENT_WITH_XSESSION") {
			return nil
		}
	case "use":
	case "start":
		if r != nil && r.err == nil {
			return cli.WithHint(fmt.Errorf("an agent runs already, pid %d", r.pid),
				"Use it:  eval $(oidc-agent-service use)  end it:  eval $(oidc-agent-service stop)\n"+
					"or start it anew:  eval $(oidc-agent-service restart)")
		}
	case "restart-s", "restart":
		if command == "restart-s" {
			stdout = io.Discard
		}
		return s.restart(r, stdout)
	case "stop", "kill":
		return r.stop(stdout)
	case "status":
		if r == nil {
			return cli.WithHint(errNoneRuns, "Start one:  eval $(oidc-agent-service use)")
		}
		return printStatus(r.path, asJSON)
	default:
		return &cli.ExitError{Code: cli.CodeError, Err: p.Refuse(fmt.Sprintf("no such command: %q; there are %s", command, serviceUsage))}
	}
	_, err = s.use(r, s.options(), stdout)
	return err
}

var errNoneRuns = errors.New("no agent runs")

// service is a user's hold on the agent of all his shells. While its file is open no other shell starts or ends it.
type service struct {
	place  *os.File          // locked; the path of the socket stands in it
	values map[string]string // of the options file
}

// options are for an agent that is started.
func (s *service) options() []string { return strings.Fields(s.values["OIDC_AGENT_OPTS"]) }

func (s *service) says(name string) bool { return s.values[name] == "True" }

// serviceTimeout is how long another shell may take to start the agent, or to end it.
const serviceTimeout = 30 * time.Second

func openService() (*service, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	dir, err := account.OpenDir()
	if err != nil {
		return nil, err
	}
	// The file is this machine's, for several may share a home.
	path := filepath.Join(dir.Path(), ".service-"+strings.ReplaceAll(host, "/", "_"))
	place, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("where the agent is noted down: %w", err)
	}
	s := &service{place, map[string]string{"OIDC_AGENT_RESTART_WITH_SAME_OPTS": "True", "START_AGENT_WITH_XSESSION": "True"}}
	err = flock(place, serviceTimeout)
	if err != nil {
		err = fmt.Errorf("%q: another shell that starts or ends the agent does not come to an end", path)
	}
	for _, folder := range [...]string{"/etc/oidc-agent", dir.Path()} {
		if err == nil {
			err = s.configure(filepath.Join(folder, "oidc-agent-service.options"))
		}
	}
	if err != nil {
		place.Close()
		return nil, err
	}
	return s, nil
}

// configure reads assignments of the C tool's options file. That is a shell script there; here it is not run.
func (s *service) configure(path string) error {
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for line := range strings.Lines(string(data)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || strings.HasPrefix(name, "#") {
			continue
		}
		if quote := value[:min(len(value), 1)]; quote == `"` || quote == "'" {
			value, _, _ = strings.Cut(value[1:], quote)
		} else {
			value, _, _ = strings.Cut(value, " #")
		}
		if strings.ContainsAny(value, "$`\\") {
			return fmt.Errorf("%q: %s: this file is not run by a shell: write the value itself", path, name)
		}
		s.values[strings.TrimPrefix(name, "export ")] = strings.TrimSpace(value)
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

// find looks where the agent of the other shells was last, where the systemd unit has its socket, and where another
// tool has put one. It returns nil if there is none.
func (s *service) find() *running {
	noted, _ := io.ReadAll(io.NewSectionReader(s.place, 0, 4096))
	managed := filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "oidc-agent", "oidc-agent.sock")
	for _, path := range [...]string{string(noted), managed, ipc.DefaultSocketPath()} {
		if !filepath.IsAbs(path) {
			continue
		}
		if r := look(path); r != nil {
			return r
		}
	}
	return nil
}

// look asks who listens on a socket. An agent of another user, or one beyond the walls of a container, is none of ours.
func look(path string) *running {
	if uid, _ := listenerOf(path); uid != os.Getuid() {
		return nil
	}
	r := &running{path: path}
	_, r.err = ipc.Call(path, ipc.Request(ipc.RequestCheck), statusTimeout)
	var uid int
	if uid, r.pid = listenerOf(path); uid != os.Getuid() || r.pid <= 1 { // by now the agent itself, no service manager
		return nil
	}
	if pidFile := pidFileOf(path); isPID(pidFile, r.pid) {
		r.pidFile = pidFile
	}
	return r
}

func pidFileOf(socket string) string { return filepath.Join(filepath.Dir(socket), "oidc-agent.pid") }

func isPID(path string, pid int) bool {
	text, err := os.ReadFile(path)
	return err == nil && strings.TrimSpace(string(text)) == strconv.Itoa(pid)
}

// listenerOf returns the user and the pid of who listens; -1 if nobody does.
func listenerOf(path string) (uid, pid int) {
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return -1, 0
	}
	defer c.Close()
	raw, err := c.SyscallConn()
	if err == nil {
		err = errors.Join(raw.Control(func(fd uintptr) { uid, pid, err = peer(int(fd)) }), err)
	}
	if err != nil {
		return -1, 0
	}
	return uid, pid
}

// use starts an agent if none was found, notes down where it is, and prints how to reach it.
func (s *service) use(r *running, options []string, stdout io.Writer) (*running, error) {
	if r == nil {
		var err error
		if r, err = launch(options); err != nil {
			return nil, err
		}
	} else if r.err != nil {
		return nil, cli.WithHint(r.err, "Start it anew:  eval $(oidc-agent-service restart)")
	}
	// A crash between the two leaves nothing, and that is looked for at the known places.
	if err := s.place.Truncate(0); err != nil {
		return nil, err
	}
	if _, err := s.place.WriteAt([]byte(r.path), 0); err != nil {
		return nil, err
	}
	fmt.Fprint(stdout, exports(r.path, r.pid))
	if r.pidFile != "" {
		fmt.Fprintf(stdout, "OIDCD_PID_FILE=%s; export OIDCD_PID_FILE;\n", shellQuote(r.pidFile))
	}
	fmt.Fprintf(stdout, "echo %d\n", r.pid)
	return r, nil
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
	wanted := s.BindAddress
	if wanted == "" && s.Group == "" { // the folder there is for the user alone
		wanted = ipc.DefaultSocketPath()
	}
	sock, err := listen(wanted, s.Group)
	if err != nil && s.BindAddress == "" {
		sock, err = listen("", s.Group)
	}
	if err != nil {
		return nil, err
	}
	r := &running{path: sock.path, pidFile: pidFileOf(sock.path)}
	r.pid, err = spawn(s, append(slices.Clone(options), "--pid-file="+r.pidFile), sock)
	return r, err
}

// stop ends the agent, if there is one, and prints the commands that make the shell forget it.
func (r *running) stop(stdout io.Writer) error {
	if r == nil {
		return nil
	}
	if r.err != nil && r.pidFile == "" { // it may be a service manager's socket whose agent does not come
		return r.err
	}
	if err := end(r.pid, stdout); err != nil {
		return err
	}
	os.Remove(filepath.Dir(r.path)) // stays where something else is in it
	fmt.Fprint(stdout, "unset OIDCD_PID_FILE;\n")
	return nil
}

// restart may find an agent that its service manager has started again meanwhile.
func (s *service) restart(r *running, stdout io.Writer) error {
	options := s.options()
	if r != nil && s.says("OIDC_AGENT_RESTART_WITH_SAME_OPTS") {
		if _, info, err := askStatus(r.path, true); err == nil { // a locked agent does not tell
			options = strings.Fields(info.Text("command_line_options"))
		}
	}
	if err := r.stop(stdout); err != nil {
		return err
	}
	_, err := s.use(s.find(), options, stdout)
	return err
}
