package main

import (
	"context"
	"errors"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"oidc-agent/proto/cjson"
	"oidc-agent/proto/ipc"
	"oidc-agent/proto/ipc/box"
)

// What clients may make the agent hold at a time, so that all of them together leave it within 64 MiB.
const (
	// maxConnections may be open; those beyond wait in the listener's queue.
	maxConnections = 2000
	// spareFiles are descriptors for all else: files, providers, windows.
	spareFiles = 128
	// Requests above smallRequest bytes are read so many at a time. Nearly all have less.
	smallRequest = 4 << 10
	maxLarge     = 8
	largeTimeout = 5 * time.Second // for the wait for its turn
	// memoryLimit is where the collector, who otherwise lets the heap double, begins to work harder, in bytes.
	memoryLimit = 40 << 20
)

// How long a client may take for his request; less when half of the places are taken, so that those who say nothing
// hold up the others no longer than that.
const (
	requestTimeout = 10 * time.Second
	crowdedTimeout = time.Second
)

// answerTimeout bounds the answer to one request. It is longer than a grant may take, so that the caller
// hears of the grant's own end.
const answerTimeout = grantTimeout + 5*time.Second

// server is the agent's side of the socket.
type server struct {
	*agent
	open, large chan struct{} // one for each connection, and for each large request
	served      atomic.Uint64 // connections so far
	quiet       *time.Timer   // hands back memory
}

// maxFree is how many goroutines may wait for the next connection.
const maxFree = 4

// serve answers requests until the listener is closed and those who have asked have their answers; the context's end
// breaks off those who have not yet. Each connection has a goroutine for itself, so nobody waits for a stranger; a
// few of them stay and take the next one, for to begin a goroutine, whose stack has to grow, costs as much as a short
// answer.
func (a *agent) serve(ctx context.Context, listener *os.File) error {
	raw, err := listener.SyscallConn()
	if err != nil {
		return err
	}
	s := &server{agent: a, open: make(chan struct{}, connectionLimit()), large: make(chan struct{}, maxLarge)}
	s.quiet = time.AfterFunc(time.Hour, handBack)
	defer s.quiet.Stop()
	var all sync.WaitGroup
	free := make(chan struct{}, maxFree) // one for each goroutine that accepts, or is about to
	join := func() bool {
		select {
		case free <- struct{}{}:
			return true
		default:
			return false
		}
	}
	var work func()
	work = func() {
		for {
			fd, err := s.accept(raw)
			<-free
			if err != nil {
				return
			}
			if len(free) == 0 && join() {
				all.Go(work)
			}
			s.converse(ctx, &conn{fd: fd, large: s.large})
			if !join() {
				return
			}
		}
	}
	join()
	all.Go(work)
	all.Wait()
	return nil
}

// accept returns the next connection, not blocking, when there is room for it. The error is os.ErrClosed.
func (s *server) accept(listener syscall.RawConn) (fd int, err error) {
	s.open <- struct{}{}
	for {
		ended := listener.Read(func(l uintptr) bool {
			fd, err = acceptOne(int(l))
			return err != unix.EAGAIN
		})
		switch {
		case ended != nil:
			return -1, os.ErrClosed // os does not say it itself
		case err == nil:
			return fd, nil
		}
		s.log.warning("accept: %v", err) // out of file descriptors or memory, most likely: those who are here will leave
		time.Sleep(10 * time.Millisecond)
	}
}

func connectionLimit() uint64 {
	var files unix.Rlimit // Go has raised the soft limit to the hard one
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &files) != nil {
		return maxConnections
	}
	return min(maxConnections, max(files.Cur, 2*spareFiles)-spareFiles)
}

// converse serves one connection. Most clients have written their request before their connection is accepted: it is
// read, answered and done with by plain system calls. Who takes his time goes the long way.
func (s *server) converse(ctx context.Context, c *conn) {
	defer s.leave(c)
	err := s.admit(c.fd)
	if err != nil {
		s.log.warning("refused: %v", err)
		return
	}
	if answer := s.answerAtOnce(c); answer != nil {
		err = box.Reply(c, answer)
	} else {
		patience := requestTimeout
		if len(s.open) > cap(s.open)/2 {
			patience = crowdedTimeout
		}
		err = box.ServeConn(ctx, c, patience, func(_ context.Context, message []byte) []byte {
			return s.answerInTime(message)
		})
	}
	if err != nil {
		s.log.debugf("connection: %v", err)
	}
}

var errStranger = errors.New("a process of another user connected")

// admit lets in the user himself, root, and with --with-group the members of that group, as they were when they
// connected (socket(7), unix(7)). The modes of the socket and its folder keep strangers out already, unless somebody
// has opened them.
func (a *agent) admit(fd int) error {
	uid, _, err := peer(fd)
	if err != nil || uid == os.Getuid() || uid == 0 {
		return err
	}
	gid, err := groupID(a.settings.Group)
	if err != nil {
		return err
	}
	groups, err := peerGroups(fd)
	if err == nil && (gid < 0 || !slices.Contains(groups, uint32(gid))) {
		err = errStranger
	}
	return err
}

var buffers = sync.Pool{New: func() any { return new([smallRequest]byte) }}

// answerAtOnce reads what is there, and answers it if it is the whole request. Else there is no answer.
func (s *server) answerAtOnce(c *conn) []byte {
	buffer := buffers.Get().(*[smallRequest]byte)
	defer buffers.Put(buffer)
	n, _ := unix.Read(c.fd, buffer[:]) // an error comes again when it is waited for
	first := buffer[:max(n, 0)]
	if end, _ := new(cjson.Scanner).End(first); end > 0 {
		return s.answerInTime(first[:end])
	}
	c.known, c.size = slices.Clone(first), len(first)
	clear(first)
	return nil
}

func (a *agent) answerInTime(message []byte) []byte {
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	return a.answer(ctx, message)
}

// After so many connections at once, or one after the other, the memory that they took is handed back, when it has
// been calm for a while.
const (
	crowd  = 16
	series = 256
	calm   = time.Second
)

func handBack() {
	runtime.GC() // what a sync.Pool holds survives the first one
	debug.FreeOSMemory()
}

// leave ends a connection and makes room for the next one.
func (s *server) leave(c *conn) {
	c.Close()
	clear(c.known) // what was refused before its end
	if c.turn {
		<-s.large
	}
	if s.served.Add(1)%series == 0 || len(s.open) >= crowd {
		s.quiet.Reset(calm)
	}
	<-s.open
}

// conn is a connection. As long as nothing has to be waited for it is but a descriptor.
type conn struct {
	fd    int
	file  *os.File // of the descriptor, where it is waited for
	known []byte   // read, but not yet by Read
	size  int      // bytes that were read
	large chan struct{}
	turn  bool // to read a large request
}

func (c *conn) wait() *os.File {
	if c.file == nil {
		c.file = os.NewFile(uintptr(c.fd), "connection")
	}
	return c.file
}

// Read waits for its turn before it reads more than a small request.
func (c *conn) Read(p []byte) (int, error) {
	if len(c.known) > 0 {
		n := copy(p, c.known)
		clear(c.known[:n])
		c.known = c.known[n:]
		return n, nil
	}
	if c.size >= smallRequest && !c.turn {
		select {
		case c.large <- struct{}{}:
			c.turn = true
		case <-time.After(largeTimeout):
			return 0, &ipc.Failure{Text: "too many large requests at a time: try it again"}
		}
	}
	n, err := c.wait().Read(p)
	c.size += n
	return n, err
}

// Write does not wait where the system takes the whole at once.
func (c *conn) Write(p []byte) (int, error) {
	n := 0
	if c.file == nil {
		if n, _ = unix.Write(c.fd, p); n == len(p) {
			return n, nil
		}
	}
	n = max(n, 0) // an error comes again
	c.wait().SetWriteDeadline(time.Now().Add(requestTimeout))
	m, err := c.file.Write(p[n:])
	return n + m, err
}

// SetReadDeadline is for who waits.
func (c *conn) SetReadDeadline(t time.Time) error { return c.wait().SetReadDeadline(t) }

// SetWriteDeadline leaves the deadline to Write.
func (c *conn) SetWriteDeadline(time.Time) error { return nil }

// Close ends the connection. It may come while another goroutine reads.
func (c *conn) Close() error {
	if c.file != nil {
		return c.file.Close()
	}
	return unix.Close(c.fd)
}
