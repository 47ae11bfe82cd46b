package main

import (
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
	unix.CloseOnExec(listenerFD)
	path, err := listeningAt(listenerFD)
	if err != nil {
		return nil, fmt.Errorf("socket activation: descriptor %d (name %q) %w", listenerFD, name, err)
	}
	if err := adopt(listenerFD); err != nil {
		return nil, fmt.Errorf("socket activation: %w", err)
	}
	return &socket{listener: os.NewFile(listenerFD, "listener"), path: path, foreign: true}, nil
}

// listeningAt returns the path of a listening Unix stream socket.
func listeningAt(fd int) (string, error) {
	address, err := unix.Getsockname(fd)
	if err != nil {
		return "", fmt.Errorf("is no socket: %w", err)
	}
	local, ok := address.(*unix.SockaddrUnix)
	if !ok {
		return "", fmt.Errorf("is no Unix socket")
	}
	if kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err != nil || kind != unix.SOCK_STREAM {
		return "", fmt.Errorf("is no stream socket: write ListenStream= into the unit")
	}
	if listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || listens == 0 {
		return "", fmt.Errorf("does not listen: write Accept=no into the unit")
	}
	return local.Name, nil
}

// adopt makes a listening socket this process's: a client that asks who listens (SO_PEERCRED) hears of it, and not of
// who called listen before.
func adopt(fd int) error {
	if err := unix.SetNonblock(fd, true); err != nil {
		return err
	}
	return unix.Listen(fd, maxBacklog)
}

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
