package main

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// sinceBoot reads CLOCK_MONOTONIC_RAW, which goes on while the machine sleeps (clock_gettime(3) of macOS).
func sinceBoot() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC_RAW, &t); err != nil {
		panic(err) // every macOS since 10.12 has it
	}
	return time.Duration(t.Nano())
}

// harden keeps debuggers, and core files, away from the agent's memory.
func harden() {
	_ = unix.PtraceDenyAttach()
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
}

// newSocket makes a Unix socket that does not block and that no program inherits.
func newSocket() (fd int, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0); err != nil {
		return -1, err
	}
	return private(fd)
}

func private(fd int) (int, error) {
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// bindPrivate gives a socket its path, which is the user's alone from the first moment: fchmod(2) takes no sockets here.
func bindPrivate(fd int, path string) error {
	defer unix.Umask(unix.Umask(0o177))
	return unix.Bind(fd, &unix.SockaddrUnix{Name: path})
}

// acceptOne takes a connection, not blocking.
func acceptOne(listener int) (fd int, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if fd, _, err = unix.Accept(listener); err != nil {
		return -1, err
	}
	return private(fd)
}

// peerUser returns the user of the process that connected, as he was then (unix(4)).
func peerUser(fd int) (uid uint32, err error) {
	peer, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err != nil {
		return 0, err
	}
	return peer.Uid, nil
}

// peerProcess returns the process at the other end: who connected or, for a client, who listens; 0 if nobody knows.
func peerProcess(fd int) (pid int) {
	pid, _ = unix.GetsockoptInt(fd, unix.SOL_LOCAL, unix.LOCAL_PEERPID)
	return pid
}

// peerGroups returns the groups of the process that connected, the first 16 of them.
func peerGroups(fd int) ([]uint32, error) {
	peer, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err != nil {
		return nil, err
	}
	return peer.Groups[:min(max(int(peer.Ngroups), 0), len(peer.Groups))], nil
}
