// Package prompt asks the user on his terminal and gets passwords from where he said they are. oidc-add and oidc-gen
// enter; oidc-token does not, which runs oidc-add instead. Start with Decrypt, Line and Confirm.
package prompt

// The rules of the terminal:
//
//   - Questions are written to /dev/tty and answers read from it, whatever standard input and output are: both may be
//     pipes of a script, and a token or a password must not end up in them. Standard output stays clean.
//   - Without a controlling terminal nobody is asked: ErrNoTerminal, at once. Only the answer to a question of
//     yes or no is then read from standard input, for scripts that do so with the C tools.
//   - While a password is typed, echo is off; the newline that is not echoed is written by us.
//   - The terminal is left as it was however the question ends: SIGINT, SIGTERM and SIGHUP restore it and then end the
//     process by the same signal, so that the shell sees what happened; SIGQUIT with the exit code that a shell has for
//     it. SIGTSTP restores it before the process stops, and the question is asked again when it goes on.
//   - End of input (Ctrl-D) is errNoInput, not an empty answer.

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"oidc-agent/proto/secret"
)

// Reasons why there is no answer.
var (
	ErrNoTerminal = errors.New("there is no terminal to ask on")
	errNoInput    = errors.New("no input")
)

// openTerminal is the one place that finds the terminal.
func openTerminal() (*os.File, error) {
	f, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, ErrNoTerminal
	}
	return f, nil
}

// Line writes the text, which stands before the answer in the same line, and returns the line that was typed without
// its end.
func Line(text string) (string, error) {
	line, err := ask(text, false)
	return string(line), err
}

// Password is Line without echo, which is off before the text is there to be answered.
func Password(text string) (secret.Secret, error) {
	line, err := ask(text, true)
	return secret.New(line), err
}

// ask asks, and sets the terminal for an answer even if somebody left it raw.
func ask(text string, hidden bool) (line []byte, err error) {
	f, err := openTerminal()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fd := int(f.Fd())
	before, err := unix.IoctlGetTermios(fd, ioctlGetTermios)
	if err != nil {
		return nil, fmt.Errorf("terminal: %w", err)
	}
	restore := func() { unix.IoctlSetTermios(fd, ioctlSetTermios, before) }
	prepare := func() error {
		t := *before
		t.Lflag |= unix.ECHO | unix.ICANON | unix.ISIG
		if hidden {
			t.Lflag &^= unix.ECHO
		}
		t.Iflag |= unix.ICRNL
		return unix.IoctlSetTermios(fd, ioctlSetTermios, &t)
	}
	signals := make(chan os.Signal, 1)
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGTSTP} {
		if !signal.Ignored(s) { // nohup
			signal.Notify(signals, s)
		}
	}
	var watch sync.WaitGroup
	watch.Go(func() {
		for s := range signals {
			restore()
			f.WriteString("\n")
			act(s) // comes back if the process was only stopped
			prepare()
			f.WriteString(text)
		}
	})
	if err = prepare(); err != nil {
		err = fmt.Errorf("terminal: %w", err)
	} else {
		f.WriteString(text)
		line, err = readLine(f)
		if hidden || err != nil {
			f.WriteString("\n")
		}
	}
	restore() // before the signals are given back: one that comes in between is not lost
	signal.Stop(signals)
	close(signals)
	watch.Wait()
	restore()
	return line, err
}

// readLine makes no copies of what may be a password. The kernel ends a terminal's lines at 4095 bytes.
func readLine(f *os.File) ([]byte, error) {
	line, err := bufio.NewReaderSize(f, 4096).ReadSlice('\n')
	switch {
	case err == nil, err == io.EOF && len(line) > 0:
		return bytes.TrimSuffix(line, []byte("\n")), nil
	case err == io.EOF:
		return nil, errNoInput
	}
	clear(line)
	return nil, fmt.Errorf("terminal: %w", err)
}

// act does what the signal would have done without us. The process is stopped by SIGSTOP, which cannot be caught, and
// goes on at SIGCONT: kill may return before all threads stand.
func act(s os.Signal) {
	if s == syscall.SIGTSTP {
		goOn := make(chan os.Signal, 1)
		signal.Notify(goOn, syscall.SIGCONT)
		defer signal.Stop(goOn)
		syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		<-goOn
		return
	}
	if s == syscall.SIGQUIT {
		os.Exit(128 + int(syscall.SIGQUIT)) // by the signal itself the runtime would print all its stacks
	}
	signal.Reset(s)
	syscall.Kill(os.Getpid(), s.(syscall.Signal))
	select {} // the signal ends the process
}
