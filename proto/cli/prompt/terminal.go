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
//   - Echo comes back however the question ends: SIGINT, SIGTERM, SIGHUP and SIGQUIT restore the terminal and then end
//     the process by the same signal, so that the shell sees what happened. SIGTSTP restores it before the process
//     stops, and the question is asked again when it goes on.
//   - End of input (Ctrl-D) is ErrNoInput, not an empty answer.
//   - A context that ends takes the question back.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"oidc-agent/proto/secret"
)

// Reasons why there is no answer.
var (
	ErrNoTerminal = errors.New("there is no terminal to ask on")
	ErrNoInput    = errors.New("no input")
)

// maxLine is the longest answer in bytes; the kernel ends lines at 4095.
const maxLine = 64 << 10

// Line writes the text, which stands before the answer in the same line, and returns the line that was typed without
// its end.
func Line(ctx context.Context, text string) (string, error) {
	line, err := ask(ctx, text, false)
	return string(line), err
}

// Password is Line without echo.
func Password(ctx context.Context, text string) (secret.Secret, error) {
	line, err := ask(ctx, text, true)
	return secret.New(line), err
}

// Available reports whether there is a terminal to ask on.
func Available() bool {
	f, err := openTerminal()
	if err != nil {
		return false
	}
	f.Close()
	return true
}

// openTerminal is the one place that finds the terminal.
func openTerminal() (*os.File, error) {
	f, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, ErrNoTerminal
	}
	return f, nil
}

// say writes lines to the terminal, if there is one.
func say(text string) {
	if f, err := openTerminal(); err == nil {
		fmt.Fprint(f, text)
		f.Close()
	}
}

func ask(ctx context.Context, text string, hidden bool) ([]byte, error) {
	f, err := openTerminal()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if hidden {
		h := &hiding{f: f, text: text}
		if err := h.begin(); err != nil {
			return nil, fmt.Errorf("terminal: %w", err)
		}
		defer h.end()
	}
	if _, err := io.WriteString(f, text); err != nil {
		return nil, fmt.Errorf("terminal: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { f.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	line, err := readLine(f)
	if hidden || err != nil {
		io.WriteString(f, "\n")
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return line, err
}

// readLine reads up to the end of the line. The terminal gives a line in one read unless someone left it in raw mode.
func readLine(r io.Reader) ([]byte, error) {
	buf := make([]byte, 0, maxLine)
	for len(buf) < maxLine {
		n, err := r.Read(buf[len(buf):maxLine])
		buf = buf[:len(buf)+n]
		if i := bytes.IndexAny(buf, "\r\n"); i >= 0 {
			return buf[:i], nil
		}
		switch {
		case err == io.EOF && len(buf) > 0:
			return buf, nil
		case err == io.EOF:
			return nil, ErrNoInput
		case err != nil:
			clear(buf)
			return nil, fmt.Errorf("terminal: %w", err)
		}
	}
	clear(buf)
	return nil, fmt.Errorf("terminal: line is longer than %d bytes", maxLine)
}

// hiding keeps echo off between begin and end.
type hiding struct {
	f       *os.File
	text    string // the question, to be asked again
	before  unix.Termios
	signals chan os.Signal
	done    chan struct{} // closed when the question is over
	watched chan struct{} // closed when watch has ended
}

func (h *hiding) begin() error {
	err := h.control(func(fd int) error {
		before, err := unix.IoctlGetTermios(fd, ioctlGetTermios)
		if err == nil {
			h.before = *before
		}
		return err
	})
	if err != nil {
		return err
	}
	h.signals, h.done, h.watched = make(chan os.Signal, 1), make(chan struct{}), make(chan struct{})
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGTSTP} {
		if !signal.Ignored(s) { // nohup
			signal.Notify(h.signals, s)
		}
	}
	go h.watch()
	if err := h.hide(); err != nil {
		h.end()
		return err
	}
	return nil
}

// end gives the terminal back before it gives the signals back: one that comes in between is not lost.
func (h *hiding) end() {
	close(h.done)
	<-h.watched
	h.restore()
	signal.Stop(h.signals)
	select {
	case s := <-h.signals:
		h.act(s)
	default:
	}
}

// watch handles the signals that come during the question.
func (h *hiding) watch() {
	defer close(h.watched)
	for {
		select {
		case s := <-h.signals:
			h.restore()
			io.WriteString(h.f, "\n")
			h.act(s) // comes back if the process was only stopped
			h.hide()
			io.WriteString(h.f, h.text)
		case <-h.done:
			return
		}
	}
}

// act does what the signal would have done without us. The process is stopped by SIGSTOP, which cannot be caught, and
// goes on at SIGCONT: kill may return before all threads stand.
func (h *hiding) act(s os.Signal) {
	if s == syscall.SIGTSTP {
		goOn := make(chan os.Signal, 1)
		signal.Notify(goOn, syscall.SIGCONT)
		defer signal.Stop(goOn)
		syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		<-goOn
		return
	}
	signal.Reset(s)
	syscall.Kill(os.Getpid(), s.(syscall.Signal))
	select {} // the signal ends the process
}

func (h *hiding) hide() error {
	t := h.before
	t.Lflag = t.Lflag&^unix.ECHO | unix.ICANON | unix.ISIG
	t.Iflag |= unix.ICRNL
	return h.set(t)
}

func (h *hiding) restore() { h.set(h.before) }

func (h *hiding) set(t unix.Termios) error {
	return h.control(func(fd int) error { return unix.IoctlSetTermios(fd, ioctlSetTermios, &t) })
}

// control calls with the file's descriptor; File.Fd would take away the deadlines.
func (h *hiding) control(call func(fd int) error) error {
	raw, err := h.f.SyscallConn()
	if err != nil {
		return err
	}
	if cerr := raw.Control(func(fd uintptr) { err = call(int(fd)) }); cerr != nil {
		return cerr
	}
	return err
}
