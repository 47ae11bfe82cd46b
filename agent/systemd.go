package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Socket activation and readiness, as in sd_listen_fds(3) and sd_notify(3).

// handedOver reports whether a service manager passed sockets to this process.
func handedOver() bool { return os.Getenv("LISTEN_PID") == strconv.Itoa(os.Getpid()) }

// activated returns the one socket that the service manager passed. The manager keeps its file.
func activated() (*socket, error) {
	number, name := os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_FDNAMES")
	for _, variable := range [...]string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		os.Unsetenv(variable) // they are not for programs that the agent runs
	}
	if number != "1" {
		return nil, fmt.Errorf("socket activation: LISTEN_FDS is %q (names %q), want exactly one socket", number, name)
	}
	listener, path, err := inherited()
	if err != nil {
		return nil, fmt.Errorf("socket activation: descriptor %d (name %q) %w", listenerFD, name, err)
	}
	return &socket{listener: listener, path: path}, nil
}

// inherited returns the listening socket that another process has made. It calls listen again: from then on a client
// that asks who listens (SO_PEERCRED) is told of this process.
func inherited() (listener *os.File, path string, err error) {
	unix.CloseOnExec(listenerFD)
	address, err := unix.Getsockname(listenerFD)
	if err != nil {
		return nil, "", fmt.Errorf("is not a socket: %w", err)
	}
	local, ok := address.(*unix.SockaddrUnix)
	if !ok {
		return nil, "", errors.New("is not a Unix socket")
	}
	if err := errors.Join(unix.Listen(listenerFD, maxBacklog), unix.SetNonblock(listenerFD, true)); err != nil {
		return nil, "", fmt.Errorf("does not listen (%w): use ListenStream= and Accept=no in the unit", err)
	}
	return os.NewFile(listenerFD, "listener"), local.Name, nil
}

// maxBacklog is how many connections may wait to be accepted. The system lowers it to net.core.somaxconn.
const maxBacklog = 1<<16 - 1

// notifier returns a function that reports a state to the service manager, if there is one.
func notifier() func(state string) error {
	path := os.Getenv("NOTIFY_SOCKET")
	os.Unsetenv("NOTIFY_SOCKET")
	return func(state string) error {
		if path == "" {
			return nil
		}
		// In Go as in sd_notify, a leading @ means an abstract name.
		c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Write([]byte(state))
		return err
	}
}
