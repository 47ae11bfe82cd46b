package user

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
)

// ErrEnded is the error when the user waits for output of a program that has ended.
var ErrEnded = errors.New("the program has ended")

// A Session is a running program, seen by its user.
type Session struct {
	terminal  *terminal
	childEnds []*os.File
	ours      []*os.File
	readers   sync.WaitGroup
	done      chan struct{} // closed when the program has ended and its output is read

	seen int // how much of all Expect has consumed; used by the user only

	mu                     sync.Mutex
	stdout, stderr, screen []byte
	all                    []byte        // all three, in order of arrival
	changed                chan struct{} // closed and replaced when all grows
}

func newSession() *Session {
	return &Session{done: make(chan struct{}), changed: make(chan struct{})}
}

// Expect waits for output that matches, after the last expected one.
func (s *Session) Expect(ctx context.Context, pattern *regexp.Regexp) error {
	_, end, err := s.wait(ctx, pattern, s.seen)
	s.seen += end
	return err
}

// Find waits for output that matches, from the start of the program on, and returns the match and its groups.
func (s *Session) Find(ctx context.Context, pattern *regexp.Regexp) ([]string, error) {
	groups, _, err := s.wait(ctx, pattern, 0)
	return groups, err
}

// wait also returns the end of the match, counted from start.
func (s *Session) wait(ctx context.Context, pattern *regexp.Regexp, start int) (groups []string, end int, err error) {
	for err == nil {
		s.mu.Lock()
		changed, text := s.changed, string(s.all[start:])
		s.mu.Unlock()
		if m := pattern.FindStringSubmatchIndex(text); m != nil {
			return pattern.FindStringSubmatch(text), m[1], nil
		}
		err = await(ctx, changed, s.done)
	}
	return nil, 0, fmt.Errorf("waiting for %q: %w", pattern, err)
}

// await waits for the next output of the program, or returns ErrEnded.
func await[T any](ctx context.Context, step <-chan T, ended <-chan struct{}) (err error) {
	select {
	case <-step:
	case <-ended:
		err = ErrEnded
	case <-ctx.Done():
	}
	if ctx.Err() != nil { // the program is killed then
		err = context.Cause(ctx)
	}
	return err
}

// Type waits until the terminal echoes, and types a text.
func (s *Session) Type(ctx context.Context, text string) error { return s.typeWhen(ctx, true, text) }

// TypeHidden waits until the terminal does not echo, and types a text.
func (s *Session) TypeHidden(ctx context.Context, text string) error {
	return s.typeWhen(ctx, false, text)
}

func (s *Session) typeWhen(ctx context.Context, echo bool, text string) error {
	if s.terminal == nil {
		return errors.New("there is no terminal to type on")
	}
	err := s.terminal.waitEcho(ctx, s.done, echo)
	if err == nil {
		_, err = s.terminal.master.WriteString(text)
	}
	if err != nil {
		err = fmt.Errorf("typing %q: %w", text, err)
	}
	return err
}

// read collects the output from f until its other end is closed.
func (s *Session) read(f *os.File, into *[]byte) {
	s.ours = append(s.ours, f)
	s.readers.Go(func() {
		buf := make([]byte, 4096)
		for {
			n, err := f.Read(buf)
			s.mu.Lock()
			*into = append(*into, buf[:n]...)
			s.all = append(s.all, buf[:n]...)
			close(s.changed)
			s.changed = make(chan struct{})
			s.mu.Unlock()
			if err != nil { // io.EOF, or EIO if a terminal is hung up
				return
			}
		}
	})
}

func (s *Session) pipe(into *[]byte) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	s.read(r, into)
	return w, s.give(w)
}

// give prepares a descriptor for the program, which must own it to open it again by a name such as /dev/stdin.
func (s *Session) give(f *os.File) error {
	s.childEnds = append(s.childEnds, f)
	if os.Getuid() != 0 {
		return nil
	}
	return f.Chown(Ordinary, Ordinary)
}

// feed returns a pipe with a text in it.
func (s *Session) feed(text string) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	go func() {
		defer w.Close()
		w.WriteString(text) // the program may end before it has read everything
	}()
	return r, s.give(r)
}

// finish returns when the program has exited and its output is read. When ctx is done it kills the program's process
// group, which may hold the output open.
func (s *Session) finish(ctx context.Context, cmd *exec.Cmd) error {
	exited := make(chan struct{})
	go func() {
		cmd.Wait() // its error is in ProcessState
		close(exited)
		s.readers.Wait()
		close(s.done)
	}()
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
	}
	err := errors.New("the program has exited, but something holds its output open")
	select {
	case <-exited:
	default:
		err = fmt.Errorf("the program did not end: %w", context.Cause(ctx))
	}
	syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	<-exited
	closeAll(s.ours) // ends the readers, even if the other end is still open
	<-s.done
	return err
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

func (s *Session) result(state *os.ProcessState) Result {
	code := state.ExitCode()
	if w := state.Sys().(syscall.WaitStatus); w.Signaled() {
		code = 128 + int(w.Signal())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return Result{string(s.stdout), string(s.stderr), strings.ReplaceAll(string(s.screen), "\r\n", "\n"), code}
}
