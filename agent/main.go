//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0

// oidc-agent is the daemon that holds a user's OpenID Connect accounts: the only program that speaks to
// providers. oidc-gen and oidc-add bring accounts to it, oidc-token and everything that speaks the same
// protocol gets access tokens from it, all over one Unix socket.
//
// Start reading in requests.go, the table of what can be asked; a token request goes on in refresh.go, a
// new refresh token to disk in file.go, a login in login.go. daemon.go and socket.go start and end the
// process.
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

// version is set when the program is linked.
var version = "unknown"

func main() { os.Exit(cli.Report(os.Stdout, os.Stderr, run(filepath.Base(os.Args[0]), os.Args[1:]))) }

// run is what the program does under the name by which it was called.
func run(name string, args []string) error {
	daemon := os.Getenv(daemonVariable) != ""
	switch {
	case daemon:
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

// kill ends the agent that the environment names.
func kill() error {
	text, set := os.LookupEnv("OIDCD_PID")
	if !set {
		return cli.WithHint(errors.New("OIDCD_PID not set, cannot kill Agent"), "The agent of oidc-agent-service:  eval $(oidc-agent-service stop)")
	}
	pid, err := strconv.Atoi(text)
	if err != nil || pid <= 1 { // 0 and below would hit a whole process group
		return cli.WithHint(fmt.Errorf("kill: OIDCD_PID is %q: No such process", text), forgetAgent)
	}
	return end(pid, os.Stdout)
}

const forgetAgent = "That agent has ended. Make the shell forget it:  unset OIDC_SOCK OIDCD_PID"

// endTimeout is how long an agent that is told to end is waited for. Its socket goes at once; a grant at work may take
// longer, and nobody has to wait for that.
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
	for deadline := time.Now().Add(endTimeout); time.Now().Before(deadline) && !ended(pid); time.Sleep(5 * time.Millisecond) {
	}
	fmt.Fprintf(stdout, "unset OIDC_SOCK;\nunset OIDCD_PID;\necho Agent pid %d killed;\n", pid)
	return nil
}

// ended reports whether a process is gone, or dead and only waits for its parent to look (proc_pid_stat(5)).
func ended(pid int) bool {
	stat, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return syscall.Kill(pid, 0) != nil || bytes.Contains(stat, []byte(") Z "))
}

const statusTimeout = 5 * time.Second

func askStatus(path, name string) (*cjson.Object, error) {
	answer, err := ipc.Call(path, ipc.Request(name), statusTimeout)
	if err != nil {
		return nil, err
	}
	return answer, ipc.Check(answer)
}

func printStatus(path string, asJSON bool) error {
	if !asJSON {
		answer, err := askStatus(path, ipc.RequestStatus)
		if err == nil {
			_, err = fmt.Print(cli.Printable(answer.Text(ipc.KeyInfo)))
		}
		return err
	}
	answer, err := askStatus(path, ipc.RequestStatusJSON)
	if err == nil {
		_, err = os.Stdout.Write(answer.Object(ipc.KeyInfo).Compact())
	}
	return err
}
