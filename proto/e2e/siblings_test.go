package e2e

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"oidc-agent/proto/account"
	"oidc-agent/proto/ipc"
)

// TestSiblings: two login nodes share a home and refresh the same account at the same time, again and again. The
// provider would revoke the login if one used a refresh token that the other has used.
func TestSiblings(t *testing.T) {
	t.Parallel()
	const each = 250
	s := newSite(t)
	nodes := []*node{s.boot("one"), s.boot("two")}
	for _, n := range nodes {
		n.load()
	}
	for range each {
		var both sync.WaitGroup
		for _, n := range nodes {
			both.Go(func() {
				if _, err := n.ask(forced()); err != nil {
					t.Errorf("%s: %v", n.socket, err)
				}
			})
		}
		if both.Wait(); t.Failed() {
			return
		}
	}
	all, twice := s.refreshes()
	if all != 2*each+len(nodes) || twice > 0 {
		t.Errorf("%d refreshes, want %d; %d refresh tokens were used more than once", all, 2*each+len(nodes), twice)
	}
	if changes := s.changes(); changes < each/2 {
		t.Errorf("the refreshes went from one node to the other %d times only: they were not at it at the same time", changes)
	}
	if _, newest := s.tokens(); s.saved() != newest {
		t.Error("the file does not hold the newest refresh token")
	}
	for _, n := range slices.Concat(nodes, nodes) {
		n.refresh()
	}
}

// changes returns how often the refreshing node changed. Each node has one connection.
func (p *provider) changes() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(slices.Compact(slices.Clone(p.nodes))) - 1
}

// TestSiblingDies: an agent is killed while it holds the lock. The other agent gets it.
func TestSiblingDies(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	one, two := s.boot("one"), s.boot("two")
	one.load()
	two.load()
	asked, over := make(chan struct{}), make(chan struct{})
	s.onRefresh(func(http.ResponseWriter) bool {
		s.onRefresh(nil)
		close(asked)
		<-over
		panic(http.ErrAbortHandler) // the refresh token was not used
	})
	lock := filepath.Join(filepath.Dir(s.file), ".demo.lock")
	waits := watchFile(t, lock, unix.IN_OPEN)
	go one.ask(forced())
	<-asked
	waits.next() // the first agent
	answered := make(chan error, 1)
	go func() {
		_, err := two.ask(forced())
		answered <- err
	}()
	waits.next() // the second, which waits for the lock
	if pid := lockHolder(t, lock); pid != one.cmd.Process.Pid {
		t.Errorf("process %d has the lock, want %d", pid, one.cmd.Process.Pid)
	}
	one.kill()
	close(over)
	if err := <-answered; err != nil {
		t.Errorf("the other: %v", err)
	}
	if _, twice := s.refreshes(); twice > 0 {
		t.Error("a refresh token was used twice")
	}
}

// lockHolder returns the pid that holds the lock on a file, or 0.
func lockHolder(t *testing.T, path string) int {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	record := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_GETLK, &record); err != nil {
		t.Fatal(err)
	}
	return int(record.Pid)
}

// TestForeignLock: another process keeps the lock. Callers that need a new token get an error in time, cached tokens are
// not delayed, and nothing is lost.
func TestForeignLock(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	n := s.boot("node")
	n.load()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	unlock, err := account.Lock(ctx, s.file)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	_, err = n.ask(forced().SetInt(ipc.KeyTimeout, 1))
	if err == nil || !strings.Contains(err.Error(), "lock") || !strings.Contains(err.Error(), s.file) {
		t.Errorf("the error is %v", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	n.must(ipc.Request(ipc.RequestAccessToken).SetText(ipc.KeyAccount, "demo")) // from the cache
	unlock()
	n.refresh()
	if all, twice := s.refreshes(); twice > 0 {
		t.Errorf("of %d refresh tokens %d were used twice", all, twice)
	}
	if _, newest := s.tokens(); s.saved() != newest {
		t.Error("the file does not hold the newest refresh token")
	}
}
