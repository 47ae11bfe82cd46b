package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"oidc-agent/proto/cjson"
	"oidc-agent/proto/ipc"
)

// lock is the door that everybody goes through who uses secrets. While it is shut the key that seals them is
// itself encrypted under the user's password, so that the memory of a locked agent is of no use to anybody.
type lock struct {
	mu     sync.RWMutex
	open   context.Context // ends with ipc.ErrLocked when the door is shut; a new one is made under changing
	shut   context.CancelCauseFunc
	inside sync.WaitGroup // requests and grants at work

	changing turn // of who locks or unlocks
	failures int  // to unlock, in a row
}

func newLock() *lock {
	k := &lock{changing: make(turn, 1)}
	k.reopen()
	return k
}

func (k *lock) reopen() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.open, k.shut = context.WithCancelCause(context.Background())
}

func (k *lock) enter() error {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.open.Err() != nil {
		return ipc.ErrLocked
	}
	k.inside.Add(1)
	return nil
}

func (k *lock) leave() { k.inside.Done() }

// change waits until nobody else locks or unlocks.
func (k *lock) change(ctx context.Context) (release func(), err error) {
	release, err = k.changing.take(ctx)
	if err != nil {
		err = fmt.Errorf("somebody else is locking or unlocking the agent: %w", err)
	}
	return release, err
}

// close keeps newcomers out. It reports whether the door was open.
func (k *lock) close() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	wasOpen := k.open.Err() == nil
	k.shut(ipc.ErrLocked)
	return wasOpen
}

// untilShut gives who waits for the user's answer a context that ends with ipc.ErrLocked when the agent is to be
// locked: that must not take as long as a window stays.
func (k *lock) untilShut(ctx context.Context) (context.Context, context.CancelFunc) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(k.open, func() { cancel(ipc.ErrLocked) })
	return ctx, func() { stop(); cancel(nil) }
}

// lockAgent shuts the door, waits for the grants that are at work, whose new refresh tokens would be lost
// otherwise, and encrypts the sealing key.
func (a *agent) lockAgent(ctx context.Context, r request) (*cjson.Object, error) {
	password := r.Secret(ipc.KeyPassword)
	defer password.Wipe()
	release, err := a.lock.change(ctx) // who unlocks meanwhile would find the sealer still open
	if err != nil {
		return nil, err
	}
	defer release()
	if !a.lock.close() {
		return nil, ipc.ErrLocked
	}
	a.lock.inside.Wait()
	for _, b := range a.allBearers() {
		b.remove(false)
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
	if a.lock.open.Err() == nil {
		return nil, errNotLocked
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
		return nil, errPassword
	}
	a.lock.failures = 0
	a.reopen()
	a.log.notice("unlocked")
	return ipc.Success("Agent unlocked"), nil
}

// reopen opens the door, and has all go on that rested.
func (a *agent) reopen() {
	a.lock.reopen()
	for _, l := range a.accounts.all() {
		go a.saveAgain(l)
	}
	for _, b := range a.allBearers() {
		b.timer.Reset(0)
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
		b.remove(true) // who is still at work writes none
	}
	for _, l := range a.accounts.all() {
		a.saveLast(ctx, l)
	}
}
