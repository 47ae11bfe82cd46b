package main

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sinceBoot reads CLOCK_BOOTTIME: what Go's own timers count stands still while the machine sleeps.
func sinceBoot() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		panic(err) // every Linux since 2.6.39 has it
	}
	return time.Duration(t.Nano())
}

// harden keeps other processes of the user, and core files, away from the agent's memory.
func harden() {
	// An old kernel or a strict sandbox may refuse; the agent is then as open as any process of its user.
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
}

// acceptOne takes a connection, not blocking.
func acceptOne(listener int) (fd int, err error) {
	fd, _, err = unix.Accept4(listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	return fd, err
}

// peer returns the process at the other end, as it was then (unix(7)): who connected or, for a client, who listens. The
// pid is 0 if it is beyond the walls of a container.
func peer(fd int) (uid, pid int, err error) {
	p, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, 0, err
	}
	return int(p.Uid), int(p.Pid), nil
}

// peerGroups returns all groups of the process that connected (SO_PEERGROUPS, Linux 4.13).
func peerGroups(fd int) ([]uint32, error) {
	peer, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return nil, err
	}
	groups := make([]uint32, 64)
	for {
		size := uint32(4 * len(groups))
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&groups[0])), uintptr(unsafe.Pointer(&size)), 0)
		switch errno {
		case 0:
			return append(groups[:size/4], peer.Gid), nil
		case unix.ERANGE: // size is now what it takes
			groups = make([]uint32, size/4)
		default:
			return nil, errno
		}
	}
}
