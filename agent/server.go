package main

import (
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"oidc-agent/proto/cjson"
	"oidc-agent/proto/ipc/box"
)

// answerTimeout bounds the answer to one request. It is longer than a grant may take, so that the caller
// hears of the grant's own end.
const answerTimeout = grantTimeout + 5*time.Second

// serve answers requests until the listener is closed. Each connection has a goroutine for itself, so nobody waits
// for a stranger; a few of them stay and take the next one, for to begin a goroutine costs more than a short answer.
func (a *agent) serve(ctx context.Context, listener *os.File) error {
	raw, err := listener.SyscallConn()
	if err != nil {
		return err
	}
	open := newConnections()
	var all sync.WaitGroup
	var free atomic.Int32 // goroutines that accept, or are about to
	var work func()
	begin := func() {
		free.Add(1)
		all.Go(work)
	}
	work = func() {
		for again := true; again; again = stay(&free) {
			c, err := a.next(ctx, raw, open)
			left := free.Add(-1)
			if err != nil {
				return
			}
			if left == 0 {
				begin()
			}
			a.converse(ctx, c)
		}
	}
	begin()
	all.Wait()
	return nil
}

// maxFree is how many goroutines may wait for the next connection.
const maxFree = 4

// stay reports whether a goroutine is to take another connection, and counts it among the free ones then.
func stay(free *atomic.Int32) bool {
	for n := free.Load(); n < maxFree; n = free.Load() {
		if free.CompareAndSwap(n, n+1) {
			return true
		}
	}
	return false
}

// next returns the next connection. The error is os.ErrClosed.
func (a *agent) next(ctx context.Context, listener syscall.RawConn, open *connections) (*conn, error) {
	for {
		fd, err := accept(listener)
		switch {
		case err == nil:
			return open.enter(fd), nil
		case errors.Is(err, os.ErrClosed):
			return nil, err
		}
		// Out of file descriptors or memory, most likely: those who are here will leave.
		open.dismissOldest()
		a.log.warning("accept: %v", err)
		select {
		case <-ctx.Done():
			return nil, os.ErrClosed
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// accept returns the next connection, not blocking.
func accept(listener syscall.RawConn) (fd int, err error) {
	ended := listener.Read(func(l uintptr) bool {
		for {
			switch fd, err = acceptOne(int(l)); err {
			case unix.EAGAIN:
				return false
			case unix.EINTR, unix.ECONNABORTED:
			default:
				return true
			}
		}
	})
	if ended != nil { // os does not turn this one into its ErrClosed
		return -1, os.ErrClosed
	}
	return fd, err
}

// firstRead is how much of a request the first read takes: more than nearly all have.
const firstRead = 4096

var buffers = sync.Pool{New: func() any { return new([firstRead]byte) }}

// converse serves one connection. Most clients have written their request before their connection is accepted: it is
// read, answered and done with by plain system calls. Who takes his time goes the long way.
func (a *agent) converse(ctx context.Context, c *conn) {
	defer c.leave()
	if err := a.admit(c.fd); err != nil {
		a.log.warning("refused: %v", err)
		return
	}
	answer, err := a.answerAtOnce(ctx, c)
	switch {
	case err != nil:
	case answer != nil:
		err = box.Reply(c, answer)
	default:
		err = box.ServeConn(ctx, c, func(ctx context.Context, message []byte) []byte {
			c.complete()
			return a.answerInTime(ctx, message)
		})
	}
	if err != nil {
		a.log.debugf("connection: %v", err)
	}
}

// answerAtOnce reads what is there, and answers it if it is the whole request. Else there is no answer, and the
// connection is ready to be waited for.
func (a *agent) answerAtOnce(ctx context.Context, c *conn) ([]byte, error) {
	buffer := buffers.Get().(*[firstRead]byte)
	defer buffers.Put(buffer)
	n, _ := unix.Read(c.fd, buffer[:]) // an error comes again when it is waited for
	first := buffer[:max(n, 0)]
	if end, _ := new(cjson.Scanner).End(first); end > 0 {
		return a.answerInTime(ctx, first[:end]), nil
	}
	return nil, c.wait(first)
}

func (a *agent) answerInTime(ctx context.Context, message []byte) []byte {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	return a.answer(ctx, message)
}
