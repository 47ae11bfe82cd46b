package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"oidc-agent/proto/account"
)

// accounts are the loaded ones, in the order in which they came.
type accounts struct {
	mu       sync.RWMutex
	list     []*loaded
	byName   map[string]*loaded
	soonest  atomic.Int64 // no account ends before, in nanoseconds since boot; 0: not known
	reserved sync.Map     // chan struct{} by the name that is being loaded; closed when that has ended
}

// reserve keeps others from loading an account of the same name meanwhile: two that begin with the same refresh
// token would present it twice.
func (s *accounts) reserve(ctx context.Context, name string) (release func(), err error) {
	free := make(chan struct{})
	for {
		taken, ok := s.reserved.LoadOrStore(name, free)
		if !ok {
			return func() {
				s.reserved.Delete(name)
				close(free)
			}, nil
		}
		select {
		case <-taken.(chan struct{}):
		case <-ctx.Done():
			return nil, fmt.Errorf("account %q is being loaded: %w", name, context.Cause(ctx))
		}
	}
}

func (s *accounts) all() []*loaded {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.list)
}

func (s *accounts) find(name string) *loaded {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byName[name]
}

// ofIssuer returns the accounts of an issuer, which may be spelt with or without its final slash.
func (s *accounts) ofIssuer(issuer string) []*loaded {
	return slices.DeleteFunc(s.all(), func(l *loaded) bool { return !account.SameIssuer(l.config.IssuerURL, issuer) })
}

func (s *accounts) names() []string {
	var names []string
	for _, l := range s.all() {
		names = append(names, l.name())
	}
	return names
}

// putNew adds an account unless there is one of its name: that one is returned then.
func (s *accounts) putNew(l *loaded) (there *loaded) {
	s.mu.Lock()
	defer s.mu.Unlock()
	there = s.byName[l.name()]
	if there == nil {
		s.putLocked(l)
	}
	return there
}

// put adds an account, or replaces the one of the same name.
func (s *accounts) put(l *loaded) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.putLocked(l)
}

func (s *accounts) putLocked(l *loaded) {
	if s.byName == nil {
		s.byName = make(map[string]*loaded)
	}
	s.takeLocked(func(old *loaded) bool { return old.name() == l.name() })
	s.list = append(s.list, l)
	s.byName[l.name()] = l
	s.soonest.Store(0)
}

// take removes the accounts that are meant, and returns them.
func (s *accounts) take(meant func(*loaded) bool) []*loaded {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.takeLocked(meant)
}

func (s *accounts) takeLocked(meant func(*loaded) bool) (taken []*loaded) {
	s.list = slices.DeleteFunc(s.list, func(l *loaded) bool {
		if !meant(l) {
			return false
		}
		l.stop()
		delete(s.byName, l.name())
		taken = append(taken, l)
		return true
	})
	return taken
}

// takeEnded removes the accounts that have ended and returns them.
func (s *accounts) takeEnded(now time.Duration) []*loaded {
	if int64(now) < s.soonest.Load() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.soonest.Store(math.MaxInt64)
	next := int64(math.MaxInt64)
	ended := s.takeLocked(func(l *loaded) bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.ends > now {
			next = min(next, int64(l.ends))
		}
		return l.ends > 0 && l.ends <= now
	})
	s.soonest.CompareAndSwap(math.MaxInt64, next) // unless a lifetime was set meanwhile
	return ended
}
