package main

import (
	"context"
	"errors"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"oidc-agent/proto/ipc/box"
)

// answerTimeout bounds the answer to one request. It is longer than a grant may take, so that the caller
// hears of the grant's own end.
const answerTimeout = grantTimeout + 5*time.Second

// serve answers requests until the listener is closed. Each connection has its own goroutine, so nobody
// waits for a stranger.
func (a *agent) serve(ctx context.Context, listener *net.UnixListener) error {
	for {
		conn, err := listener.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			// Out of file descriptors, most likely: those who are here will leave.
			a.log.warning("accept: %v", err)
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(50 * time.Millisecond):
			}
			continue
		}
		go a.converse(ctx, conn)
	}
}

func (a *agent) converse(ctx context.Context, conn *net.UnixConn) {
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if err := a.admit(conn); err != nil {
		a.log.warning("refused: %v", err)
		return
	}
	if err := box.ServeConn(ctx, conn, a.answer); err != nil {
		a.log.debugf("connection: %v", err)
	}
}

var errStranger = errors.New("a process of another user connected")

// admit lets in the user himself and root. With --with-group the socket's mode and its folder decide.
func (a *agent) admit(conn *net.UnixConn) error {
	if a.settings.group != "" {
		return nil
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var peer *unix.Ucred
	var peerErr error
	if err := raw.Control(func(fd uintptr) {
		peer, peerErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return err
	}
	if peerErr != nil {
		return peerErr
	}
	if int(peer.Uid) != os.Getuid() && peer.Uid != 0 {
		return errStranger
	}
	return nil
}
