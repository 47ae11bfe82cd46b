//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0

// oidc-agent is the daemon that holds a user's OpenID Connect accounts. It is the only program that talks to
// providers. oidc-gen and oidc-add bring accounts to it; oidc-token, and everything else that speaks the same
// protocol, gets access tokens from it. All of that goes over one Unix socket. No other package imports this one.
//
// Start reading in requests.go, the table of requests. From there a token request continues in refresh.go, a new
// refresh token reaches the disk in file.go, and a login runs in login.go. The process starts and ends in daemon.go
// and socket.go.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"oidc-agent/proto/cjson"
	"oidc-agent/proto/cli"
	"oidc-agent/proto/ipc"
)

// version is set by the linker.
var version = "unknown"

func main() { os.Exit(cli.Report(os.Stdout, os.Stderr, run(filepath.Base(os.Args[0]), os.Args[1:]))) }

// run runs the program that goes by name: oidc-agent, oidc-agent-service or oidc-keychain.
func run(name string, args []string) error {
	if err := absoluteVariables(); err != nil {
		return err
	}
	daemon := os.Getenv(daemonVariable) != ""
	switch {
	case daemon: // whatever its name
	case name == "oidc-agent-service":
		return runService(args)
	case name == "oidc-keychain":
		return runKeychain(args)
	}
	s, command, err := parse(args)
	switch {
	case err != nil:
		return err
	case daemon:
		return runDaemon(s, len(command) > 0)
	case s.kill:
		return kill()
	case s.status:
		return printStatus(ipc.SocketPath(), s.json)
	}
	return start(s, args, command)
}

// kill ends the agent that OIDCD_PID names.
func kill() error {
	text, set := os.LookupEnv("OIDCD_PID")
	if !set {
		return cli.WithHint(errors.New("OIDCD_PID not set, cannot kill Agent"),
			"End the agent of oidc-agent-service:  eval $(oidc-agent-service stop)")
	}
	pid, err := strconv.Atoi(text)
	if err != nil || pid <= 1 { // 0 and below would signal a whole process group
		return cli.WithHint(fmt.Errorf("kill: OIDCD_PID is %q: No such process", text), forgetAgent)
	}
	return end(pid, os.Stdout)
}

const forgetAgent = "That agent has ended. Make the shell forget it:  unset OIDC_SOCK OIDCD_PID"

// endTimeout bounds the wait for an agent that was told to end. It closes its socket at once. A grant in progress may
// take longer, but nobody needs to wait for that.
const endTimeout = 2 * time.Second

// end ends an agent and prints the commands that make the shell forget it.
func end(pid int, stdout io.Writer) error {
	err := syscall.Kill(pid, syscall.SIGTERM)
	switch {
	case errors.Is(err, syscall.ESRCH):
		return cli.WithHint(fmt.Errorf("kill %d: %w", pid, err), forgetAgent)
	case err != nil:
		return fmt.Errorf("kill %d: %w", pid, err)
	}
	for deadline := time.Now().Add(endTimeout); !ended(pid) && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
	fmt.Fprintf(stdout, "unset OIDC_SOCK;\nunset OIDCD_PID;\necho Agent pid %d killed;\n", pid)
	return nil
}

// ended reports whether a process is gone, or is a zombie (proc_pid_stat(5)).
func ended(pid int) bool {
	stat, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return syscall.Kill(pid, 0) != nil || bytes.Contains(stat, []byte(") Z "))
}

const statusTimeout = 5 * time.Second

func printStatus(path string, asJSON bool) error {
	text, info, err := askStatus(path, asJSON)
	switch {
	case err != nil:
	case asJSON:
		_, err = os.Stdout.Write(info.Compact())
	default:
		_, err = fmt.Print(cli.Printable(text))
	}
	return err
}

// askStatus returns the status of the agent at a socket: text, or info if asked for JSON.
func askStatus(path string, asJSON bool) (text string, info *cjson.Object, err error) {
	request := ipc.RequestStatus
	if asJSON {
		request = ipc.RequestStatusJSON
	}
	answer, err := ipc.Call(path, ipc.Request(request), statusTimeout)
	if err == nil {
		err = ipc.Check(answer)
	}
	if err != nil {
		return "", nil, err
	}
	text, info = answer.Text(ipc.KeyInfo), answer.Object(ipc.KeyInfo)
	if asJSON && info == nil || !asJSON && text == "" {
		err = fmt.Errorf("the program at %q is not oidc-agent: its answer has no %s", path, ipc.KeyInfo)
	}
	return text, info, err
}
