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

// harden keeps debuggers from reading the agent's memory, and disables core files.
func harden() {
	_ = unix.PtraceDenyAttach()
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
}

// acceptOne accepts a connection without blocking. It is non-blocking, too.
func acceptOne(listener int) (fd int, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if fd, _, err = unix.Accept(listener); err != nil {
		return -1, err
	}
	unix.CloseOnExec(fd)
	if err = unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
	}
	return fd, err
}

// peer returns the process at the other end, which connected or, for a client, listens (unix(4)). The pid is 0 if
// it is not known.
func peer(fd int) (uid, pid int, err error) {
	p, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err != nil {
		return -1, 0, err
	}
	pid, _ = unix.GetsockoptInt(fd, unix.SOL_LOCAL, unix.LOCAL_PEERPID)
	return int(p.Uid), pid, nil
}

// peerGroups returns the groups of the process that connected, the first 16 of them.
func peerGroups(fd int) ([]uint32, error) {
	peer, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err != nil {
		return nil, err
	}
	return peer.Groups[:min(max(int(peer.Ngroups), 0), len(peer.Groups))], nil
}
