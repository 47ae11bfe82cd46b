package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"oidc-agent/crypt"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/ipc"
)

// lock is the door that everybody goes through who uses secrets. While it is shut the key that seals them is
// itself encrypted under the user's password, so that the memory of a locked agent is of no use to anybody.
type lock struct {
	mu     sync.RWMutex
	locked bool
	shut   chan struct{}  // closed while locked
	inside sync.WaitGroup // requests and grants at work

	changing chan struct{} // held by who locks or unlocks: one at a time
	failures int           // to unlock, in a row
}

func newLock() *lock {
	return &lock{shut: make(chan struct{}), changing: make(chan struct{}, 1)}
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

// close keeps newcomers out. It reports whether the door was open.
func (k *lock) close() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.locked {
		return false
	}
	k.locked = true
	close(k.shut)
	return true
}

// change waits until nobody else locks or unlocks.
func (k *lock) change(ctx context.Context) (release func(), err error) {
	select {
	case k.changing <- struct{}{}:
		return func() { <-k.changing }, nil
	case <-ctx.Done():
		return nil, errors.New("somebody else is locking or unlocking the agent")
	}
}

// untilShut gives who waits for the user's answer a context that ends with ipc.ErrLocked when the agent is to be
// locked: that must not take as long as a window stays.
func (k *lock) untilShut(ctx context.Context) (context.Context, context.CancelFunc) {
	k.mu.RLock()
	shut := k.shut
	k.mu.RUnlock()
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-shut:
			cancel(ipc.ErrLocked)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

func (k *lock) isLocked() bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.locked
}

// lockedToken is a token whose secrets are sealed.
type lockedToken struct {
	token
	answer, id crypt.Sealed
}

// lockAgent shuts the door, waits for the grants that are at work, whose new refresh tokens would be lost
// otherwise, seals the access tokens, and encrypts the sealing key.
func (a *agent) lockAgent(ctx context.Context, r request) (*cjson.Object, error) {
	password := r.Secret(ipc.KeyPassword)
	defer password.Wipe()
	if a.lock.isLocked() {
		return nil, ipc.ErrLocked
	}
	release, err := a.lock.change(ctx) // who unlocks meanwhile would find the sealer still open
	if err != nil {
		return nil, err
	}
	defer release()
	if !a.lock.close() {
		return nil, ipc.ErrLocked
	}
	a.lock.inside.Wait()
	for _, l := range a.accounts.all() {
		l.sealTokens(a.sealer)
	}
	for _, b := range a.allBearers() {
		b.stop()
	}
	if err := a.sealer.Lock(password); err != nil {
		a.reopen()
		return nil, err
	}
	a.scrub()
	time.AfterFunc(time.Second, a.scrub) // for what goroutines that were slow to end have left
	a.log.notice("locked")
	return ipc.Success("Agent locked"), nil
}

// unlockDelay makes guessing slow: it grows with the square of the failures. It ends long before the request's
// own time: the right password must be heard after any number of wrong ones.
func unlockDelay(failures int) time.Duration {
	n := time.Duration(min(failures, 10))
	return n * n * 100 * time.Millisecond
}

func (a *agent) unlockAgent(ctx context.Context, r request) (*cjson.Object, error) {
	password := r.Secret(ipc.KeyPassword)
	defer password.Wipe()
	release, err := a.lock.change(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	if !a.lock.isLocked() {
		return nil, ipc.ErrNotLocked
	}
	select {
	case <-time.After(unlockDelay(a.lock.failures)):
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting after wrong passwords: %w", context.Cause(ctx))
	}
	err = a.sealer.Unlock(password)
	a.scrub() // what scrypt has used
	if err != nil {
		a.lock.failures++
		a.log.notice("somebody tried to unlock with a wrong password")
		return nil, ipc.ErrPassword
	}
	a.lock.failures = 0
	a.reopen()
	a.log.notice("unlocked")
	return ipc.Success("Agent unlocked"), nil
}

// reopen opens the tokens and the door.
func (a *agent) reopen() {
	for _, l := range a.accounts.all() {
		l.openTokens(a.sealer)
	}
	k := a.lock
	k.mu.Lock()
	k.locked, k.shut = false, make(chan struct{})
	k.mu.Unlock()
	a.resaveAll()
	for _, b := range a.allBearers() {
		b.resume()
	}
}

// finish is for the end of the process: it keeps newcomers out, waits for the grants at work, whose new refresh
// tokens would be lost otherwise, and tries once more to write what is not saved. The context bounds the wait.
func (a *agent) finish(ctx context.Context) {
	if !a.lock.close() {
		return // locked: nobody is at work, and nothing can be opened
	}
	idle := make(chan struct{})
	go func() {
		a.lock.inside.Wait()
		close(idle)
	}()
	select {
	case <-idle:
	case <-ctx.Done():
		a.log.warning("ended while a provider had not answered yet")
	}
	for _, b := range a.allBearers() {
		b.stop()
	}
	for _, l := range a.accounts.all() {
		a.flushLast(ctx, l)
	}
}

// flushLast is the last attempt to write a refresh token that is not saved, before the account goes.
func (a *agent) flushLast(ctx context.Context, l *loaded) {
	ctx, cancel := context.WithTimeout(ctx, saveTimeout)
	defer cancel()
	if err := a.flush(ctx, l, false); err != nil {
		a.log.warning("account %q: its new refresh token is lost: %v", l.name(), err)
	}
}

func (l *loaded) sealTokens(s *crypt.Sealer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lockedTokens = make(map[tokenKey]lockedToken, len(l.tokens))
	for key, t := range l.tokens {
		l.lockedTokens[key] = lockedToken{t, s.Seal(t.answer), s.Seal(t.id)}
	}
	clear(l.tokens)
}

// openTokens takes back sealTokens. A token that cannot be opened is no loss: there are new ones.
func (l *loaded) openTokens(s *crypt.Sealer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, sealed := range l.lockedTokens {
		answer, err := s.Open(sealed.answer)
		id, errID := s.Open(sealed.id)
		if err == nil && errID == nil {
			sealed.token.answer, sealed.token.id = answer, id
			l.tokens[key] = sealed.token
		}
	}
	l.lockedTokens = nil
}
