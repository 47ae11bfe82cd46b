package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/cli"
)

// A Go program cannot fork. The launcher starts itself a second time instead, in a session of its own, and hands over
// the socket. It listens on that already, so the first request after `eval $(oidc-agent)` cannot fail.
const (
	daemonVariable = "_OIDC_AGENT_DAEMON" // "PATH\nFOLDER": what was created for the socket
	listenerFD     = 3
	readyFD        = 4
	readyWord      = "ready"
)

// absoluteVariables makes paths in the environment absolute: the daemon changes its working directory before it uses
// them.
func absoluteVariables() error {
	for _, name := range [...]string{"OIDC_CONFIG_DIR", "OIDC_USER_CONFIG", "SSL_CERT_FILE", "X509_CERT_DIR"} {
		if value := os.Getenv(name); value != "" {
			path, err := filepath.Abs(value)
			if err != nil {
				return fmt.Errorf("%s is %q: %w", name, value, err)
			}
			os.Setenv(name, path)
		}
	}
	return nil
}

// start starts the agent: in the foreground, in the background, or beside a command.
func start(s settings, args, command []string) error {
	if len(command) == 0 && (s.console || handedOver()) {
		return foreground(s)
	}
	sock, err := listen(s.BindAddress, s.Group)
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

// foreground runs an agent that a service manager, or the user at a terminal, looks after.
func foreground(s settings) error {
	if err := prepare(); err != nil {
		return err
	}
	s.console, s.logStderr = true, true
	if handedOver() {
		sock, err := activated()
		if err != nil {
			return err
		}
		return serveUntilSignal(s, sock, func() {})
	}
	sock, err := listen(s.BindAddress, s.Group)
	if err != nil {
		return err
	}
	return serveUntilSignal(s, sock, func() { announce(s, sock.path, os.Getpid()) })
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

// exports returns the shell commands that lead programs to an agent.
func exports(path string, pid int) string {
	return fmt.Sprintf("OIDC_SOCK=%s; export OIDC_SOCK;\nOIDCD_PID=%d; export OIDCD_PID;\n", shellQuote(path), pid)
}

// shellQuote leaves a path as the C agent prints it unless the shell would interpret it.
func shellQuote(path string) string {
	if !strings.ContainsAny(path, " \t\n'\"\\$`;&|<>()*?[]{}~#!") {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

// spawn starts the daemon and waits until it reports that it is ready. If it is not, the socket is removed.
func spawn(s settings, args []string, sock *socket) (pid int, err error) {
	defer func() {
		if err != nil {
			sock.remove()
		}
	}()
	program, err := cli.Executable()
	if err != nil {
		return 0, fmt.Errorf("find the file of this program: %w", err)
	}
	ready, tell, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer ready.Close()
	null, err := openNull()
	if err != nil {
		return 0, err
	}
	defer null.Close()
	daemon := exec.Command(program, args...)
	daemon.Stdin, daemon.Stdout, daemon.Stderr = null, null, null
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

// openNull opens /dev/null, or where there is no /dev, a pipe whose other end is closed.
func openNull() (*os.File, error) {
	if f, err := os.OpenFile(os.DevNull, os.O_RDWR, 0); err == nil {
		return f, nil
	}
	r, w, err := os.Pipe()
	if err == nil {
		r.Close()
	}
	return w, err
}

// become replaces the launcher with the user's command, which has the agent as its child.
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

// runDaemon is the second start. The launcher waits for a word on readyFD; beside says that it then becomes a command.
func runDaemon(s settings, beside bool) error {
	tell := os.NewFile(readyFD, "ready")
	made := strings.Split(os.Getenv(daemonVariable), "\n")
	os.Unsetenv(daemonVariable)
	launcher := os.Getppid()
	prepared()
	listener, path, err := inherited()
	if err == nil {
		err = os.Chdir("/") // do not keep a file system from being unmounted
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

// endWith ends the agent when the command beside it has ended: the daemon is its child, and then gets another parent.
func endWith(parent int) {
	for os.Getppid() == parent {
		time.Sleep(500 * time.Millisecond)
	}
	syscall.Kill(os.Getpid(), syscall.SIGTERM)
}

// finishTimeout bounds how long an agent that was told to end waits for the grants in progress: a provider that has
// issued a new refresh token no longer accepts the old one.
const finishTimeout = 10 * time.Second

// serveUntilSignal serves requests until a signal ends the agent. It calls ready when it answers requests, and signals
// end it cleanly. A SIGINT, which comes from a terminal, is reported as the exit code.
func serveUntilSignal(s settings, sock *socket, ready func()) error {
	defer sock.remove()
	syscall.Umask(0o077)
	signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE)
	ends := make(chan os.Signal, 1)
	signal.Notify(ends, syscall.SIGTERM, syscall.SIGINT)
	harden()
	debug.SetMemoryLimit(memoryLimit)
	notify := notifier()
	a := newAgent(s, sock.path, newLogger(s.logStderr, s.DebugLogging))
	if s.pidFile != "" {
		pid := os.Getpid()
		if err := account.WriteFile(s.pidFile, []byte(strconv.Itoa(pid))); err != nil {
			return err
		}
		defer func() {
			if isPID(s.pidFile, pid) { // it may be another agent's by now
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
	_ = notify("STOPPING=1") // a service manager that misses this sees the process end
	sock.remove()
	hangUp()
	last, cancel := context.WithTimeout(context.Background(), finishTimeout)
	defer cancel()
	a.finish(last)
	select { // the last answers are still being written
	case <-served:
	case <-last.Done():
	}
	if end == syscall.SIGINT {
		return &cli.ExitError{Code: 128 + int(syscall.SIGINT)}
	}
	return nil
}
