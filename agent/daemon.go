package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/cli"
)

// A Go program cannot fork, so the launcher starts itself a second time, in a session of its own, and hands
// over the socket, on which it listens already: the first request after `eval $(oidc-agent)` cannot fail.
const (
	daemonVariable = "_OIDC_AGENT_DAEMON" // "PATH\nFOLDER\nPID": the socket, its folder, the command to outlive by nothing
	listenerFD     = 3
	readyFD        = 4
	readyWord      = "ready"
)

// start makes the socket and brings the agent up behind it: in the foreground, in the background, or beside a
// command.
func start(s settings, args, command []string) error {
	activation := handedOver() && len(command) == 0
	foreground := (s.console || activation) && len(command) == 0
	if foreground {
		if err := prepare(); err != nil {
			return err
		}
	}
	if activation {
		sock, err := activated()
		if err != nil {
			return err
		}
		s.console, s.logStderr = true, true
		return serveUntilSignal(s, sock, func() error { return nil })
	}
	umask := syscall.Umask(0o077)
	sock, err := listen(s.socketPath, s.group)
	syscall.Umask(umask) // a command that is started has it
	if err != nil {
		return err
	}
	if foreground {
		s.logStderr = true
		return serveUntilSignal(s, sock, func() error {
			announce(s, sock.path, os.Getpid())
			return nil
		})
	}
	pid, err := spawn(s, args, sock, len(command) > 0)
	if err != nil {
		sock.remove()
		return err
	}
	if len(command) > 0 {
		return become(command, sock.path, pid)
	}
	announce(s, sock.path, pid)
	return nil
}

// announce prints what the shell evaluates.
func announce(s settings, path string, pid int) {
	if s.json {
		os.Stdout.Write(cjson.New().SetText("socket", path).SetText("dpid", strconv.Itoa(pid)).Layout())
		return
	}
	fmt.Printf("OIDC_SOCK=%s; export OIDC_SOCK;\nOIDCD_PID=%d; export OIDCD_PID;\n", shellQuote(path), pid)
	if !s.quiet {
		fmt.Print("echo Agent pid $OIDCD_PID\n")
	}
}

// shellQuote leaves a path as the C agent prints it unless the shell would take it apart.
func shellQuote(path string) string {
	if !strings.ContainsFunc(path, func(r rune) bool { return strings.ContainsRune(" \t\n'\"\\$`;&|<>()*?[]{}~#!", r) }) {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

// spawn starts the daemon and waits until it says that it is ready, or why not.
func spawn(s settings, args []string, sock *socket, beside bool) (pid int, err error) {
	program, err := cli.Executable()
	if err != nil {
		return 0, fmt.Errorf("find my own program file: %w", err)
	}
	ready, tell, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer ready.Close()
	watched := 0
	if beside {
		watched = os.Getpid()
	}
	nothing, nobody, err := nowhere()
	if err != nil {
		return 0, err
	}
	defer nothing.Close()
	defer nobody.Close()
	daemon := exec.Command(program, args...)
	daemon.Stdin, daemon.Stdout, daemon.Stderr = nothing, nobody, nobody
	daemon.Env = append(environment(), fmt.Sprintf("%s=%s\n%s\n%d", daemonVariable, sock.path, sock.folder, watched))
	daemon.ExtraFiles = []*os.File{sock.listener, tell}
	daemon.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	daemon.Dir = "/"
	if s.logStderr {
		daemon.Stderr = os.Stderr
	}
	err = daemon.Start()
	tell.Close()
	if err != nil {
		return 0, fmt.Errorf("start the agent: %w", err)
	}
	said, err := io.ReadAll(io.LimitReader(ready, 4096))
	if err != nil || string(said) != readyWord {
		daemon.Wait()
		return 0, fmt.Errorf("the agent did not start: %s", strings.TrimSpace(string(said)))
	}
	return daemon.Process.Pid, nil
}

// nowhere is what a daemon has instead of a terminal to read from and to write to: /dev/null, or where there is none,
// pipes without another end.
func nowhere() (in, out *os.File, err error) {
	in, err = os.Open(os.DevNull)
	if err == nil {
		out, err = os.OpenFile(os.DevNull, os.O_WRONLY, 0)
		return in, out, err
	}
	in, writer, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	writer.Close()
	reader, out, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	reader.Close()
	return in, out, nil
}

// become replaces the launcher by the user's command, with the agent behind it.
func become(command []string, path string, pid int) error {
	program, err := exec.LookPath(command[0])
	if err == nil {
		os.Setenv("OIDC_SOCK", path)
		os.Setenv("OIDCD_PID", strconv.Itoa(pid))
		err = syscall.Exec(program, command, os.Environ())
	}
	syscall.Kill(pid, syscall.SIGTERM)
	if failed := new(exec.Error); errors.As(err, &failed) {
		err = failed.Err // without the name a second time
	}
	return &cli.ExitError{Code: 255, Err: fmt.Errorf("run %q: %w", command[0], err)}
}

// runDaemon is the second start: the socket is there, the launcher waits for a word.
func runDaemon(s settings) error {
	tell := os.NewFile(readyFD, "ready")
	sock, watched, err := takeOver(os.Getenv(daemonVariable))
	os.Unsetenv(daemonVariable)
	prepared()
	if err == nil {
		err = serveUntilSignal(s, sock, func() error {
			if watched != 0 {
				go endWith(watched)
			}
			io.WriteString(tell, readyWord)
			return tell.Close()
		})
	}
	if err != nil {
		fmt.Fprintln(tell, err)
	}
	return err
}

// takeOver builds the socket from what the launcher handed over.
func takeOver(text string) (sock *socket, watched int, err error) {
	fields := strings.Split(text, "\n")
	if len(fields) != 3 {
		return nil, 0, fmt.Errorf("%s is for internal use", daemonVariable)
	}
	if watched, err = strconv.Atoi(fields[2]); err != nil {
		return nil, 0, err
	}
	unix.CloseOnExec(listenerFD)
	if err := adopt(listenerFD); err != nil {
		return nil, 0, fmt.Errorf("take over the socket: %w", err)
	}
	return &socket{listener: os.NewFile(listenerFD, "listener"), path: fields[0], folder: fields[1]}, watched, nil
}

// endWith ends the agent when the command beside which it was started has ended: the daemon is its child, and
// gets another parent then.
func endWith(parent int) {
	for os.Getppid() == parent {
		time.Sleep(500 * time.Millisecond)
	}
	syscall.Kill(os.Getpid(), syscall.SIGTERM)
}

// finishTimeout is how long an agent that is told to end waits for the grants at work: a provider that has given
// a new refresh token has put the old one out of use.
const finishTimeout = 10 * time.Second

// serveUntilSignal is the life of the agent. ready is called when requests are answered and a signal already
// ends the agent cleanly. A shell in whose foreground the agent was sees that a signal ended it.
func serveUntilSignal(s settings, sock *socket, ready func() error) error {
	syscall.Umask(0o077)
	signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE)
	ends := make(chan os.Signal, 1)
	signal.Notify(ends, syscall.SIGTERM, syscall.SIGINT)
	harden()
	debug.SetMemoryLimit(memoryLimit)
	notify := notifier()
	a, err := newAgent(s, sock.path, newLogger(s.logStderr, s.debug))
	if err != nil {
		return err
	}
	if s.pidFile != "" {
		pid := os.Getpid()
		if err := account.WriteFile(s.pidFile, strconv.AppendInt(nil, int64(pid), 10)); err != nil {
			return err
		}
		defer func() {
			if isPID(s.pidFile, pid) { // and not another agent's
				os.Remove(s.pidFile)
			}
		}()
	}
	if err := ready(); err != nil {
		return err
	}
	a.log.debugf("listening on %s", sock.path)
	if err := notify("READY=1"); err != nil {
		a.log.warning("NOTIFY_SOCKET: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	served := make(chan error, 1)
	go func() { served <- a.serve(ctx, sock.listener) }()
	select {
	case err = <-served:
		sock.remove()
		return err
	case end := <-ends:
		_ = notify("STOPPING=1") // who does not hear it sees the end itself
		sock.remove()
		last, cancel := context.WithTimeout(context.Background(), finishTimeout)
		defer cancel()
		a.finish(last)
		if end == syscall.SIGINT {
			return &cli.ExitError{Code: 128 + int(syscall.SIGINT)}
		}
		return nil
	}
}

// memoryLimit is where the collector, who otherwise lets the heap double, begins to work harder, in bytes. What clients
// can make the agent hold at a time is below it.
const memoryLimit = 40 << 20
