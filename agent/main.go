//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0

// oidc-agent is the daemon that holds a user's OpenID Connect accounts: the only program that speaks to
// providers. oidc-gen and oidc-add bring accounts to it, oidc-token and everything that speaks the same
// protocol gets access tokens from it, all over one Unix socket.
//
// Start reading in requests.go, the table of what can be asked; a token request goes on in refresh.go, a
// new refresh token to disk in rotate.go, a login in login.go. daemon.go and socket.go start and end the
// process.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"oidc-agent/proto/cjson"
	"oidc-agent/proto/cli"
	"oidc-agent/proto/ipc"
)

// version is set when the program is linked.
var version = "unknown"

func main() { os.Exit(cli.Report(os.Stdout, os.Stderr, run(os.Args[1:]))) }

func run(args []string) error {
	s, command, err := parse(args)
	switch {
	case err != nil:
		return err
	case os.Getenv(daemonVariable) != "":
		return runDaemon(s)
	case s.kill:
		return kill()
	case s.status:
		return printStatus(s.json)
	default:
		return start(s, args, command)
	}
}

// kill ends the agent that the environment names and prints the commands that make the shell forget it.
func kill() error {
	text, set := os.LookupEnv("OIDCD_PID")
	if !set {
		return errors.New("OIDCD_PID not set, cannot kill Agent")
	}
	pid, err := strconv.Atoi(text)
	if err != nil || pid <= 1 { // 0 and below would hit a whole process group
		return fmt.Errorf("kill: OIDCD_PID is %q: No such process", text)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return fmt.Errorf("kill %d: %w", pid, err)
	}
	// The agent removes its socket; a script that goes on should not find it any more.
	for deadline := time.Now().Add(2 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if syscall.Kill(pid, 0) != nil {
			break
		}
	}
	fmt.Printf("unset OIDC_SOCK;\nunset OIDCD_PID;\necho Agent pid %d killed;\n", pid)
	return nil
}

const statusTimeout = 5 * time.Second

func printStatus(asJSON bool) error {
	name := "status"
	if asJSON {
		name = "status_json"
	}
	ctx, cancel := context.WithTimeout(context.Background(), statusTimeout)
	defer cancel()
	answer, err := ipc.Call(ctx, ipc.SocketPath(), cjson.New().SetText("request", name))
	if err != nil {
		return err
	}
	if asJSON {
		_, err = os.Stdout.Write(answer.Object("info").Compact())
		return err
	}
	_, err = fmt.Print(answer.Text("info"))
	return err
}
