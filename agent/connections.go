package main

import (
	"container/list"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxConnections is how many may be open; those beyond wait in the listener's queue. One that has to be waited for
	// costs 6 KiB.
	maxConnections = 4000
	// spareFiles are descriptors for all else: files, providers, windows.
	spareFiles = 128
	// maxHeld bounds the requests that did not come in one piece, in bytes.
	maxHeld = 8 << 20
	// After so many connections at once, or one after the other, the memory that they took is handed back, when it has
	// been calm for a while.
	crowd  = 16
	series = 256
	calm   = time.Second
)

// connections are the open ones. Where their number or what they hold comes to its limit, the one that has kept its
// request incomplete for the longest time has to go: honest clients send theirs at once.
type connections struct {
	slots   chan struct{} // one for each
	taken   atomic.Uint64 // so far
	crowded atomic.Bool
	quiet   *time.Timer // hands back memory after a crowd

	mu      sync.Mutex
	waiting list.List // of *conn whose request is not complete, the oldest in front
	held    int       // bytes
}

func newConnections() *connections {
	limit := uint64(maxConnections)
	var files unix.Rlimit // Go has raised the soft limit to the hard one
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &files) == nil {
		limit = min(limit, max(files.Cur, 2*spareFiles)-spareFiles)
	}
	s := &connections{slots: make(chan struct{}, limit)}
	s.quiet = time.AfterFunc(time.Hour, s.handBack)
	s.quiet.Stop()
	return s
}

// enter takes in a connection, when there is room for it.
func (s *connections) enter(fd int) *conn {
	select {
	case s.slots <- struct{}{}:
	default:
		s.dismissOldest()
		s.slots <- struct{}{}
	}
	if s.taken.Add(1)%series == 0 || len(s.slots) >= crowd {
		s.crowded.Store(true)
	}
	return &conn{fd: fd, open: s}
}

// handBack gives memory back to the system, unless others have come: then after them.
func (s *connections) handBack() {
	if len(s.slots) > 0 {
		s.crowded.Store(true)
		return
	}
	runtime.GC() // what a sync.Pool holds survives the first one
	debug.FreeOSMemory()
}

func (s *connections) dismissOldest() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dismissLocked(s.waiting.Front())
}

// dismissLocked ends the wait for a request as its deadline does: the client is told, and goes. s.mu is held.
func (s *connections) dismissLocked(place *list.Element) {
	if place == nil {
		return
	}
	c := s.waiting.Remove(place).(*conn)
	c.place, c.dismissed = nil, true
	s.releaseLocked(c)
	c.file.SetReadDeadline(time.Unix(1, 0))
}

func (s *connections) releaseLocked(c *conn) {
	s.held -= c.size
	c.size = 0
}

// conn is a connection. As long as nothing has to be waited for it is but a descriptor.
type conn struct {
	fd      int
	open    *connections
	file    *os.File  // of the descriptor, where it is waited for
	known   []byte    // read, but not yet by Read
	writeBy time.Time // deadline, zero for none

	// under open.mu
	place     *list.Element // among those who wait
	size      int           // bytes received
	dismissed bool
}

// wait makes a connection ready to be waited for, when the first bytes have not been its whole request.
func (c *conn) wait(first []byte) error {
	c.known = append(c.known, first...)
	clear(first)
	c.file = os.NewFile(uintptr(c.fd), "connection")
	c.open.mu.Lock()
	defer c.open.mu.Unlock()
	c.place = c.open.waiting.PushBack(c)
	return c.file.SetReadDeadline(time.Time{}) // fails where nothing can be waited for
}

// complete ends the wait: the request is there.
func (c *conn) complete() {
	c.open.mu.Lock()
	defer c.open.mu.Unlock()
	if c.place != nil {
		c.open.waiting.Remove(c.place)
		c.place = nil
	}
}

// Read waits for bytes, for which there must be room among what all hold.
func (c *conn) Read(p []byte) (n int, err error) {
	if len(c.known) > 0 {
		n = copy(p, c.known)
		clear(c.known[:n])
		c.known = c.known[n:]
	} else {
		n, err = c.file.Read(p)
	}
	s := c.open
	s.mu.Lock()
	defer s.mu.Unlock()
	if !c.dismissed {
		c.size += n
		s.held += n
	}
	for s.held > maxHeld && s.waiting.Len() > 0 {
		s.dismissLocked(s.waiting.Front())
	}
	return n, err
}

// Write does not wait where the system takes the whole at once.
func (c *conn) Write(p []byte) (n int, err error) {
	if c.file == nil {
		n, err = unix.Write(c.fd, p)
		n = max(n, 0)
		if n == len(p) || err != nil && err != unix.EAGAIN && err != unix.EINTR {
			return n, err
		}
		c.file = os.NewFile(uintptr(c.fd), "connection")
		if err := c.file.SetWriteDeadline(c.writeBy); err != nil {
			return n, err
		}
	}
	m, err := c.file.Write(p[n:])
	return n + m, err
}

// SetReadDeadline is for who waits; it does not keep the dismissed.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.open.mu.Lock()
	defer c.open.mu.Unlock()
	if c.dismissed {
		return nil
	}
	return c.file.SetReadDeadline(t)
}

// SetWriteDeadline holds for the next Write.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.writeBy = t
	if c.file == nil {
		return nil
	}
	return c.file.SetWriteDeadline(t)
}

// Close ends the connection. It may come while another goroutine reads.
func (c *conn) Close() error {
	if c.file != nil {
		return c.file.Close()
	}
	return unix.Close(c.fd)
}

// leave makes room for the next connection.
func (c *conn) leave() {
	c.Close()
	s := c.open
	if c.file != nil {
		c.complete()
		s.mu.Lock()
		s.releaseLocked(c)
		s.mu.Unlock()
	}
	<-s.slots
	if len(s.slots) == 0 && s.crowded.CompareAndSwap(true, false) {
		s.quiet.Reset(calm)
	}
}
