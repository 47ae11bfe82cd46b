package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"oidc-agent/proto/cjson"
	"oidc-agent/proto/ipc"
)

// lock keeps requests out while the agent is locked. Everything that uses secrets enters it first and leaves it
// afterwards. While it is closed, the key that seals the secrets is itself encrypted under the user's password, so the
// memory of a locked agent is of no use to anybody.
type lock struct {
	mu     sync.RWMutex
	open   context.Context // ends with ipc.ErrLocked when the lock is closed; replaced by reopen
	shut   context.CancelCauseFunc
	inside sync.WaitGroup // requests and grants that have entered

	changing turn // to lock or unlock
	failures int  // wrong passwords in a row
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

// change waits until nobody else is locking or unlocking.
func (k *lock) change(ctx context.Context) (release func(), err error) {
	return k.changing.take(ctx, "someone else is locking or unlocking the agent")
}

// close lets nobody enter any more. It reports whether the lock was open.
func (k *lock) close() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	wasOpen := k.open.Err() == nil
	k.shut(ipc.ErrLocked)
	return wasOpen
}

// untilShut returns a context that also ends, with ipc.ErrLocked, when the lock is closed. It is for those who wait for
// the user: locking must not take as long as a password window stays open.
func (k *lock) untilShut(ctx context.Context) (context.Context, context.CancelFunc) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(k.open, func() { cancel(ipc.ErrLocked) })
	return ctx, func() { stop(); cancel(nil) }
}

// lockAgent closes the lock, waits for the grants in progress, whose new refresh tokens would otherwise be lost, and
// encrypts the sealing key.
func (a *agent) lockAgent(ctx context.Context, r request) (*cjson.Object, error) {
	password := r.Secret(ipc.KeyPassword)
	defer password.Wipe()
	release, err := a.lock.change(ctx) // an unlock in the meantime would find the sealer still open
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
	time.AfterFunc(time.Second, a.scrub) // once more, for goroutines that were slow to end
	a.log.notice("locked")
	return ipc.Success("Agent locked"), nil
}

// unlockDelay slows down guessing. It grows with the square of the failures, but stays far below the time of a request:
// after any number of wrong passwords the right one must still get through.
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
		return nil, errors.New("Agent not locked")
	}
	select {
	case <-time.After(unlockDelay(a.lock.failures)):
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting after wrong passwords: %w", context.Cause(ctx))
	}
	err = a.sealer.Unlock(password)
	a.scrub() // the memory of scrypt
	if err != nil {
		a.lock.failures++
		a.log.notice("an attempt to unlock with a wrong password")
		return nil, errPassword
	}
	a.lock.failures = 0
	a.reopen()
	a.log.notice("unlocked")
	return ipc.Success("Agent unlocked"), nil
}

// reopen opens the lock and resumes the work that rested in the meantime.
func (a *agent) reopen() {
	a.lock.reopen()
	for _, l := range a.accounts.all() {
		go a.saveAgain(l)
	}
	for _, b := range a.allBearers() {
		b.timer.Reset(0)
	}
}

// finish is for the end of the process. It closes the lock, waits as long as the context lasts for the grants in
// progress, whose new refresh tokens would otherwise be lost, and tries once more to write the unsaved ones.
func (a *agent) finish(ctx context.Context) {
	if !a.lock.close() {
		return // locked: nothing is in progress, and nothing can be opened
	}
	idle := make(chan struct{})
	go func() {
		a.lock.inside.Wait()
		close(idle)
	}()
	select {
	case <-idle:
	case <-ctx.Done():
		a.log.warning("ended before a provider had answered")
	}
	for _, b := range a.allBearers() {
		b.remove(true) // for good: what is still in progress writes none
	}
	for _, l := range a.accounts.all() {
		a.saveLast(ctx, l)
	}
}
