package ipc

import (
	"cmp"
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
func SocketPath() string { return cmp.Or(os.Getenv(EnvSocket), DefaultSocketPath()) }

// DefaultSocketPath returns ${TMPDIR:-/tmp}/oidc-agent-service-UID/oidc-agent.sock.
func DefaultSocketPath() string {
	return cmp.Or(os.Getenv("TMPDIR"), "/tmp") + "/oidc-agent-service-" + strconv.Itoa(os.Getuid()) + "/oidc-agent.sock"
}

// ErrNoAnswer: a connection was made, and ended without a word.
var ErrNoAnswer = errors.New("the connection was closed without an answer")

// BadAnswer is the error of an answer that cannot be read; it says why.
type BadAnswer string

// Error returns the reason.
func (b BadAnswer) Error() string { return "the agent's answer cannot be read: " + string(b) }

// AnswerError turns the errors of reading messages into ErrNoAnswer or a BadAnswer, and leaves the system's.
func AnswerError(err error) error {
	_, malformed := errors.AsType[*cjson.SyntaxError](err)
	_, unopened := errors.AsType[*Failure](err)
	switch {
	case err == io.EOF:
		return ErrNoAnswer
	case err == io.ErrUnexpectedEOF:
		return BadAnswer("it ends too early")
	case malformed || unopened:
		return BadAnswer(err.Error())
	}
	return err
}

// Answer reads an answer. The error is one of AnswerError.
func Answer(r io.Reader) (answer *cjson.Object, err error) {
	data, err := ReadObject(r, make([]byte, 0, 4096), MaxAnswer) // most come in one read
	if err == nil {
		answer, err = cjson.Parse(data)
	}
	return answer, AnswerError(err)
}

// Call asks the agent behind a Unix socket: the request in one write (the C agents take what one read brings for the
// whole message), then the answer up to the end of its JSON object. The whole takes no longer than wait. The answer may
// tell a failure: see Check. The error is a *ConnectError where no agent was reached; else a BadAnswer, or it wraps
// ErrNoAnswer or os.ErrDeadlineExceeded.
func Call(socketPath string, request *cjson.Object, wait time.Duration) (*cjson.Object, error) {
	s, err := connect(socketPath, time.Now().Add(wait))
	if err != nil {
		return nil, &ConnectError{Path: socketPath, Err: err}
	}
	defer syscall.Close(s.fd)
	data := request.Compact()
	unsent := s.write(data)
	clear(data)              // requests may hold passwords
	answer, err := Answer(s) // an agent that refuses early answers without having read all
	if _, bad := errors.AsType[BadAnswer](err); err == nil || bad {
		return answer, err
	}
	switch {
	case err == syscall.ECONNRESET, unsent == syscall.EPIPE:
		err = ErrNoAnswer
	case unsent != nil:
		err = unsent
	}
	return nil, &os.PathError{Op: "asking the agent at", Path: socketPath, Err: err}
}

// socket is a connected Unix socket, blocking, with a deadline that the kernel keeps (SO_RCVTIMEO, SO_SNDTIMEO).
type socket struct {
	fd       int
	deadline time.Time
}

// connect makes the connection. A blocking connect waits, within SO_SNDTIMEO, while the agent's queue is full
// (unix(7)).
func connect(path string, deadline time.Time) (socket, error) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return socket{}, err
	}
	syscall.CloseOnExec(fd)
	s := socket{fd, deadline}
	_, err = s.retry(syscall.SO_SNDTIMEO, func() (int, error) {
		return 0, syscall.Connect(fd, &syscall.SockaddrUnix{Name: path})
	})
	if err != nil {
		syscall.Close(fd)
	}
	return s, err
}

// write sends everything, in one write if the kernel takes it all.
func (s socket) write(data []byte) error {
	for len(data) > 0 {
		n, err := s.retry(syscall.SO_SNDTIMEO, func() (int, error) { return syscall.Write(s.fd, data) })
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// Read reads what is there, or waits.
func (s socket) Read(p []byte) (int, error) {
	n, err := s.retry(syscall.SO_RCVTIMEO, func() (int, error) { return syscall.Read(s.fd, p) })
	if n == 0 && err == nil {
		err = io.EOF
	}
	return max(n, 0), err
}

// retry makes a system call until it is through or the deadline is. EINTR comes from the runtime's own signals,
// EAGAIN from a timeout and, at connect, from a queue that is full.
func (s socket) retry(timeout int, call func() (int, error)) (int, error) {
	for {
		left := time.Until(s.deadline)
		if left < time.Microsecond { // zero would mean no timeout
			return 0, os.ErrDeadlineExceeded
		}
		tv := syscall.NsecToTimeval(left.Nanoseconds())
		if err := syscall.SetsockoptTimeval(s.fd, syscall.SOL_SOCKET, timeout, &tv); err != nil {
			return 0, err
		}
		if n, err := call(); err != syscall.EINTR && err != syscall.EAGAIN {
			return n, err
		}
	}
}
