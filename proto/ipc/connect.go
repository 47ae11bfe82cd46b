package ipc

import (
	"os"
	"strconv"
	"syscall"
)

// ConnectError means that no agent was reached.
type ConnectError struct {
	Path string // of the socket
	Err  error  // the system's error, or os.ErrDeadlineExceeded
}

const startAgent = "Start an agent:  eval $(oidc-agent)"

// Error returns the socket and the reason, in words for the user.
func (e *ConnectError) Error() string {
	reason, _ := e.explain()
	return "could not connect to oidc-agent: " + reason
}

// Unwrap returns the system's error.
func (e *ConnectError) Unwrap() error { return e.Err }

// Hint says how to start an agent, if that would help.
func (e *ConnectError) Hint() string {
	_, hint := e.explain()
	return hint
}

func (e *ConnectError) explain() (reason, hint string) {
	path := strconv.Quote(e.Path)
	switch e.Err {
	case syscall.ENOENT, syscall.ENOTDIR:
		if os.Getenv(EnvSocket) == "" && e.Path == DefaultSocketPath() {
			return EnvSocket + " is not set, and there is no socket at the default place " + path, startAgent
		}
		return "there is no socket at " + path, startAgent
	case syscall.ECONNREFUSED:
		if info, err := os.Stat(e.Path); err == nil && info.Mode()&os.ModeSocket == 0 {
			return path + " is not a socket", startAgent
		}
		return "the agent at " + path + " has ended: nobody listens on its socket", startAgent
	case syscall.EACCES, syscall.EPERM:
		return "no permission to use the socket " + path, "It may belong to another user. " + startAgent
	case syscall.EINVAL, syscall.ENAMETOOLONG:
		return "the path of the socket is too long: " + path, startAgent
	case os.ErrDeadlineExceeded:
		return "the agent at " + path + " did not accept the connection in time", ""
	}
	return "socket " + path + ": " + e.Err.Error(), ""
}
