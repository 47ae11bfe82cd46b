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
//   - End of input (Ctrl-D) is errNoInput, not an empty answer.
//   - A context that ends takes the question back.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"oidc-agent/proto/secret"
)

// Reasons why there is no answer.
var (
	ErrNoTerminal = errors.New("there is no terminal to ask on")
	errNoInput    = errors.New("no input")
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

// openTerminal is the one place that finds the terminal.
func openTerminal() (*os.File, error) {
	f, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, ErrNoTerminal
	}
	return f, nil
}

// say writes to the terminal, and reports whether there is one.
func say(text string) bool {
	f, err := openTerminal()
	if err != nil {
		return false
	}
	io.WriteString(f, text)
	f.Close()
	return true
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
	for {
		n, err := r.Read(buf[len(buf):maxLine])
		buf = buf[:len(buf)+n]
		end := bytes.IndexAny(buf, "\r\n")
		switch {
		case end >= 0:
			return buf[:end], nil
		case err == io.EOF && len(buf) > 0:
			return buf, nil
		case err == io.EOF:
			return nil, errNoInput
		case err == nil && len(buf) == maxLine:
			err = fmt.Errorf("line is longer than %d bytes", maxLine)
		}
		if err != nil {
			clear(buf)
			return nil, fmt.Errorf("terminal: %w", err)
		}
	}
}

// hiding keeps echo off between begin and end.
type hiding struct {
	f       *os.File
	fd      int    // of f, while that is open
	text    string // the question, to be asked again
	before  *unix.Termios
	signals chan os.Signal
	watch   sync.WaitGroup
}

func (h *hiding) begin() error {
	raw, err := h.f.SyscallConn() // File.Fd would take away the deadlines
	if err != nil {
		return err
	}
	raw.Control(func(fd uintptr) { h.fd = int(fd) })
	if h.before, err = unix.IoctlGetTermios(h.fd, ioctlGetTermios); err != nil {
		return err
	}
	h.signals = make(chan os.Signal, 1)
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGTSTP} {
		if !signal.Ignored(s) { // nohup
			signal.Notify(h.signals, s)
		}
	}
	h.watch.Go(func() {
		for s := range h.signals {
			h.restore()
			io.WriteString(h.f, "\n")
			act(s) // comes back if the process was only stopped
			h.hide()
			io.WriteString(h.f, h.text)
		}
	})
	if err := h.hide(); err != nil {
		h.end()
		return err
	}
	return nil
}

// end gives the terminal back before it gives the signals back: one that comes in between is not lost.
func (h *hiding) end() {
	h.restore()
	signal.Stop(h.signals)
	close(h.signals)
	h.watch.Wait()
	h.restore()
}

func (h *hiding) hide() error {
	t := *h.before
	t.Lflag = t.Lflag&^unix.ECHO | unix.ICANON | unix.ISIG
	t.Iflag |= unix.ICRNL
	return unix.IoctlSetTermios(h.fd, ioctlSetTermios, &t)
}

func (h *hiding) restore() { unix.IoctlSetTermios(h.fd, ioctlSetTermios, h.before) }

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
	signal.Reset(s)
	syscall.Kill(os.Getpid(), s.(syscall.Signal))
	select {} // the signal ends the process
}
