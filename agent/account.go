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

// loaded is an account that the agent holds. Its secrets are sealed while nobody uses them.
type loaded struct {
	config *account.Account       // without its secrets; never changes
	whole  crypt.Sealed           // the account with its secrets, as JSON
	order  int64                  // in which the accounts came
	turn   turn                   // to use its refresh token
	atLock atomic.Pointer[string] // the file for whose lock the one who has the turn waits

	mu           sync.Mutex
	refreshToken crypt.Sealed
	rotation     rotation
	file         fileState
	subject      string // whom the id_tokens are about; empty: not seen yet
	confirm      bool
	idTokenFree  bool // --always-allow-idtoken
	tokens       map[tokenKey]token
	flights      map[tokenKey]*flight
	history      history
	ends         time.Duration // since boot; 0: never
	gone         bool          // not loaded any more
}

// rotation is what is known of a provider's ways with refresh tokens (RFC 6749 section 6).
type rotation int

const (
	unknown rotation = iota
	stays            // the answers so far had the same refresh token, or none
	rotates          // it has been replaced once, and may be so again
)

// turn is a place that one has at a time.
type turn chan struct{}

func (t turn) take(ctx context.Context) (leave func(), err error) {
	select {
	case t <- struct{}{}:
		return func() { <-t }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
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

// replace puts the account of a new login into the place of the one before: what the user has said of that stays, and its
// refresh tokens are known to be older.
func (a *agent) replace(l *loaded) {
	left := a.settings.lifetime
	if old := a.accounts.find(l.name()); old != nil {
		old.mu.Lock()
		l.confirm, l.idTokenFree = old.confirm, old.idTokenFree
		l.file.tokens = slices.Concat(old.file.tokens, l.file.tokens)
		if left = 0; old.ends > 0 {
			left = max(1, int64((old.ends-a.boot())/time.Second))
		}
		old.mu.Unlock()
	}
	a.setLifetime(l, left)
	a.accounts.put(l)
}

func (l *loaded) name() string { return l.config.Name }

// withSecrets returns a copy of the account with its secrets open, for a reply or a request to the provider.
// The caller wipes it.
func (a *agent) withSecrets(l *loaded) (*account.Account, error) {
	l.mu.Lock()
	sealed, gone := l.refreshToken, l.gone
	l.mu.Unlock()
	if gone {
		return nil, fmt.Errorf("account %q was removed meanwhile", l.name())
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

// setLifetime makes the agent forget the account after so many seconds; 0 is for ever.
func (a *agent) setLifetime(l *loaded, seconds int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ends = 0
	if seconds > 0 {
		// A century is for ever, and does not overflow a Duration.
		life := time.Duration(min(seconds, 100*365*24*3600)) * time.Second
		l.ends = a.boot() + life
		time.AfterFunc(life, a.endLifetimes) // where another lifetime was set meanwhile this finds nothing to do
	}
}

// over reports whether the account's lifetime is. Timers stand still while the machine sleeps, so whoever looks for an
// account asks.
func (l *loaded) over(now time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ends > 0 && l.ends <= now
}

// endLifetimes removes the accounts whose time is over.
func (a *agent) endLifetimes() {
	if a.lock.enter() == nil { // the timer's call has not come through the door, and may have a refresh token to write
		defer a.lock.leave()
	}
	now := a.boot()
	for _, l := range a.forget(context.Background(), func(l *loaded) bool { return l.over(now) }) {
		a.log.notice("account %q: its lifetime is over, removed", l.name())
	}
}

// forget removes the accounts that are meant, with all that belongs to them, and returns them.
func (a *agent) forget(ctx context.Context, meant func(*loaded) bool) []*loaded {
	gone := a.accounts.take(meant)
	for _, l := range gone {
		a.dropBearers(l.name())
		a.saveLast(ctx, l)
	}
	return gone
}

// accounts are the loaded ones.
type accounts struct {
	boot   func() time.Duration // the clock of their lifetimes
	byName sync.Map             // *loaded
	came   atomic.Int64         // how many have come
	adding sync.Map             // turn by name
}

// reserve keeps others from loading an account of the same name meanwhile: two that begin with the same refresh
// token would present it twice.
func (s *accounts) reserve(ctx context.Context, name string) (release func(), err error) {
	place, _ := s.adding.LoadOrStore(name, make(turn, 1))
	release, err = place.(turn).take(ctx)
	if err != nil {
		err = fmt.Errorf("account %q is being loaded: %w", name, err)
	}
	return release, err
}

// find returns the account of a name, or nil.
func (s *accounts) find(name string) *loaded {
	found, _ := s.byName.Load(name)
	if l, ok := found.(*loaded); ok && !l.over(s.boot()) {
		return l
	}
	return nil
}

// all returns the accounts in the order in which they came.
func (s *accounts) all() (list []*loaded) {
	for _, l := range s.byName.Range {
		if l := l.(*loaded); !l.over(s.boot()) {
			list = append(list, l)
		}
	}
	slices.SortFunc(list, func(a, b *loaded) int { return cmp.Compare(a.order, b.order) })
	return list
}

// ofIssuer returns the accounts of an issuer, which may be spelt with or without its final slash.
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
	l.order = s.came.Add(1)
	if old, ok := s.byName.Swap(l.name(), l); ok {
		old.(*loaded).leave()
	}
}

// putNew adds an account unless there is one of its name: that one is returned then.
func (s *accounts) putNew(l *loaded) (there *loaded) {
	l.order = s.came.Add(1)
	if old, ok := s.byName.LoadOrStore(l.name(), l); ok {
		there = old.(*loaded)
	}
	return there
}

// take removes the accounts that are meant, and returns them.
func (s *accounts) take(meant func(*loaded) bool) (taken []*loaded) {
	for name, l := range s.byName.Range {
		if l := l.(*loaded); meant(l) && s.byName.CompareAndDelete(name, l) {
			l.leave()
			taken = append(taken, l)
		}
	}
	return taken
}

// leave makes who still holds an account that goes begin nothing more with it.
func (l *loaded) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone = true
	clear(l.tokens)
}
