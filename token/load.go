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

// Who asks for the password of an account that is not loaded? Whoever has the terminal. So the agent is asked not to
// open a window of its own (a C agent does all the same), and oidc-add asks, on the terminal or by the askpass program
// of this environment. Only where there is neither the agent is asked again, to load the account as it can: with a
// window of its own, or with gpg.

// obtain asks for a token and loads the account if it must.
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
	case answer.Bool(ipc.KeyNoAutoload): // the agent's own setting
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

// notLoaded puts the account's name into the command that helps.
func notLoaded(err error, name string) error {
	if errors.Is(err, ipc.ErrNotLoaded) && name != "" {
		return &ipc.Failure{Text: err.Error(), Info: "Load the account:  oidc-add " + shellWord(name)}
	}
	return err
}

// passwordSource is what oidc-add is told about the password: nothing where it asks on the terminal. The rules for
// windows are those of ssh(1).
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

// inForeground reports whether a question on the terminal would reach the user: a process in the background that reads
// there is stopped.
func inForeground() bool {
	terminal, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer terminal.Close()
	var group int32 // pid_t
	// tcgetpgrp(3); x/sys/unix would bring package reflect along.
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, terminal.Fd(), syscall.TIOCGPGRP, uintptr(unsafe.Pointer(&group)))
	return errno == 0 && int(group) == syscall.Getpgrp()
}

// load runs oidc-add, whose standard output must not get into ours. An interrupt is oidc-add's business, which gives
// the terminal back first; then we end as it did.
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

// ended is how a child has ended, for us to end in the same way: by the same signal if it is one that ends programs on
// purpose, so that a shell that runs us stops its script and a batch system sees its own signal; else with the code that
// a shell has for it. It has told why itself.
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
		time.Sleep(time.Second) // it may come to another thread
	}
	return &cli.ExitError{Code: 128 + int(status.Signal())}
}
