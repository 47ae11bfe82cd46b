package main

import (
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"
	"unsafe"

	"oidc-agent/proto/cjson"
	"oidc-agent/proto/cli"
	"oidc-agent/proto/ipc"
)

// The password of an account that is not loaded is asked for where the user is. So the agent is told not to
// open a window (a C agent does so anyway), and oidc-add asks, on the terminal or with the askpass program of
// this environment. Only if there is neither, the agent is asked again, to load the account itself: with a
// window of its own, or with gpg.

// obtain asks the agent for a token and loads the account first if necessary.
func obtain(r *request, question *cjson.Object) (*cjson.Object, error) {
	answer, err := r.call(question.SetInt(ipc.KeyNoAutoload, 1))
	if !errors.Is(err, ipc.ErrNotLoaded) || r.noAutoload || r.remote {
		return answer, err
	}
	name := r.name
	if isIssuer(name) {
		name = answer.Text(ipc.KeyAccount)
	}
	source, found := r.passwordSource()
	switch {
	case answer.Bool(ipc.KeyNoAutoload): // a setting of the agent
		return nil, notLoaded(err, name)
	case found && name != "":
		if err := load(name, source); err != nil {
			return nil, err
		}
	default:
		question.Delete(ipc.KeyNoAutoload)
	}
	answer, err = r.call(question)
	return answer, notLoaded(err, name)
}

// notLoaded adds the command that loads the account to the error of an account that is not loaded.
func notLoaded(err error, name string) error {
	if errors.Is(err, ipc.ErrNotLoaded) && name != "" {
		return &ipc.Failure{Text: err.Error(), Info: "Load the account:  oidc-add " + shellWord(name)}
	}
	return err
}

// passwordSource returns the options that tell oidc-add where to get the password: none if it is to ask on the
// terminal. When to ask in a window is decided as in ssh(1).
func (r *request) passwordSource() (options []string, found bool) {
	if len(r.password) > 0 {
		return r.password, true
	}
	terminal, require := inForeground(), os.Getenv("SSH_ASKPASS_REQUIRE")
	window := os.Getenv("OIDC_ASKPASS") != "" || cli.SSHAskpass() != ""
	if window && (!terminal || require == "force" || require == "prefer") {
		return []string{"--pw-prompt=gui"}, true
	}
	return nil, terminal
}

// inForeground reports whether there is a terminal that we may ask on. A process in the background must not: it
// would be stopped.
func inForeground() bool {
	terminal, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer terminal.Close()
	var group int32 // pid_t
	// tcgetpgrp(3), without x/sys/unix, which would link package reflect.
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, terminal.Fd(), syscall.TIOCGPGRP, uintptr(unsafe.Pointer(&group)))
	return errno == 0 && int(group) == syscall.Getpgrp()
}

// load runs oidc-add. Its standard output must not end up in ours. If the user interrupts it, oidc-add restores
// the terminal first, and then we end as it did.
func load(name string, options []string) error {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, syscall.SIGINT, syscall.SIGQUIT)
	defer signal.Stop(interrupts)
	add, err := startAdd([]*os.File{os.Stdin, null, os.Stderr}, append(options, "--", name)...)
	if err != nil {
		return err
	}
	state, err := add.Wait()
	if err != nil {
		return err
	}
	return ended(state)
}

// ended makes us end as a child has ended. A signal that is meant to end programs ends us too, so that a shell
// stops its script and a batch system sees its own signal. Otherwise the result is an ExitError with the code
// that a shell has for it, and no text, because the child has printed the reason.
func ended(state *os.ProcessState) error {
	status := state.Sys().(syscall.WaitStatus)
	switch s := status.Signal(); {
	case state.Success():
		return nil
	case status.Exited():
		return &cli.ExitError{Code: status.ExitStatus()}
	case s == syscall.SIGINT, s == syscall.SIGTERM, s == syscall.SIGHUP:
		signal.Reset(s)
		syscall.Kill(os.Getpid(), s)
		time.Sleep(time.Second) // the signal may be delivered to another thread
	}
	return &cli.ExitError{Code: 128 + int(status.Signal())}
}
