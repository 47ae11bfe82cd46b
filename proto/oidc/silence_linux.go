package oidc

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// silence is how long a connection may leave what we sent unacknowledged. After a suspend, or behind a
// firewall that forgets, a kept connection is dead without a word; HTTP/2 would go on using it for
// as long as the kernel repeats itself, which is a quarter of an hour.
const silence = 10 * time.Second

// limitSilence is a net.Dialer's Control: it sets TCP_USER_TIMEOUT (RFC 5482, tcp(7)). A kernel that
// refuses keeps its own limit.
func limitSilence(_, _ string, conn syscall.RawConn) error {
	return conn.Control(func(fd uintptr) {
		unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(silence.Milliseconds()))
	})
}
