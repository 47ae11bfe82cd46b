package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"oidc-agent/crypt"
	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/secret"
)

// loaded is an account that the agent holds. Its secrets are sealed while nobody uses them.
type loaded struct {
	// turn is held by the grant whose refresh token may be replaced by the provider: one at a time.
	turn   chan struct{}
	atLock atomic.Bool // that grant waits for the lock of the account's file

	mu            sync.Mutex
	config        *account.Account // without its secrets
	clientSecret  crypt.Sealed
	refreshToken  crypt.Sealed
	current       digest       // of refreshToken
	extra         crypt.Sealed // members that the account has no field for: a registration access token, say
	confirm       bool
	idTokenFree   bool // --always-allow-idtoken
	file          fileState
	subject       string // whom the id_tokens are about; empty: not seen yet
	rotates       bool   // the provider has replaced a refresh token, and may do so again
	constantToken bool   // it has not so far: the last refresh answered with the same one, or with none
	tokens        map[tokenKey]token
	lockedTokens  map[tokenKey]lockedToken // while the agent is locked
	flights       map[tokenKey]*flight
	launched      uint64 // flights so far
	saving        saving
	history       history
	ends          time.Duration // since boot; 0: never
	gone          bool          // not loaded any more
}

// fileState is what the agent knows of an account's file: where it is, the key that opens it (the password
// is never kept), and which refresh token it held when last seen.
type fileState struct {
	path    string // empty: not known
	key     crypt.Sealed
	entry   crypt.Sealed // pw_entry of a C client: where the password is to be had
	seen    digest       // of the refresh token in the file
	spent   []digest     // of the refresh tokens before the one in memory, the last ones at the end
	unsaved bool         // memory holds a newer one
}

// digest stands for a refresh token where it is only compared.
type digest [sha256.Size]byte

func digestOf(s secret.Secret) digest { return sha256.Sum256(s.Reveal()) }

// maxSpent is how many tokens are remembered: who restores a file from yesterday shall not make us present a
// spent one.
const maxSpent = 1000

func (f *fileState) spend(d ...digest) {
	f.spent = append(f.spent, d...)
	f.spent = f.spent[max(0, len(f.spent)-maxSpent):]
}

// newLoaded seals the secrets of config and takes it over: config is empty afterwards.
func (a *agent) newLoaded(config *account.Account) *loaded {
	l := &loaded{
		turn:    make(chan struct{}, 1),
		tokens:  make(map[tokenKey]token),
		flights: make(map[tokenKey]*flight),
	}
	l.current = digestOf(config.RefreshToken)
	l.file.seen = l.current
	l.clientSecret = a.sealer.Seal(config.ClientSecret)
	l.refreshToken = a.sealer.Seal(config.RefreshToken)
	l.extra = a.sealer.Seal(secret.New(config.Extra().Compact()))
	config.Extra().Wipe()
	config.Password.Wipe()
	config.ClientSecret, config.RefreshToken, config.Password = secret.Secret{}, secret.Secret{}, secret.Secret{}
	own := *config
	l.config, *config = &own, account.Account{}
	return l
}

// inherit takes over what a new login must not change: what the user has said of the account that l replaces,
// and which refresh tokens are older than the new one.
func (a *agent) inherit(l, old *loaded) {
	if old == nil {
		a.setLifetime(l, a.settings.lifetime)
		return
	}
	old.mu.Lock()
	l.confirm, l.idTokenFree = old.confirm, old.idTokenFree
	l.file.spent = slices.Clone(old.file.spent)
	l.file.spend(old.file.seen, old.current)
	left := int64(0)
	if old.ends > 0 {
		left = max(1, int64((old.ends-a.boot())/time.Second))
	}
	old.mu.Unlock()
	a.setLifetime(l, left)
}

// name never changes while an account is loaded.
func (l *loaded) name() string { return l.config.Name }

// withSecrets returns a copy of the account with its secrets open, for a reply or a request to the provider.
// The caller wipes it.
func (a *agent) withSecrets(l *loaded) (*account.Account, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	members, err1 := a.sealer.Open(l.extra)
	clientSecret, err2 := a.sealer.Open(l.clientSecret)
	refreshToken, err3 := a.sealer.Open(l.refreshToken)
	if err := cmp.Or(err1, err2, err3); err != nil {
		return nil, err
	}
	extra, err := cjson.Parse(members.Reveal())
	if err != nil {
		return nil, err
	}
	c, err := account.FromObject(l.config.Object())
	if err != nil {
		return nil, err
	}
	for _, key := range extra.Keys() {
		c.Extra().SetRaw(key, extra.Raw(key))
	}
	c.ClientSecret, c.RefreshToken = clientSecret, refreshToken
	return c, nil
}

// stop ends what belongs to an account that goes.
func (l *loaded) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone = true
	l.saving.stop()
	for _, t := range l.tokens {
		t.wipe()
	}
	clear(l.tokens)
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
	a.accounts.soonest.Store(0)
}

// endLifetimes removes the accounts whose time is over. Timers stand still while the machine sleeps, so each request
// looks as well.
func (a *agent) endLifetimes() {
	for _, l := range a.accounts.takeEnded(a.boot()) {
		a.log.notice("account %q: its lifetime is over, removed", l.name())
		a.dropBearers(l.name())
		if a.lock.enter() == nil {
			a.flushLast(context.Background(), l)
			a.lock.leave()
		}
	}
}

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
