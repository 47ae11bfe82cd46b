// Package prompt asks the user questions on the terminal and gets passwords from the sources that the user named.
// oidc-add and oidc-gen import it, and oidc-agent for its windows. oidc-token does not: it runs oidc-add. Start
// with [Decrypt], [Line] and [Confirm].
package prompt

// The rules of the terminal:
//
//   - Questions are written to /dev/tty and answers are read from it. Standard input and output may be pipes of a
//     script, where neither a question nor a password belongs.
//   - Without a controlling terminal a question fails at once with ErrNoTerminal. Only the answer to a yes-or-no
//     question is then read from standard input, because scripts rely on that with the C tools.
//   - While the user types a password, echo is off, and we write the newline that is not echoed.
//   - The terminal is restored however the question ends. SIGINT, SIGTERM and SIGHUP restore it and then end the
//     process by the same signal, so that the shell sees what happened; SIGQUIT ends it with the exit code that a
//     shell has for it. SIGTSTP restores it before the process stops, and the question is asked again afterwards.
//   - The end of the input (Ctrl-D) is errNoInput, not an empty answer.

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

// ErrNoTerminal means that the process has no controlling terminal.
var ErrNoTerminal = errors.New("there is no terminal to ask on")

var errNoInput = errors.New("no input")

// openTerminal opens the controlling terminal.
func openTerminal() (*os.File, error) {
	f, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, ErrNoTerminal
	}
	return f, nil
}

// Line shows the text, reads the answer on the same line, and returns it without the newline.
func Line(text string) (string, error) {
	line, err := ask(text, false)
	return string(line), err
}

// Password is like Line, but without echo, which is turned off before the text is shown.
func Password(text string) (secret.Secret, error) {
	line, err := ask(text, true)
	return secret.New(line), err
}

// ask shows the text and reads a line. It works even if another program left the terminal raw.
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
			act(s) // returns only if the process was stopped
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
	restore() // before signal.Stop, so that a signal in between finds the terminal restored
	signal.Stop(signals)
	close(signals)
	watch.Wait()
	restore()
	return line, err
}

// readLine reads a line without making copies, because it may be a password. The kernel limits lines to 4095 bytes.
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

// act does what the signal does by default. To stop the process it sends SIGSTOP, which cannot be caught, and
// waits for SIGCONT, because kill may return before all threads have stopped.
func act(s os.Signal) {
	if s == syscall.SIGTSTP {
		continued := make(chan os.Signal, 1)
		signal.Notify(continued, syscall.SIGCONT)
		defer signal.Stop(continued)
		syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		<-continued
		return
	}
	if s == syscall.SIGQUIT {
		os.Exit(128 + int(syscall.SIGQUIT)) // the signal itself would make the runtime print all stacks
	}
	signal.Reset(s)
	syscall.Kill(os.Getpid(), s.(syscall.Signal))
	select {} // the signal ends the process
}
