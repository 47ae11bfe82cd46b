package ipc

import (
	"context"
	"errors"
	"io"
	"os"
	"strconv"
	"syscall"
	"time"

	"oidc-agent/proto/cjson"
)

// EnvSocket is the environment variable that names the agent's socket.
const EnvSocket = "OIDC_SOCK"

// SocketPath returns where the agent's socket is: $OIDC_SOCK, else the place where a single agent for each user
// listens.
func SocketPath() string {
	if path := os.Getenv(EnvSocket); path != "" {
		return path
	}
	return DefaultSocketPath()
}

// DefaultSocketPath returns ${TMPDIR:-/tmp}/oidc-agent-service-UID/oidc-agent.sock.
func DefaultSocketPath() string {
	dir := os.Getenv("TMPDIR")
	if dir == "" {
		dir = "/tmp"
	}
	return dir + "/oidc-agent-service-" + strconv.Itoa(os.Getuid()) + "/oidc-agent.sock"
}

// Errors of a connection that was made.
var (
	ErrNoAnswer  = errors.New("the connection was closed without an answer")
	ErrBadAnswer = errors.New("the agent's answer cannot be read")
)

// Call asks the agent behind a Unix socket: the request in one write (the C agents take what one read brings for the
// whole message), then the answer up to the end of its JSON object. Of the context only the deadline counts, and it
// holds for the whole call. The answer may tell a failure: see Check. The error is a *ConnectError where no agent
// was reached; else it wraps ErrNoAnswer, ErrBadAnswer or context.DeadlineExceeded.
func Call(ctx context.Context, socketPath string, request *cjson.Object) (*cjson.Object, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s := socket{fd: -1}
	s.deadline, _ = ctx.Deadline()
	if err := s.connect(socketPath); err != nil {
		return nil, &ConnectError{Path: socketPath, Err: err}
	}
	defer syscall.Close(s.fd)
	data := request.Compact()
	written := s.write(data)
	clear(data)              // requests may hold passwords
	answer, err := Answer(s) // an agent that refuses early answers without having read all
	switch {
	case err == nil:
		return answer, nil
	case err == ErrNoAnswer, errors.Is(err, syscall.ECONNRESET), errors.Is(written, syscall.EPIPE):
		return nil, wrap("the agent at "+strconv.Quote(socketPath), ErrNoAnswer)
	case written != nil:
		return nil, wrap("asking the agent", written)
	}
	return nil, err
}

// Answer reads and parses the answer from a connection.
func Answer(r io.Reader) (*cjson.Object, error) {
	data, err := ReadAnswer(r)
	var tooLarge *TooLargeError
	switch {
	case err == io.EOF:
		return nil, ErrNoAnswer
	case err == io.ErrUnexpectedEOF:
		return nil, wrap("the answer ends too early", ErrBadAnswer)
	case errors.Is(err, cjson.ErrNotObject), errors.Is(err, cjson.ErrTooDeep), errors.As(err, &tooLarge):
		return nil, &badAnswer{err}
	case err != nil:
		return nil, wrap("waiting for the agent's answer", err)
	}
	answer, err := cjson.Parse(data)
	if err != nil {
		return nil, &badAnswer{err}
	}
	return answer, nil
}

// badAnswer is an ErrBadAnswer with its reason.
type badAnswer struct{ err error }

func (b *badAnswer) Error() string   { return ErrBadAnswer.Error() + ": " + b.err.Error() }
func (b *badAnswer) Unwrap() []error { return []error{ErrBadAnswer, b.err} }

// wrap is fmt.Errorf("text: %w", err) without fmt.
func wrap(text string, err error) error { return &wrapped{text, err} }

type wrapped struct {
	text string
	err  error
}

func (w *wrapped) Error() string { return w.text + ": " + w.err.Error() }
func (w *wrapped) Unwrap() error { return w.err }

// socket is a connected Unix socket, blocking, with a deadline that the kernel keeps (SO_RCVTIMEO, SO_SNDTIMEO).
type socket struct {
	fd       int
	deadline time.Time // zero: none
}

// connect makes the connection. A blocking connect waits, within SO_SNDTIMEO, while the agent's queue is full
// (unix(7)).
func (s *socket) connect(path string) error {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	syscall.CloseOnExec(fd)
	s.fd = fd
	err = s.retry(syscall.SO_SNDTIMEO, func() error {
		return syscall.Connect(fd, &syscall.SockaddrUnix{Name: path})
	})
	if err != nil {
		syscall.Close(fd)
	}
	return err
}

// write sends everything, in one write if the kernel takes it all.
func (s *socket) write(data []byte) error {
	for len(data) > 0 {
		var n int
		err := s.retry(syscall.SO_SNDTIMEO, func() (err error) {
			n, err = syscall.Write(s.fd, data)
			return err
		})
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// Read reads what is there, or waits.
func (s socket) Read(p []byte) (n int, err error) {
	err = s.retry(syscall.SO_RCVTIMEO, func() error {
		n, err = syscall.Read(s.fd, p)
		return err
	})
	switch {
	case err != nil:
		return 0, err
	case n == 0 && len(p) > 0:
		return 0, io.EOF
	}
	return n, nil
}

// retry makes a system call until it is through or the deadline is. EINTR comes from the runtime's own signals,
// EAGAIN from a timeout and, at connect, from a queue that is full.
func (s *socket) retry(timeout int, call func() error) error {
	for {
		if !s.deadline.IsZero() {
			left := time.Until(s.deadline)
			if left < time.Microsecond { // zero would mean no timeout
				return context.DeadlineExceeded
			}
			tv := syscall.NsecToTimeval(left.Nanoseconds())
			if err := syscall.SetsockoptTimeval(s.fd, syscall.SOL_SOCKET, timeout, &tv); err != nil {
				return err
			}
		}
		err := call()
		if err != syscall.EINTR && err != syscall.EAGAIN {
			return err
		}
	}
}
