package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// What a service manager and a service say to each other: sd_listen_fds(3), sd_notify(3).

// handedOver reports whether a service manager has given this very process sockets.
func handedOver() bool { return os.Getenv("LISTEN_PID") == strconv.Itoa(os.Getpid()) }

// activated takes the one socket that was handed over. Its file is the service manager's, and stays.
func activated() (*socket, error) {
	number, name := os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_FDNAMES")
	for _, variable := range [...]string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		os.Unsetenv(variable) // no program that the agent runs is meant
	}
	if number != "1" {
		return nil, fmt.Errorf("socket activation: LISTEN_FDS is %q (names %q), exactly one socket is expected", number, name)
	}
	listener, path, err := inherited()
	if err != nil {
		return nil, fmt.Errorf("socket activation: descriptor %d (name %q) %w", listenerFD, name, err)
	}
	return &socket{listener: listener, path: path}, nil
}

// inherited takes over the listening socket that another process has made. A client that asks who listens (SO_PEERCRED)
// hears of this process then, and not of who called listen before.
func inherited() (listener *os.File, path string, err error) {
	unix.CloseOnExec(listenerFD)
	address, err := unix.Getsockname(listenerFD)
	if err != nil {
		return nil, "", fmt.Errorf("is no socket: %w", err)
	}
	local, ok := address.(*unix.SockaddrUnix)
	if !ok {
		return nil, "", errors.New("is no Unix socket")
	}
	if err := errors.Join(unix.Listen(listenerFD, maxBacklog), unix.SetNonblock(listenerFD, true)); err != nil {
		return nil, "", fmt.Errorf("does not listen (%w): write ListenStream= and Accept=no into the unit", err)
	}
	return os.NewFile(listenerFD, "listener"), local.Name, nil
}

// maxBacklog is how many connections may wait to be accepted; the system cuts it down to net.core.somaxconn.
const maxBacklog = 1<<16 - 1

// notifier returns what tells the service manager, if there is one.
func notifier() func(state string) error {
	path := os.Getenv("NOTIFY_SOCKET")
	os.Unsetenv("NOTIFY_SOCKET")
	return func(state string) error {
		if path == "" {
			return nil
		}
		c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"}) // @ begins an abstract name
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Write([]byte(state))
		return err
	}
}
