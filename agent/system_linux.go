package main

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sinceBoot reads CLOCK_BOOTTIME, which goes on while the machine sleeps. The clock of Go's timers does not.
func sinceBoot() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		panic(err) // every Linux since 2.6.39 has it
	}
	return time.Duration(t.Nano())
}

// harden keeps other processes of the user from reading the agent's memory, and disables core files. An old
// kernel or a strict sandbox may refuse. The agent is then as open as any process of its user.
func harden() {
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
}

// acceptOne accepts a connection without blocking. It is non-blocking, too.
func acceptOne(listener int) (fd int, err error) {
	fd, _, err = unix.Accept4(listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	return fd, err
}

// peer returns the process at the other end as it was when it connected or, for a client, when it began to listen
// (unix(7)). The pid is 0 if the process is outside of this process's container.
func peer(fd int) (uid, pid int, err error) {
	p, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return -1, 0, err
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
		case unix.ERANGE: // size is now the size that is needed
			groups = make([]uint32, size/4)
		default:
			return nil, errno
		}
	}
}
