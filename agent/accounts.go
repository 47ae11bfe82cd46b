package main

import (
	"context"
	"fmt"
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
	soonest  atomic.Int64             // when the first of them ends, since boot; 0: none does
	reserved map[string]chan struct{} // names that are being loaded; closed when that has ended
}

// reserve keeps others from loading an account of the same name meanwhile: two that begin with the same refresh
// token would present it twice.
func (s *accounts) reserve(ctx context.Context, name string) (release func(), err error) {
	for {
		s.mu.Lock()
		taken, ok := s.reserved[name]
		if !ok {
			free := make(chan struct{})
			if s.reserved == nil {
				s.reserved = make(map[string]chan struct{})
			}
			s.reserved[name] = free
			s.mu.Unlock()
			return func() {
				s.mu.Lock()
				defer s.mu.Unlock()
				delete(s.reserved, name)
				close(free)
			}, nil
		}
		s.mu.Unlock()
		select {
		case <-taken:
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
	s.mu.RLock()
	defer s.mu.RUnlock()
	var found []*loaded
	for _, l := range s.list {
		if account.SameIssuer(l.config.IssuerURL, issuer) {
			found = append(found, l)
		}
	}
	return found
}

func (s *accounts) names() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	names := make([]string, len(s.list))
	for i, l := range s.list {
		names[i] = l.name()
	}
	return names
}

// putNew adds an account unless there is one of its name: that one is returned then.
func (s *accounts) putNew(l *loaded) (there *loaded) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if there = s.byName[l.name()]; there == nil {
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
	if old := s.byName[l.name()]; old != nil {
		old.stop()
		s.list[slices.Index(s.list, old)] = l
	} else {
		s.list = append(s.list, l)
	}
	s.byName[l.name()] = l
}

// remove takes an account out if it is still the loaded one of its name.
func (s *accounts) remove(l *loaded) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.removeLocked(l)
}

func (s *accounts) removeLocked(l *loaded) bool {
	i := slices.Index(s.list, l)
	if i < 0 {
		return false
	}
	l.stop()
	s.list = slices.Delete(s.list, i, i+1)
	delete(s.byName, l.name())
	return true
}

func (s *accounts) removeAll() (removed []*loaded) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.list {
		l.stop()
	}
	removed, s.list, s.byName = s.list, nil, nil
	return removed
}

// endsAt notes when some account ends.
func (s *accounts) endsAt(end time.Duration) {
	for {
		soonest := s.soonest.Load()
		if soonest != 0 && soonest <= int64(end) || s.soonest.CompareAndSwap(soonest, int64(end)) {
			return
		}
	}
}

// takeEnded removes the accounts that have ended and returns them.
func (s *accounts) takeEnded(now time.Duration) (ended []*loaded) {
	if soonest := s.soonest.Load(); soonest == 0 || int64(now) < soonest {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.soonest.Store(0)
	for _, l := range slices.Clone(s.list) {
		l.mu.Lock()
		end := l.ends
		l.mu.Unlock()
		switch {
		case end == 0:
		case end <= now:
			s.removeLocked(l)
			ended = append(ended, l)
		default:
			s.endsAt(end)
		}
	}
	return ended
}
