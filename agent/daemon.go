package main

import (
	"context"
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

	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/cli"
)

// A Go program cannot fork, so the launcher starts itself a second time, in a session of its own, and hands
// over the socket, on which it listens already: the first request after `eval $(oidc-agent)` cannot fail.
const (
	daemonVariable = "_OIDC_AGENT_DAEMON" // "PATH\nFOLDER": what was made for the socket
	listenerFD     = 3
	readyFD        = 4
	readyWord      = "ready"
)

// start brings the agent up behind its socket: in the foreground, in the background, or beside a command.
func start(s settings, args, command []string) error {
	if len(command) == 0 && (s.console || handedOver()) {
		return foreground(s)
	}
	sock, err := listen(s.socketPath, s.group)
	if err != nil {
		return err
	}
	pid, err := spawn(s, args, sock)
	switch {
	case err != nil:
		return err
	case len(command) > 0:
		return become(command, sock.path, pid)
	}
	announce(s, sock.path, pid)
	return nil
}

// foreground is the life of an agent that a service manager or the user at a terminal looks after.
func foreground(s settings) error {
	if err := prepare(); err != nil {
		return err
	}
	s.console, s.logStderr = true, true
	var sock *socket
	var err error
	managed := handedOver()
	if managed {
		sock, err = activated()
	} else {
		sock, err = listen(s.socketPath, s.group)
	}
	if err != nil {
		return err
	}
	return serveUntilSignal(s, sock, func() {
		if !managed {
			announce(s, sock.path, os.Getpid())
		}
	})
}

// announce prints what the shell evaluates.
func announce(s settings, path string, pid int) {
	if s.json {
		os.Stdout.Write(cjson.New().SetText("socket", path).SetText("dpid", strconv.Itoa(pid)).Layout())
		return
	}
	fmt.Print(exports(path, pid))
	if !s.quiet {
		fmt.Print("echo Agent pid $OIDCD_PID\n")
	}
}

// exports are the shell's commands that lead programs to an agent.
func exports(path string, pid int) string {
	return fmt.Sprintf("OIDC_SOCK=%s; export OIDC_SOCK;\nOIDCD_PID=%d; export OIDCD_PID;\n", shellQuote(path), pid)
}

// shellQuote leaves a path as the C agent prints it unless the shell would take it apart.
func shellQuote(path string) string {
	if !strings.ContainsAny(path, " \t\n'\"\\$`;&|<>()*?[]{}~#!") {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

// spawn starts the daemon and waits until it says that it is ready, or why not: then the socket goes.
func spawn(s settings, args []string, sock *socket) (pid int, err error) {
	defer func() {
		if err != nil {
			sock.remove()
		}
	}()
	program, err := cli.Executable()
	if err != nil {
		return 0, fmt.Errorf("find my own program file: %w", err)
	}
	ready, tell, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer ready.Close()
	nothing, err := nowhere()
	if err != nil {
		return 0, err
	}
	defer nothing.Close()
	daemon := exec.Command(program, args...)
	daemon.Stdin, daemon.Stdout, daemon.Stderr = nothing, nothing, nothing
	if s.logStderr {
		daemon.Stderr = os.Stderr
	}
	daemon.Env = append(environment(), daemonVariable+"="+strings.Join(sock.made, "\n"))
	daemon.ExtraFiles = []*os.File{sock.listener, tell}
	daemon.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
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

// nowhere is what a daemon has instead of a terminal: /dev/null, or where there is no /dev, a pipe without another end.
func nowhere() (*os.File, error) {
	f, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err == nil {
		return f, nil
	}
	end, f, err := os.Pipe()
	if err == nil {
		end.Close()
	}
	return f, err
}

// become replaces the launcher by the user's command, with the agent behind it.
func become(command []string, path string, pid int) error {
	program, err := cli.LookPath(command[0])
	if err == nil {
		os.Setenv("OIDC_SOCK", path)
		os.Setenv("OIDCD_PID", strconv.Itoa(pid))
		err = fmt.Errorf("run %q: %w", command[0], syscall.Exec(program, command, os.Environ()))
	}
	syscall.Kill(pid, syscall.SIGTERM)
	return &cli.ExitError{Code: 255, Err: err}
}

// runDaemon is the second start: the socket is there, the launcher waits for a word, and may become a command then.
func runDaemon(s settings, beside bool) error {
	tell := os.NewFile(readyFD, "ready")
	made := strings.Split(os.Getenv(daemonVariable), "\n")
	os.Unsetenv(daemonVariable)
	launcher := os.Getppid() // it becomes the command beside which the agent is started
	prepared()
	listener, path, err := inherited()
	if err == nil {
		err = os.Chdir("/") // whose file system may be taken away
	}
	if err == nil {
		err = serveUntilSignal(s, &socket{listener, path, made}, func() {
			if beside {
				go endWith(launcher)
			}
			io.WriteString(tell, readyWord)
			tell.Close()
		})
	}
	if err != nil {
		fmt.Fprintln(tell, err)
	}
	return err
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
func serveUntilSignal(s settings, sock *socket, ready func()) error {
	defer sock.remove()
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
	ready()
	a.log.debugf("listening on %s", sock.path)
	if err := notify("READY=1"); err != nil {
		a.log.warning("NOTIFY_SOCKET: %v", err)
	}
	asking, hangUp := context.WithCancel(context.Background())
	defer hangUp()
	served := make(chan struct{})
	go func() { a.serve(asking, sock.listener); close(served) }()
	end := <-ends
	_ = notify("STOPPING=1") // who does not hear it sees the end itself
	sock.remove()
	hangUp()
	last, cancel := context.WithTimeout(context.Background(), finishTimeout)
	defer cancel()
	a.finish(last)
	select { // the last answers are on their way
	case <-served:
	case <-last.Done():
	}
	if end == syscall.SIGINT {
		return &cli.ExitError{Code: 128 + int(syscall.SIGINT)}
	}
	return nil
}
