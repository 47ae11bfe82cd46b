package main

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"time"

	"oidc-agent/crypt"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/ipc"
	"oidc-agent/proto/secret"
)

// lock is the door that everybody goes through who uses secrets. While it is shut the key that seals them is
// itself encrypted under the user's password, so that the memory of a locked agent is of no use to anybody.
type lock struct {
	mu     sync.RWMutex
	locked bool
	inside sync.WaitGroup // requests and grants at work

	trying   sync.Mutex // one attempt to unlock at a time
	failures int
}

func (k *lock) enter() error {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.locked {
		return ipc.ErrLocked
	}
	k.inside.Add(1)
	return nil
}

func (k *lock) leave() { k.inside.Done() }

// shut keeps newcomers out. It reports whether the door was open.
func (k *lock) shut() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	was := !k.locked
	k.locked = true
	return was
}

func (k *lock) open() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.locked = false
}

func (k *lock) isLocked() bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.locked
}

// lockedToken is a token whose secrets are sealed.
type lockedToken struct {
	access, id crypt.Sealed
	issuer     string
	expiresAt  int64
}

// lockAgent shuts the door, waits for the grants that are at work, whose new refresh tokens would be lost
// otherwise, seals the access tokens, and encrypts the sealing key.
func (a *agent) lockAgent(_ context.Context, r request) (*cjson.Object, error) {
	password := r.Secret(ipc.KeyPassword)
	defer password.Wipe()
	if !a.lock.shut() {
		return nil, ipc.ErrLocked
	}
	a.lock.inside.Wait()
	for _, l := range a.accounts.all() {
		l.sealTokens(a.sealer)
	}
	if err := a.sealer.Lock(password); err != nil {
		return nil, errors.Join(err, a.reopen())
	}
	a.providers.closeIdle()
	debug.FreeOSMemory() // collected memory goes back with what was in it
	a.log.notice("locked")
	return ipc.Success("Agent locked"), nil
}

// unlockDelay makes guessing slow: it grows with the square of the failures, as in the C agent, but others are
// not held up.
func unlockDelay(failures int) time.Duration {
	n := min(failures, 25)
	return time.Duration(n*n) * 100 * time.Millisecond
}

func (a *agent) unlockAgent(ctx context.Context, r request) (*cjson.Object, error) {
	password := r.Secret(ipc.KeyPassword)
	defer password.Wipe()
	a.lock.trying.Lock()
	defer a.lock.trying.Unlock()
	if !a.lock.isLocked() {
		return nil, ipc.ErrNotLocked
	}
	select {
	case <-time.After(unlockDelay(a.lock.failures)):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err := a.sealer.Unlock(password); err != nil {
		a.lock.failures++
		a.log.notice("somebody tried to unlock with a wrong password")
		return nil, ipc.ErrPassword
	}
	debug.FreeOSMemory() // what scrypt has used
	a.lock.failures = 0
	if err := a.reopen(); err != nil {
		return nil, err
	}
	a.log.notice("unlocked")
	return ipc.Success("Agent unlocked"), nil
}

// reopen opens the tokens and the door.
func (a *agent) reopen() error {
	for _, l := range a.accounts.all() {
		if err := l.openTokens(a.sealer); err != nil {
			return err
		}
	}
	a.lock.open()
	return nil
}

func (l *loaded) sealTokens(s *crypt.Sealer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lockedTokens = make(map[tokenKey]lockedToken, len(l.tokens))
	for key, t := range l.tokens {
		l.lockedTokens[key] = lockedToken{s.Seal(t.access), s.Seal(t.id), t.issuer, t.expiresAt}
	}
	clear(l.tokens)
}

func (l *loaded) openTokens(s *crypt.Sealer) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, sealed := range l.lockedTokens {
		access, err := s.Open(sealed.access)
		if err != nil {
			return err
		}
		var id secret.Secret
		if id, err = s.Open(sealed.id); err != nil {
			return err
		}
		l.tokens[key] = token{access, id, sealed.issuer, sealed.expiresAt}
	}
	l.lockedTokens = nil
	return nil
}
