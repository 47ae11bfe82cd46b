package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"oidc-agent/crypt"
	"oidc-agent/proto/account"
	"oidc-agent/proto/secret"
)

// loaded is an account that the agent holds. Its secrets are sealed while they are not in use.
type loaded struct {
	config *account.Account       // without its secrets; never changes
	whole  crypt.Sealed           // the account with its secrets, as JSON
	order  int64                  // of arrival
	turn   turn                   // to use the refresh token
	atLock atomic.Pointer[string] // the file for whose lock the holder of the turn waits; nil: it does not wait

	mu           sync.Mutex
	refreshToken crypt.Sealed
	rotation     rotation
	file         fileState
	subject      string // of the id_tokens; empty: none seen yet
	confirm      bool   // ask the user before each access token
	idTokenFree  bool   // --always-allow-idtoken
	tokens       map[tokenKey]token
	flights      map[tokenKey]*flight
	history      history
	ends         time.Duration // since boot; 0: never
	gone         bool          // removed or replaced
}

// rotation is whether a provider replaces refresh tokens when they are used (RFC 6749 section 6).
type rotation int

const (
	unknown rotation = iota
	stays            // so far each answer had the same refresh token, or none
	rotates          // it was replaced at least once, and may be again
)

// turn is a mutex whose wait a context can end. It is made with capacity 1.
type turn chan struct{}

// take waits for the turn. The error begins with what is waited for.
func (t turn) take(ctx context.Context, what string) (leave func(), err error) {
	select {
	case t <- struct{}{}:
		return func() { <-t }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%s: %w", what, context.Cause(ctx))
	}
}

// newLoaded seals the secrets of config and takes it over: config is empty afterwards.
func (a *agent) newLoaded(config *account.Account) *loaded {
	config.Password.Wipe()
	config.Password = secret.Secret{}
	object, current := config.Object(), digestOf(config.RefreshToken)
	l := &loaded{
		whole: a.sealer.Seal(secret.New(object.Compact())), refreshToken: a.sealer.Seal(config.RefreshToken),
		file: fileState{tokens: []digest{current}, inFile: current},
		turn: make(turn, 1), tokens: make(map[tokenKey]token), flights: make(map[tokenKey]*flight),
	}
	object.Wipe()
	config.Wipe()
	own := *config
	own.ClientSecret, own.RefreshToken = secret.Secret{}, secret.Secret{}
	l.config, *config = &own, account.Account{}
	return l
}

// replace puts the account of a new login in place of the one before. It inherits what the user has set for that one,
// and knows its refresh tokens as older.
func (a *agent) replace(l *loaded) {
	if old := a.accounts.find(l.name()); old != nil {
		old.mu.Lock()
		l.confirm, l.idTokenFree, l.ends = old.confirm, old.idTokenFree, old.ends // the timer is set already
		l.file.tokens = slices.Concat(old.file.tokens, l.file.tokens)
		old.mu.Unlock()
	} else {
		a.setLifetime(l, a.settings.Lifetime)
	}
	a.accounts.put(l)
}

func (l *loaded) name() string { return l.config.Name }

func errRemoved(name string) error { return fmt.Errorf("account %q has been removed", name) }

// withSecrets returns a copy of the account with its secrets open, for an answer or a request to the provider. The
// caller wipes it.
func (a *agent) withSecrets(l *loaded) (*account.Account, error) {
	l.mu.Lock()
	sealed, gone := l.refreshToken, l.gone
	l.mu.Unlock()
	if gone {
		return nil, errRemoved(l.name())
	}
	object, err := a.openObject(l.whole)
	if err != nil {
		return nil, err
	}
	defer object.Wipe()
	c, err := account.FromObject(object)
	if err != nil {
		return nil, err
	}
	c.RefreshToken.Wipe()
	c.RefreshToken, err = a.sealer.Open(sealed)
	return c, err
}

// setLifetime makes the agent remove the account after so many seconds. 0 means never.
func (a *agent) setLifetime(l *loaded, seconds int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ends = 0
	if seconds > 0 {
		// A century is as good as for ever, and does not overflow a Duration.
		life := time.Duration(min(seconds, 100*365*24*3600)) * time.Second
		l.ends = a.boot() + life
		time.AfterFunc(life, a.endLifetimes) // finds nothing to do if another lifetime has been set by then
	}
}

// expired reports whether the account's lifetime is over. Timers stand still while the machine sleeps, so every search
// for an account asks.
func (l *loaded) expired(now time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ends > 0 && l.ends <= now
}

// endLifetimes removes the expired accounts.
func (a *agent) endLifetimes() {
	if a.lock.enter() == nil { // a timer has not entered yet, and there may be a refresh token to write
		defer a.lock.leave()
	}
	now := a.boot()
	for _, l := range a.forget(context.Background(), func(l *loaded) bool { return l.expired(now) }) {
		a.log.notice("account %q: its lifetime is over, removed", l.name())
	}
}

// forget removes the accounts that match, with everything that belongs to them, and returns them.
func (a *agent) forget(ctx context.Context, match func(*loaded) bool) []*loaded {
	gone := a.accounts.take(match)
	for _, l := range gone {
		a.dropBearers(l.name())
		a.saveLast(ctx, l)
	}
	return gone
}

// accounts are the loaded accounts. The methods that list or find them leave out the expired ones.
type accounts struct {
	boot    func() time.Duration
	byName  sync.Map     // *loaded
	arrived atomic.Int64 // how many have arrived
	adding  sync.Map     // turn by name
}

// reserve waits until nobody else is loading an account of this name, and keeps others from beginning: two that start
// with the same refresh token would present it twice.
func (s *accounts) reserve(ctx context.Context, name string) (release func(), err error) {
	place, _ := s.adding.LoadOrStore(name, make(turn, 1))
	return place.(turn).take(ctx, fmt.Sprintf("account %q is being loaded", name))
}

// find returns the account of a name, or nil.
func (s *accounts) find(name string) *loaded {
	found, _ := s.byName.Load(name)
	if l, ok := found.(*loaded); ok && !l.expired(s.boot()) {
		return l
	}
	return nil
}

// all returns the accounts in their order of arrival.
func (s *accounts) all() (list []*loaded) {
	for _, l := range s.byName.Range {
		if l := l.(*loaded); !l.expired(s.boot()) {
			list = append(list, l)
		}
	}
	slices.SortFunc(list, func(a, b *loaded) int { return cmp.Compare(a.order, b.order) })
	return list
}

// ofIssuer returns the accounts of an issuer. A slash at the end of its URL makes no difference.
func (s *accounts) ofIssuer(issuer string) []*loaded {
	return slices.DeleteFunc(s.all(), func(l *loaded) bool { return !account.SameIssuer(l.config.IssuerURL, issuer) })
}

func (s *accounts) names() (names []string) {
	for _, l := range s.all() {
		names = append(names, l.name())
	}
	return names
}

// put adds an account, or replaces the one of the same name.
func (s *accounts) put(l *loaded) {
	l.order = s.arrived.Add(1)
	if old, ok := s.byName.Swap(l.name(), l); ok {
		old.(*loaded).retire()
	}
}

// putNew adds an account unless there is one of the same name, which it then returns.
func (s *accounts) putNew(l *loaded) (existing *loaded) {
	l.order = s.arrived.Add(1)
	if old, ok := s.byName.LoadOrStore(l.name(), l); ok {
		existing = old.(*loaded)
	}
	return existing
}

// take removes the accounts that match, and returns them.
func (s *accounts) take(match func(*loaded) bool) (taken []*loaded) {
	for name, l := range s.byName.Range {
		if l := l.(*loaded); match(l) && s.byName.CompareAndDelete(name, l) {
			l.retire()
			taken = append(taken, l)
		}
	}
	return taken
}

// retire keeps those who still hold the account from starting anything new with it.
func (l *loaded) retire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone = true
	clear(l.tokens)
}
