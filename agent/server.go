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

	"oidc-agent/proto/ipc"
	"oidc-agent/proto/ipc/box"
)

// Limits on what clients can make the agent hold at one time. Together they keep it within 64 MiB.
const (
	// maxConnections may be open at a time. Further ones wait in the listener's queue.
	maxConnections = 2000
	// spareFiles is the number of descriptors kept for everything else: files, providers, password windows.
	spareFiles = 128
	// At most maxLarge requests of more than smallRequest bytes are read at a time. Nearly all requests are smaller.
	smallRequest = 4 << 10
	maxLarge     = 8
	largeTimeout = 5 * time.Second // for the wait until one of them is over
	// memoryLimit is the heap size in bytes beyond which the garbage collector works harder. Until then it lets the
	// heap double.
	memoryLimit = 40 << 20
)

// requestTimeout is how long a client may take to send its request. When more than half of the connections are in use
// it is crowdedTimeout, so that silent clients do not hold up the others for longer than that.
const (
	requestTimeout = 10 * time.Second
	crowdedTimeout = time.Second
)

// answerTimeout bounds the answer to one request. It is longer than a grant may take, so that the caller hears
// how the grant ended.
const answerTimeout = grantTimeout + 5*time.Second

// server is the agent's side of the socket.
type server struct {
	*agent
	open, large chan struct{} // one element for each connection, and for each large request
	served      atomic.Uint64 // connections so far
	busy        atomic.Bool   // memory is to be returned to the system
	quiet       *time.Timer   // returns it
}

// maxIdle is how many goroutines may wait for the next connection.
const maxIdle = 4

// serve answers requests until the listener is closed and all requests that were read are answered. When the context
// ends, clients that have not sent their request yet are disconnected.
//
// Each connection has a goroutine of its own, so a slow client holds up nobody. Some of the goroutines stay to
// accept the next connection: with a new one for each, whose stack has to grow first, a cached token costs the
// agent a quarter more processor time (BenchmarkSocket).
func (a *agent) serve(ctx context.Context, listener *os.File) error {
	raw, err := listener.SyscallConn()
	if err != nil {
		return err
	}
	s := &server{agent: a, open: make(chan struct{}, connectionLimit()), large: make(chan struct{}, maxLarge)}
	s.quiet = time.AfterFunc(time.Hour, s.returnMemory)
	defer s.quiet.Stop()
	var all sync.WaitGroup
	idle := make(chan struct{}, maxIdle) // one element for each goroutine that accepts, or is about to
	join := func() bool {
		select {
		case idle <- struct{}{}:
			return true
		default:
			return false
		}
	}
	var work func()
	work = func() {
		for {
			fd, err := s.accept(raw)
			<-idle
			if err != nil {
				return
			}
			if len(idle) == 0 && join() {
				all.Go(work)
			}
			s.converse(&conn{fd: fd, hangUp: ctx, large: s.large})
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

// accept waits until there is room for another connection and returns the next one, in non-blocking mode. The
// error is os.ErrClosed.
func (s *server) accept(listener syscall.RawConn) (fd int, err error) {
	s.open <- struct{}{}
	for {
		ended := listener.Read(func(l uintptr) bool {
			fd, err = acceptOne(int(l))
			return err != unix.EAGAIN
		})
		switch {
		case ended != nil:
			return -1, os.ErrClosed
		case err == nil:
			return fd, nil
		}
		s.log.warning("accept: %v", err) // most likely out of descriptors or memory, which the open connections free
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

func (s *server) converse(c *conn) {
	defer s.leave(c)
	if err := s.admit(c.fd); err != nil {
		c.Close()
		s.log.warning("refused: %v", err)
		return
	}
	patience := requestTimeout
	if len(s.open) > cap(s.open)/2 {
		patience = crowdedTimeout
	}
	if err := box.ServeConn(c, patience, s.answerInTime); err != nil {
		s.log.debugf("connection: %v", err)
	}
}

// admit lets in the user, root and, with --with-group, the members of that group, as the client's process was
// when it connected (socket(7), unix(7)). The modes of the socket and its directory keep others out already,
// unless someone has changed them.
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
		err = errors.New("a process of another user connected")
	}
	return err
}

func (a *agent) answerInTime(message []byte) []byte {
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	return a.answer(ctx, message)
}

// After crowd connections at once, or series connections, memory is returned to the system once the agent has been calm
// for a while.
const (
	crowd  = 16
	series = 256
	calm   = time.Second
)

func (s *server) returnMemory() {
	s.busy.Store(false)
	runtime.GC() // the contents of a sync.Pool survive the first collection
	debug.FreeOSMemory()
}

// leave makes room for the next connection.
func (s *server) leave(c *conn) {
	if c.turn {
		<-s.large
	}
	if s.served.Add(1)%series == 0 || len(s.open) >= crowd {
		s.busy.Store(true)
	}
	if s.busy.Load() {
		s.quiet.Reset(calm)
	}
	<-s.open
}

// conn is a connection. Most clients have sent their request before they are accepted, and the kernel takes the
// answer in one piece. Such a connection never waits and is not registered with the runtime's poller, as a
// net.UnixConn would be: with one, a cached token costs the agent a third more processor time, and with the
// poller for the answer alone a quarter more (BenchmarkSocket).
type conn struct {
	fd       int
	file     *os.File // of fd, once the connection has had to wait
	deadline time.Time
	hangUp   context.Context // its end disconnects the client unless its request was read
	stay     func() bool     // ends the care for hangUp
	large    chan struct{}   // see server
	turn     bool            // whether the client may send a large request
	received int             // bytes
}

// wait registers the connection with the poller.
func (c *conn) wait() {
	if c.file != nil {
		return
	}
	c.file = os.NewFile(uintptr(c.fd), "connection")
	c.file.SetDeadline(c.deadline)
	c.stay = context.AfterFunc(c.hangUp, func() {
		if raw, err := c.file.SyscallConn(); err == nil {
			raw.Control(func(fd uintptr) { unix.Shutdown(int(fd), unix.SHUT_RD) }) // an answer is still written
		}
	})
}

// Read reads more than a small request only when few other clients send large ones.
func (c *conn) Read(p []byte) (n int, err error) {
	if c.received >= smallRequest && !c.turn {
		select {
		case c.large <- struct{}{}:
			c.turn = true
		case <-time.After(largeTimeout):
			return 0, &ipc.Failure{Text: "too many large requests at a time: try again"}
		}
	}
	if c.file == nil {
		n, _ = unix.Read(c.fd, p)
	}
	if n <= 0 { // file.Read meets the end or the error again
		c.wait()
		n, err = c.file.Read(p)
	}
	c.received += n
	return n, err
}

func (c *conn) Write(p []byte) (n int, err error) {
	if c.file == nil {
		if n, _ = unix.Write(c.fd, p); n == len(p) {
			return n, nil
		}
	}
	n = max(n, 0) // file.Write meets the error again
	c.wait()
	m, err := c.file.Write(p[n:])
	return n + m, err
}

// SetDeadline bounds all waiting for the client.
func (c *conn) SetDeadline(t time.Time) error {
	c.deadline = t
	if c.file == nil {
		return nil
	}
	return c.file.SetDeadline(t)
}

// Close must be called once.
func (c *conn) Close() error {
	if c.file == nil {
		return unix.Close(c.fd)
	}
	c.stay()
	return c.file.Close()
}
