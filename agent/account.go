package main

import (
	"crypto/sha256"
	"slices"
	"strings"
	"sync"
	"time"

	"oidc-agent/crypt"
	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/secret"
)

// loaded is an account that the agent holds. Its secrets are sealed while nobody uses them.
type loaded struct {
	// turn is held by the grant whose refresh token may be replaced by the provider: one at a time.
	turn chan struct{}

	mu            sync.Mutex
	config        *account.Account // without its secrets
	clientSecret  crypt.Sealed
	refreshToken  crypt.Sealed
	extra         crypt.Sealed // members that the account has no field for: a registration access token, say
	confirm       bool
	idTokenFree   bool // --always-allow-idtoken
	file          fileState
	constantToken bool // the last refresh answered with the same refresh token, or with none
	tokens        map[tokenKey]token
	lockedTokens  map[tokenKey]lockedToken // while the agent is locked
	flights       map[tokenKey]*flight
	expiry        *time.Timer
	expiresAt     time.Time // zero: never
}

// fileState is what the agent knows of an account's file: where it is, the key that opens it (the password
// is never kept), and which refresh token it held when last seen.
type fileState struct {
	path    string
	key     crypt.Sealed
	hasKey  bool
	entry   crypt.Sealed      // pw_entry of a C client: where the password is to be had
	seen    [sha256.Size]byte // digest of the refresh token in the file
	unsaved bool              // memory holds a newer one
}

// tokenKey tells access tokens of one account apart: scope as a set, audience as a set.
type tokenKey struct{ scope, audience string }

// wordSet puts space-separated words into one order and drops repetitions: scope is a set (RFC 6749
// section 3.3).
func wordSet(words string) string {
	list := strings.Fields(words)
	slices.Sort(list)
	return strings.Join(slices.Compact(list), " ")
}

// newLoaded seals the secrets of config, which must not be used for them afterwards.
func (a *agent) newLoaded(config *account.Account) *loaded {
	l := &loaded{
		turn:    make(chan struct{}, 1),
		tokens:  make(map[tokenKey]token),
		flights: make(map[tokenKey]*flight),
	}
	l.file.seen = sha256.Sum256(config.RefreshToken.Reveal())
	l.clientSecret = a.sealer.Seal(config.ClientSecret)
	l.refreshToken = a.sealer.Seal(config.RefreshToken)
	if extra := config.Extra(); len(extra.Keys()) > 0 {
		l.extra = a.sealer.Seal(secret.New(extra.Compact()))
		for _, key := range extra.Keys() {
			extra.Delete(key)
		}
	}
	config.ClientSecret, config.RefreshToken, config.Password = secret.Secret{}, secret.Secret{}, secret.Secret{}
	l.config = config
	return l
}

// hasUnsaved reports whether memory holds a newer refresh token than the file.
func (l *loaded) hasUnsaved() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.unsaved
}

// name never changes while an account is loaded.
func (l *loaded) name() string { return l.config.Name }

// withSecrets returns a copy of the account with its secrets open, for a reply or a request to the provider.
// The caller wipes it.
func (a *agent) withSecrets(l *loaded) (*account.Account, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	extra := cjson.New()
	if text, err := a.sealer.Open(l.extra); err != nil {
		return nil, err
	} else if !text.IsEmpty() {
		if extra, err = cjson.Parse(text.Reveal()); err != nil {
			return nil, err
		}
	}
	clientSecret, err := a.sealer.Open(l.clientSecret)
	if err != nil {
		return nil, err
	}
	refreshToken, err := a.sealer.Open(l.refreshToken)
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

// accounts are the loaded ones, in the order in which they came.
type accounts struct {
	mu   sync.RWMutex
	list []*loaded
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

func (s *accounts) removeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.list {
		l.stop()
	}
	s.list = nil
}

// stop ends the timer of an account that goes.
func (l *loaded) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.expiry != nil {
		l.expiry.Stop()
	}
}

// setLifetime makes the agent forget the account after so many seconds; 0 is for ever.
func (a *agent) setLifetime(l *loaded, seconds int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.expiry != nil {
		l.expiry.Stop()
		l.expiry, l.expiresAt = nil, time.Time{}
	}
	if seconds <= 0 {
		return
	}
	// A century is for ever, and does not overflow a Duration.
	seconds = min(seconds, 100*365*24*3600)
	d := time.Duration(seconds) * time.Second
	l.expiresAt = a.now().Add(d)
	l.expiry = time.AfterFunc(d, func() {
		if a.accounts.remove(l) {
			a.log.notice("account %q: its lifetime is over, removed", l.name())
		}
	})
}
