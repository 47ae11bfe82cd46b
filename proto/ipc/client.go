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

// SocketPath returns the path of the agent's socket: $OIDC_SOCK, or else [DefaultSocketPath].
func SocketPath() string { return cmp.Or(os.Getenv(EnvSocket), DefaultSocketPath()) }

// DefaultSocketPath returns ${TMPDIR:-/tmp}/oidc-agent-service-UID/oidc-agent.sock, where oidc-agent-service listens.
func DefaultSocketPath() string {
	return cmp.Or(os.Getenv("TMPDIR"), "/tmp") + "/oidc-agent-service-" + strconv.Itoa(os.Getuid()) + "/oidc-agent.sock"
}

// ErrNoAnswer means that the agent closed the connection without sending anything.
var ErrNoAnswer = errors.New("the connection was closed without an answer")

// BadAnswer is the error of an answer that cannot be read. The text is the reason.
type BadAnswer string

// Error says that the answer cannot be read, and why.
func (b BadAnswer) Error() string { return "the agent's answer cannot be read: " + string(b) }

// AnswerError converts an error of reading an answer into [ErrNoAnswer] or a [BadAnswer]. It returns an error of
// the system as it is.
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

// Answer reads an answer. Its errors are those of [AnswerError].
func Answer(r io.Reader) (answer *cjson.Object, err error) {
	data, err := ReadObject(r, make([]byte, 0, 4096), MaxAnswer) // large enough for most answers
	if err == nil {
		answer, err = cjson.Parse(data)
	}
	return answer, AnswerError(err)
}

// Call sends a request to the agent behind a Unix socket and returns its answer, which may be a failure: see
// [Check]. It sends the request in one write, because the C agents take what one read returns for the whole
// message. It waits no longer than wait. The error is a *[ConnectError] if no agent was reached. Otherwise it is a
// [BadAnswer], or it wraps [ErrNoAnswer], [os.ErrDeadlineExceeded] or an error of the system.
func Call(socketPath string, request *cjson.Object, wait time.Duration) (*cjson.Object, error) {
	s, err := connect(socketPath, time.Now().Add(wait))
	if err != nil {
		return nil, &ConnectError{Path: socketPath, Err: err}
	}
	defer syscall.Close(s.fd)
	data := request.Compact()
	unsent := s.write(data)
	clear(data)              // it may hold a password
	answer, err := Answer(s) // even if the write failed: an agent may refuse a request before it has read all of it
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

// socket is a connected Unix socket in blocking mode. The kernel keeps the deadline (SO_RCVTIMEO, SO_SNDTIMEO).
type socket struct {
	fd       int
	deadline time.Time
}

// connect connects to a socket. While the agent's queue is full, a blocking connect waits up to SO_SNDTIMEO (unix(7)).
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

// write sends all data, in one write if the kernel accepts it.
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

// Read implements [io.Reader].
func (s socket) Read(p []byte) (int, error) {
	n, err := s.retry(syscall.SO_RCVTIMEO, func() (int, error) { return syscall.Read(s.fd, p) })
	if n == 0 && err == nil {
		err = io.EOF
	}
	return max(n, 0), err
}

// retry repeats a system call until it succeeds, fails for good, or the deadline has passed. EINTR is caused by
// the runtime's own signals, EAGAIN by a timeout, and in connect by a full queue.
func (s socket) retry(timeout int, call func() (int, error)) (int, error) {
	for {
		left := time.Until(s.deadline)
		if left < time.Microsecond { // a timeout of zero would mean none
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
