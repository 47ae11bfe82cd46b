package main

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"oidc-agent/proto/account"
)

// accounts are the loaded ones, in the order in which they came.
type accounts struct {
	mu       sync.RWMutex
	list     []*loaded
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
	for _, l := range s.list {
		if l.name() == name {
			return l
		}
	}
	return nil
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
	for _, have := range s.list {
		if have.name() == l.name() {
			return have
		}
	}
	s.list = append(s.list, l)
	return nil
}

// put adds an account, or replaces the one of the same name.
func (s *accounts) put(l *loaded) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, old := range s.list {
		if old.name() == l.name() {
			old.stop()
			s.list[i] = l
			return
		}
	}
	s.list = append(s.list, l)
}

// remove takes an account out if it is still the loaded one of its name.
func (s *accounts) remove(l *loaded) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, have := range s.list {
		if have == l {
			l.stop()
			s.list = slices.Delete(s.list, i, i+1)
			return true
		}
	}
	return false
}

func (s *accounts) removeAll() (removed []*loaded) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.list {
		l.stop()
	}
	removed, s.list = s.list, nil
	return removed
}
